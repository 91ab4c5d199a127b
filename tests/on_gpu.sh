#!/bin/sh
# on_gpu.sh [--minutes=10] [--device=cuda] [--out=FOLDER] [--toy]: everything that wants a real GPU, for a machine that
# one has for minutes. Takes the built tree that it lies in: an unpacked `make gpu-pack`, or a checkout after
# `make all tests`. Correctness first, side by side; then timings, one by one, the most important first: what the minutes
# don't reach is left out, and named. FOLDER ($OUT, else on_gpu_logs) gets log.txt as it goes, and summary.md, which is
# printed at the end as well. --toy: a small model, to try the script itself on PoCL. Exit status 0 only when everything
# that ran passed.
set -eu
here=$PWD
cd "$(dirname "$0")/.."
minutes=10 device=cuda out=${OUT:-on_gpu_logs} toy=0
for option; do
    case $option in
    --minutes=*) minutes=${option#*=} ;;
    --device=*) device=${option#*=} ;;
    --out=*) out=${option#*=} ;;
    --toy) toy=1 ;;
    *) sed -n '2,7s/^# //p' "$0" >&2; exit 1 ;;
    esac
done
case $minutes in '' | 0 | *[!0-9]*) echo "on_gpu: --minutes wants a whole number, not '$minutes'" >&2; exit 1 ;; esac
build=$PWD/${BUILD:-build}
snug=$build/snug
for f in "$snug" "$build/tests"; do
    [ -x "$f" ] || { echo "on_gpu: no $f: type  make all tests  first, or unpack what  make gpu-pack  makes" >&2; exit 1; }
done

