#!/bin/sh
# their_files.sh: README's three commands on data folders as nanoGPT's prepare.py makes them, and what comes with others'
# files: eval on a run's own data, prompts that are too long, ids past the vocabulary, no validation text.
set -eu
. tests/support_run.sh
golden=$(realpath tests/golden)
snug=$(realpath "$snug")
cd "$work"

# one_line PATTERN COMMAND...: ends with status 1 and one line, notes aside, that matches
one_line() {
    pattern=$1
    shift
    status=0
    "$@" >said 2>err || status=$?
    [ $status = 1 ] || fail "$*: status $status, not 1: $(cat err)"
    [ "$(grep -cv '^note: ' err)" = 1 ] || fail "$*: not one line: $(cat err)"
    grep -q "^snug: .*$pattern" err || fail "$*: '$pattern' is not in: $(cat err)"
}
works() { "$@" >said 2>err || fail "$*: $(cat err)"; }
config() { # config NAME DATASET: nanoGPT's keys, a toy's sizes
    cat >"config/$1.py" <<END
# train a toy
out_dir = 'out-$1'
eval_interval = 4
eval_iters = 20
log_interval = 1
always_save_checkpoint = False
wandb_log = False # override via command line if you like
dataset = '$2'
gradient_accumulation_steps = 1
batch_size = 12
block_size = 16
n_layer = 1
n_head = 2
n_embd = 8
dropout = 0.0
learning_rate = 1e-3
max_iters = 8
lr_decay_iters = 8
warmup_iters = 2
device = 'cpu'
compile = False
END
}

# --- data/shakespeare_char: train.bin, val.bin and meta.pkl; data/shakespeare and data/openwebtext: two files of GPT-2's ids
mkdir -p config data/shakespeare_char data/shakespeare data/openwebtext
cp "$golden/data/meta-4.pkl" data/shakespeare_char/meta.pkl
awk 'BEGIN { while (n++ < 300) printf "hllo wrd\n%s", n % 3 ? "0123 " : "\\\047too\" 日本 " }' >text.txt
works "$snug" prepare text.txt --out=made --tokenizer=data/shakespeare_char
mv made/train.bin made/val.bin data/shakespeare_char
for d in shakespeare openwebtext; do cp "$golden/data/uint16.bin" "data/$d/train.bin"; cp "$golden/data/uint16.bin" "data/$d/val.bin"; done
letters=$(sed 's/.*"letters": \[\([^]]*\)\].*/\1/' "$golden/data/expected.json" | awk -F', "' '{ print NF }')
config char shakespeare_char
config bpe shakespeare
config owt openwebtext
works "$snug" plan config/char.py
grep -q "vocabulary .*$letters" said || fail "plan does not know the $letters letters: $(cat said)"
works "$snug" train config/char.py
grep -q '"sample"' out-char/log.jsonl || fail "the log of a run on meta.pkl has no samples"
grep -q tokenizer err && fail "train on nanoGPT's data has notes: $(cat err)"
grep -q '<h2>Samples</h2>' out-char/report.html || fail "the report of a run on meta.pkl has no samples"
works "$snug" sample --out_dir=out-char --device=cpu --start="hello " --num_samples=1 --max_new_tokens=40
grep -q '^hello ' said || fail "sample does not begin with its start: $(cat said)"
for name in bpe owt; do
    works "$snug" plan config/$name.py
    works "$snug" train config/$name.py
    grep -q '^note: data/[a-z]* has no tokenizer: .*--tokenizer=DIR$' err || fail "train does not say that there is no tokenizer: $(cat err)"
    one_line 'has no tokenizer: say by --tokenizer=DIR' "$snug" sample --out_dir=out-$name --device=cpu
    works "$snug" sample --out_dir=out-$name --device=cpu --tokenizer="$golden/tokenizers/base" --start="the cat" --num_samples=1 --max_new_tokens=3
    grep -q '^the cat' said || fail "sample with another tokenizer: $(cat said)"
done
works "$snug" sample --out_dir=out-char --device=cpu --tokenizer=data/shakespeare_char --num_samples=1 --max_new_tokens=3
grep -q note err && fail "the run's own tokenizer is another one: $(cat err)"
works "$snug" sample --out_dir=out-char --device=cpu --tokenizer="$golden/tokenizers/base" --start='!' --num_samples=1 --max_new_tokens=3
grep -q '^note: .* is another tokenizer than the checkpoint' err || fail "another tokenizer, and no note: $(cat err)"
echo "README's three commands work on nanoGPT's folders"

