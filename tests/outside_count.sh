#!/bin/sh
# outside_count.sh: the cap and the plan, counted by a preloaded library that the program knows nothing of: first inside
# a test process, for many models; then over whole runs of `snug train`, with caps, and with a device that refuses.
set -eu
build=${BUILD:-build}
snug=${SNUG:-$build/snug}
device=${SNUG_TEST_DEVICE:-opencl}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
library=$(realpath "$build/preload_count_buffers.so")
preload=${LD_PRELOAD:+$LD_PRELOAD:}$library # tests/strict.sh's comes first: it looks at who calls

fail() {
    echo "outside_count: $*" >&2
    [ ! -f "$work/log" ] || tail -n 5 "$work/log" >&2
    exit 1
}

# Every process that made buffers wrote a line (a driver's compiler has its own, of zeros).
check_counts() {
    grep -q 'peak [1-9]' "$1" || fail "nothing was counted" # the tests say nothing when the library is missing
    if grep -v ' 0 live at exit' "$1"; then fail "buffers were left behind"; fi
}

SNUG_COUNT_FILE="$work/suite" LD_PRELOAD="$preload" "$build/tests" opencl_outside
check_counts "$work/suite"

LD_PRELOAD=$(realpath "$build/preload_count_handles.so") "$build/tests" opencl_close

mkdir "$work/data"
cp tests/golden/train/stream.bin "$work/data/train.bin"
# run NAME REFUSE_ABOVE OPTIONS...: two steps of twelve sequences into $work/NAME; sets status and peak.
run() {
    name=$1 refuse=$2
    shift 2
    rm -f "$work/count"
    status=0
    SNUG_REFUSE_ABOVE=$refuse SNUG_COUNT_FILE="$work/count" LD_PRELOAD="$preload" "$snug" train \
        --init_from=tests/golden/train --dataset="$work/data" --data_order=sequential --device="$device" \
        --batch_size=12 --gradient_accumulation_steps=1 --max_iters=2 --eval_interval=1000 --eval_iters=1 \
        --dropout=0.1 --overwrite=True --out_dir="$work/$name" "$@" >"$work/log" 2>&1 || status=$?
    peak=$(sed -n 's/^buffers: peak \([1-9][0-9]*\) .*/\1/p' "$work/count")
}

# The first run on a device measures its speed, in buffers that are gone before the plan's are made; under the cap too.
XDG_CACHE_HOME="$work/cache"
export XDG_CACHE_HOME
cap=$((128 * 1024 * 1024))
run measuring 0 --vram_cap=${cap}B
check_counts "$work/count"
[ "$status" = 0 ] && [ "$peak" -le $cap ] || fail "a run that measures: status $status, $peak of $cap bytes"
ls "$work"/cache/snug/cost-*.json >"$work/measured" || fail "the first run did not measure"

# What the bus does is among that, if two measurements agreed, and a plan's time counts with it.
for try in 1 2 3 4 5; do
    ! grep -q '"transfer":' "$work"/cache/snug/cost-*.json || break
    [ $try -lt 5 ] || fail "no two measurements of the bus agreed in five runs"
    rm "$work"/cache/snug/cost-*.json
    run measuring 0
done
awk -F: '/"transfer"/ { exit !($2 + 0 > 1e-12 && $2 + 0 < 1e-7) }' "$work"/cache/snug/cost-*.json ||
    fail "no bus has that speed: $(grep '"transfer"' "$work"/cache/snug/cost-*.json)"
seconds() { # of a step of 774M with moments on the host
    "$snug" plan data/configs/gpt2_774m.py --device="$device" --offload=moments --micro_batch_size=1 --recompute=block \
        --batch_size=1 --gradient_accumulation_steps=1 --vram_cap=7GiB --json=True >"$work/plan.json" 2>"$work/log" ||
        fail "plan of moments on the host"
    sed -n 's/.*"seconds_per_step":[^0-9]*\([0-9.e+-]*\).*/\1/p' "$work/plan.json" | head -n 1
}
before=$(seconds)
cp -r "$work/cache" "$work/kept"
sed -i 's/"transfer":.*/"transfer": 1e-6,/' "$work"/cache/snug/cost-*.json # a second for each MB
after=$(seconds)
rm -r "$work/cache"
mv "$work/kept" "$work/cache"
echo "$before $after" | awk '{ exit !($2 - $1 > 10000 && $2 - $1 < 13000) }' ||
    fail "12.4 GB at 1 MB/s took $after s, and $before s at the bus's speed"