began=$(date +%s)
end=$((began + 60 * minutes))
checks_end=$((began + 60 * minutes * 45 / 100)) # correctness may take this much of it
left() { echo $((end - $(date +%s))); }
work=$(mktemp -d)
case $out in /*) ;; *) out=$here/$out ;; esac
mkdir -p "$out" "$work/taken" "$work/pids"
log=$out/log.txt summary=$out/summary.md
: >"$log"
: >"$work/figures"
: >"$work/steps"
: >"$work/tables"
: >"$work/left_out"

# ---- the programs and the driver ----

# What still runs is ended with the script: each step is a `timeout` that passes it on.
clean() {
    for file in "$work"/pids/*; do [ ! -e "$file" ] || kill "$(cat "$file")" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

# The pack's libraries are for snug alone: PyTorch and nvidia-smi have their own.
libraries=${LD_LIBRARY_PATH:-}
if [ -d lib ]; then
    libraries=$PWD/lib${libraries:+:$libraries}
    LD_LIBRARY_PATH="$libraries" "$snug" version >"$work/version" 2>&1 || libraries=$libraries:$PWD/lib-if-missing
fi
ours() { env LD_LIBRARY_PATH="$libraries" "$@"; }
ours "$snug" version >"$work/version" 2>&1 || { cat "$work/version" >&2; exit 1; }

figure() { printf '| %s | %s |\n' "$1" "$2" >>"$work/figures"; }
has_gpu() { ours timeout 60 "$snug" devices 2>/dev/null | grep -q '^    GPU'; }

# Drivers that lie there, but that no file of /etc/OpenCL/vendors names, as in containers.
find_driver() {
    driver="as installed"
    if [ -n "${OCL_ICD_VENDORS:-}" ]; then driver="OCL_ICD_VENDORS=$OCL_ICD_VENDORS" && return; fi
    if has_gpu; then return; fi
    mkdir "$work/icd"
    for folder in /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/lib /usr/local/nvidia/lib64 /usr/local/nvidia/lib \
        /usr/lib/wsl/lib /opt/rocm/lib /usr/lib/x86_64-linux-gnu/intel-opencl; do
        for file in "$folder"/libnvidia-opencl.so* "$folder"/libamdocl64.so* "$folder"/libigdrcl.so*; do
            [ -e "$file" ] || continue
            echo "$file" >"$work/icd/found.icd"
            export OCL_ICD_VENDORS="$work/icd"
            driver=$file
            if has_gpu; then return; fi
        done
    done
    unset OCL_ICD_VENDORS
    driver="as installed; no GPU's was found"
}
find_driver
if ! ours timeout 60 "$snug" devices >"$work/devices" 2>&1; then
    { echo "on_gpu: no OpenCL driver that works: $driver"; cat "$work/devices"; } | tee -a "$log" "$summary" >&2
    exit 1
fi
{ echo "== driver: $driver"; cat "$work/devices"; } >>"$log"

# A test may have to wait for a driver's compiler, beside many others: more than check's own 4 seconds.
export SNUG_TEST_DEVICE="$device" CK_TIMEOUT_MULTIPLIER=3 CK_DEFAULT_TIMEOUT=100 OMP_WAIT_POLICY=passive
export CUDA_CACHE_PATH="$work/cuda" # the driver's own cache of compiled kernels: a first start is a first start
export SNUG="$snug" BUILD="$build"

# ---- steps ----

# What a step has said goes to the log in one piece.
to_log() { # NAME TITLE
    until mkdir "$work/lock" 2>/dev/null; do sleep 0.1; done
    { printf '\n== %s\n' "$2"; cat "$work/$1.log"; } >>"$log"
    rmdir "$work/lock"
}

# verdict NAME CODE SECONDS: a line of the table of steps. A device without matrix units may say so.
verdict() {
    result=ok
    if [ "$2" = 124 ] || [ "$2" = 137 ]; then result="STOPPED: took too long"; elif [ "$2" != 0 ]; then
        result="FAILED: $(grep -v '^ *$' "$work/$1.log" | tail -n 1 | cut -c 1-200 | tr '|' '/')"
        if grep -q "^snug: matmul_precision '[a-z]*': .* \(has no matrix units\|has compute capability\)" "$work/$1.log"; then
            result="not on this device"
        fi
    fi
    printf '| %s | %s | %s | %s |\n' "$1" "$result" "$2" "$3" >>"$work/steps"
    printf '%5d s  %-26s %s\n' "$3" "$1" "$result"
    to_log "$1" "$1: $result, exit status $2, $3 s"
}

# foreign_step NAME SECONDS COMMAND...: runs it for so long at most; false when it fails.
foreign_step() {
    name=$1 limit=$2 from=$(date +%s) code=0
    shift 2
    timeout -k 5 "$limit" "$@" >"$work/$name.log" 2>&1 </dev/null &
    echo $! >"$work/pids/$name"
    wait $! || code=$?
    rm "$work/pids/$name"
    verdict "$name" "$code" $(($(date +%s) - from))
    [ "$code" = 0 ]
}
# step NAME SECONDS COMMAND...: the same for snug and what calls it.
step() {
    step_name=$1 step_limit=$2
    shift 2
    foreign_step "$step_name" "$step_limit" env LD_LIBRARY_PATH="$libraries" "$@"
}

# ---- correctness ----

suites=$("$build/tests" '?' 2>&1 || ours "$build/tests" '?' 2>&1 || true)
suites=$(printf '%s\n' "$suites" | sed -n 's/.*the suites are://p' | tr ' ' '\n' | grep '^opencl' || true)
[ -n "$suites" ] || { echo "on_gpu: $build/tests has no OpenCL suites" >&2; exit 1; }
checks="devices_check equivalence equivalence_bfloat16 equivalence_high equivalence_medium gradcheck_bfloat16 gradcheck_high
    gradcheck_medium gradcheck $suites outside_count"
if [ $toy = 1 ]; then checks="devices_check equivalence gradcheck_high opencl opencl_product opencl_choose"; fi

check() { # NAME SECONDS
    case $1 in
    devices_check) step "$@" "$snug" devices --check --device="$device" ;;
    equivalence) step "$@" "$snug" equivalence --device="$device" ;;
    equivalence_bfloat16) step "$@" "$snug" equivalence --device="$device" --dtype=bfloat16 ;;
    equivalence_high) step "$@" "$snug" equivalence --device="$device" --matmul_precision=high ;;
    equivalence_medium) step "$@" "$snug" equivalence --device="$device" --matmul_precision=medium ;;
    gradcheck) step "$@" "$snug" gradcheck --device="$device" ;;
    gradcheck_bfloat16) step "$@" "$snug" gradcheck --device="$device" --dtype=bfloat16 ;;
    gradcheck_high) step "$@" "$snug" gradcheck --device="$device" --matmul_precision=high ;;
    gradcheck_medium) step "$@" "$snug" gradcheck --device="$device" --matmul_precision=medium ;;
    outside_count) step "$@" sh tests/outside_count.sh ;;
    opencl*) step "$@" "$build/tests" "$1" ;;
    esac
}

# Takes one check after the other that nobody else has taken.
worker() {
    export OMP_NUM_THREADS=2 XDG_CACHE_HOME="$work/cache-checks"
    for name in $checks; do
        mkdir "$work/taken/$name" 2>/dev/null || continue
        seconds=$((checks_end - $(date +%s)))
        if [ $seconds -lt 5 ]; then echo "$name" >>"$work/left_out"; else check "$name" $seconds || true; fi
    done
}

echo "== correctness, side by side, until $((checks_end - began)) s have passed at most"
cores=$(nproc 2>/dev/null || echo 2)
workers=$((cores > 3 ? cores - 2 : 1))
if [ $toy = 1 ]; then export CK_RUN_CASE=toy; fi
pids=
while [ $workers -gt 0 ]; do
    worker &
    pids="$pids $!" workers=$((workers - 1))
done
for pid in $pids; do wait "$pid" || true; done
unset CK_RUN_CASE

# ---- timings ----

export XDG_CACHE_HOME="$work/cache" # nothing measured or compiled while others ran
model="--n_layer=12 --n_head=12 --n_embd=768 --block_size=1024 --vocab_size=50304 --device=$device"
title="GPT-2 124M, 16 x 1024 tokens a step" tune_minutes=0.4
# NAME:SECONDS that it takes about, on the slowest card of interest; the most important first.
timings="bench_16_bfloat16:35 torch_bf16:30 bench_16:45 bench_16_high:35 rates:45 torch:45 cap_small:40 offload:30 refused:60
    train_20:50 bench_4:30 bench_4_bfloat16:25 bench_4_high:25 bench_16_medium:30 tune:50 cap_large:35 nanogpt:60
    nanogpt_compile:120"
if [ $toy = 1 ]; then
    model="--n_layer=2 --n_head=2 --n_embd=64 --block_size=64 --vocab_size=500 --device=$device"
    title="a toy" tune_minutes=0.02
    timings="bench_16:9 bench_16_high:9 torch:9 nanogpt:9 cap_small:9 offload:9 refused:9 train_20:9 tune:9"
fi
batch="--batch_size=16 --gradient_accumulation_steps=1"
mkdir "$work/data" # any tokens do: memory and time don't depend on them
n=0
while [ $n -lt 40 ]; do
    cat tests/golden/train/stream.bin
    n=$((n + 1))
done >"$work/data/train.bin"

bench() { # NAME SECONDS MICRO_BATCH PRECISION, which is matmul_precision's or bfloat16
    precision=--matmul_precision=$4
    if [ "$4" = bfloat16 ]; then precision=--dtype=bfloat16; fi
    # shellcheck disable=SC2086
    step "$1" "$2" "$snug" bench $model $batch --micro_batch_size="$3" "$precision" || return 0
    figure "step, micro-batch $3, $4" "$(sed -n 's/^time *//p' "$work/$1.log")"
    figure "limit, micro-batch $3, $4" "$(sed -n 's/^limit *//p' "$work/$1.log")"
    figure "peak, micro-batch $3, $4" "$(sed -n 's/^peak *//p' "$work/$1.log")"
    if [ "$3" = 16 ]; then { printf '\n%s: micro-batch %s, %s\n\n' "$title" "$3" "$4"; grep '^|' "$work/$1.log"; } >>"$work/tables"; fi
}

