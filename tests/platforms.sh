#!/bin/sh
# platforms.sh: the OpenCL suites on every OpenCL that can be had for a machine without a GPU, and a table of the results
# for docs/devices.md. What cannot be had is skipped, by name.
# usage: sh tests/platforms.sh [quick|whole] [NAME ...]
# NAME, all unless named: pocl-3.1 rusticl-22 oclgrind (of Debian 12), pocl-6.0 rusticl-25 (of Debian 13), intel (by pip).
# quick (the default): every op at toy size, devices --check. whole: the suites opencl, opencl_golden and opencl_batch.
# What this machine has is used as it is, with build/tests as built. Another Debian is bootstrapped by fresh_debian.sh,
# which needs root, and runs HEAD, not the working tree. Folders and logs: $PLATFORMS (build/platforms; 6 GB).
# A step that takes more than $PLATFORM_SECONDS (1800) is ended and called a failure. Exit status 1: something failed.
set -eu
cd "$(dirname "$0")/.."
folder=${PLATFORMS:-build/platforms}
limit=${PLATFORM_SECONDS:-1800}
all="pocl-3.1 rusticl-22 oclgrind intel pocl-6.0 rusticl-25"

how=quick here=0
while [ $# -gt 0 ]; do
    case $1 in
    quick | whole) how=$1 ;;
    --here) here=1 ;; # inside of a bootstrapped Debian: what is not here is a failure
    -*) sed -n '2,10s/^# //p' "$0"; exit 1 ;;
    *) break ;;
    esac
    shift
done
if [ $# = 0 ]; then set -- $all; fi
for name in "$@"; do
    case " $all " in *" $name "*) ;; *) echo "platforms: no platform \"$name\"; there are: $all" >&2; exit 1 ;; esac
done
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
failed=0

suite_of() { case $1 in pocl-6.0 | rusticl-25) echo trixie ;; intel) echo any ;; *) echo bookworm ;; esac; }
package_of() { case $1 in pocl-*) echo pocl-opencl-icd ;; rusticl-*) echo mesa-opencl-icd ;; *) echo "$1" ;; esac; }
icd_of() {
    case $1 in
    pocl-*) echo /etc/OpenCL/vendors/pocl.icd ;;
    rusticl-*) echo /etc/OpenCL/vendors/rusticl.icd ;;
    intel) echo "$folder/intel/intel.icd" ;;
    oclgrind) command -v oclgrind || echo oclgrind ;;
    esac
}
# Is it on this machine, and of the right Debian? (/etc/os-release sets VERSION_CODENAME.)
is_here() {
    [ -e "$(icd_of "$1")" ] || return 1
    [ "$(suite_of "$1")" = any ] || [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = "$(suite_of "$1")" ]
}