# --- eval prints what the run's log has for that step, from wherever it is called; what is given counts
works "$snug" train config/char.py --overwrite=True --ignore_token=3 --eval_iters=7 --seed=5 --data_order=sequential
want=$(grep '^step 8:' said)
cp said train.said
mkdir -p elsewhere
(cd elsewhere && "$snug" eval ../out-char --device=cpu) >said 2>err || fail "$(cat err)"
[ "$(grep '^step' said)" = "$want" ] || fail "eval says $(grep '^step' said), and the run said $want"
works "$snug" eval out-char --device=cpu --dataset=data/shakespeare_char --ignore_token=-1
grep -q '^step 8:' said || fail "$(cat said)"
[ "$(grep '^step' said)" != "$want" ] || fail "eval with --ignore_token=-1 is the same as with 3"
mv data/shakespeare_char data/moved
one_line "dataset 'shakespeare_char': no such folder" "$snug" eval out-char --device=cpu
mv data/moved data/shakespeare_char
echo "eval keeps to the run"

# --- a start that is too long keeps whole characters
works "$snug" prepare text.txt --out=bytes --tokenizer=byte
works "$snug" train config/char.py --dataset=bytes --out_dir=out-bytes --block_size=8
works "$snug" sample out-bytes --device=cpu --num_samples=2 --max_new_tokens=1 --temperature=0 --start='日本語🙂'
[ "$(head -n 1 said | head -c 7)" = '語🙂' ] || fail "the start was cut within a character: $(cat said)"
[ "$(cat err)" = "note: the start has 13 tokens, and the model sees 8: the texts go on from its last 7" ] || fail "$(cat err)"
works "$snug" sample out-bytes --device=cpu --num_samples=1 --max_new_tokens=1 --temperature=0 --start='one two three four'
[ "$(head -c 8 said)" = 'ree four' ] || fail "$(cat said)"
works "$snug" sample out-bytes --device=cpu --num_samples=1 --max_new_tokens=1 --start='8 bytes.'
[ ! -s err ] || fail "a start that fits has a note: $(cat err)"
echo "a long start keeps whole characters"

# --- no validation text
works "$snug" prepare text.txt --out=bytes --tokenizer=byte --val_fraction=0
[ ! -e bytes/val.bin ] || fail "val_fraction=0, and there is a val.bin"
works "$snug" train config/char.py --dataset=bytes --out_dir=out-noval
grep -q '^step 8: train loss [0-9.]* (no val.bin)$' said || fail "$(cat said)"
: >bytes/val.bin
works "$snug" train config/char.py --dataset=bytes --out_dir=out-noval --overwrite=True
echo "a text without validation trains"

# --- one bad id, at any place, is found before anything is done
cp -r data/shakespeare bad
printf '\377\377' | dd of=bad/train.bin bs=1 seek=254 conv=notrunc 2>err
for steps in 0 8; do
    one_line 'bad/train.bin: token 127 has id 65535, but the vocabulary ends at 50303' "$snug" train config/bpe.py --dataset=bad --out_dir=out-bad --max_iters=$steps
    [ ! -e out-bad ] || fail "a run on bad data has begun"
done
echo "one bad id ends the run before it begins"

# --- the ids that end a text come from the tokenizer, or from the model that was there before
works "$snug" prepare text.txt --out=bpe --tokenizer=bpe:300
works "$snug" train config/char.py --dataset=bpe --out_dir=out-end
id=$(sed -n 's/.*"id": \([0-9]*\), "content": "<|endoftext|>".*/\1/p' bpe/tokenizer.json)
grep -q "\"eos_token_id\":[[:space:]]*$id," out-end/latest/config.json || fail "eos_token_id is not $id: $(cat out-end/latest/config.json)"
mkdir model
cp out-end/latest/*.json out-end/latest/model.safetensors model
rm model/state.json
sed -i 's/"eos_token_id":[^,]*,/"eos_token_id": 7, "pad_token_id": 9, "mine": {"a": 1},/' model/config.json
printf '{"eos_token_id": 7, "top_k": 3}\n' >model/generation_config.json
works "$snug" train config/char.py --init_from=model --dataset=bpe --out_dir=out-model
works "$snug" train config/char.py --init_from=resume --dataset=bpe --out_dir=out-model --max_iters=9
cmp model/generation_config.json out-model/latest/generation_config.json
for key in '"eos_token_id":.7,' '"pad_token_id":.9,' '"a":.1'; do
    grep -q "$key" out-model/latest/config.json || fail "$key is not in $(cat out-model/latest/config.json)"
done
printf ' ' >>out-model/latest/generation_config.json
one_line 'generation_config.json: is damaged' "$snug" sample out-model --device=cpu
echo "special ids and generation_config.json come back out as they went in"