# train NAME SECONDS OPTIONS...: without a checkpoint of the steps before the last; $under: what stands before the program
under=
train() {
    run=$1 seconds=$2
    shift 2
    rm -rf "$work/out"
    # shellcheck disable=SC2086
    step "$run" "$seconds" $under "$snug" train $model $batch --dataset="$work/data" --out_dir="$work/out" \
        --eval_interval=100000 --eval_iters=1 --warmup_iters=2 "$@"
}
of_log() { sed -n "s/.*\"$1\":\([-+0-9.e]*\).*/\1/p" "$work/out/log.jsonl"; }

train_20() { # NAME SECONDS
    train "$@" --max_iters=20 || return 0
    first=$(of_log loss | head -n 1) last=$(of_log loss | tail -n 1)
    if awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < a) }'; then result="loss $first, then $last"; else
        result="FAILED: loss $first, then $last"
        echo "| $1: the loss does not fall | FAILED | | |" >>"$work/steps"
    fi
    figure "train, 20 steps" "$result; $(of_log tokens_per_s | tail -n 10 | sort -n | sed -n 5p) tokens/s"
}

# The bytes that the program counts, against the cap, and what nvidia-smi sees beside: the driver's share comes on top.
cap() { # NAME SECONDS CAP OPTIONS...
    name=$1 seconds=$2 size=$3
    shift 3
    : >"$work/used"
    before=$(nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | head -n 1 || true)
    watcher=
    if [ -n "$before" ]; then
        nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 100 >"$work/used" 2>/dev/null &
        watcher=$!
    fi
    passed=0
    if train "$name" "$seconds" --max_iters=3 --vram_cap="$size" "$@"; then passed=1; fi
    if [ -n "$watcher" ]; then
        kill "$watcher" 2>/dev/null || true
        wait "$watcher" 2>/dev/null || true
    fi
    [ $passed = 1 ] || return 0
    counted=$(of_log vram_peak_bytes | tail -n 1) bytes=$(of_log vram_cap_bytes | tail -n 1)
    if [ "$counted" -gt "$bytes" ]; then echo "| $name: $counted bytes pass the cap | FAILED | | |" >>"$work/steps"; fi
    most=$(sort -n "$work/used" | tail -n 1)
    figure "cap of $size${*:+ $*}" "$(sed -n 's/^plan: //p' "$work/$name.log"); $((counted / 1048576)) MiB counted$(
        [ -z "$before" ] || echo ", nvidia-smi rose by $((${most:-0} - before)) MiB"
        ! grep -q '^the driver has no pinned memory' "$work/$name.log" || echo "; NOT PINNED")"
}

