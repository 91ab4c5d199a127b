#!/bin/sh
# saving.sh: when a run saves, what it keeps, and what a checkpoint carries: save_minutes, always_save_checkpoint,
# keep_checkpoints, the tokenizer, and what a resumed run says of changed settings.
set -eu
. tests/support_run.sh

train() { # train OUT INIT STEPS [MORE]
    folder=$work/$1 init=$2 steps=$3
    shift 3
    # shellcheck disable=SC2086
    "$snug" train $small --device=cpu --out_dir="$folder" --init_from="$init" --max_iters="$steps" "$@" \
        >"$work/said" 2>"$work/err" || fail "$(cat "$work/err")"
}
saved() { grep -c '^saved ' "$work/said"; }

# --- save_minutes: also between evaluations, of which there is only the one at the end
train minutes scratch 200 --eval_interval=1000 --save_minutes=0.0002 # 12 ms
[ "$(saved)" -ge 3 ] || fail "save_minutes: saved only $(saved) times"
train never scratch 200 --eval_interval=1000
[ "$(saved)" -eq 1 ] || fail "save_minutes=0: saved $(saved) times"
[ "$(weights "$work/minutes")" = "$(weights "$work/never")" ] || fail "saving changes the weights"
echo "save_minutes saves between evaluations"

# --- always_save_checkpoint=False: at an evaluation only when the validation loss is the lowest so far, and at the end
train seldom scratch 200 --always_save_checkpoint=False --learning_rate=0.03 --decay_lr=False --keep_checkpoints=1
sed -n 's/.*"iter":\([0-9]*\),.*"val_loss":\([0-9.e-]*\)[,}].*/\1 \2/p' "$work/seldom/log.jsonl" >"$work/losses"
awk '$1 > 0 && (!n || $2 < best) { n++; best = $2; last = $1 } END { print n, last }' "$work/losses" >"$work/expected"
read -r improved best <"$work/expected"
evaluated=$(wc -l <"$work/losses")
[ "$improved" -lt $((evaluated - 2)) ] || fail "the loss always fell: nothing is tested"
[ "$(saved)" -eq $((improved + (best != 200))) ] || fail "saved $(saved) times, improved $improved times, last at $best"
# Of them the newest and the best stay: also after steps so long that nothing can come of them.
train seldom resume 210 --always_save_checkpoint=False --learning_rate=3 --decay_lr=False --keep_checkpoints=1
kept=$(cd "$work/seldom" && echo ckpt-*)
[ "$kept" = "$(printf 'ckpt-%06d ckpt-000210' "$best")" ] || fail "keep_checkpoints=1: kept $kept, the best is at $best"
echo "always_save_checkpoint=False: $evaluated evaluations, $improved better ones saved; the best, at step $best, stays"

# --- the tokenizer: the data's, or where the data has none that of the model that was started from
cmp -s "$work/data/tokenizer.json" "$work/never/latest/tokenizer.json" || fail "the tokenizer is not the data's"
cp -r "$work/data" "$work/bare"
rm "$work/bare/tokenizer.json"
train carried "$work/never/latest" 5 --dataset="$work/bare"
cmp -s "$work/data/tokenizer.json" "$work/carried/latest/tokenizer.json" || fail "the tokenizer is not the model's"
[ -e "$work/carried/latest/tokenizer_config.json" ] || fail "there is no tokenizer_config.json"
head -c 3000 "$work/text.txt" >"$work/part.txt" # has fewer letters
"$snug" prepare "$work/part.txt" --out="$work/other" >"$work/null"
train other "$work/never/latest" 2 --dataset="$work/other"
grep -q 'has another tokenizer than' "$work/err" || fail "nothing is said of another tokenizer: $(cat "$work/err")"
echo "checkpoints carry their tokenizer"

# --- resuming with other settings: said in one note; with the same ones nothing is said
train again scratch 10
train again resume 15
[ ! -s "$work/err" ] || fail "a resumed run says $(cat "$work/err")"
train again resume 20 --learning_rate=1e-4 --batch_size=2 --eval_interval=7
grep -q '^note: .*learning_rate is 0.0001, was 0.003; the effective batch is 4, was 8$' "$work/err" ||
    fail "of changed settings it says: $(cat "$work/err")"
train again resume 20
grep -q 'this run has done its 20 steps: nothing to do' "$work/said" || fail "resuming a finished run: $(cat "$work/said")"
echo "a resumed run names the settings that changed"
