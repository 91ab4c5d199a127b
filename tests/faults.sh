#!/bin/sh
# faults.sh: what the disk or the arithmetic does to a run. A full or failing disk at every k-th call, a small file system,
# a read-only folder, NaN and damage: one line, the right status, and the older checkpoint loads.
#
#     STRIDE=1 sh tests/faults.sh       every k-th call with each kind of fault; else each kind has every 9th
set -eu
. tests/support_run.sh
preload=$(realpath "${BUILD:-build}/preload_faultfs.so")
err=$work/err
out=$work/out

train() { # train OUT INIT STEPS [MORE]: what it says on stderr goes to $err
    folder=$1 init=$2 steps=$3
    shift 3
    "$snug" train $small --device=cpu --out_dir="$folder" --init_from="$init" --max_iters="$steps" "$@" >"$work/said" 2>"$err"
}
# expect_failure WHAT PATTERN: the last train ended with status 1 and one line that matches; notes come on top, and what PoCL's
# compiler says of kernels that it has not kept.
expect_failure() {
    [ "$status" -eq 1 ] || fail "$1: status $status: $(cat "$err")"
    [ "$(grep -Evc '^note: |^[0-9]+ warnings? generated' "$err")" -eq 1 ] || fail "$1: not one line: $(cat "$err")"
    grep -q "^snug: .*$2" "$err" || fail "$1: '$2' is not in: $(cat "$err")"
}
# loads OUT: the newest checkpoint is whole; $step is where it stands.
loads() {
    train "$1" resume 0 || fail "$1 does not load: $(cat "$err")"
    step=$(sed -n 's/this run has done its \([0-9]*\) steps.*/\1/p' "$work/said")
}

train "$out" scratch 10 || fail "$(cat "$err")"
good=$(weights "$out")

# --- the k-th call on the out_dir fails: it alone, or all from then on
stride=${STRIDE:-9} start=0
for kind in "28 1 No space left" "5 0 Input/output error" "30 1 Read-only file system"; do
    set -- $kind
    number=$1 sticky=$2 reason=$(echo "$kind" | cut -d' ' -f3-)
    start=$((start % stride + 3)) failed=0 passed=0
    k=$start
    while [ $passed -lt 3 ]; do # a call or two may fail without harm: when old checkpoints are removed
        rm -rf "$work/try"
        cp -a "$out" "$work/try"
        status=0
        ( [ $sticky -eq 0 ] || export FAULTFS_STICKY=1
          export FAULTFS_K=$k FAULTFS_ERRNO=$number FAULTFS_PATH=$work/try LD_PRELOAD=$preload
          train "$work/try" resume 15 ) || status=$?
        if [ $status -eq 0 ]; then passed=$((passed + 1)); else
            passed=0 failed=$((failed + 1))
            expect_failure "call $k fails with errno $number" "$reason"
        fi
        loads "$work/try"
        [ "$step" -eq 15 ] || { [ "$step" -eq 10 ] && [ "$status" -eq 1 ] && [ "$(weights "$work/try")" = "$good" ]; } ||
            fail "call $k, errno $number, status $status: at step $step"
        k=$((k + stride))
    done
    echo "errno $number, sticky $sticky: $failed failing calls, the older checkpoint loads after each"
    [ $((failed * stride)) -gt 80 ] || fail "only $failed calls were counted"
done

# --- the k-th fsync fails, for every k: none goes unnoticed
k=1 failed=0 passed=0
while [ $passed -lt 12 ]; do
    rm -rf "$work/try"
    cp -a "$out" "$work/try"
    status=0
    ( export FAULTFS_K=$k FAULTFS_ERRNO=5 FAULTFS_SYNC=1 FAULTFS_PATH="$work/try" LD_PRELOAD=$preload
      train "$work/try" resume 15 ) || status=$?
    if [ $status -eq 0 ]; then passed=$((passed + 1)); else
        [ $passed -eq 0 ] || fail "fsync $((k - 1)) failed, and the run did not notice"
        failed=$((failed + 1))
        expect_failure "fsync $k fails" "cannot flush to the disk: Input/output error"
    fi
    loads "$work/try"
    [ "$step" -eq 15 ] || [ "$(weights "$work/try")" = "$good" ] || fail "fsync $k failed: at step $step"
    k=$((k + 1))
done
echo "fsync: each of $failed failing ones is told, a whole checkpoint loads after each"
[ $failed -ge 13 ] || fail "only $failed calls of fsync were counted: six files, their folders, latest"

