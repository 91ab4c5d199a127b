#!/bin/sh
# on_gpu.sh [DEVICE]: everything that wants a real GPU, in one call; ends with one table to paste into a report. DEVICE
# as in --device= (default: the one that "cuda" means). Needs `make deps` once; DEPS=0 skips apt. Logs: build/on_gpu.
# CAPS and MODEL (keys of train) in the environment make a smaller try of it, on PoCL for example.
set -eu
cd "$(dirname "$0")/.."
device=${1:-cuda}
export SNUG_TEST_DEVICE="$device"
export CK_TIMEOUT_MULTIPLIER=3
snug=build/snug
logs=build/on_gpu
failed=0

make -s DEPS="${DEPS:-1}" all tests
rm -rf $logs
mkdir -p $logs
: >$logs/table

# row NAME TEXT: a line of the table.
row() { printf '| %s | %s |\n' "$1" "$2" | tee -a $logs/table; }
# check NAME LOG COMMAND...: runs it with its output in $logs/LOG; ok or FAILED, and how long it took.
check() {
    name=$1 log=$logs/$2 began=$(date +%s)
    shift 2
    if "$@" >"$log" 2>&1; then result=ok; else
        result="FAILED, see $log"
        failed=1
        tail -n 5 "$log" >&2
    fi
    row "$name" "$result, $(($(date +%s) - began)) s"
}
# MiB that nvidia-smi sees used on the card now; "" where there is no nvidia-smi.
used_mib() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | head -n 1 || true; }

"$snug" devices >$logs/devices 2>&1 || true
row machine "$(uname -srm)"
row model "${MODEL:-GPT-2 124M}"
row snug "$("$snug" version)"
row card "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 1 | grep . || echo "no nvidia-smi")"

check "devices --check" check "$snug" devices --check --device="$device"
check "every op against float64, both GEMM kernels, matrix units" ops build/tests opencl
check "same bits for every split, both GEMM kernels" batch build/tests opencl_batch
check "matrix units (emulated where refused)" mma build/tests opencl_mma
check "golden gradients and training" golden build/tests opencl_golden
check "bytes counted from outside, refusals, caps" outside sh tests/outside_count.sh
check "equivalence, built-in model" equivalence "$snug" equivalence --device="$device"

# matmul_precision=high, where the device passes its gate; a refusal is a result and no failure.
high=--matmul_precision=high refused=
if "$snug" gradcheck --device="$device" $high >$logs/gate 2>&1; then
    row "gradients with matmul_precision=high" ok
elif refused=$(grep "^snug: matmul_precision 'high'" $logs/gate); then
    row "matmul_precision=high" "refused: ${refused#snug: }"
else
    failed=1
    row "gradients with matmul_precision=high" "FAILED, see $logs/gate"
fi
[ -n "$refused" ] || check "equivalence, high" equivalence-high "$snug" equivalence --device="$device" $high

# The cap, with what the driver takes on top: GPT-2 124M for two steps, the card watched while it runs.
model=${MODEL:-"--n_layer=12 --n_head=12 --n_embd=768 --block_size=1024 --vocab_size=50304"}
watch_cap() { # watch_cap CAP
    before=$(used_mib)
    rm -rf $logs/out
    "$snug" train $model --dataset=$logs/data --device="$device" --vram_cap="$1" --batch_size=16 \
        --gradient_accumulation_steps=1 --max_iters=3 --eval_interval=1000 --eval_iters=1 --out_dir=$logs/out \
        >"$logs/cap-$1" 2>&1 &
    process=$! most=0
    while kill -0 $process 2>/dev/null; do
        now=$(used_mib)
        [ "${now:-0}" -le "$most" ] || most=$now
        sleep 0.2
    done
    if wait $process; then
        ours=$(sed -n 's/.*"vram_peak_bytes":\([0-9]*\).*/\1/p' $logs/out/log.jsonl | tail -n 1)
        row "model under $1" "$(sed -n 's/^plan: //p' "$logs/cap-$1"); $((ours / 1048576)) MiB counted$(
            [ -z "$before" ] || echo ", nvidia-smi rose by $((most - before)) MiB")"
    else
        failed=1
        row "model under $1" "FAILED, see $logs/cap-$1"
    fi
}
mkdir -p $logs/data
head -c 4000000 /dev/zero >$logs/data/train.bin # any tokens do: memory and time don't depend on them
for cap in ${CAPS:-4GiB 8GiB}; do watch_cap "$cap"; done

# bench PRECISION: in Markdown, and its numbers for programs in bench-PRECISION.json.
bench() {
    precision=$1
    set -- $model --device="$device" --batch_size=16 --gradient_accumulation_steps=1 --matmul_precision="$1"
    check "bench, $precision" "bench-$precision" "$snug" bench "$@"
    row "step of 16 sequences, $precision" "$(sed -n 's/^time *//p' "$logs/bench-$precision")"
    row "limit, $precision" "$(sed -n 's/^limit *//p' "$logs/bench-$precision")"
    "$snug" bench "$@" --json >"$logs/bench-$precision.json" 2>&1 || failed=1
}
bench highest
[ -n "$refused" ] || bench high
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    check "the same model in PyTorch" torch python3 tests/gpt_torch.py --compile=0
    sed -n 's/^{"micro_batch": \([0-9]*\), "precision": "\([a-z0-9]*\)".*"tokens_per_s": \([0-9]*\), "peak_bytes": \([0-9]*\)}/\1 \2 \3 \4/p' \
        $logs/torch | while read -r micro precision speed peak; do
        row "PyTorch $precision, micro-batch $micro" "$speed tokens/s, $((peak / 1048576)) MiB"
    done
else
    row "PyTorch" "no PyTorch with a GPU here: nothing to compare speed with"
fi

printf '\n== %s\n| what | result |\n|---|---|\n' "to report, beside $logs/devices and $logs/check"
cat $logs/table
[ $failed = 0 ] && echo "== all passed"
exit $failed
