#!/bin/sh
# resume.sh: 50 steps under one cap, then to step 100 under another, on the CPU and on OpenCL: the weights are those of
# 100 steps under a third (P4, P6).
set -eu
. tests/support_run.sh

run() { # run DEVICE OUT INIT STEPS CAP
    "$snug" train $small --device="$1" --out_dir="$work/$2" --init_from="$3" --max_iters="$4" --vram_cap="$5" \
        --eval_interval=50 >"$work/said" 2>&1 || fail "$1, $2, $5: $(cat "$work/said")"
    plan=$(sed -n 's/^plan: \(.*\), .* of .*/\1/p' "$work/said")
    echo "$1, $2: to step $4 under $5: $plan"
}

while read -r device low high; do
    if [ $device = opencl ] && ! "$snug" devices >"$work/said" 2>&1; then
        echo "SKIPPED opencl: $(tail -n 1 "$work/said")"
        continue
    fi
    run $device "$device-whole" scratch 100 1GiB
    run $device "$device-broken" scratch 50 "$low"
    first=$plan
    run $device "$device-broken" resume 100 "$high"
    [ "$first" != "$plan" ] || fail "$device: both caps give the same plan"
    whole=$(weights "$work/$device-whole")
    broken=$(weights "$work/$device-broken")
    echo "$device: unbroken $whole, broken $broken"
    [ "$whole" = "$broken" ] || fail "$device: the weights differ"
    curve "$work/$device-whole" >"$work/curve.whole"
    curve "$work/$device-broken" >"$work/curve.broken"
    cmp "$work/curve.whole" "$work/curve.broken" || fail "$device: the logs differ"
done <<END
cpu 240KiB 420KiB
opencl 420KiB 540KiB
END

# Each part of a run stands in state.json with what it ran on; the one made elsewhere is told when all is at home again.
if "$snug" devices >"$work/said" 2>&1; then
    run cpu moving scratch 10 1GiB
    run opencl moving resume 20 1GiB
    run cpu moving resume 30 1GiB
    run cpu moving resume 40 1GiB
    grep -q "^note: this run's steps 10 to 19 were made on '.*' by build" "$work/said" || fail "parts: $(cat "$work/said")"
    [ "$(grep -c '"from": ' "$work/moving/latest/state.json")" = 3 ] || fail "parts: $(cat "$work/moving/latest/state.json")"
fi

# Constants measured while something else kept the device busy don't stay.
train() { "$snug" train $small --device=cpu --out_dir="$work/busy" --max_iters=12 --overwrite=True >"$work/said" 2>&1 || fail "$(cat "$work/said")"; }
kept=$XDG_CACHE_HOME/snug
rm -f "$kept"/cost-*
train
grep -q "measuring this device" "$work/said" || fail "the first run did not measure"
sed -i 's/e-1\([0-9]\)/e-0\1/' "$kept"/cost-*.json # 1e10 times as slow
train
grep -q "the next run measures again" "$work/said" || fail "wrong constants were believed: $(cat "$work/said")"
train
grep -q "measuring this device" "$work/said" || fail "wrong constants were kept"
train
! grep -q "measur" "$work/said" || fail "right constants were not kept: $(cat "$work/said")"
