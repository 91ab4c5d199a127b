#!/bin/sh
# folders.sh: two runs and one folder. A run never takes, mixes with or deletes another's checkpoints, whether it comes
# after it or at the same time; races are made by stopping a process at a call of its own (support_faultfs.c).
set -eu
. tests/support_run.sh
preload=$(realpath "${BUILD:-build}/preload_faultfs.so")
err=$work/err
out=$work/out

train() { # train OUT INIT STEPS [MORE]
    folder=$1 init=$2 steps=$3
    shift 3
    # shellcheck disable=SC2086
    "$snug" train $small --device=cpu --out_dir="$folder" --init_from="$init" --max_iters="$steps" "$@" >"$work/said" 2>"$err"
}
# refused WHAT PATTERN OUT: the last train ended with status 1 and one line that matches; nothing in OUT has changed since
# `know OUT`.
refused() {
    [ "$status" -eq 1 ] || fail "$1: status $status: $(cat "$err")"
    [ "$(wc -l <"$err")" -eq 1 ] || fail "$1: not one line: $(cat "$err")"
    grep -q "^snug: .*$2" "$err" || fail "$1: '$2' is not in: $(cat "$err")"
    list "$3" | cmp -s - "$work/known" || fail "$1: something has changed: $(list "$3" | diff "$work/known" -)"
}
list() { (cd "$1" && find . -type f -exec cksum {} + -o -printf '%y %p %l\n' | sort); }
know() { list "$1" >"$work/known"; }
# stopped_at WORD K COMMAND...: starts it, and returns when it has stopped before its K-th call on a path with WORD; $pid.
stopped_at() {
    word=$1 k=$2
    shift 2
    FAULTFS_STOP=1 FAULTFS_K=$k FAULTFS_PATH=$word LD_PRELOAD=$preload "$@" >"$work/said.a" 2>"$err.a" &
    pid=$!
    tries=0
    until grep -q '^State:.T' /proc/$pid/status 2>"$work/null"; do
        tries=$((tries + 1))
        [ $tries -lt 1500 ] || fail "it never came to call $k on $word: $(cat "$err.a")"
        sleep 0.02
    done
}
go_on() { # its exit status to $status
    kill -CONT $pid
    status=0
    wait $pid || status=$?
}

# --- a second run into a folder that holds one is refused; the three ways that the line names are ways
train "$out" scratch 20 || fail "$(cat "$err")"
know "$out"
for init in scratch "$out/latest"; do
    status=0
    train "$out" "$init" 4 --learning_rate=1e-3 || status=$?
    refused "a second run from $init" "holds a run (2 checkpoints, the newest after step 20).*=resume.*--out_dir.*--overwrite=True" "$out"
done
train "$out" resume 25 || fail "$(cat "$err")"
train "$work/other" scratch 4 || fail "$(cat "$err")"
before=$(weights "$work/other")
train "$work/other" scratch 4 --overwrite=True --seed=5 --eval_interval=2 || fail "$(cat "$err")"
[ "$before" != "$(weights "$work/other")" ] || fail "it was not overwritten"
[ "$(curve "$work/other" | grep -c '"loss"')" = 4 ] || fail "the log of the run before stays"
train "$out" scratch 3 --overwrite=True || fail "$(cat "$err")"
[ "$(cd "$out" && echo ckpt-*)" = ckpt-000003 ] || fail "of the run before there is $(ls "$out")"
know "$out"
status=0
train "$out" scratch 3 --overwrite=True --dataset="$work/none" || status=$?
refused "a run that can't begin" "none" "$out"
echo "a second run is refused, or deletes the first when asked, and only when it begins"

# --- stopped before its first step, a run leaves nothing; without a step to do, it saves
rm -rf "$out"
for folder in "$out" "$work/other"; do
    [ "$folder" = "$out" ] || know "$folder"
    # shellcheck disable=SC2086
    stopped_at val.bin 1 "$snug" train $small --device=cpu --out_dir="$folder" --overwrite=True --max_iters=1000
    kill -INT $pid
    kill -TERM $pid
    go_on
    [ $status -eq 0 ] || fail "stopped at once: status $status: $(cat "$err.a")"
    grep -q '^stopped before the first step: nothing was saved$' "$work/said.a" || fail "it says $(cat "$work/said.a")"
