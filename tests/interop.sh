#!/bin/sh
# interop.sh: the Python tests against tokenizers, tiktoken, transformers, PyTorch and gguf; each says what it skips
# because a package is not installed. PYTHON: the interpreter that has them.
# LLAMA_CPP: a folder with llama.cpp's sources, for its converter; run in Python's llama_cpp where that is installed.
set -eu
python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
    echo "SKIPPED interop: there is no $python"
    exit 77
fi
ran=
for test in tests/interop_*.py; do
    echo "-- $test"
    status=0
    "$python" "$test" "${SNUG:-build/snug}" || status=$?
    case $status in
    0) ran=yes ;;
    77) ;; # not one of its packages is there
    *) exit $status ;;
    esac
done
[ "$ran" ] || exit 77
