#!/bin/sh
# attention_ptx.sh PTXAS [ARCHITECTURES [LENGTHS]]: into how many registers do attention_mma.cl's kernels assemble, with how many
# bytes spilled, and is what they compute right, with dropout and without? As mma_ptx.sh does it for products, with the
# same tools. Interprets them with fewer warps a group than a card gets, which changes neither bits nor layout, on sequences
# of 37 positions, a multiple of nothing, or of LENGTHS ('1 31 32 36 70', say, which takes minutes more). ONLY='BF16,true,64': a part.
set -eu
cd "$(dirname "$0")/.."
ptxas=$1 architectures=${2:-80 86 89 90} lengths=${3:-37}
clang=${CLANG:-clang-14} library=${LIBCLC:-/usr/lib/clc/nvptx64--nvidiacl.bc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# attention_shapes.c's table, a line each: way, stored16, head size, warps, streamed, part, prefetch.
sed -n '/^static const mma_tiles MMA/,/^};/p' opencl/attention_shapes.c |
    grep -o '{ATTENTION_[^}]*}' | tr -d '{} ' | sed 's/ATTENTION_//' >"$work/tiles"
[ "$(grep -c . "$work/tiles")" = 9 ] || { echo "attention_ptx: can't read the tiles of opencl/attention_shapes.c" >&2; exit 1; }
# log as a card has it: libclc's own is a table, which the interpreter does not know.
cat >"$work/all.cl" <<END
static inline __attribute__((always_inline)) float log_of_card(float x) {
    float r;
    __asm__("lg2.approx.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r * 0.6931471805599453f;
}
END
(cd opencl/kernels && cat ../../common/base/philox.h bf16.cl prelude.cl attention_common.cl mma_ptx.cl \
    attention_mma_tiles.cl attention_mma.cl) >>"$work/all.cl"

# compile STORED16 D WARPS NS PART PREFETCH DROPOUT BF16
compile() {
    "$clang" -w -cl-std=CL1.2 -target nvptx64-nvidia-nvcl -march=sm_80 -Xclang -target-feature -Xclang +ptx72 -O3 \
        -Xclang -finclude-default-header -Xclang -mlink-builtin-bitcode -Xclang "$library" -Du32=uint -Du64=ulong \
        -DASM=__asm__ -Dlog=log_of_card -DSERIAL=0 -DEMULATE=0 -DONE_KEYS=64 -DHEADS=2 -DACT16="$1" -DD="$2" -DWARPS="$3" \
        -DNS="$4" -DPART="$5" -DPREFETCH="$6" -DDROPOUT="$7" -DBF16="$8" -S "$work/all.cl" -o "$work/attention.ptx"
}

echo "| kernels | dropout | card | registers: forward | dq | dkv | spilled bytes: forward | dq | dkv |"
echo "|---|---|---|--:|--:|--:|--:|--:|--:|"
: >"$work/right"
while IFS=, read -r way stored size warps streamed part prefetch; do
    expr "$way,$stored,$size" : "${ONLY:-.*}" >/dev/null || continue
    bf16=0 stored16=0
    if [ "$way" = BF16 ]; then bf16=1; fi
    if [ "$stored" = true ]; then stored16=1; fi
    for dropout in 0 1; do
        compile $stored16 "$size" "$warps" "$streamed" "$part" "$prefetch" $dropout $bf16
        for a in $architectures; do
            "$ptxas" -v -arch="sm_$a" "$work/attention.ptx" -o "$work/cubin" 2>&1 | awk -v row="$way$stored16, $size | $dropout | sm_$a" '
                /Compiling entry/ { split($0, part, "\047"); k = part[2] }
                / bytes stack/ { for (i = 3; i <= NF; i++) if ($i == "spill") spilled[k] += $(i - 2) }
                / registers/ { for (i = 2; i <= NF; i++) if ($i == "registers,") used[k] = $(i - 1) }
                END { print "| " row " | " used["attention"] " | " used["attention_dq"] " | " used["attention_dkv"] " | " \
                    spilled["attention"] + 0 " | " spilled["attention_dq"] + 0 " | " spilled["attention_dkv"] + 0 " |" }'
        done
    done
    if [ "${ONLY_REGISTERS:-0}" = 1 ]; then continue; fi
    for dropout in 0 1; do
        compile $stored16 "$size" 2 "$streamed" "$part" "$prefetch" $dropout $bf16
        # shellcheck disable=SC2086
        python3 tests/attention_ptx.py "$work/attention.ptx" 2 "$size" 32 64 $bf16 $stored16 $dropout $lengths >>"$work/right"
    done
done <"$work/tiles"
cat "$work/right"
