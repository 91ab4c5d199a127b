#!/bin/sh
# kill.sh: a run that saves every 5 steps is killed (SIGKILL) at random moments; each time what it left loads and goes
# on, with another micro-batch and recompute policy, and in the end weights and log are those of a run never broken (P6).
#
#     KILLS=100 sh tests/kill.sh        how often; 12 unless told
#     SEED=7    sh tests/kill.sh        other moments
#     DEVICE=opencl DTYPE=bfloat16 sh tests/kill.sh   there, and so; on OpenCL the moments' home changes too
set -eu
. tests/support_run.sh
kills=${KILLS:-12}
seed=${SEED:-1}
out=$work/killed
set -- --device="${DEVICE:-cpu}" --dtype="${DTYPE:-float32}"
how=$*
homes=none
[ "${DEVICE:-cpu}" = cpu ] || homes="none moments"
[ "${DEVICE:-cpu}${DTYPE:-}" != openclbfloat16 ] || homes="$homes optimizer"

run() { # run OUT INIT STEPS MICRO POLICY [HOME]
    "$snug" train $small $how --out_dir="$1" --init_from="$2" --max_iters="$3" --micro_batch_size="$4" \
        --recompute="$5" --offload="${6:-none}"
}

# Lines "seconds micro-batch policy home". The moments reach from before the first step to twice what starting, 10 steps and
# two saves take here and now: under a sanitizer or on a busy machine they are the same moments.
began=$(date +%s%N)
run "$work/timed" scratch 10 8 none >"$work/said" 2>&1 || fail "$(cat "$work/said")"
awk -v n="$kills" -v seed="$seed" -v homes="$homes" -v most="$(($(date +%s%N) - began))" 'BEGIN {
    srand(seed)
    split("none gelu norm attention block", policy, " ")
    n_homes = split(homes, home, " ")
    for (i = 0; i < n; i++)
        printf "%.4f %d %s %s\n", 2e-9 * most * rand(), 1 + int(8 * rand()), policy[1 + int(5 * rand())],
            home[1 + int(n_homes * rand())]
}' >"$work/moments"

from() { if ls "$out"/ckpt-* >"$work/null" 2>&1; then echo resume; else echo scratch; fi; }

step=0
while read -r seconds micro policy home; do
    # Not through run(): the pid must be the program's own.
    "$snug" train $small $how --out_dir="$out" --init_from="$(from)" --max_iters=1000000 \
        --micro_batch_size="$micro" --recompute="$policy" --offload="$home" >"$work/said" 2>&1 &
    pid=$!
    sleep "$seconds"
    kill -9 $pid 2>"$work/null" || true
    status=0
    wait $pid 2>"$work/null" || status=$?
    [ $status -eq 137 ] || fail "after step $step the run ended by itself, with status $status: $(cat "$work/said")"
    [ "$(from)" = resume ] || continue # killed before its first checkpoint
    run "$out" resume 0 "$micro" "$policy" "$home" >"$work/said" 2>&1 || fail "does not load: $(cat "$work/said")"
    now=$(sed -n 's/this run has done its \([0-9]*\) steps.*/\1/p' "$work/said")
    [ "${now:--1}" -ge "$step" ] || fail "at step $step before, at '$now' now: $(cat "$work/said")"
    step=$now
done <"$work/moments"

end=$((step + 7))
run "$out" "$(from)" $end 8 none >"$work/said" 2>&1 || fail "the last resume: $(cat "$work/said")"
OMP_NUM_THREADS=2 run "$work/whole" scratch $end 3 gelu >"$work/said" 2>&1 || fail "unbroken: $(cat "$work/said")"
broken=$(weights "$out")
whole=$(weights "$work/whole")
curve "$out" >"$work/curve.broken"
curve "$work/whole" >"$work/curve.whole"
echo "$kills kills over $end steps: weights $broken, unbroken $whole"
[ "$broken" = "$whole" ] || fail "the weights differ"
cmp "$work/curve.broken" "$work/curve.whole" || fail "the logs differ"
set -- "$out"/ckpt-*
[ $# -le 4 ] || fail "old checkpoints stay: $(ls "$out")"
[ "$step" -gt 0 ] || fail "no run lived long enough to save"
