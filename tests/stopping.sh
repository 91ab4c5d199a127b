#!/bin/sh
# stopping.sh: what signals do to a run. The first lets it finish its step and save; what it broke off is made up for when
# the run goes on; the weights and the log are those of a run that nobody stopped.
set -eu
. tests/support_run.sh
err=$work/err

train() { # train OUT INIT STEPS [MORE]: what it says on stderr goes to $err
    folder=$1 init=$2 steps=$3
    shift 3
    # shellcheck disable=SC2086
    "$snug" train $small --device=cpu --out_dir="$folder" --init_from="$init" --max_iters="$steps" "$@" >"$work/said" 2>"$err"
}
# start OUT INIT STEPS [MORE]: the same in the background, as $pid, with signals as a terminal has them.
start() {
    folder=$1 init=$2 steps=$3
    shift 3
    : >"$work/said" # not the words of the run before
    : >"$err"
    # shellcheck disable=SC2086
    env --default-signal=INT,TERM,HUP "$snug" train $small --device=cpu --out_dir="$folder" --init_from="$init" \
        --max_iters="$steps" "$@" >"$work/said" 2>"$err" &
    pid=$!
}
# loads OUT: the newest checkpoint is whole; $step is where it stands.
loads() {
    train "$1" resume 0 || fail "$1 does not load: $(cat "$err")"
    step=$(sed -n 's/this run has done its \([0-9]*\) steps.*/\1/p' "$work/said")
}
# wait_for WORDS FILE: until they stand there; kills $pid and fails after two minutes.
wait_for() {
    tries=0
    while ! grep -q "$1" "$2"; do
        tries=$((tries + 1))
        [ $tries -lt 6000 ] || { kill -9 $pid; fail "'$1' never came: $(cat "$2")"; }
        sleep 0.02
    done
}
# ends STATUS WHAT: $pid does, within ten seconds.
ends() {
    tries=0
    while kill -0 $pid 2>"$work/null" && [ $tries -lt 500 ]; do
        tries=$((tries + 1))
        sleep 0.02
    done
    kill -9 $pid 2>"$work/null" || true # has no effect on one that has ended
    status=0
    wait $pid 2>"$work/null" || status=$?
    [ $status -eq "$1" ] || fail "$2: status $status: $(cat "$err")"
}

# --- the first signal, and one that comes together with it, finish the step and save
for signals in INT TERM HUP "TERM TERM" "TERM HUP INT"; do
    rm -rf "$work/try"
    start "$work/try" scratch 1000000
    wait_for 'iter 7:' "$work/said"
    for signal in $signals; do kill -"$signal" $pid; done
    ends 0 "SIG$signals"
    stopped=$(sed -n 's/^stopped after \([0-9]*\) steps; go on with --init_from=resume/\1/p' "$work/said")
    loads "$work/try"
    [ "$step" = "$stopped" ] || fail "SIG$signals: stopped after '$stopped' steps, saved $step"
    echo "SIG$signals: stopped after $stopped steps, saved, loads"
done
rm -rf "$work/try"
status=0
# shellcheck disable=SC2086
timeout --preserve-status 2 "$snug" train $small --device=cpu --out_dir="$work/try" --max_iters=10000000 \
    >"$work/said" 2>"$err" || status=$?
[ $status -eq 0 ] && grep -q '^stopped after' "$work/said" || fail "timeout: status $status: $(cat "$err")"

# --- a second one, later, stops at once
for second in "TERM 143" "HUP 129"; do
    rm -rf "$work/long"
    start "$work/long" scratch 1001 --gradient_accumulation_steps=1000000 --batch_size=1 --eval_interval=1000
    wait_for 'step 0: train loss' "$work/said"
    until [ -e "$work/long/report.html" ]; do sleep 0.02; done
    sleep 0.3 # now it is in the first step, which takes minutes
    kill -INT $pid
    wait_for 'once more stops at once' "$err"
    sleep 0.6
    kill -0 $pid || { wait $pid; fail "the first signal stopped at once, with status $?: $(cat "$work/said" "$err")"; }
    kill -"${second% *}" $pid
    ends "${second#* }" "a second signal, ${second% *}"
done
echo "a second signal stops at once"

# --- who reads the output ends by the same signal: that stops no save (a lost connexion, and `| tee`)
rm -rf "$work/try"
mkfifo "$work/pipe"
# It only keeps the pipe open for reading.
# shellcheck disable=SC2217
sleep 600 <"$work/pipe" &
reader=$!
# shellcheck disable=SC2086
env --default-signal=HUP,PIPE "$snug" train $small --device=cpu --out_dir="$work/try" --max_iters=1000000 \
    >"$work/pipe" 2>"$err" &
pid=$!
tries=0
until [ -e "$work/try/latest" ]; do
    tries=$((tries + 1))
    [ $tries -lt 6000 ] || fail "no checkpoint"
    sleep 0.02
done
kill -STOP $pid
before=$(wc -l <"$work/try/log.jsonl")
kill $reader
wait $reader 2>"$work/null" || true
kill -HUP $pid
kill -CONT $pid
ends 1 "SIGHUP, and nobody reads" # since it could not say that it has saved
grep -q "can't write to standard output" "$err" || fail "SIGHUP, and nobody reads: $(cat "$err")"
loads "$work/try"
after=$(wc -l <"$work/try/log.jsonl")
[ "$after" -gt 0 ] && [ "$(sed -n '$s/{"iter":\([0-9]*\),.*/\1/p' "$work/try/log.jsonl")" -ge $((step - 1)) ] ||
    fail "SIGHUP, and nobody reads: at step $step, logged $before lines, then $after"
echo "SIGHUP saves also where nobody reads any more"

# --- an evaluation that a signal broke off is made up for; one that was made is not made again
long="--eval_interval=10 --eval_iters=3000 --keep_checkpoints=9"
# shellcheck disable=SC2086
train "$work/whole" scratch 30 $long || fail "$(cat "$err")"
curve "$work/whole" >"$work/curve.whole"
for iter in 10 20 30; do # 30: the last one of the run
    rm -rf "$work/try"
    # shellcheck disable=SC2086
    start "$work/try" scratch 30 $long
    wait_for "iter $((iter - 1)):" "$work/said"
    sleep 0.1
    kill -TERM $pid
    ends 0 "a signal in the evaluation after step $iter"
    ! grep -q "^step $iter: train loss" "$work/said" || fail "the evaluation was over too soon: a longer one is needed"
    grep -q '"evaluated": false' "$work/try/latest/state.json" || fail "the checkpoint says that it was evaluated"
    # shellcheck disable=SC2086
    train "$work/try" resume 30 $long || fail "$(cat "$err")"
    curve "$work/try" | cmp - "$work/curve.whole" || fail "an evaluation after step $iter was lost or made twice"
    [ "$(weights "$work/try")" = "$(weights "$work/whole")" ] || fail "other weights"
    grep -q '"val_loss": [0-9]' "$work/try/ckpt-0000$iter/state.json" || fail "step $iter's checkpoint has no loss"
done
# Step 0's, which a run with max_iters=0 saves.
# shellcheck disable=SC2086
train "$work/zero" scratch 0 $long || fail "$(cat "$err")"
# shellcheck disable=SC2086
train "$work/zero" resume 30 $long || fail "$(cat "$err")"
curve "$work/zero" | cmp - "$work/curve.whole" || fail "step 0 was evaluated $(grep -c '"iter":0,"train' "$work/zero/log.jsonl") times"
echo "evaluations that were broken off are made up for, none is made twice"
