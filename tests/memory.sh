#!/bin/sh
# memory.sh [STRIDE [FIRST [COMMAND ...]]]: prepare, plan, train, resume, sample and eval, each of whose allocations is
# refused in turn by a preloaded library: every STRIDE-th from the FIRST on, and every 25th as often of those that libc
# makes by itself (fopen, getline, ...). Each run has to end with status 1 and one line that says memory, or to do the
# same as without a fault; and what was saved before loads.
#
#     sh tests/memory.sh 1        all of them, some 40,000: an hour. With no argument a sample: a few seconds.
set -eu
. tests/support_run.sh
preload=$(realpath "${BUILD:-build}/preload_memory.so")
stride=${1:-397} first=${2:-5}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
commands=${*:-prepare plan train resume sample eval}
export LC_ALL=C # else newlocale's failure costs UTF-8's dashes, and outputs differ
if nm -D "$snug" 2>"$work/null" | grep -q asan; then echo "memory: a build with sanitizers, skipped"; exit 77; fi

# invoke COMMAND: into $work/try, which begins as $work/begin-COMMAND where there is one.
invoke() {
    case $1 in
    prepare) "$snug" prepare "$work/text.txt" --out="$work/try/data" --tokenizer=bpe:280 ;;
    plan) "$snug" plan $small --device=cpu ;;
    train) "$snug" train $small --device=cpu --out_dir="$work/try/out" --max_iters=5 ;;
    resume) "$snug" train $small --device=cpu --out_dir="$work/try/out" --max_iters=10 --init_from=resume ;;
    sample) "$snug" sample "$work/begin-resume/out" --device=cpu --num_samples=2 --max_new_tokens=20 ;;
    eval) "$snug" eval "$work/begin-resume/out" --dataset="$work/data" --device=cpu --eval_iters=1 ;;
    esac >"$work/said" 2>"$work/err"
}
begin() {
    rm -rf "$work/try"
    if [ -d "$work/begin-$1" ]; then cp -a "$work/begin-$1" "$work/try"; else mkdir "$work/try"; fi
}
# result COMMAND: one line that is the same for runs that did the same.
result() {
    case $1 in
    prepare) cat "$work/try/data"/* | sha256sum ;;
    train | resume) echo "$(readlink "$work/try/out/latest") $(weights "$work/try/out")" ;;
    plan) sha256sum <"$work/said" ;;
    sample) sed 's/[0-9.]* tokens a second.*//' "$work/said" | sha256sum ;;
    eval) sed 's/ in .*//' "$work/said" | sha256sum ;;
    esac
}
# nothing_lost COMMAND AT: what begin put there is there, and what is there is whole.
nothing_lost() {
    case $1 in
    prepare)
        for f in "$work/try/data"/*; do
            case $f in *.tmp-*) continue ;; esac # what any killed process leaves; the next one removes it
            [ ! -f "$f" ] || cmp -s "$f" "$work/good/data/$(basename "$f")" || fail "$2: $f is not whole"
        done ;;
    train | resume)
        if [ ! -e "$work/try/out/latest" ]; then
            [ "$1" = train ] || fail "$2: no checkpoint is left"
            return 0
        fi
        "$snug" train $small --device=cpu --out_dir="$work/try/out" --init_from=resume --max_iters=0 \
            >"$work/said" 2>"$work/err" || fail "$2: what is left does not load: $(cat "$work/err")"
        step=$(sed -n 's/.*this run has done its \([0-9]*\) steps.*/\1/p' "$work/said")
        at=$(weights "$work/try/out")
        case $1$step in
        train5 | resume5) [ "$at" = "$five" ] || fail "$2: step 5 has other weights" ;;
        resume10) [ "$at" = "$ten" ] || fail "$2: step 10 has other weights" ;;
        *) fail "$2: a checkpoint of step $step" ;;
        esac ;;
    esac
}

# sweep COMMAND OF STRIDE FIRST: OF: none, or the library whose calls are meant
sweep() {
    command=$1 of=$2 every=$3 k=$4 n=0 clear=0 same=0 whose=
    [ "$of" = none ] || whose=" by libc itself"
    while :; do
        begin "$command"
        rm -f "$work/calls"
        status=0
        (
            [ "$of" = none ] || export MEMORY_OF="$of"
            export MEMORY_FAIL=$k MEMORY_FILE="$work/calls" LD_PRELOAD="$preload"
            invoke "$command"
        ) || status=$?
        read -r word rest <"$work/calls" || word=nothing
        [ "$word" = refused ] || break
        at="$command, allocation $k$whose ($rest)"
        n=$((n + 1))
        case $status in
        0)
            same=$((same + 1))
            [ "$(result "$command")" = "$(cat "$work/result-$command")" ] || fail "$at: other results" ;;
        1)
            clear=$((clear + 1))
            grep -vE '^(note: .*)?$' "$work/err" >"$work/lines" || :
            [ "$(wc -l <"$work/lines")" -eq 1 ] && grep -qiE 'memory|address space' "$work/lines" ||
                fail "$at: $(cat "$work/err")"
            nothing_lost "$command" "$at" ;;
        *) fail "$at: status $status $(cat "$work/err")" ;;
        esac
        k=$((k + every))
    done
    echo "$command: $n of ${rest:-0} allocations$whose refused: $clear ended in one line, $same did the same as without"
    [ "$n" -gt 0 ] || [ "$every" -gt 100 ] || fail "$command: none was refused"
}

begin train
invoke train || fail "$(cat "$work/err")"
mv "$work/try" "$work/begin-resume"
for command in prepare plan train resume sample eval; do
    begin "$command"
    invoke "$command" || fail "$(cat "$work/err")"
    result "$command" >"$work/result-$command"
    case $command in
    prepare) cp -a "$work/try" "$work/good" ;;
    train) five=$(weights "$work/try/out") ;;
    resume) ten=$(weights "$work/try/out") ;;
    esac
done
for command in $commands; do
    sweep "$command" none "$stride" "$first"
    sweep "$command" libc. "$((stride / 25 + 1))" "$((first % (stride / 25 + 1) + 1))"
done
