#!/bin/sh
# outside_count.sh: the cap and the plan, counted by a preloaded library that the program knows nothing of.
set -eu
build=${BUILD:-build}
SNUG_COUNT_FILE=$(mktemp)
export SNUG_COUNT_FILE
trap 'rm -f "$SNUG_COUNT_FILE"' EXIT
LD_PRELOAD=$(realpath "$build/preload_count_buffers.so") "$build/tests" opencl_outside
# Proof that something was counted: the tests say nothing when the library is missing.
grep -q 'peak [1-9]' "$SNUG_COUNT_FILE" || { echo "outside_count: nothing was counted" >&2; exit 1; }
if grep -v ' 0 live at exit' "$SNUG_COUNT_FILE"; then
    echo "outside_count: buffers were left behind" >&2
    exit 1
fi
