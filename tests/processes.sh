#!/bin/sh
# processes.sh: training by mpirun: 1, 2 and 4 processes leave the checkpoint of one to the last bit, under any cap and
# split, and go on with each other's runs; what can't be shared is refused in one line; and when any of them is killed
# all end at once, and the run goes on to the same bits (P6, P8).
#
#     KILLS=50 sh tests/processes.sh    nothing but so many kills, which else are 2
#     SEED=7   sh tests/processes.sh    other moments
#     MATRIX=1 sh tests/processes.sh    nothing but the same bits, with each split and cap by 4, 1 and 2 processes
set -eu
if ! command -v mpirun >/dev/null; then
    echo "no mpirun here, skipped"
    exit 77
fi
. tests/support_run.sh
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 TERM=dumb TMPDIR="$work"
# The same for Open MPI 5, whose mpirun is PRRTE's.
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe PRTE_MCA_hwloc_default_binding_policy=none
said=$work/said                                   # what the last command printed
small="$small --batch_size=5 --gradient_shards=4" # shards of 2, 3, 2 and 3 sequences

# start ARGUMENTS...: mpirun, which at a failure kills the others without the second that it gives them otherwise
start() {
    OMPI_MCA_odls_base_sigkill_timeout=0 PRTE_MCA_odls_base_sigkill_timeout=0 timeout 100 mpirun "$@" >"$said" 2>&1 </dev/null
}
by() { # by PROCESSES ARGUMENTS...; one is without mpirun
    processes=$1
    shift
    if [ "$processes" = 1 ]; then
        "$snug" "$@" >"$said" 2>&1
    else
        start -np "$processes" "$snug" "$@"
    fi
}
# unlike FIRST SECOND ARGUMENTS...: two processes with these arguments, and with words of its own each. Both run one command,
# which looks which it is: the mpirun of Debian 13 crashes when it is given two (`mpirun -np 1 true : -np 1 true`).
unlike() {
    first=$1 second=$2
    shift 2
    # shellcheck disable=SC2016
    start -np 2 sh -c 'own=$1; [ "$OMPI_COMM_WORLD_RANK" = 0 ] || own=$2; shift 2; exec "$@" $own' sh "$first" "$second" "$snug" "$@"
}
refuses() { # refuses WORDS PROCESSES ARGUMENTS...: exit status 1 and this one line of ours, from the first that fails
    words=$1
    shift
    ! by "$@" || fail "not refused: $*"
    said_once "$words"
}
said_once() {
    [ "$(grep -c '^snug: ' "$said")" = 1 ] && grep -q "^snug: .*$1" "$said" || fail "'$1' is not said once: $(cat "$said")"
}
# Kills one of four processes after the other, as often as $kills says, by turns while all start and after some step of
# theirs, and goes on each time.
killed() {
    out=$work/killed
    awk -v n="$kills" -v seed="${SEED:-1}" 'BEGIN { srand(seed); for (i = 0; i < n; i++) printf "%d %d %.3f\n", i % 4, (i + int(i / 4)) % 2, (1.2 + 0.8 * (i + int(i / 4)) % 2) * rand() }' \
        >"$work/moments"
    from() { if ls "$out"/ckpt-* >"$work/null" 2>&1; then echo resume; else echo scratch; fi; }
    ended=0
    while read -r rank works seconds; do
        rm -f "$work"/pid.*
        timeout 60 mpirun -np 4 sh -c 'echo $$ >"$0.$OMPI_COMM_WORLD_RANK"; exec "$@"' "$work/pid" "$snug" train $small \
            --device=cpu --out_dir="$out" --init_from="$(from)" --max_iters=1000000 >"$said" 2>&1 </dev/null &
        mpirun=$!
        until [ -s "$work/pid.$rank" ] && { [ "$works" = 0 ] || grep -q '^iter' "$said"; }; do sleep 0.05; done
        sleep "$seconds"
        kill -9 "$(cat "$work/pid.$rank")"
        dead=$(date +%s%N)
        status=0
        wait $mpirun || status=$?
        [ $status -ne 0 ] && [ $status -ne 124 ] || fail "rank $rank killed: status $status: $(cat "$said")"
        grep -qi 'killed' "$said" || fail "no line says that rank $rank was killed: $(cat "$said")"
        ! grep '^snug: ' "$said" || fail "rank $rank killed, and others complain"
        for r in 0 1 2 3; do
            while kill -0 "$(cat "$work/pid.$r")" 2>"$work/null"; do # mpirun kills, and does not wait
                [ $(($(date +%s%N) - dead)) -lt 20000000000 ] || fail "rank $r lives on after rank $rank"
                sleep 0.1
            done
        done
        took=$((($(date +%s%N) - dead) / 1000000))
        [ $took -le $ended ] || ended=$took
    done <"$work/moments"
    [ "$(from)" = resume ] || fail "nothing was saved: $(cat "$said")"
    step=$(basename "$(readlink "$out/latest")" | sed 's/ckpt-0*//')
    end=$((step + 3))
    by 1 train $small --device=cpu --out_dir="$out" --init_from=resume --max_iters=$end || fail "the last resume: $(cat "$said")"
    by 1 train $small --device=cpu --out_dir="$work/whole" --max_iters=$end || fail "$(cat "$said")"
    [ "$(weights "$out")" = "$(weights "$work/whole")" ] || fail "killed $kills times: other bits at step $end"
    curve "$out" | grep loss >"$work/curve.broken"
    curve "$work/whole" | grep loss >"$work/curve.whole"
    ! grep -vxFf "$work/curve.broken" "$work/curve.whole" || fail "killed $kills times: another log"
    echo "killed $kills times, the ranks by turns: all ended, the last after at most $ended ms; step $end has the bits of one run"
}
# same NAME ARGUMENTS...: a run of 8 steps, unless told otherwise, by one process, and one that is handed on from step to step as its stdin says:
# PROCESSES STEP ARGUMENTS... in each line. Both leave the same weights, moments, and each loss and norm on the way.
same() {
    name=$1
    shift
    by 1 train $small --max_iters=8 "$@" --out_dir="$work/$name" || fail "$name: $(cat "$said")"
    from=scratch
    while read -r count step split; do
        by "$count" train $small "$@" --out_dir="$work/$name-by" --init_from=$from --max_iters="$step" $split ||
            fail "$name by $count to step $step with $split: $(cat "$said")"
        ! grep -q "settings have changed" "$said" || fail "$name handed on: $(cat "$said")"
        from=resume
    done
    curve "$work/$name" >"$work/curve.one"
    curve "$work/$name-by" >"$work/curve.by" # which has more evaluations: one where each part ends
    ! grep -vxFf "$work/curve.by" "$work/curve.one" || fail "$name: this is missing in the log"
    for file in model optimizer; do
        cmp "$work/$name/latest/$file.safetensors" "$work/$name-by/latest/$file.safetensors" || fail "$name: other bits"
    done
    echo "$name: the same bits; the last: $(sed -n 's/^plan: //p' "$said")"
}
# Each split and each cap, by 4 processes, 1 and 2 in turn, each of which goes on with what the one before has saved.
matrix() {
    given="--micro_batch_size=2 --recompute=none" # but for the caps no start measures the device
    for device in cpu opencl; do
        cap=200KiB # hardly more than the smallest plan
        [ $device = cpu ] || cap=600KiB
        for dtype in float32 bfloat16; do
            step=0
            for split in "" "--micro_batch_size=1 --recompute=block" "--micro_batch_size=3 --recompute=attention" \
                "--offload=moments --recompute=norm" "--micro_batch_size=0 --recompute=auto --vram_cap=$cap" \
                "--micro_batch_size=0 --recompute=auto --vram_cap=2MiB"; do
                for count in 4 1 2; do
                    step=$((step + 1))
                    echo "$count $step $split"
                done
            done >"$work/rows"
            same "matrix-$device-$dtype" --device=$device --dtype=$dtype $given --max_iters=$step <"$work/rows"
        done
    done
}
kills=${KILLS:-2}
if [ -n "${KILLS:-}" ]; then killed; exit; fi
if [ -n "${MATRIX:-}" ]; then POCL_DEVICES="pthread pthread" matrix; exit; fi