# A plan that is larger than the card's memory, which no cap forbids: the driver refuses, and smaller ones are tried. A toy
# is refused by a library.
refused() { # NAME SECONDS
    sequences=256 size=1024GiB
    if [ $toy = 1 ]; then
        sequences=16 size=64MiB under="env LD_PRELOAD=$build/preload_count_buffers.so SNUG_REFUSE_ABOVE=8388608"
    fi
    passed=0
    if train "$@" --batch_size=$sequences --max_iters=1 --vram_cap=$size; then passed=1; fi
    under=
    [ $passed = 1 ] || return 0
    figure "more than there is" "refused $(grep -c '^the device refused' "$work/$1.log") times, \
then $(sed -n 's/^plan: //p' "$work/$1.log"); loss $(of_log loss | tail -n 1)"
}

# Single products, each way that there is; columns: the tile that is chosen, the large one, the small one.
rates() { # NAME SECONDS
    step "$1" "$2" env SNUG_RATES=1 CK_DEFAULT_TIMEOUT=600 "$build/tests" opencl_rates || return 0
    { printf '\nTFLOP/s of products\n\n| way | product | as chosen | large tile | small |\n|---|---|--:|--:|--:|\n'
        grep '^|' "$work/$1.log"; } >>"$work/tables"
}

tune() { # NAME SECONDS
    # shellcheck disable=SC2086
    step "$1" "$2" env XDG_CACHE_HOME="$work/cache-tune" "$snug" tune $model $batch --tune_minutes=$tune_minutes || return 0
    figure tune "$(tail -n 1 "$work/$1.log")"
}

torch() { # NAME SECONDS MICRO PRECISIONS
    if ! timeout 60 python3 -c 'import torch; assert torch.cuda.is_available()' >/dev/null 2>&1; then
        figure PyTorch "no PyTorch with a GPU here: nothing to compare with"
        return 0
    fi
    foreign_step "$1" "$2" python3 tests/gpt_torch.py --compile=0 --bias=0 --steps=5 --micro="$3" --precision="$4" || true
    sed -n 's/^{"micro_batch": \([0-9]*\), "precision": "\([a-z0-9]*\)".*"ms": \([0-9.]*\), "tokens_per_s": \([0-9]*\), "peak_bytes": \([0-9]*\)}/\1 \2 \3 \4 \5/p' \
        "$work/$1.log" | while read -r micro precision ms speed peak; do
        figure "PyTorch, micro-batch $micro, $precision" "$ms ms a step, $speed tokens/s, $((peak / 1048576)) MiB"
    done
}

