#!/bin/sh
# bench_tables.sh FILE: measures the CPU backend by `snug bench` and writes its tables into FILE (docs/performance.md)
# between the markers "<!-- bench cpu -->" and "<!-- end -->". Wants a quiet machine, and takes some minutes. BENCH_RUN goes
# before every command that is timed ("taskset -c 0-7", "chrt -f 20"). PyTorch is measured beside it where python3 ($PYTHON)
# has it.
set -eu
cd "$(dirname "$0")/.."
snug=${SNUG:-build/snug}
python=${PYTHON:-python3}
file=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grep -q '^<!-- bench cpu -->$' "$file" || { echo "bench_tables.sh: $file has no line <!-- bench cpu -->" >&2; exit 1; }

gpt2="--vocab_size=50304 --recompute=none --gradient_accumulation_steps=1"
slice="--n_layer=3 --vocab_size=8192 --recompute=none --gradient_accumulation_steps=1"
layer="--n_layer=1 --vocab_size=4096 --recompute=none --gradient_accumulation_steps=1"
recipe="--n_layer=4 --n_head=4 --n_embd=128 --block_size=64 --vocab_size=65 --batch_size=12 --gradient_accumulation_steps=1"

bench() { ${BENCH_RUN:-} "$snug" bench --device=cpu "$@"; }
# The number behind the first "KEY" of a JSON text.
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-+0-9.e]*\).*/\1/p" "$2" | head -n 1; }
# The median of some numbers.
middle() { printf '%s\n' "$@" | sort -g | awk '{ x[NR] = $1 } END { print (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2 }'; }

row() { # row NAME OPTIONS...: a line of the table of whole steps
    name=$1
    shift
    bench --json "$@" >"$work/json"
    awk -v name="$name" -v s="$(number seconds_per_step "$work/json")" -v t="$(number tokens_per_second "$work/json")" \
        -v f="$(sed -n '/timed_steps/,$p' "$work/json" >"$work/tail"; number flops_per_second "$work/tail")" \
        -v l="$(number flops_per_second "$work/json")" -v p="$(number peak_bytes "$work/json")" \
        -v m="$(number micro_batch_size "$work/json")" 'BEGIN {
            printf "| %s | %d | %.1f | %.0f | %.1f | %.1f | %.1f %% | %.0f |\n",
                name, m, 1e3 * s, t, f / 1e9, l / 1e9, 100 * f / l, p }'
}

seconds() { bench --json "$@" >"$work/json" && number seconds_per_step "$work/json"; }

# Costs of a few per cent are less than the machine's speed wanders within minutes: so six turns, there and back again,
# and medians of the ratios within a turn.
# costs FILE BEFORE: by how many per cent each line of FILE is above the same line of BEFORE.
costs() { paste "$1" "$2" | awk '{ print 100 * ($1 / $2 - 1) }'; }

invariance() { # invariance T B: the same step with and without whole-batch products
    rm -f "$work/True" "$work/False"
    for order in "False True" "True False" "False True" "True False" "False True" "True False"; do
        for on in $order; do
            seconds $slice --block_size="$1" --batch_size="$2" --micro_batch_size="$2" --batch_invariant=$on >>"$work/$on"
        done
    done
    ratios=$(costs "$work/True" "$work/False")
    # shellcheck disable=SC2046,SC2086
    awk -v t="$1" -v n="$2" -v a="$(middle $(cat "$work/False"))" -v b="$(middle $(cat "$work/True"))" \
        -v ratio="$(middle $ratios)" -v all="$(printf '%+.1f ' $ratios)" 'BEGIN {
        printf "| %d | %d | %.1f | %.1f | %+.1f %% | %s |\n", t, n, 1e3 * a, 1e3 * b, ratio, all }'
}

accumulation() { # at T = 256 and an effective batch of 16
    for order in "16 8 4 2" "2 4 8 16" "16 8 4 2" "2 4 8 16" "16 8 4 2" "2 4 8 16"; do
        for m in $order; do
            seconds $layer --block_size=256 --batch_size=16 --micro_batch_size=$m >>"$work/split$m"
        done
    done
    before=
    for m in 16 8 4 2; do
        # shellcheck disable=SC2046
        now=$(middle $(cat "$work/split$m")) ratio= all=
        if [ -n "$before" ]; then
            ratios=$(costs "$work/split$m" "$work/split$before")
            # shellcheck disable=SC2086
            ratio=$(middle $ratios | awk '{ printf "%+.1f %%", $1 }') all=$(printf '%+.1f ' $ratios)
        fi
        awk -v m=$m -v now="$now" -v ratio="$ratio" -v all="$all" 'BEGIN {
            printf "| %d x %d | %.1f | %s | %s |\n", m, 16 / m, 1e3 * now, ratio, all }'
        before=$m
    done
}