# Without --gradient_shards there are as many shards as processes.
if ! by 2 train $small --gradient_shards=0 --device=cpu --out_dir="$work/two" --max_iters=1; then
    if grep -q 'this build has no MPI' "$said"; then
        echo "this build has no MPI, skipped"
        exit 77
    fi
    fail "two processes: $(cat "$said")"
fi
grep -q '"gradient_shards": "2"' "$work/two/latest/state.json" || fail "two processes make no two shards"
"$snug" plan $small --gradient_shards=0 --device=cpu --init_from=resume --out_dir="$work/two" >"$said" 2>&1 ||
    fail "plan of a run: $(cat "$said")"
grep -q 'in 2 shards' "$said" || fail "plan does not know of the run's shards: $(cat "$said")"

# ---- MPI, which only several processes load ----

if command -v ldd >"$work/null"; then
    ! ldd "$snug" | grep 'libmpi' || fail "linked with MPI"
fi
# LD_DEBUG lets glibc say what it loads, when the program starts and later.
env OMPI_COMM_WORLD_SIZE=1 LD_DEBUG=files LD_DEBUG_OUTPUT="$work/loads" "$snug" plan $small --device=cpu >"$said" 2>&1 ||
    fail "plan of one process: $(cat "$said")"
cat "$work"/loads.* >"$work/loads"
grep -q 'libm\.so' "$work/loads" || fail "LD_DEBUG says nothing"
! grep 'libmpi' "$work/loads" || fail "one process loads MPI"
# A library that is none, and one without MPI's functions, in its place; all processes fail alike.
library=$(grep -ao 'libmpi\.so\.[0-9]*' "$snug") || fail "the name of the library is not in the program"
mkdir "$work/no-mpi"
for other in /dev/null "$(sed -n 's/.*calling init: \(.*libm\.so.*\)/\1/p' "$work/loads" | head -n 1)"; do
    ln -sf "$other" "$work/no-mpi/$library"
    LD_LIBRARY_PATH=$work/no-mpi refuses "Open MPI, .* can't be loaded (.*): install it" 2 train $small --device=cpu --out_dir="$work/none"
