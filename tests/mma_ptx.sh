#!/bin/sh
# mma_ptx.sh PTXAS [ARCHITECTURES]: do product.cl's kernels assemble, into how many registers, and is what they compute
# right? Needs no card: clang and libclc (Debian: clang-14, libclc-14) compile for NVIDIA, PTXAS is NVIDIA's assembler
# (pip: nvidia-cuda-nvcc-cu12), and mma_ptx.py interprets what it gets, for some ten minutes (ONLY='stored': a part). A card's driver has another
# compiler: it may differ.
set -eu
cd "$(dirname "$0")/.."
ptxas=$1 architectures=${2:-80 86 90}
clang=${CLANG:-clang-14} library=${LIBCLC:-/usr/lib/clc/nvptx64--nvidiacl.bc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$ptxas" --version | sed -n 's/^Cuda compilation tools, /ptxas /p'
"$clang" --version | head -n 1
# The tiles as product.c has them, a line each: precision, A16 and B16, and the numbers.
sed -n '/^static const tile TILES/,/^};/s/^ *{{\(.*\)}, {\(.*\)}},.*/\1|\2/p' opencl/product.c | tr -d ' ' >"$work/tiles"
[ "$(grep -c . "$work/tiles")" = 5 ] || { echo "mma_ptx: can't read the tiles of opencl/product.c" >&2; exit 1; }

# What each line is for: the precision, and names that end in A16 and B16. `stored` (by matrix units) and `portable` are
# dtype=bfloat16's, with those kernels that kinds_of in product.c says.
cat >"$work/ways" <<END
0 float32-00,portable-00,portable-10,portable-01,portable-11
1 tf32-00
2 bf16-00,stored-00
2 stored-10,stored-01
2 stored-11
END

# build NAME PRECISION A16 B16 ODD "m,n,step,stages,part_m,part_n,registers"
build() {
    built=$1 rule=$2 odd=$5
    IFS=, read -r m n step stages part_m part_n registers <<END
$6
END
    part=WARP lanes=$((m * n * 32 / (part_m * part_n))) sources="bf16.cl gelu.cl mma_ptx.cl product_steps.cl product.cl"
    if [ "$rule" = 0 ]; then part=PER lanes=$((m * n / (part_m * part_n))) sources="bf16.cl gelu.cl product_steps.cl product.cl"; fi
    act16=0 kinds=15
    case $built in
    stored-00* | portable-00*) act16=1 kinds=3 ;;
    stored-10* | portable-10*) act16=1 kinds=7 ;;
    stored-* | portable-*) act16=1 kinds=4 ;;
    esac
    (cd opencl/kernels && cat $sources) >"$work/all.cl"
    "$clang" -w -cl-std=CL1.2 -target nvptx64-nvidia-nvcl -march=sm_80 -Xclang -target-feature -Xclang +ptx72 -O3 \
        -Xclang -finclude-default-header -Xclang -mlink-builtin-bitcode -Xclang "$library" -DASM=__asm__ -DEMULATE=0 \
        -DPRECISION="$rule" -DACT16=$act16 -DKINDS=$kinds -DA16="$3" -DB16="$4" -DTILE_M="$m" -DTILE_N="$n" -DSTEP="$step" \
        -DSTAGES="$stages" -DPENDING=$((stages - 2)) -D${part}_M="$part_m" -D${part}_N="$part_n" -DODD="$odd" \
        -S "$work/all.cl" -o "$work/$built.ptx"
    for a in $architectures; do
        limit=
        if [ "$registers" != 0 ]; then limit=--maxrregcount=$registers; fi
        "$ptxas" $limit -v -arch="sm_$a" "$work/$built.ptx" -o "$work/cubin" 2>&1 | awk -v name="$built" -v card="sm_$a" '
            /Compiling entry/ { split($0, part, "\047"); kernel = part[2] }
            / bytes / { for (i = 3; i <= NF; i++) { if ($i == "spill") spilled += $(i - 2); if ($i ~ /^smem/) shared = $(i - 2) } }
            / registers/ { for (i = 2; i <= NF; i++) if ($i == "registers,") { used[kernel] = $(i - 1); if ($(i - 1) > most) most = $(i - 1) } }
            END { print "| " name " | " card " | " used["product_nn"] " | " used["product_nt"] " | " used["product_tn"] " | " \
                used["product_tt"] " | " most " | " spilled + 0 " | " shared " |" }'
    done
    chunk=4
    if [ "$rule" = 2 ]; then chunk=8; fi
    [ "${ONLY_REGISTERS:-0}" = 1 ] || python3 tests/mma_ptx.py "$work/$built.ptx" "$rule" "$m" "$n" "$lanes" \
        "$chunk" "$3" "$4" "$act16" >>"$work/right"
}

echo "| tile | card | registers: nn | nt | tn | tt | most of all | spilled bytes | local memory, bytes |"
echo "|---|---|--:|--:|--:|--:|--:|--:|--:|"
: >"$work/right"
while IFS='|' read -r large small; do
    read -r rule stored
    for way in $(echo "$stored" | tr , ' '); do
        expr "$way" : "${ONLY:-.*}" >/dev/null || continue
        build "$way-large" "$rule" "$(expr "$way" : '.*\(.\).$')" "$(expr "$way" : '.*\(.\)$')" 0 "$large"
        build "$way-small" "$rule" "$(expr "$way" : '.*\(.\).$')" "$(expr "$way" : '.*\(.\)$')" 1 "$small"
    done
done <<END
$(paste -d '\n' "$work/tiles" "$work/ways")
END
cat "$work/right"