beside() { # beside NAME TURNS BATCH STEPS "PYTORCH OPTIONS" SNUG OPTIONS...: snug and PyTorch in turn
    name=$1 turns=$2 batch=$3 steps=$4 model=$5
    shift 5
    torch= ours=
    for turn in $(seq "$turns"); do
        torch="$torch $(${BENCH_RUN:-} "$python" tests/gpt_torch.py --device cpu $model --batch "$batch" --micro "$batch" \
            --bias 0 --precision float32 --compile 0 --warm_up "$((turn == 1 ? 2 : 1))" --steps "$steps" |
            sed -n 's/.*"ms": \([0-9.]*\).*/\1/p')"
        ours="$ours $(seconds "$@" --batch_size="$batch" --micro_batch_size="$batch" | awk '{ printf "%.1f", 1e3 * $1 }')"
    done
    awk -v name="$name" -v t="$(middle $torch)" -v o="$(middle $ours)" -v ts="$torch" -v os="$ours" 'BEGIN {
        printf "| %s | %.1f | %.1f | %.2f |%s;%s |\n", name, t, o, o / t, ts, os }'
}

pytorch() {
    "$python" -c 'import torch' 2>/dev/null || { echo "No PyTorch here to compare with."; return; }
    echo "| model | PyTorch $("$python" -c 'import torch; print(torch.__version__)'), ms | snug, ms | ratio | each turn, ms: PyTorch; snug |"
    echo "|---|--:|--:|--:|---|"
    beside "nanoGPT's CPU recipe" 5 12 60 "--layers 4 --heads 4 --channels 128 --length 64 --vocabulary 65" $recipe
    alone=$("$python" -c 'import torch; print(torch.get_num_threads())')
    beside "the same, PyTorch with the threads that it takes by itself: $alone" 5 12 60 \
        "--own_threads --layers 4 --heads 4 --channels 128 --length 64 --vocabulary 65" $recipe
    beside "GPT-2 124M, T = 64" 3 4 3 "--length 64" $gpt2 --block_size=64
    beside "GPT-2 124M, T = 1024" 1 1 2 "--length 1024" $gpt2 --block_size=1024
}

{
    echo
    echo "$(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) cores, $("$snug" version), $(date +%Y-%m-%d)."
    echo
    echo "### Whole steps"
    echo
    echo "| model | micro-batch | ms | tokens/s | GFLOP/s | limit, GFLOP/s | of the limit | peak, bytes |"
    echo "|---|--:|--:|--:|--:|--:|--:|--:|"
    row "GPT-2 124M, T = 1024, B = 1" $gpt2 --block_size=1024 --batch_size=1
    row "GPT-2 124M, T = 64, B = 4, batch_invariant=False" $gpt2 --block_size=64 --batch_size=4 --micro_batch_size=4 \
        --batch_invariant=False
    row "GPT-2 124M, T = 64, B = 4" $gpt2 --block_size=64 --batch_size=4 --micro_batch_size=4
    row "nanoGPT's CPU recipe" $recipe --micro_batch_size=12
    row "nanoGPT's CPU recipe, micro-batch as chosen" $recipe
    echo
    echo "### Beside PyTorch, with as many threads unless said (medians of the turns)"
    echo
    pytorch
    echo
    echo "### What batch invariance costs (3 layers of GPT-2 124M, 2048 tokens a step; medians of six turns)"
    echo
    echo "| T | sequences | batch_invariant=False, ms | True, ms | cost | in each turn, % |"
    echo "|--:|--:|--:|--:|--:|---|"
    invariance 64 32
    invariance 256 8
    invariance 1024 2
    echo
    echo "### What accumulation costs (1 layer of GPT-2 124M and 4096 words, T = 256; medians of six turns)"
    echo
    echo "| micro-batch x steps | ms | against the line before | in each turn, % |"
    echo "|---|--:|--:|---|"
    accumulation
    echo
} >"$work/tables"

awk -v tables="$work/tables" '
    /^<!-- end -->$/ { inside = 0 }
    !inside { print }
    /^<!-- bench cpu -->$/ { inside = 1; while ((getline line < tables) > 0) print line }' "$file" >"$work/new"
cp "$work/new" "$file"
echo "wrote $file"
