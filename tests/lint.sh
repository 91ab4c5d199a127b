#!/bin/sh
# lint.sh: everything that can be said about the sources without running them. A tool that is not there is skipped, by
# name. Exit status 1 if anything was found. `make lint` runs it; OPENCL is 1 or 0 as in the build.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0
found() {
    echo "lint: $1" >&2
    status=1
}
have() {
    command -v "$1" >/dev/null && return 0
    echo "lint: no $1 here, skipped"
    return 1
}

kernels=$(ls opencl/kernels/*.cl 2>/dev/null)
c_files=$(ls common/*.c common/*/*.c cpu/*.c opencl/*.c opencl/*/*.c tests/*.c 2>/dev/null)
h_files=$(ls common/*/*.h cpu/*.h opencl/*.h opencl/*/*.h tests/*.h 2>/dev/null)
scripts=$(ls .ci/* tests/*.sh data/*.sh opencl/*.sh 2>/dev/null)
defines="-D_GNU_SOURCE -DCL_TARGET_OPENCL_VERSION=120 -DREAL_BYTES=4"
if [ "${OPENCL:-1}" = 1 ]; then
    defines="$defines -DOPENCL"
else
    c_files=$(echo "$c_files" | grep -v -e '^opencl/[^s]' -e '^tests/test_opencl' -e '^tests/preload_[cs]')
fi

# Each version of clang-format puts lines elsewhere; Debian 12's is the one that decides.
format_version=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')
# shellcheck disable=SC2086
if [ "${format_version:-14}" != 14 ]; then
    echo "lint: clang-format is version $format_version here, and 14 decides; skipped"
elif have clang-format; then
    clang-format --dry-run -Werror $c_files $h_files || found "clang-format: make format puts it right"
fi

# shellcheck disable=SC2086
if have cppcheck; then
    cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --suppressions-list=.cppcheck-suppressions $defines -I. -Icommon -Ibuild-lint $c_files || found "cppcheck"
fi

# gcc has the whole build with -Werror (make lint); clang reads every file a second time with its own warnings.
# shellcheck disable=SC2086
if have clang; then
    mkdir -p build-lint
    # clang has no omp.h without libomp: lend it gcc's, less an attribute that only gcc knows.
    sed 's/__malloc__ *(omp_free)/__warn_unused_result__/' "$(gcc -print-file-name=include/omp.h)" >build-lint/omp.h
    for f in $c_files; do
        clang -fsyntax-only -std=c11 -Wall -Wextra -Wpedantic -Werror -Wno-gnu-zero-variadic-macro-arguments \
            -fopenmp -isystem build-lint $defines -iquote . -iquote common -iquote build-lint "$f" || found "clang: $f"
    done
fi

# shellcheck disable=SC2086
if have shellcheck; then
    # SC1007: `a= b=` empties two variables, and that is meant.
    shellcheck -x -S warning -e SC1007 $scripts || found "shellcheck"
fi

sh tests/check_wings.sh || found "check_wings.sh: docs/architecture.md says which wing may use which"
mkdir -p build-lint
sh tests/planted_errors.sh check >build-lint/planted || { cat build-lint/planted >&2; found "planted_errors.txt: code or tests have moved"; }

# C99 has no function for `inline` without static where a compiler does not inline it: clang leaves residual_row to a card's
# assembler so. And what clang warns of in one program, another compiler may refuse.
# shellcheck disable=SC2086
if grep -nE '^ *inline ' $kernels; then found "inline without static: a function that is nowhere"; fi
if have clang; then
    for act in 0 1; do
        (cd opencl/kernels && cat ../../common/base/philox.h bf16.cl prelude.cl gelu.cl norm.cl gemm.cl vocab.cl elementwise.cl) |
            clang -x cl -cl-std=CL1.2 -target spir64-unknown-unknown -Xclang -finclude-default-header -fsyntax-only -Werror \
                -Du32=uint -Du64=ulong -DSERIAL=0 -DACT16=$act -DPARTIAL_ROWS=32 -DBIAS_ROWS=16 - ||
            found "clang: the kernels of launch.c"
    done
fi

# Two things that compilers of OpenCL have turned into wrong code: what is an element of a vector has no address, and
# CPUs see no barrier (BARRIER in prelude.cl).
# shellcheck disable=SC2086
if grep -nE '\((float|int|uint)[0-9]* \*\)&' $kernels; then found "the address of a vector's element; store the vector"; fi
for f in attention prelude norm gemm gelu vocab elementwise; do
    if grep -HnE '^ +barrier\(' "opencl/kernels/$f.cl"; then found "a barrier on CPUs: BARRIER"; fi
done

for f in $c_files $h_files $kernels $scripts Makefile; do
    lines=$(wc -l <"$f")
    if [ "$lines" -gt 700 ]; then found "$f has $lines lines; 700 is the most"; fi
done

# Paths of one machine have no place in the project.
# shellcheck disable=SC2086
if grep -rnE '(^|[^A-Za-z0-9_.])/(hom[e]|roo[t]|wor[k]|User[s])/' $c_files $h_files $kernels $scripts Makefile README.md docs; then
    found "absolute path of a machine"
fi

if [ $status = 0 ]; then echo "lint: quiet"; fi
exit $status
