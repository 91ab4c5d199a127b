#!/bin/sh
# on_gpu.sh [DEVICE]: everything that wants a real GPU, in one call; prints what to report. DEVICE as in --device=
# (default: the one that "auto" takes). Needs `make deps` once. DEPS=0 skips apt.
set -eu
cd "$(dirname "$0")/.."
device=${1:-cuda}
export SNUG_TEST_DEVICE="$device"
failed=0
step() {
    echo "== $1"
    shift
    "$@" || { echo "FAILED: $*"; failed=1; }
}

make -s DEPS="${DEPS:-1}" all tests
echo "== machine"
uname -srm
build/snug version
build/snug devices 2>/dev/null || true
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv

step "every op against float64" build/tests opencl
step "the same bits for every split" build/tests opencl_batch
step "bytes counted from outside" sh tests/outside_count.sh
for case in erf-nobias tanh-bias; do
    step "golden gradients: $case" build/snug grads tests/golden/$case --batch=tests/golden/$case/batch.safetensors \
        --out=build/$case.safetensors --device="$device" --micro_batch_size=1
done
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    step "the same model in PyTorch" python3 tests/gpt_torch.py
else
    echo "== no PyTorch with a GPU here: nothing to compare speed with"
fi
[ "$failed" = 0 ] && echo "== all passed"
exit $failed