# Intel's runtime for CPUs: unpacked, not installed.
fetch_intel() {
    [ -e "$folder/intel/intel.icd" ] && return 0
    command -v python3 >/dev/null || return 1
    mkdir -p "$folder/intel/lib"
    python3 -m pip download -q --no-deps -d "$folder/intel/wheels" \
        intel-opencl-rt intel-cmplr-lib-rt intel-cmplr-lic-rt tbb >"$folder/intel/pip.log" 2>&1 || return 1
    for wheel in "$folder"/intel/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$folder/intel/all" || return 1; done
    cp -n "$folder"/intel/all/*.data/data/lib/* "$folder/intel/lib/" 2>/dev/null || true
    [ -e "$folder/intel/lib/libintelocl.so" ] || return 1
    echo "$folder/intel/lib/libintelocl.so" >"$folder/intel/intel.icd"
}

# on NAME COMMAND...: with that platform alone.
on() {
    name=$1
    shift
    case $name in
    rusticl-*) set -- RUSTICL_ENABLE=llvmpipe "$@" ;;
    # The system's loader first: Intel ships one of its own.
    intel) set -- LD_LIBRARY_PATH="$(dirname "$(cc -print-file-name=libOpenCL.so)"):$folder/intel/lib" "$@" ;;
    esac
    env OCL_ICD_VENDORS="$(icd_of "$name")" XDG_CACHE_HOME="$folder/cache-$name" POCL_CACHE_DIR="$folder/cache-$name/pocl" \
        OMP_WAIT_POLICY=passive CK_TIMEOUT_MULTIPLIER=5 "$@"
}

# step NAME LOG COMMAND...: runs it, and puts how it ended into $result.
step() {
    name=$1 log=$folder/$1-$2.log began=$(date +%s) code=0
    shift 2
    on "$name" timeout "$limit" "$@" >"$log" 2>&1 || code=$?
    took="$(($(date +%s) - began)) s"
    # Of the unit test framework's own line: "97%: Checks: 37, Failures: 1, Errors: 0".
    counts=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2 \3/p' "$log" | tail -n 1)
    passed=
    if [ -n "$counts" ]; then
        passed=$(echo "$counts" | awk '{ if ($2 + $3) printf "%d of %d, ", $1 - $2 - $3, $1; else printf "all %d, ", $1 }')
    fi
    case $code in
    0) result="${passed:-passes, }$took" ;;
    124) result="**no end in $limit s**" ;;
    *) result="**${passed:-fails, }$took**" ;;
    esac
    [ $code = 0 ] || { failed=1; echo "platforms: see $log" >&2; }
}

# A row: OpenCL and its version; CLBlast's and the compiler's; every op; golden; batch.
row() {
    name=$1 golden="not run" batch="not run"
    echo "== $name, $how" >&2
    if [ "$name" = oclgrind ]; then
        what="oclgrind $(dpkg-query -W -f='${Version}' oclgrind 2>/dev/null || true)"
        step "$name" ops sh tests/oclgrind.sh
        ops="$result (toy size; races, bounds, uninitialised reads)"
    else
        on "$name" build/snug devices >"$folder/$name-devices.log" 2>&1 || true
        what=$(sed -n 's/^ *platform \([^,]*\), driver \([^,]*\), .*/\1 \2/p' "$folder/$name-devices.log" | head -n 1)
        if [ -z "$what" ]; then
            echo "| $name | | **no device** | | |"
            failed=1
            return
        fi
        if [ "$how" = quick ]; then
            step "$name" ops env CK_RUN_CASE=toy build/tests opencl
            ops="$result (toy size)"
            step "$name" check build/snug devices --check --device=opencl
            golden="devices --check: $result"
        else
            step "$name" ops build/tests opencl
            ops=$result
            step "$name" golden build/tests opencl_golden
            golden=$result
            step "$name" batch build/tests opencl_batch
            batch=$result
        fi
    fi
    clblast=$(dpkg-query -W -f='${Version}' libclblast1 2>/dev/null || echo "unknown version")
    echo "| $what | CLBlast ${clblast%%-*}, gcc $(gcc -dumpfullversion) | $ops | $golden | $batch |"
}

# SUITE NAME...: their rows, from the same script inside of that Debian.
rows_elsewhere() {
    suite=$1 log=$folder/$1.log packages=
    shift
    if [ $here = 1 ] || [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
        for name in "$@"; do echo "| $name | | not here: skipped | | |"; done
        echo "platforms: $* not here; root with debootstrap gets them from Debian's $suite; skipped" >&2
        return
    fi
    for name in "$@"; do packages="$packages $(package_of "$name")"; done
    echo "== $*, $how, in $folder/$suite: $log" >&2
    sh tests/fresh_debian.sh "$suite" "$folder/$suite" "sh .ci/deps test" \
        "DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends$packages" \
        "make -s -j$(nproc) DEPS=0 all tests" \
        "PLATFORM_SECONDS=$limit sh tests/platforms.sh $how --here $*" >"$log" 2>&1 || failed=1
    grep '^| ' "$log" || echo "| $* | | **failed**, see $log | | |"
}

if [ ! -x build/tests ]; then
    echo "platforms: needs build/tests; type  make all tests" >&2
    exit 1
fi
: >"$folder/rows"
bookworm= trixie=
for name in "$@"; do
    if [ "$name" = intel ] && ! fetch_intel; then
        echo "platforms: pip has no runtime of Intel's for this machine, see $folder/intel; skipped" >&2
        echo "| intel | | not to be had: skipped | | |" >>"$folder/rows"
    elif is_here "$name"; then
        row "$name" >>"$folder/rows"
    else
        case $(suite_of "$name") in trixie) trixie="$trixie $name" ;; *) bookworm="$bookworm $name" ;; esac
    fi
done
# shellcheck disable=SC2086
if [ -n "$bookworm" ]; then rows_elsewhere bookworm $bookworm >>"$folder/rows"; fi
# shellcheck disable=SC2086
if [ -n "$trixie" ]; then rows_elsewhere trixie $trixie >>"$folder/rows"; fi

if [ $here = 0 ]; then
    printf '%s, %s, %s\n\n' "$(build/snug version | head -n 1)" "$how" "$(date +%Y-%m-%d)"
    echo "| OpenCL | with | every op against float64 | golden gradients and training | same bits for every split |"
    echo "|---|---|---|---|---|"
fi
cat "$folder/rows"
exit $failed
