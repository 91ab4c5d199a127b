#!/bin/sh
# bench.sh: what `snug bench` counts is what `snug plan` counts, and its times add up; on the CPU backend and, where it was
# built in, on an OpenCL device.
set -eu
cd "$(dirname "$0")/.."
snug=${SNUG:-build/snug}
model="--n_layer=2 --n_head=2 --n_embd=32 --block_size=48 --vocab_size=300 --bias=True \
    --batch_size=3 --gradient_accumulation_steps=1 --micro_batch_size=2"
fail() { echo "bench.sh: $*" >&2; exit 1; }
# The number behind the first "KEY" of a JSON text.
number() { printf '%s\n' "$2" | sed -n "s/.*\"$1\":[[:space:]]*\([-+0-9.e]*\).*/\1/p" | head -n 1; }

try() { # try POLICY OPTIONS...
    policy=$1
    shift
    bench=$("$snug" bench $model --recompute="$policy" --json "$@")
    plan=$("$snug" plan $model --recompute="$policy" --json "$@" --device=cpu)
    printf '%s\n' "$bench" | awk -v steps="$(number seconds_per_step "$bench")" '
        /"op":/ { op = $2 } /"seconds":/ { s[op] = $2 } /"flops":/ { f[op] = $2 }
        END {
            for (op in s) if (op != "\"all\",") { seconds += s[op]; flops += f[op]; ops++ }
            all = s["\"all\","]
            if (ops < 15) { print "only " ops " ops"; exit 1 }
            if (flops != f["\"all\","] + 0) { print "ops sum to " flops " operations, not to " f["\"all\","]; exit 1 }
            if (!(seconds > 0 && seconds <= all)) { print "ops take " seconds " s of " all; exit 1 }
            if (!(steps > 0)) { print "no time of a step"; exit 1 }
        }' || fail "recompute $policy $*: the ops don't add up"
    counted=$(printf '%s\n' "$bench" | awk '/"op":/ { op = $2 } /"flops":/ && op == "\"all\"," { print $2 + 0 }')
    planned=$(number flops_per_step "$plan" | awk '{ print $1 + 0 }')
    [ "$counted" = "$planned" ] || fail "recompute $policy $*: bench counts $counted operations, plan $planned"
    case "$*" in *cpu*)
        [ "$(number peak_bytes "$bench")" = "$(number peak_bytes "$plan")" ] ||
            fail "recompute $policy: peak $(number peak_bytes "$bench"), planned $(number peak_bytes "$plan")" ;;
    esac
}

# The table for people: a line an op, whose runs and shares add up to those of "all".
"$snug" bench $model --device=cpu | awk -F '|' '
    /^peak / { peak = $0 ~ /^peak   [0-9]+ bytes \(/ } /^limit .*the product 1024 x 3072 x 768 alone$/ { limit = 1 }
    NF == 11 && $3 + 0 > 0 && $2 !~ /^ all / { runs += $3; share += $5; ops++ }
    NF == 11 && $2 ~ /^ between ops / { share += $5 }
    NF == 11 && $2 ~ /^ all / { all = $3 + 0; whole = $5 + 0 }
    END { exit !(peak && limit && ops >= 15 && runs == all && whole == 100 && share > 99 && share < 101) }' ||
    fail "the table does not add up: $("$snug" bench $model --device=cpu)"
try none --device=cpu
try block --device=cpu
try none --device=cpu --batch_invariant=False --dtype=float64
if "$snug" devices >/dev/null 2>&1; then try none --device=opencl; fi
echo "bench: ok"
