#!/bin/sh
# demo.sh: from text that every development machine has to text that a model wrote, in a few minutes; `make demo` runs
# it. Everything it makes lies in build/demo.
set -eu
cd "$(dirname "$0")/.."
snug=${SNUG:-build/snug}
demo=build/demo
config=data/configs/demo.py

say() { printf '\n== %s\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}

start=$(date +%s)
rm -rf "$demo"
mkdir -p "$demo"

say "1. Collecting text: the C headers of this machine"
run sh data/demo_corpus.sh "$demo/corpus.txt"

say "2. Turning it into tokens, one for each character"
run "$snug" prepare "$demo/corpus.txt" --out="$demo/data"

say "3. What the training will need, before anything is allocated"
run "$snug" plan "$config" --device=cpu

say "4. Training on the CPU"
run "$snug" train "$config" --device=cpu

say "5. Text that the model wrote"
run "$snug" sample --out_dir="$demo/out" --device=cpu --num_samples=2 --max_new_tokens=400 --start="/* "

if "$snug" devices 2>/dev/null | grep -q '^opencl:'; then
    say "6. The same model on OpenCL, inside a hard cap: 8 steps"
    run "$snug" train "$config" --device=opencl --vram_cap=24MiB --out_dir="$demo/out-opencl" \
        --max_iters=8 --lr_decay_iters=8 --warmup_iters=2 --eval_interval=8 --eval_iters=1 --log_interval=2
else
    say "6. No OpenCL device here (or a build without OpenCL): the short training under a memory cap is left out"
fi

say "done in $(($(date +%s) - start)) s; everything is in $demo"
