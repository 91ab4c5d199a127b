#!/bin/sh
# processes.sh: training by mpirun: 1, 2 and 4 processes leave the checkpoint of one to the last bit, under any cap and
# split, and go on with each other's runs; what can't be shared is refused in one line; and when any of them is killed
# all end at once, and the run goes on to the same bits (P6, P8).
#
#     KILLS=50 sh tests/processes.sh    how many are killed; 2 unless told
#     SEED=7   sh tests/processes.sh    other moments
set -eu
if ! command -v mpirun >/dev/null; then
    echo "no mpirun here, skipped"
    exit 77
fi
. tests/support_run.sh
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none TERM=dumb TMPDIR="$work"
small="$small --batch_size=5 --gradient_shards=4" # shards of 2, 3, 2 and 3 sequences

by() { # by PROCESSES ARGUMENTS...
    processes=$1
    shift
    timeout 100 mpirun -np "$processes" "$snug" "$@" >"$work/said" 2>&1 </dev/null
}
if ! by 2 train $small --device=cpu --out_dir="$work/try" --max_iters=1; then
    if grep -q 'this build has no MPI' "$work/said"; then
        echo "this build has no MPI, skipped"
        exit 77
    fi
    fail "two processes: $(cat "$work/said")"
fi

# What a run leaves: weights, moments, and the log.
left() { { cat "$1/latest/model.safetensors" "$1/latest/optimizer.safetensors"; curve "$1"; } | sha256sum; }

# ---- the same bits ----

same() { # same NAME CAP ARGUMENTS...: 8 steps by 1, 2 and 4 processes, and handed on from 4 to 1 to 2
    name=$1 cap=$2
    shift 2
    "$snug" train $small "$@" --out_dir="$work/$name" --max_iters=8 >"$work/said" 2>&1 || fail "$name: $(cat "$work/said")"
    expected=$(left "$work/$name")
    set -- train $small "$@" --out_dir="$work/$name-by"
    while read -r processes split; do
        by "$processes" "$@" --overwrite=True --max_iters=8 $split || fail "$name by $processes: $(cat "$work/said")"
        [ "$(left "$work/$name-by")" = "$expected" ] || fail "$name by $processes with $split: other bits"
    done <<END
1 --micro_batch_size=2
2 --micro_batch_size=1 --recompute=block
4 --vram_cap=$cap
END
    plan=$(sed -n 's/^plan: //p' "$work/said")
    by 4 "$@" --overwrite=True --max_iters=3 || fail "$name by 4 to step 3: $(cat "$work/said")"
    "$snug" "$@" --init_from=resume --max_iters=5 >"$work/said" 2>&1 || fail "$name from 4 to 1: $(cat "$work/said")"
    by 2 "$@" --init_from=resume --max_iters=8 || fail "$name from 1 to 2: $(cat "$work/said")"
    [ "$(weights "$work/$name-by")" = "$(weights "$work/$name")" ] || fail "$name handed on: other bits"
    cmp -s "$work/$name/latest/optimizer.safetensors" "$work/$name-by/latest/optimizer.safetensors" ||
        fail "$name handed on: other moments"
    ! grep -q "settings have changed" "$work/said" || fail "$name handed on: $(cat "$work/said")"
    echo "$name: one checkpoint by 1, 2 and 4 processes; the last: $plan"
}

same cpu 180KiB --device=cpu
same cpu-16 180KiB --device=cpu --dtype=bfloat16
if "$snug" devices >"$work/said" 2>&1; then
    same opencl 420KiB --device=opencl
    same opencl-16 560KiB --device=opencl --dtype=bfloat16 --offload=optimizer
else
    echo "SKIPPED opencl: $(tail -n 1 "$work/said")"
fi

# ---- without --gradient_shards as many as processes; what can't be shared ----

by 2 train $small --gradient_shards=0 --device=cpu --out_dir="$work/two" --max_iters=1 || fail "$(cat "$work/said")"
grep -q '"gradient_shards": "2"' "$work/two/latest/state.json" || fail "two processes make no two shards"

refuses() { # refuses WORDS PROCESSES ARGUMENTS...: exit status 1 and this one line of ours, from the first that fails
    words=$1
    shift
    ! by "$@" || fail "not refused: $*"
    [ "$(grep -c '^snug: ' "$work/said")" = 1 ] && grep -q "^snug: .*$words" "$work/said" || fail "$*: $(cat "$work/said")"
}
refuses "shards, which 3 processes can't share equally" 3 train $small --device=cpu --out_dir="$work/cpu" --init_from=resume
refuses "2 shards, which 4 processes" 4 train $small --gradient_shards=2 --device=cpu --out_dir="$work/none"
refuses "plan runs in one process" 2 plan $small --device=cpu
refuses "device 'nosuch:0'" 2 train $small --device=nosuch:%r --out_dir="$work/none"
refuses "n_head" 2 train $small --n_head=3 --device=cpu --out_dir="$work/none"
[ ! -e "$work/none" ] || fail "what was refused left a folder"
refuses "holds a run" 2 train $small --device=cpu --out_dir="$work/cpu"

# ---- killed ----

kills=${KILLS:-2}
out=$work/killed
awk -v n="$kills" -v seed="${SEED:-1}" 'BEGIN { srand(seed); for (i = 0; i < n; i++) printf "%d %.3f\n", i % 4, 0.6 + 1.5 * rand() }' \
    >"$work/moments"
from() { if ls "$out"/ckpt-* >"$work/null" 2>&1; then echo resume; else echo scratch; fi; }
ended=0
while read -r rank seconds; do
    timeout 60 mpirun -np 4 sh -c 'echo $$ >"$0.$OMPI_COMM_WORLD_RANK"; exec "$@"' "$work/pid" "$snug" train $small \
        --device=cpu --out_dir="$out" --init_from="$(from)" --max_iters=1000000 >"$work/said" 2>&1 </dev/null &
    mpirun=$!
    sleep "$seconds"
    kill -9 "$(cat "$work/pid.$rank")"
    killed=$(date +%s%N)
    status=0
    wait $mpirun || status=$?
    [ $status -ne 0 ] && [ $status -ne 124 ] || fail "rank $rank killed: status $status: $(cat "$work/said")"
    for r in 0 1 2 3; do
        while kill -0 "$(cat "$work/pid.$r")" 2>"$work/null"; do # mpirun kills, and does not wait
            [ $(($(date +%s%N) - killed)) -lt 20000000000 ] || fail "rank $r lives on after rank $rank"
            sleep 0.1
        done
    done
    took=$((($(date +%s%N) - killed) / 1000000))
    [ $took -le $ended ] || ended=$took
done <"$work/moments"
[ "$(from)" = resume ] || fail "nothing was saved: $(cat "$work/said")"
step=$(basename "$(readlink "$out/latest")" | sed 's/ckpt-0*//')
end=$((step + 3))
"$snug" train $small --device=cpu --out_dir="$out" --init_from=resume --max_iters=$end >"$work/said" 2>&1 ||
    fail "the last resume: $(cat "$work/said")"
"$snug" train $small --device=cpu --out_dir="$work/whole" --max_iters=$end >"$work/said" 2>&1 || fail "$(cat "$work/said")"
[ "$(weights "$out")" = "$(weights "$work/whole")" ] || fail "killed $kills times: other bits at step $end"
curve "$out" >"$work/curve.broken"
curve "$work/whole" | cmp - "$work/curve.broken" || fail "killed $kills times: another log"
echo "killed $kills times, the ranks by turns: all ended, the last after at most $ended ms; step $end has the bits of one run"
