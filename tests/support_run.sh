# support_run.sh: read by the scripts that watch whole runs of the program: a folder that goes away at the end ($work),
# some data ($work/data), the settings of a run so small that a step takes a millisecond or so ($small), and helpers.
# shellcheck shell=sh disable=SC2034
snug=${SNUG:-build/snug}
place=/tmp
[ -w /dev/shm ] && place=/dev/shm # thousands of fsyncs: in memory where there is such a place
work=$(mktemp -d "$place/snug-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$work/cache}" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

awk -v bytes=200000 -f tests/support_text.awk >"$work/text.txt"
"$snug" prepare "$work/text.txt" --out="$work/data" --tokenizer=char >"$work/prepared" 2>&1 ||
    { cat "$work/prepared" >&2; exit 1; }
# save_minutes=0: only the evaluations save, so that both runs of a pair do the same.
small="--dataset=$work/data --n_layer=2 --n_head=2 --n_embd=16 --block_size=16 --batch_size=4 --bias=True
 --gradient_accumulation_steps=2 --dropout=0.1 --warmup_iters=5 --lr_decay_iters=400 --learning_rate=3e-3
 --eval_interval=5 --eval_iters=1 --log_interval=1 --save_minutes=0 --keep_checkpoints=2"

# fail WORDS: says so, with the name of the script, and ends the test.
fail() {
    echo "$(basename "$0"): FAILED: $*" >&2
    exit 1
}
# weights OUT: the SHA-256 of the newest checkpoint's weights, in full where save_dtype has rounded model.safetensors.
weights() {
    full=$1/latest/master.safetensors
    [ -f "$full" ] || full=$1/latest/model.safetensors
    sha256sum "$full" | cut -d' ' -f1
}
# curve OUT: the log without what depends on the clock and the plan.
curve() { sed 's/,"ms":.*//; s/,"run_s":[0-9.]*//' "$1/log.jsonl"; }
