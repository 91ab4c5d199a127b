#!/bin/sh
# oclgrind.sh: every kernel at toy sizes under oclgrind: data races, reads of uninitialised memory, accesses out of
# bounds. One report fails the test.
set -eu
build=${BUILD:-build}
if ! command -v oclgrind >/dev/null; then
    echo "no oclgrind here, skipped"
    exit 77
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Unoptimised (oclgrind knows no `freeze`), and with no cache: binaries of other runs must not be taken. In the shapes for CPUs
# alone: unoptimised, attention for GPUs keeps more local arrays than there is room for; and oclgrind 21.10 does not know an
# intrinsic (noalias.scope.decl) that clang makes of product.cl. tests/mma_ptx.sh and attention_ptx.sh look at their bounds and races.
status=0
XDG_CACHE_HOME=/dev/null SNUG_TEST_OWN_SHAPES=1 SNUG_TEST_DEVICE=opencl:0 CK_FORK=no CK_RUN_CASE=toy CK_DEFAULT_TIMEOUT=0 \
    oclgrind --local-mem-size 49152 --build-options -cl-opt-disable --data-races --uninitialized --log "$log" \
    "$build/tests" opencl || status=$?
if [ -s "$log" ] || [ "$status" -ne 0 ]; then
    head -40 "$log" >&2
    echo "oclgrind: $(grep -c . "$log") lines of complaints, exit status $status" >&2
    exit 1
fi
echo "oclgrind: clean"
