#!/bin/sh
# limits.sh: where the system gives less than is asked for: address space (`ulimit -v`), threads, and files that are cut
# off while they are mapped. One line and exit status 1, or the work is done; never a hang, never a signal.
set -eu
. tests/support_run.sh

# ends WHAT COMMAND...: within half a minute, with status 0, or with 1 and a line; $status. Where not even the libraries
# can be loaded, the system's loader has the word, and its own status.
ends() {
    what=$1
    shift
    status=0
    timeout -k 1 30 "$@" >"$work/said" 2>"$work/err" || status=$?
    if [ $status -eq 127 ] && grep -q 'error while loading shared libraries' "$work/err"; then status=1; fi
    [ $status -le 1 ] || fail "$what: status $status: $(cat "$work/err")"
    [ $status -eq 0 ] || [ -s "$work/err" ] || fail "$what: not a word"
}

# --- address space, in steps less than a buffer of OpenBLAS's. Without looking for a GPU: PoCL 6.0 aborts the process that
# lists its devices where it can't start its threads.
for threads in 1 2; do
    worked=0 refused=0
    for mib in 60 180 260 330 450 500 800; do
        # shellcheck disable=SC2016
        ends "$threads threads in $mib MiB" env OMP_NUM_THREADS=$threads sh -c 'ulimit -v $0; exec "$@"' $((mib * 1024)) \
            "$snug" gradcheck --device=cpu
        if [ $status -eq 0 ]; then worked=1
        elif grep -q 'raise `ulimit -v`' "$work/err"; then refused=$((refused + 1)); fi
    done
    [ $worked = 1 ] && [ $refused -ge 2 ] || fail "$threads threads: worked $worked, refused $refused times"
done
echo "address space that is too small is named"

# --- more threads than can be of use
OMP_NUM_THREADS=100000 ends "100000 threads" env OMP_NUM_THREADS=100000 "$snug" gradcheck
[ $status -eq 0 ] && grep -q '^note: OMP_NUM_THREADS asks for 100000 threads' "$work/err" || fail "$(cat "$work/err")"
ends "100000 threads" env OMP_NUM_THREADS=100000 "$snug" prepare "$work/text.txt" --out="$work/bpe" --tokenizer=bpe:300
[ $status -eq 0 ] || fail "$(cat "$work/err")"
echo "too many threads are named, and fewer used"

# --- the data is cut off under a run
cp -r "$work/data" "$work/cut"
# shellcheck disable=SC2086
"$snug" train $small --dataset="$work/cut" --device=cpu --out_dir="$work/out" --max_iters=1000000 >"$work/said" 2>"$work/err" &
pid=$!
tries=0
until [ -e "$work/out/latest" ]; do
    tries=$((tries + 1))
    [ $tries -lt 1500 ] || fail "no checkpoint: $(cat "$work/err")"
    sleep 0.02
done
: >"$work/cut/train.bin"
status=0
wait $pid || status=$?
[ $status -eq 1 ] || fail "train.bin cut off: status $status: $(cat "$work/err")"
[ "$(wc -l <"$work/err")" -eq 1 ] && grep -q '^snug: .*/cut/train.bin has become shorter' "$work/err" ||
    fail "train.bin cut off: $(cat "$work/err")"
# shellcheck disable=SC2086
"$snug" train $small --device=cpu --out_dir="$work/out" --init_from=resume --max_iters=0 >"$work/said" 2>&1 || fail "$(cat "$work/said")"
grep -q 'this run has done its' "$work/said" || fail "$(cat "$work/said")"
echo "data that is cut off under a run is named"