done

# ---- what steps take (P1) ----

# calls STEPS: how often the program itself asks for memory in a run, the first process and the second; nothing else
# happens in its steps
calls() {
    rm -f "$work/calls".*
    start -np 2 sh -c 'export MEMORY_OF= MEMORY_FILE="$0.$OMPI_COMM_WORLD_RANK" LD_PRELOAD="$1"; shift; exec "$@"' \
        "$work/calls" "$(realpath "${BUILD:-build}/preload_memory.so")" "$snug" train $small --device=cpu --micro_batch_size=2 \
        --recompute=none --log_interval=1000 --eval_interval=1000 --max_iters="$1" --out_dir="$work/calls-$1" ||
        fail "counted: $(cat "$said")"
    cat "$work/calls.0" "$work/calls.1"
}
if nm -D "$snug" 2>"$work/null" | grep -q asan; then
    echo "SKIPPED: memory in steps: a build with sanitizers"
else
    few=$(calls 2) many=$(calls 12)
    case $few in *'calls '[1-9]*'calls '[1-9]*) ;; *) fail "nothing is counted: $few" ;; esac
    [ "$few" = "$many" ] || fail "ten steps more ask for memory: $few, $many"
fi

# ---- the same bits ----

same cpu --device=cpu <<END
2 2 --micro_batch_size=1 --recompute=block
4 4 --vram_cap=250KiB
1 5 --micro_batch_size=2
4 8
END
# All gradients but those of the embeddings, which are ready last, are sent while earlier layers are computed.
sent=$(sed -n 's/^sent: .* gradients \([0-9]*\) % while.*/\1/p' "$said")
[ "${sent:-0}" -ge 50 ] && [ "$sent" -lt 100 ] || fail "sent early: ${sent:-nothing} %: $(cat "$said")"
if command -v python3 >"$work/null"; then
    words=$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$work/cpu/latest/config.json")
    bytes=$(python3 tests/scale.py bytes 2 16 "$words" 16 1 4 4)
    grep -q "^sent: .*($bytes bytes)" "$said" || fail "not $bytes bytes: $(grep '^sent' "$said")"
fi
same cpu-16 --device=cpu --dtype=bfloat16 <<END
4 3 --micro_batch_size=1 --recompute=block
1 5 --vram_cap=270KiB
2 8 --micro_batch_size=2
END
# An embedding that is sent in two pieces.
large="--vocab_size=17000 --n_layer=1"
same cpu-pieces --device=cpu $large --max_iters=3 <<END
2 2
4 3
END
if "$snug" devices >"$said" 2>&1; then
    given="--micro_batch_size=2 --recompute=none" # so that no start measures the device
    given="$given --n_head=5 --n_embd=40"         # attention that test_opencl_golden.c has left in PoCL's cache
    large="--vocab_size=7000 --n_layer=1"
    export POCL_DEVICES="pthread pthread"         # PoCL, where it is the driver, shows two of it
    same opencl --device=opencl $given $large <<END