done
[ ! -e "$out" ] || fail "a run that did nothing leaves $(ls -a "$out")"
list "$folder" | cmp - "$work/known" || fail "a run that did nothing has overwritten"
train "$out" scratch 0 || fail "$(cat "$err")"
"$snug" sample "$out" --device=cpu --num_samples=1 --max_new_tokens=3 >"$work/said" 2>&1 || fail "$(cat "$work/said")"
echo "no untrained checkpoint, but for max_iters=0"

# --- resume takes the lock, then reads: what another run saved in between is what it goes on from
rm -rf "$out" "$work/other"
train "$out" scratch 10 || fail "$(cat "$err")"
train "$work/whole" scratch 30 || fail "$(cat "$err")"
# shellcheck disable=SC2086
stopped_at .snug-lock 1 "$snug" train $small --device=cpu --out_dir="$out" --init_from=resume --max_iters=30
train "$out" resume 20 || fail "$(cat "$err")"
go_on
[ $status -eq 0 ] || fail "after another run: status $status: $(cat "$err.a")"
[ "$(weights "$out")" = "$(weights "$work/whole")" ] || fail "two runs in turn: other weights than one run's"
curve "$out" >"$work/curve.two"
curve "$work/whole" | cmp - "$work/curve.two" || fail "two runs in turn: another log than one run's"
# From the lock on, to the last call, nobody else comes in.
for word in latest state.json model.safetensors optimizer.safetensors report.html; do
    # shellcheck disable=SC2086
    stopped_at $word 1 "$snug" train $small --device=cpu --out_dir="$out" --init_from=resume --max_iters=35
    know "$out"
    for init in resume scratch; do
        status=0
        train "$out" $init 40 || status=$?
        refused "$init beside a run at $word" "another run is writing there" "$out"
    done
    kill -9 $pid
    wait $pid 2>"$work/null" || true
done
echo "the lock comes first, and holds to the end"

# --- the bytes that are loaded are those that were hashed
rm -rf "$out"
train "$out" scratch 10 || fail "$(cat "$err")"
for name in model optimizer; do
    cp "$out/latest/$name.safetensors" "$work/kept"
    # shellcheck disable=SC2086
    stopped_at $name.safetensors 1 "$snug" train $small --device=cpu --out_dir="$out" --init_from=resume --max_iters=30
    printf X | dd of="$out/latest/$name.safetensors" bs=1 seek=3000 conv=notrunc 2>"$work/null"
    go_on
    [ $status -eq 1 ] || fail "$name changed before it was loaded: status $status"
    grep -q "$name.safetensors: is damaged.*ckpt-000005 is good" "$err.a" || fail "$(cat "$err.a")"
    mv "$work/kept" "$out/latest/$name.safetensors"
done
train "$out" resume 15 || fail "$(cat "$err")"
echo "what is loaded is what was hashed"

# --- a folder or a pipe where a run writes: named at the start, by report too
for name in .snug-lock log.jsonl run.json report.html latest; do
    for make in mkdir mkfifo; do
        rm -rf "$work/try"
        cp -a "$out" "$work/try"
        rm -f "$work/try/$name"
        $make "$work/try/$name"
        know "$work/try"
        for init in resume scratch; do
            status=0
            timeout 60 "$snug" train $small --device=cpu --out_dir="$work/try" --init_from=$init --max_iters=20 \
                --overwrite=True >"$work/said" 2>"$err" || status=$?
            sed -i '/^note: /d' "$err"
            refused "$init, $make $name" "$name: is .*: move it away" "$work/try"
        done
        case $name in log.jsonl | run.json | report.html)
            status=0
            timeout 60 "$snug" report "$work/try" >"$work/said" 2>"$err" || status=$?
            refused "report, $make $name" "$name" "$work/try" ;;
        esac
    done
done
echo "what is no file is named"