# What nanoGPT needs, measured beside what `snug plan --for=nanogpt` says; a toy on the CPU where there is PyTorch at all.
nanogpt() { # NAME SECONDS OPTIONS...
    name=$1 seconds=$2
    shift 2
    if [ $toy = 1 ]; then set -- --device=cpu --sizes=toy,deep --micro=3 --precision=float32; fi
    if ! timeout 60 python3 -c "import sys, torch; sys.exit(not ($toy or torch.cuda.is_available()))" >/dev/null 2>&1; then
        figure "$name" "no PyTorch with a GPU here: not measured"
        return 0
    fi
    foreign_step "$name" "$seconds" env SNUG_LIBRARIES="$libraries" python3 tests/nanogpt_card.py --snug="$snug" \
        --seconds=$((seconds * 3 / 4)) "$@" || true
    { echo; grep '^|\|^PyTorch \|^not compiled\|^$' "$work/$name.log"; } >>"$work/tables"
}

timing() { # NAME SECONDS
    case $1 in
    bench_16) bench "$@" 16 highest ;;
    bench_16_bfloat16) bench "$@" 16 bfloat16 ;;
    bench_4_bfloat16) bench "$@" 4 bfloat16 ;;
    bench_16_high) bench "$@" 16 high ;;
    bench_16_medium) bench "$@" 16 medium ;;
    rates) rates "$@" ;;
    bench_4) bench "$@" 4 highest ;;
    bench_4_high) bench "$@" 4 high ;;
    cap_small) cap "$@" "$([ $toy = 1 ] && echo 6MiB || echo 8GiB)" ;;
    offload) cap "$@" "$([ $toy = 1 ] && echo 64MiB || echo 12GiB)" --offload=moments ;;
    refused) refused "$@" ;;
    cap_large) cap "$@" "$([ $toy = 1 ] && echo 64MiB || echo 12GiB)" ;;
    train_20) train_20 "$@" ;;
    tune) tune "$@" ;;
    torch) torch "$@" 16,4 float32,tf32 ;;
    torch_bf16) torch "$@" 16,8,4 bf16 ;;
    nanogpt) nanogpt "$@" ;;
    nanogpt_compile) nanogpt "$@" --compile=1 --sizes=124M --precision=bfloat16,float32 --micro=8,4 ;;
    esac
}

echo "== timings, one by one"
nvidia-smi >>"$log" 2>&1 || true
for entry in $timings; do
    name=${entry%:*} needs=${entry#*:} has=$(left)
    # Nothing that hangs takes the time of all that follows; PoCL's compiler may be slow.
    most=$((toy || has < 4 * needs ? has : 4 * needs))
    if [ "$has" -lt "$needs" ]; then echo "$name" >>"$work/left_out"; else timing "$name" "$most"; fi
done

# ---- the summary ----

card=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 1 || true)
{
    cat "$work/tables"
    printf '\n| | |\n|---|---|\n'
    printf '| machine | %s, %s cores |\n' "$(uname -srm)" "$cores"
    printf '| snug | %s |\n| driver | %s |\n' "$(cat "$work/version")" "$driver"
    printf '| card | %s |\n' "${card:-$(sed -n 1p "$work/devices"), no nvidia-smi}"
    cat "$work/figures"
    printf '\n| step | result | exit status | seconds |\n|---|---|--:|--:|\n'
    cat "$work/steps"
    printf '\n%d s of %d; left out for want of time: %s\n' $(($(date +%s) - began)) $((60 * minutes)) \
        "$(tr '\n' ' ' <"$work/left_out" | grep . || echo nothing)"
} >"$summary"
cat "$summary"
if grep -q 'FAILED\|STOPPED' "$work/steps"; then echo "== FAILED: see $log"; exit 1; fi
echo "== all that ran passed"