4 3 --micro_batch_size=1 --recompute=block --vram_cap=30MiB
1 5
2 8 --device=opencl:%r
END
    ! grep 'note: process' "$said" || fail "two of one device"
    unlike --device=cpu --device=opencl train $small --out_dir="$work/mixed" --max_iters=1 $given ||
        fail "two kinds of devices: $(cat "$said")"
    grep -q "note: process 1 computes on '.*, driver .*the first on 'CPU, " "$said" || fail "no note: $(cat "$said")"
    same opencl-16 --device=opencl --dtype=bfloat16 --offload=optimizer $given <<END
2 3 --recompute=block
1 5 --vram_cap=2MiB
2 8 --micro_batch_size=1
END
else
    echo "SKIPPED opencl: $(tail -n 1 "$said")"
fi

# ---- processes that are not alike ----

# two FIRST SECOND: two processes, each with arguments of its own, that go on with what two have begun above
two() { unlike "$1" "$2" train $small --gradient_shards=0 --device=cpu --init_from=resume --out_dir="$work/two"; }
two "--max_iters=2 --vram_cap=400KiB" "--max_iters=2 --vram_cap=250KiB --micro_batch_size=1" ||
    fail "other caps: $(cat "$said")"
grep -q '"iter":1,.*"vram_cap_bytes":256000,' "$work/two/log.jsonl" || fail "the smallest cap is not that of all"
far() { # far FOLDERS: the second process runs where there may be other files
    start -np 2 sh -c 'cd "$0/$OMPI_COMM_WORLD_RANK" && exec "$@"' "$1" "$(realpath "$snug")" train $small \
        --gradient_shards=0 --device=cpu --dataset=near --out_dir="$1/out"
}
for folder in unseen other; do
    mkdir -p "$work/$folder/0" "$work/$folder/1"
    ln -s "$work/data" "$work/$folder/0/near"
done
cp -r "$work/data" "$work/other/1/near"
sed -i 's/"val_tokens": *[0-9]*/"val_tokens": 10000/; s/"val": *[0-9]*/"val": 10000/' "$work/other/1/near/meta.json"
truncate -s 20000 "$work/other/1/near/val.bin"
# Where the first has nothing to complain of, the second waits for seconds before it does: all of these wait side by side.
settings_differ() {
    ! two --max_iters=3 "--max_iters=3 --min_lr=1e-5" || fail "other settings are not refused"
    said_once "process 1 has min_lr = 1e-05, and the first 6e-05"
}
data_unseen() {
    ! far "$work/unseen" || fail "data that one process does not see"
    said_once "near"
}
data_differ() {
    ! far "$work/other" || fail "data that differ"
    said_once "all processes have to see the same files"
}
waiting=
for one in settings_differ data_unseen data_differ; do
    (said=$said.$one && $one) &
    waiting="$waiting $!"
done

# ---- what can't be shared ----

refuses "shards, which 3 processes can't share equally" 3 train $small --device=cpu --out_dir="$work/cpu" --init_from=resume
refuses "2 shards, which 4 processes" 4 train $small --gradient_shards=2 --device=cpu --out_dir="$work/none"
refuses "plan runs in one process" 2 plan $small --device=cpu
refuses "device 'nosuch:[01]'" 2 train $small --device=nosuch:%r --out_dir="$work/none"
refuses "n_head" 2 train $small --n_head=3 --device=cpu --out_dir="$work/none"
[ ! -e "$work/none" ] || fail "what was refused left a folder"
refuses "holds a run" 2 train $small --device=cpu --out_dir="$work/cpu"
refuses "trian is not a command" 2 trian
PMI_SIZE=2 refuses "2 processes were started" 1 train $small --device=cpu --out_dir="$work/none" # by another MPI's mpirun
for one in $waiting; do wait "$one"; done

# ---- no room ----

full() { # the first process finds the disk full from the k-th call on
    start -np 2 env FAULTFS_K="$1" FAULTFS_STICKY=1 FAULTFS_ERRNO=28 FAULTFS_PATH="$work/two" \
        LD_PRELOAD="$(realpath "${BUILD:-build}/preload_faultfs.so")" "$snug" train $small --gradient_shards=0 --device=cpu \
        --init_from=resume --out_dir="$work/two" --max_iters=3
}
before=$(weights "$work/two")
! full 40 || fail "a full disk: $(cat "$said")"
said_once "No space left"
[ "$(weights "$work/two")" = "$before" ] || fail "a full disk: other weights"
two --max_iters=3 --max_iters=3 || fail "after a full disk: $(cat "$said")"

# ---- killed ----

killed
