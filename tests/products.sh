#!/bin/sh
# products.sh: which float32 products a run takes on an OpenCL device: timed at the first start of a model, kept and said;
# the same whatever micro-batch, policy, cap and home are; the faster by 2 %, else a fixed default; recorded, and taken
# again by a run that goes on.
set -eu
export POCL_CACHE_DIR="${POCL_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/pocl/kcache}" XDG_CACHE_HOME=
. tests/support_run.sh
export XDG_CACHE_HOME="$work/cache"
"$snug" devices >"$work/said" 2>&1 || { echo "SKIPPED: $(tail -n 1 "$work/said")"; exit 77; }

# Just large enough to be worth a measurement.
train() { # train OUT OPTIONS...
    out=$work/$1
    shift
    "$snug" train --device=opencl --dataset="$work/data" --n_layer=1 --n_head=2 --n_embd=192 --block_size=256 --batch_size=4 \
        --gradient_accumulation_steps=1 --eval_iters=1 --eval_interval=100 --save_minutes=0 --out_dir="$out" --max_iters=1 "$@" \
        >"$work/said" 2>&1 || fail "$(cat "$work/said")"
    line=$(grep "^matrix products: .* at this model's shapes" "$work/said" || true) # where this was asked for
}
taken() { sed -n 's/.*"gemm": "\([^"]*\)".*/\1/p' "$out/latest/state.json"; }

train first
grep -q "^measuring matrix products on this device, once for this model" "$work/said" || fail "not measured: $(cat "$work/said")"
expr "$line" : "matrix products: .*, [0-9.]* [GT]FLOP/s at this model's shapes (.*: [0-9.]* [GT]FLOP/s)$" >/dev/null || fail "said: $line"
measured=$line
train second --micro_batch_size=1 --recompute=block --vram_cap=100MiB --offload=moments
[ "$line" = "$measured" ] || fail "another split, policy, cap and home: '$line', not '$measured'"
! grep "measuring matrix products" "$work/said" || fail "measured twice"
"$snug" devices | grep -qF "    $measured" || fail "devices says: $("$snug" devices)"
grep -qF "matrix products: $(case $(taken) in own*) echo "snug's own" ;; *) echo "CLBlast's" ;; esac)" "$work/said" ||
    fail "$(taken) was taken: $line"

# By what was measured, as if it were other numbers.
file=$(ls "$work"/cache/snug/products-*.json)
tr -d '\n\t' <"$file" >"$work/one" && cp "$work/one" "$file"
rates() { sed -i "s/\"own_flops\":[^,]*,/\"own_flops\":$1e9,/; s/\"clblast_flops\":[^}]*}/\"clblast_flops\":$2e9}/" "$file"; }
default="CLBlast's"
if "$snug" devices | grep -A1 '^opencl:0 ' | grep -q ' GPU, '; then default="snug's own"; fi
while read -r own clblast wanted; do
    rates "$own" "$clblast"
    [ "$wanted" != default ] || wanted=$default
    "$snug" devices | grep -q "    matrix products: $wanted, [0-9.]* GFLOP/s" || fail "$own and $clblast: $("$snug" devices)"
done <<END
103 100 snug's own
100 103 CLBlast's
101 100 default
100 101 default
END

rates 50 1
train third
[ "$(taken)" = "own float32" ] || fail "own products were faster: $(taken)"
[ "$line" = "matrix products: snug's own, 50.0 GFLOP/s at this model's shapes (CLBlast: 1.0 GFLOP/s)" ] || fail "$line"
rates 1 50
train third --init_from=resume --max_iters=2
[ "$(taken)" = "own float32" ] || fail "the run that goes on took others: $(taken)"
train fourth
[ "$(taken)" != "own float32" ] || fail "CLBlast was faster: $(taken)"
echo "products: ok"
