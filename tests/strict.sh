#!/bin/sh
# strict.sh [COMMAND ...]: runs it under preload_strict.so and preload_late.so, and fails when it fails or when any process
# of it complained, whatever became of that one's status. Without a command: what people type, on an OpenCL device, with an empty cache.
set -eu
build=${BUILD:-build}
snug=${SNUG:-$build/snug}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
if [ ! -e "$build/preload_strict.so" ]; then
    [ $# -gt 0 ] || { echo "strict: a build without OpenCL, skipped"; exit 77; }
    exec "$@"
fi
run() { # COMMAND...
    status=0
    env SNUG_STRICT=1 SNUG_STRICT_FILE="$work/complaints" \
        LD_PRELOAD="$(realpath "$build/preload_strict.so"):$(realpath "$build/preload_late.so")" "$@" || status=$?
    if [ -s "$work/complaints" ]; then
        echo "strict: complaints under: $*" >&2
        cat "$work/complaints" >&2
        exit 1
    fi
    if [ $status != 0 ]; then
        echo "strict: status $status: $*" >&2
        exit $status
    fi
}

# What the program calls and the library does not see, it can't watch.
if command -v nm >/dev/null; then
    nm -D --defined-only "$build/preload_strict.so" | awk '{ print $NF }' >"$work/watched"
    program=$snug
    [ -e "$program" ] || program=$build/tests
    nm -D --undefined-only "$program" | awk '{ sub("@.*", "", $NF); print $NF }' |
        grep -E '^cl(Create|Retain|Release|Enqueue|SetKernelArg|Finish|WaitForEvents|SVM)' >"$work/called"
    if grep -vxFf "$work/watched" "$work/called"; then
        echo "strict: not watched by tests/preload_strict.c" >&2
        exit 1
    fi
fi

if [ $# -gt 0 ]; then
    run "$@"
    exit 0
fi
quietly() {
    (run "$@") >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
}
device=--device=${SNUG_TEST_DEVICE:-opencl}
export XDG_CACHE_HOME="$work/cache"
mkdir "$work/data"
cp tests/golden/train/stream.bin "$work/data/train.bin"
model="--n_layer=2 --n_head=2 --n_embd=64 --block_size=32 --vocab_size=500 --batch_size=4 --gradient_accumulation_steps=2"
train="--dataset=$work/data --out_dir=$work/out --eval_interval=2 --eval_iters=1 --dropout=0.1"
quietly "$snug" devices
quietly "$snug" devices --check "$device"
# shellcheck disable=SC2086
{
    quietly "$snug" train $model $train "$device" --max_iters=2
    quietly "$snug" train $model $train "$device" --max_iters=4 --init_from=resume --micro_batch_size=1 --recompute=block
    quietly "$snug" bench $model "$device"
    quietly "$snug" tune $model "$device" --tune_minutes=0.02
    quietly "$snug" train $model $train "$device" --max_iters=6 --init_from=resume # now with what tune may have kept
}
quietly "$snug" equivalence "$device"
quietly "$snug" gradcheck "$device"
# The demo's last part: its own config, under its cap.
quietly "$snug" train data/configs/demo.py "$device" --vram_cap=24MiB --dataset="$work/data" --vocab_size=500 \
    --out_dir="$work/demo" --max_iters=4 --lr_decay_iters=8 --warmup_iters=2 --eval_interval=4 --eval_iters=1
echo "strict: devices, train, resume, bench, tune, equivalence, gradcheck, the demo's last part: no complaint"
