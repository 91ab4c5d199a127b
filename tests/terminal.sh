#!/bin/sh
# terminal.sh: names, settings and vocabularies with control characters in them do not reach a terminal; a file that
# `sample` writes to has the bytes.
set -eu
. tests/support_run.sh
command -v script >"$work/null" || { echo "SKIPPED: no script(1) to make a terminal"; exit 77; }
esc=$(printf '\033') c1=$(printf '\302\233')
evil="${esc}]0;owned$(printf '\007')${c1}2J"
case $snug in /*) ;; *) snug=$PWD/$snug ;; esac
cd "$work"

# on_terminal WORDS...: the command's output as a terminal gets it, both streams, into $work/seen.
on_terminal() {
    for word in "$@"; do printf "'%s' " "$word"; done >line
    TERM=dumb script -qec "$(cat line)" null </dev/null >seen 2>&1 || true
    [ -s seen ] || fail "$2: nothing was printed"
    [ "$(LC_ALL=C tr -d '\r\n\t\040-\176\200-\377' <seen | wc -c)" = 0 ] || fail "$2: control characters: $(od -c seen | head)"
    ! LC_ALL=C grep -q "$(printf '\302[\200-\237]')" seen || fail "$2: C1 characters: $(od -c seen | head)"
}

# A vocabulary with such characters, and text that has them.
for i in $(seq 200); do printf 'line %d %s\177\b\n' "$i" "$evil"; done >evil.txt
mkdir "data$evil" "$evil"
cp evil.txt "$evil/$evil.txt"
on_terminal "$snug" prepare "$evil" "--out=data$evil" --tokenizer=char
settings="--n_layer=1 --n_head=1 --n_embd=8 --block_size=32 --batch_size=2 --gradient_accumulation_steps=1 --eval_iters=1 --eval_interval=2"
# shellcheck disable=SC2086
on_terminal "$snug" train "--dataset=data$evil" "--out_dir=out$evil" --device=cpu --max_iters=4 $settings
grep -q 'saved out' seen || fail "train: $(cat seen)"
# shellcheck disable=SC2086
on_terminal "$snug" train "--dataset=data$evil" "--out_dir=out$evil" --device=cpu --max_iters=6 $settings
grep -q 'holds a run' seen || fail "the refusal: $(cat seen)"
# shellcheck disable=SC2086
on_terminal "$snug" train "--dataset=$evil/none" "--out_dir=out$evil" --init_from=resume --device=cpu --max_iters=6 $settings
cp -r "data$evil" "again$evil"
# shellcheck disable=SC2086
on_terminal "$snug" train "--dataset=again$evil" "--out_dir=out$evil" --init_from=resume --device=cpu --max_iters=6 $settings
grep -q "note: .*dataset is 'again" seen || fail "the note on settings: $(cat seen)"
on_terminal "$snug" report "out$evil"
on_terminal "$snug" plan "$evil.py"
on_terminal "$snug" sample "$evil"

# The moving line of a terminal that can draw one says what the plan takes, and of how much.
# shellcheck disable=SC2086
planned=$("$snug" plan $settings --vocab_size=300 --vram_cap=100MiB --device=cpu | sed -n 's/^As asked: .* \([0-9.]*\) KiB = .*/\1/p')
# shellcheck disable=SC2086
TERM=xterm script -qec "'$snug' train --dataset='again$evil' --vram_cap=100MiB --vocab_size=300 --device=cpu --max_iters=2 $settings" \
    null </dev/null >seen 2>&1 || fail "$(cat seen)"
grep -q "$(awk -v kib="$planned" 'BEGIN { printf "%.3g/100MiB", kib / 1024 }')" seen || fail "no memory in use ($planned KiB): $(cat -v seen)"

# What the model says: escapes for people, bytes for files.
"$snug" sample "out$evil" --device=cpu --num_samples=2 --max_new_tokens=200 --temperature=5 --top_k=0 --start="$evil" >bytes
grep -q "$esc" bytes && grep -q "$c1" bytes || fail "the model never says ESC"
on_terminal "$snug" sample "out$evil" --device=cpu --num_samples=2 --max_new_tokens=200 --temperature=5 --top_k=0 "--start=$evil"
grep -qF '\x1b]0;owned\x07\u009b2J' seen || fail "no escapes: $(cat seen)"
# The same text: the escapes undone.
LC_ALL=C sed -e 's/\r$//' -e 's/\\u009b/\xc2\x9b/g' -e 's/\\x1b/\x1b/g' -e 's/\\x07/\x07/g' -e 's/\\x7f/\x7f/g' -e 's/\\x08/\x08/g' seen |
    cmp - bytes || fail "the text on the terminal is another"
echo "no control character reaches a terminal; files get the bytes"
