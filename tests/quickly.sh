#!/bin/sh
# quickly.sh COMMAND...: runs it with PoCL's optimiser off, where the driver is a PoCL that bears that; why and which:
# compile_quickly in tests/opencl_device.h.
set -eu
driver=$("${SNUG:-build/snug}" devices 2>/dev/null | sed -n 's/.* driver \([0-9]*\)\..*/\1/p' | head -n 1)
if [ "${driver:-99}" -lt 5 ]; then export POCL_EXTRA_BUILD_FLAGS="${POCL_EXTRA_BUILD_FLAGS--cl-opt-disable}"; fi
exec "$@"
