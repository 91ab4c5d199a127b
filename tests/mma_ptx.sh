#!/bin/sh
# mma_ptx.sh PTXAS [ARCHITECTURES]: do opencl/kernels/mma.cl's instructions assemble, into how many registers, and is
# what they compute right? Needs no card: clang and libclc (Debian: clang-14, libclc-14) compile for NVIDIA, PTXAS is
# NVIDIA's assembler, and mma_ptx.py interprets what it gets. A card's driver has another compiler: it may differ.
set -eu
cd "$(dirname "$0")/.."
ptxas=$1 architectures=${2:-80 86 89 90}
clang=${CLANG:-clang-14} library=${LIBCLC:-/usr/lib/clc/nvptx64--nvidiacl.bc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$ptxas" --version | sed -n 's/^Cuda compilation tools, /ptxas /p'
"$clang" --version | head -n 1
echo "| tile | card | registers: nn | nt | tn | tt | spilled bytes | local memory, bytes |"
echo "|---|---|--:|--:|--:|--:|--:|--:|"
sed -n 's/^static.* TILES.*= {{\(.*\)}};/\1/p' opencl/mma.c | sed 's/}, {/\n/g' | tr -d ' ' >"$work/tiles"
while IFS=, read -r m n warp_m warp_n; do
    "$clang" -w -cl-std=CL1.2 -target nvptx64-nvidia-nvcl -march=sm_80 -Xclang -target-feature -Xclang +ptx72 -O3 \
        -Xclang -finclude-default-header -Xclang -mlink-builtin-bitcode -Xclang "$library" -DASM=__asm__ \
        -DTILE_M="$m" -DTILE_N="$n" -DWARP_M="$warp_m" -DWARP_N="$warp_n" -S opencl/kernels/mma.cl -o "$work/mma.ptx"
    python3 tests/mma_ptx.py "$work/mma.ptx" "$m" "$n" $((m * n * 32 / (warp_m * warp_n))) >>"$work/right"
    for a in $architectures; do
        "$ptxas" -v -arch="sm_$a" "$work/mma.ptx" -o "$work/mma.cubin" 2>&1 | awk -v tile="$m x $n" -v card="sm_$a" '
            /Compiling entry/ { split($0, part, "\047"); kernel = part[2] }
            / bytes / { for (i = 3; i <= NF; i++) { if ($i == "spill") spilled += $(i - 2); if ($i ~ /^smem/) shared = $(i - 2) } }
            / registers/ { for (i = 2; i <= NF; i++) if ($i == "registers,") used[kernel] = $(i - 1) }
            END { print "| " tile " | " card " | " used["mma_nn"] " | " used["mma_nt"] " | " used["mma_tn"] " | " used["mma_tt"] \
                " | " spilled + 0 " | " shared " |" }'
    done
done <"$work/tiles"
cat "$work/right"