# --- a small file system
mkdir "$work/small"
if mount -t tmpfs -o size=64k tmpfs "$work/small" 2>"$work/null"; then
    trap 'umount "$work/small"; rm -rf "$work"' EXIT
    for kib in 64 160 200 300 340; do
        mount -o remount,size=${kib}k "$work/small"
        rm -rf "$work/small/out"
        status=0
        train "$work/small/out" scratch 30 || status=$?
        expect_failure "$kib KiB of disk" "No space left on device"
        said=$(sed "s|$work/||" "$err") before=none step=0
        if [ -e "$work/small/out/latest" ]; then
            before=$(readlink "$work/small/out/latest")
            mount -o remount,size=8m "$work/small"
            loads "$work/small/out"
            [ "$(printf 'ckpt-%06d' "$step")" = "$before" ] || fail "$kib KiB: $before became $step"
        fi
        echo "$kib KiB: $said; newest checkpoint: $before"
    done
    [ "$before" != none ] || fail "no file system was large enough for one checkpoint"
    mount -o remount,ro "$work/small"
    status=0
    train "$work/small/out" resume 20 || status=$?
    expect_failure "a read-only file system" "Read-only file system"
    mount -o remount,rw "$work/small"
    loads "$work/small/out"
    echo "read-only: $before loads"
    umount "$work/small"
    trap 'rm -rf "$work"' EXIT
else
    echo "SKIPPED the small file system: no right to mount one"
fi

# --- NaN: named, and nothing saved over
homes='--device=opencl --offload=moments' # its moments lie in the host's memory
opencl=true
"$snug" devices >"$work/null" 2>&1 || { echo "SKIPPED what needs an OpenCL device: there is none"; opencl=false; }
for device in cpu opencl; do
    [ $device = cpu ] || $opencl || continue
    where=--device=cpu
    [ $device = cpu ] || where=$homes
    rm -rf "$work/try"
    cp -a "$out" "$work/try"
    status=0
    train "$work/try" resume 30 $where --learning_rate=1e6 --decay_lr=False --grad_clip=0 || status=$?
    expect_failure "NaN on $device" 'step 1[0-9]: the .* is .*; first in .*; stopped before anything was updated or saved'
    [ "$(weights "$work/try")" = "$good" ] || fail "NaN on $device: the checkpoint was replaced"
    echo "$device: $(grep '^snug' "$err")"
done

# --- moments at home with the host: what fails while a checkpoint is written, its moments' file in particular
if $opencl; then
    failed=0
    for k in 20 60 100 140; do
        rm -rf "$work/try"
        cp -a "$out" "$work/try"
        status=0
        ( export FAULTFS_K=$k FAULTFS_ERRNO=28 FAULTFS_STICKY=1 FAULTFS_PATH="$work/try" LD_PRELOAD=$preload
          train "$work/try" resume 11 $homes ) || status=$?
        [ $status -eq 0 ] || { failed=$((failed + 1)); expect_failure "call $k fails on OpenCL" "No space left"; }
        loads "$work/try"
        [ "$step" -eq 11 ] || { [ "$status" -eq 1 ] && [ "$step" -eq 10 ] && [ "$(weights "$work/try")" = "$good" ]; } ||
            fail "call $k on OpenCL, status $status: at step $step"
    done
    [ $failed -ge 3 ] || fail "only $failed of four calls failed on OpenCL"
    # Killed between two saves, it goes on in the other home to the bits of a run that nobody killed.
    train "$work/whole" scratch 20 $homes || fail "$(cat "$err")"
    train "$work/killed" scratch 10 $homes || fail "$(cat "$err")"
    "$snug" train $small $homes --out_dir="$work/killed" --init_from=resume --max_iters=400 >"$work/said" 2>&1 &
    victim=$!
    until grep -q '^iter 1[1-4]' "$work/said" || ! kill -0 $victim 2>"$work/null"; do sleep 0.01; done
    kill -KILL $victim 2>"$work/null" || fail "it ended before it was killed: $(cat "$work/said")"
    wait $victim || true
    train "$work/killed" resume 20 --device=opencl --offload=none || fail "$(cat "$err")"
    [ "$(weights "$work/whole")" = "$(weights "$work/killed")" ] || fail "killed with its moments on the host: other weights"
    echo "moments at home with the host: $failed failing calls, a kill, the same weights"
fi

# --- a damaged newest checkpoint: named, the one before offered, and the line that is offered works
rm -rf "$work/try"
cp -a "$out" "$work/try"
for name in config.json model.safetensors optimizer.safetensors state.json tokenizer.json tokenizer_config.json; do
    file=$work/try/ckpt-000010/$name
    cp "$file" "$work/kept"
    printf '\001' | dd of="$file" bs=1 seek=30 conv=notrunc 2>"$work/null"
    status=0
    train "$work/try" resume 20 || status=$?
    expect_failure "damage in $name" "ckpt-000010/$name: .*damaged.*ckpt-000005 is good: type  ln -sfn"
    cp "$work/kept" "$file"
done
printf '\001' | dd of="$work/try/ckpt-000010/model.safetensors" bs=1 seek=3000 conv=notrunc 2>"$work/null"
status=0
"$snug" eval "$work/try" --dataset="$work/data" --device=cpu >"$work/null" 2>"$err" || status=$?
expect_failure "eval of a damaged checkpoint" "ckpt-000010/model.safetensors: is damaged"
sh -c "$(sed -n 's/.*type  \(ln .*\)  and resume/\1/p' "$err")"
loads "$work/try"
[ "$step" -eq 5 ] || fail "after the offered command the run stands at $step"
echo "damage in each file is named; the offered command goes back to step 5"
