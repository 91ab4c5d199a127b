#!/bin/sh
# demo.sh: from English text to text that a model wrote, in three minutes; `make demo` runs it. Everything that it makes
# lies in build/demo, but for what drivers and measurements leave in the folder for caches; it says what.
set -eu
cd "$(dirname "$0")/.."
snug=${SNUG:-build/snug}
demo=build/demo
config=data/configs/demo.py
cache=${XDG_CACHE_HOME:-$HOME/.cache}

say() { printf '\n== %s\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}

start=$(date +%s)
rm -rf "$demo"
mkdir -p "$demo"

say "1. A text to learn from"
run sh data/demo_corpus.sh "$demo/corpus.txt"

say "2. Its tokens: 512 pieces of words, found in the text itself; the last tenth is for validation"
run "$snug" prepare "$demo/corpus.txt" --out="$demo/data" --tokenizer=bpe:512

say "3. What the training will need, before anything is allocated"
run "$snug" plan "$config" --device=cpu

say "4. Training on the CPU: the loss falls from 6.2, where every token is as likely as any other"
run "$snug" train "$config" --device=cpu

say "5. Text that the model wrote"
run "$snug" sample --out_dir="$demo/out" --device=cpu --num_samples=1 --max_new_tokens=160 --start="The "

# Drivers compile kernels here, which takes some seconds the first time, and say on stderr what their compilers think.
opencl() {
    "$snug" train "$config" --device=opencl --vram_cap=64MiB --out_dir="$demo/out-opencl" --max_iters=8 \
        --lr_decay_iters=8 --warmup_iters=2 --eval_interval=8 --eval_iters=1 --log_interval=8
}
if "$snug" devices 2>/dev/null | grep -q '^opencl:'; then
    say "6. The same model on OpenCL inside a hard cap of 64 MiB: 8 steps"
    if opencl >"$demo/opencl.log" 2>&1; then
        sed -n 's/^\(device: .*\)/\1/p; s/^\(plan: .*\)/\1/p' "$demo/opencl.log" | head -n 2
    else
        tail -n 1 "$demo/opencl.log"
    fi
else
    say "6. No OpenCL device here (or a build without OpenCL): the training under a cap on OpenCL is left out"
fi

size_of() { du -sk "$1" 2>/dev/null | awk '{ printf $1 < 1024 ? "%d KiB" : "%d MiB", $1 < 1024 ? $1 : $1 / 1024 }'; }
say "Done in $(($(date +%s) - start)) s. What was made:"
cat <<END
  $demo/corpus.txt       the text                            $(size_of "$demo/corpus.txt")
  $demo/data/            its tokens                          $(size_of "$demo/data")
  $demo/out/             the model, and its training's log   $(size_of "$demo/out")
  $demo/out/report.html  all of it on one page: open it in a browser
Left in $cache, and safe to delete:
  snug/  the measured speed of this machine   $(size_of "$cache/snug")
  pocl/  kernels that PoCL compiled           $(size_of "$cache/pocl")

Next, type:
  $snug plan YOUR_CONFIG.py --vram_cap=10.5GiB        your own model: does it fit?
  $snug equivalence                                   the same training, however it is split: see it proved
  $snug sample --out_dir=$demo/out --start="My "  more text of this model
END
