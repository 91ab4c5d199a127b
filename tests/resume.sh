#!/bin/sh
# resume.sh: 50 steps under one cap, then to step 100 under another, on the CPU and on OpenCL: the weights are those of
# 100 steps under a third (P4, P6); the same in bfloat16, with weights that are saved rounded.
set -eu
. tests/support_run.sh

run() { # run DEVICE OUT INIT STEPS CAP [OPTION ...]
    device=$1 out=$2 init=$3 steps=$4 cap=$5
    shift 5
    "$snug" train $small --device="$device" --out_dir="$work/$out" --init_from="$init" --max_iters="$steps" \
        --vram_cap="$cap" --eval_interval=50 "$@" >"$work/said" 2>&1 || fail "$device, $out, $cap: $(cat "$work/said")"
    plan=$(sed -n 's/^plan: \(.*\), .* of .*/\1/p' "$work/said")
    echo "$device, $out: to step $steps under $cap: $plan"
}

same() { # same WHOLE BROKEN: weights and logs are
    whole=$(weights "$work/$1") broken=$(weights "$work/$2")
    echo "$1 $whole, $2 $broken"
    [ "$whole" = "$broken" ] || fail "$2: the weights differ"
    curve "$work/$1" >"$work/curve.whole"
    curve "$work/$2" >"$work/curve.broken"
    cmp "$work/curve.whole" "$work/curve.broken" || fail "$2: the logs differ"
}

while read -r device low high more; do
    if [ $device = opencl ] && ! "$snug" devices >"$work/said" 2>&1; then
        echo "SKIPPED opencl: $(tail -n 1 "$work/said")"
        continue
    fi
    name=$device${more:+-16}
    run $device "$name-whole" scratch 100 1GiB $more
    run $device "$name-broken" scratch 50 "$low" $more
    first=$plan
    run $device "$name-broken" resume 100 "$high" $more
    [ "$first" != "$plan" ] || fail "$name: both caps give the same plan"
    same "$name-whole" "$name-broken"
done <<END
cpu 240KiB 420KiB
opencl 420KiB 540KiB
cpu 240KiB 420KiB --dtype=bfloat16 --save_dtype=bfloat16
END

# A run that resumes with other layers computed again, by another policy, is the unbroken one too, and has nothing to say.
run cpu layers scratch 50 1GiB --recompute=block:1
[ "${plan#*block for 1 of 2 layers}" != "$plan" ] || fail "block:1: $plan"
run cpu layers resume 100 1GiB --recompute=attention:1
[ "${plan#*attention for 1 of 2 layers}" != "$plan" ] || fail "attention:1: $plan"
! grep "settings have changed" "$work/said" || fail "another policy changes no bit"
same cpu-whole layers

# In 16 bits a run goes on from master.safetensors, and says what to do without it; model.safetensors is for others.
folder=$work/cpu-16-broken/latest
grep -q '"torch_dtype": "bfloat16"' "$folder/config.json" || fail "save_dtype: $(cat "$folder/config.json")"
[ $((2 * $(wc -c <"$folder/model.safetensors"))) -lt $(($(wc -c <"$folder/master.safetensors") + 8000)) ] ||
    fail "save_dtype: model.safetensors is not half as large: $(ls -l "$folder/")"
mv "$folder/master.safetensors" "$work/aside"
"$snug" train $small --device=cpu --out_dir="$work/cpu-16-broken" --init_from=resume --max_iters=101 --dtype=bfloat16 \
    >"$work/said" 2>&1 && fail "save_dtype: a run went on from rounded weights"
grep -q "^snug: .*a run can't go on from model.safetensors, which save_dtype=bfloat16 has rounded" "$work/said" ||
    fail "save_dtype: $(cat "$work/said")"
# What was trained in 16 bits is computed in them, without being told again: a loss to all its digits.
header='{"x":{"dtype":"I32","shape":[1,4],"data_offsets":[0,16]},"y":{"dtype":"I32","shape":[1,4],"data_offsets":[16,32]}}'
{
    printf "\\$(printf %o ${#header})\0\0\0\0\0\0\0%s" "$header"
    for id in 1 2 3 4 2 3 4 5; do printf "\\$id\0\0\0"; done
} >"$work/batch"
loss() { "$snug" grads "$folder" --batch="$work/batch" --device=cpu "$@" 2>&1; }
case $(loss) in "loss "[0-9]*) ;; *) fail "grads: $(loss)" ;; esac
[ "$(loss)" = "$(loss --dtype=bfloat16)" ] || fail "grads is not in the run's precision: $(loss)"
[ "$(loss)" != "$(loss --dtype=float32)" ] || fail "dtype changes nothing in grads: $(loss)"

# On OpenCL in 16 bits; and each part of a run stands in state.json with what it ran on, and the one made elsewhere is told
# when all is at home again.
if "$snug" devices >"$work/said" 2>&1; then
    half="--dtype=bfloat16 --eval_interval=5"
    run opencl opencl-16 scratch 10 1GiB $half
    run opencl opencl-16-broken scratch 5 600KiB $half --micro_batch_size=3 --recompute=block:1 # opening takes most of that
    run opencl opencl-16-broken resume 10 1GiB $half
    same opencl-16 opencl-16-broken
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
