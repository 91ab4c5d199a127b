#!/bin/sh
# gpu_try.sh: is all in the archive of `make gpu-pack` that tests/on_gpu.sh needs, and does that script tell right from
# wrong? Tried on PoCL with a toy model: as root and with debootstrap in a bare Debian 12 that has nothing of snug's but a
# driver (CHROOT=FOLDER keeps it), else in a folder of its own with an empty environment.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
if [ -x build-pack/tests ]; then build="build-pack"; fi # what make gpu-pack takes
work=$(mktemp -d)
root=
take_down() {
    for m in sys proc; do [ -z "$root" ] || umount "$root/$m" 2>/dev/null || true; done
    rm -rf "$work"
}
trap take_down EXIT
trap 'exit 1' INT TERM
fail() {
    echo "gpu_try: $*" >&2
    tail -n 40 "$work/printed" >&2
    exit 1
}

# What a toy on PoCL has to show: every step in the table, nothing left out, and figures from its timings.
check_run() { # WHERE STATUS LOGS
    [ "$2" = 0 ] || fail "$1: on_gpu.sh ended with status $2"
    for step in devices_check equivalence opencl opencl_product opencl_choose bench_16 cap_small offload refused train_20 tune; do
        grep -q "^| $step | ok | 0 | [0-9]* |" "$3/summary.md" || fail "$1: $step is not in the table, or not ok"
        grep -q "^== $step: ok" "$3/log.txt" || fail "$1: $step is not in the log"
    done
    for row in "step, micro-batch 16, highest | .* ms a step" "cap of 6MiB | .* MiB counted" "train, 20 steps | loss [0-9.]*, then" \
        "cap of 64MiB --offload=moments | .*moments.* MiB counted" "more than there is | refused [1-9][0-9]* times, then .*; loss [0-9]"; do
        grep -q "^| $row" "$3/summary.md" || fail "$1: no row like '$row'"
    done
    grep -q '^| LINEAR_DW ' "$3/summary.md" || fail "$1: no table of ops"
    grep -q 'left out for want of time: nothing' "$3/summary.md" || fail "$1: something was left out"
    [ "$(find "$3" -type f | wc -l)" -le 8 ] || fail "$1: more than a few files of logs"
}

sh tests/gpu_pack.sh "$build" "$work/pack.tgz"
[ "$(wc -c <"$work/pack.tgz")" -lt 30000000 ] || fail "30 MB and more: $(ls -l "$work/pack.tgz")"
tar xzf "$work/pack.tgz" -C "$work"
bare="env -i PATH=/usr/bin:/bin POCL_CACHE_DIR=${POCL_CACHE_DIR:-$work/pocl}"
[ -z "${OCL_ICD_VENDORS:-}" ] || bare="$bare OCL_ICD_VENDORS=$OCL_ICD_VENDORS"

# A device that is not there: every step says so, and so does the status. So does a script without its program.
status=0
# shellcheck disable=SC2086
(cd "$work" && $bare sh snug-gpu/tests/on_gpu.sh --toy --device=nonesuch --minutes=1 --out=none) >"$work/printed" 2>&1 || status=$?
[ $status = 1 ] || fail "without the device: status $status"
grep -q '^| bench_16 | FAILED: .*nonesuch' "$work/none/summary.md" || fail "without the device: the table does not say so"
mv "$work/snug-gpu/build/snug" "$work/snug"
if sh "$work/snug-gpu/tests/on_gpu.sh" --toy >"$work/printed" 2>&1; then fail "without the program: status 0"; fi
grep -q '^on_gpu: no .*snug: type' "$work/printed" || fail "without the program: not told"
mv "$work/snug" "$work/snug-gpu/build/snug"

if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
    status=0
    # shellcheck disable=SC2086
    (cd "$work" && $bare sh snug-gpu/tests/on_gpu.sh --toy --device=opencl --minutes=20 --out=logs) >"$work/printed" 2>&1 ||
        status=$?
    check_run "an empty environment" $status "$work/logs"
    echo "gpu_try: in an empty environment: all steps; no root or no debootstrap here: not tried in a bare Debian"
    exit 0
fi
root=${CHROOT:-$work/root}
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: bookworm" | head -n 1)
[ -x "$root/usr/bin/apt-get" ] || debootstrap --variant=minbase bookworm "$root" "$mirror" >"$work/printed" 2>&1 || fail "debootstrap"
echo "deb $mirror bookworm main" >"$root/etc/apt/sources.list"
apt-config dump --no-empty | grep -E '^Acquire::(http|https|Check)' >"$root/etc/apt/apt.conf.d/90mirror" || true
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir -p "$root/proc" "$root/sys"
if ! { mount -t proc proc "$root/proc" && mount -t sysfs sysfs "$root/sys"; }; then fail "no /proc and /sys in $root"; fi
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -c "$1"; }
inside "dpkg -s pocl-opencl-icd >/dev/null 2>&1 || { apt-get -q update && apt-get -qy --no-install-recommends install pocl-opencl-icd; }" \
    >"$work/printed" 2>&1 || fail "apt in $root"
# The card's machine has no library that finds drivers: the archive's has to do.
rm -rf "$root"/usr/lib/*/libOpenCL.so* "$root/srv/snug-gpu" "$root/srv/logs"
tar xzf "$work/pack.tgz" -C "$root/srv"
status=0
inside "cd /srv && sh snug-gpu/tests/on_gpu.sh --toy --device=opencl --minutes=20 --out=logs" >"$work/printed" 2>&1 || status=$?
check_run "a bare Debian" $status "$root/srv/logs"
echo "gpu_try: in a bare Debian 12: all steps, $(sed -n 's/^\([0-9]* s\) of .*/\1/p' "$root/srv/logs/summary.md")"