# train NAME REFUSE_ABOVE OPTIONS...: runs, and compares what was counted with what the log says.
train() {
    run "$@"
    refuse=$2
    shift 2
    [ "$status" -le 1 ] || fail "snug train ended with status $status, refused above $refuse bytes, $*"
    [ "$status" = 0 ] || return 0
    check_counts "$work/count"
    grep -q "peak $peak .* 0 of them after the first kernel" "$work/count" || fail "a buffer was made after bind"
    planned=$(sed -n 's/.*"vram_peak_bytes":\([0-9]*\)}$/\1/p' "$work/$name/log.jsonl" | head -n 1)
    # What a device refuses was held in part, which may be more than all of the plan that it takes.
    [ "$planned" = "$peak" ] || { [ "$planned" -lt "$peak" ] && [ "$peak" -le "$refuse" ]; } ||
        fail "$peak bytes counted, $planned planned"
    [ ! -d "$work/free" ] || cmp "$work/free/latest/model.safetensors" "$work/$name/latest/model.safetensors" ||
        fail "other weights: refused above $refuse bytes, $*"
}

train free 0
[ "$status" = 0 ] || fail "plain training failed"
most=$peak
train nothing 1
least=$(sed -n 's/^snug: the device refuses even the smallest plan, .* (\([0-9]*\) bytes).*/\1/p' "$work/log")
[ "$status" = 1 ] && [ -n "$least" ] || fail "a device that refuses everything: no word of what is needed"

# Refused above X, for X across all plans that there are: less memory and the same bits, or an error that says why.
train refused $((least - 1))
[ "$status" = 1 ] && grep -q '^snug: the device refuses even the smallest plan' "$work/log" ||
    fail "one byte less than the smallest plan: no error that says so"
smaller=0
for sixth in 0 1 2 3 4 5 6; do
    x=$((least + (most - least) * sixth / 6))
    train "refused$sixth" $x
    [ "$status" = 0 ] || fail "no plan found under $x bytes, but one takes $least"
    [ "$peak" -le $x ] || fail "$peak bytes, refused above $x"
    [ "$peak" -ge "$most" ] || smaller=$((smaller + 1))
done
[ $smaller -ge 5 ] || fail "only $smaller smaller plans: the sweep did not sweep"

# Caps that bind, splits that do not divide the batch, and every policy.
for cap in "$least" $((least + (most - least) / 3)) $((most - 1)); do
    train "cap$cap" 0 --vram_cap="${cap}B"
    [ "$status" = 0 ] && [ "$peak" -le "$cap" ] || fail "cap of $cap bytes: status $status, $peak bytes"
done

# AdamW's moments in the host's memory: in pinned buffers of as many bytes as the log says, or in none.
for way in pinned pageable; do
    [ $way = pinned ] || export SNUG_REFUSE_PINNED=1
    train $way 0 --offload=moments
    host=$(sed -n 's/.*host: peak \([0-9]*\) bytes, 0 live at exit$/\1/p' "$work/count" | sort -n | tail -n 1)
    logged=$(sed -n 's/.*"offload":"moments","host_bytes":\([0-9]*\),.*/\1/p' "$work/$way/log.jsonl" | head -n 1)
    [ "$status" = 0 ] && [ "${logged:-0}" -gt 0 ] || fail "moments on the host: status $status, ${logged:-no} bytes logged"
    if [ $way = pinned ]; then
        [ "$host" = "$logged" ] || fail "$host bytes of pinned memory counted, $logged logged"
    else
        [ "$host" = 0 ] && grep -q 'no pinned memory' "$work/log" || fail "pageable memory without a word"
    fi
done
export SNUG_REFUSE_PAGEABLE=1
train neither 0 --offload=moments
[ "$status" = 1 ] && [ "$(grep -c '^snug: ' "$work/log")" = 1 ] && grep -q '^snug: the system refused .* --offload=none' "$work/log" ||
    fail "no memory on the host: status $status"
unset SNUG_REFUSE_PINNED SNUG_REFUSE_PAGEABLE

for options in "--micro_batch_size=5 --recompute=none" "--micro_batch_size=7 --recompute=attention" \
    "--micro_batch_size=1 --recompute=gelu"; do
    # shellcheck disable=SC2086
    train "split$options" 0 $options
    [ "$status" = 0 ] || fail "$options failed"
done

# In 16 bits, once their speed was measured: other weights, fewer bytes, no temporaries; the plan's all the same. And with
# the float32 weights on the host fewer still.
rm -rf "$work/free"
run measuring16 0 --dtype=bfloat16 --vram_cap=128MiB
[ "$status" = 0 ] && [ "$peak" -le $((128 * 1024 * 1024)) ] || fail "a run in bfloat16 that measures: status $status"
train bfloat16 0 --dtype=bfloat16 --micro_batch_size=5
[ "$status" = 0 ] && [ "$peak" -lt "$most" ] || fail "dtype=bfloat16: status $status, $peak bytes"
whole=$peak
mv "$work/bfloat16" "$work/free" # what the next has to equal
train optimizer 0 --dtype=bfloat16 --micro_batch_size=3 --offload=optimizer
[ "$status" = 0 ] && [ "$peak" -lt "$whole" ] || fail "offload=optimizer: status $status, $peak bytes"
echo "outside_count: $most bytes down to $least, refused and capped: the counts are the plans', the weights are the same"
