#!/bin/sh
# fresh_debian.sh: README's two commands on a Debian that has nothing but apt and what README's own line gets.
# usage: sudo sh tests/fresh_debian.sh bookworm|trixie FOLDER [COMMAND ...]
# FOLDER: new, or left by an earlier run; about 3 GB. Bootstraps Debian 12 or 13 there from the mirror that this machine's
# apt uses, clones HEAD into it and runs each command ("make demo" and "make test" unless others are given) in a chroot.
# Prints how long each took.
set -eu

if [ $# -lt 2 ]; then sed -n '2,6s/^# //p' "$0"; exit 1; fi
suite=$1
root=$2
shift 2
case $suite in bookworm | trixie) ;; *) echo "fresh_debian: bookworm or trixie, not \"$suite\"" >&2; exit 1 ;; esac
if [ "$(id -u)" != 0 ]; then echo "fresh_debian: chroot needs root" >&2; exit 1; fi
command -v debootstrap >/dev/null || { echo "fresh_debian: needs debootstrap" >&2; exit 1; }
if [ $# = 0 ]; then set -- "make demo" "make test"; fi
source=$(cd "$(dirname "$0")/.." && pwd)

times=
now() { date +%s; }
timed() { # LABEL COMMAND...
    label=$1
    shift
    start=$(now)
    "$@" || { echo "fresh_debian: failed: $label" >&2; exit 1; }
    times="$times$(printf '%6d s  %s' $(($(now) - start)) "$label")
"
}
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 sh -c "cd /srv && $1"; }

mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 2>/dev/null | head -1)
mirror=${mirror:-$(apt-get indextargets --format '$(REPO_URI)' | head -1)}
if [ ! -x "$root/usr/bin/apt-get" ]; then
    timed "debootstrap --variant=minbase $suite" debootstrap --variant=minbase "$suite" "$root" "$mirror"
fi
# The clone needs this machine's way to the mirror and to names, nothing else.
echo "deb $mirror $suite main" >"$root/etc/apt/sources.list"
apt-config dump --no-empty | grep -E '^Acquire::(http|https|Check)' >"$root/etc/apt/apt.conf.d/90mirror" || true
cp /etc/resolv.conf /etc/hosts "$root/etc/"

# What every running Debian has: PoCL looks for processors in /sys, terminals are in /dev/pts, and what needs no disk goes
# to /dev/shm.
take_down() { for m in dev/shm dev/pts sys proc; do umount "$root/$m" 2>/dev/null || true; done; }
trap take_down EXIT
trap 'exit 1' INT TERM
for m in proc sys dev/pts dev/shm; do
    case $m in proc) kind=proc ;; sys) kind=sysfs ;; dev/pts) kind=devpts ;; *) kind=tmpfs ;; esac
    mkdir -p "$root/$m"
    mountpoint -q "$root/$m" || mount -t $kind "$kind" "$root/$m"
done

# README's line for a machine without git or make, less the sudo that a minimal system lacks.
line=$(sed -n 's/^sudo \(apt-get install -y git make\).*/\1/p' "$source/README.md")
[ -n "$line" ] || { echo "fresh_debian: README's apt-get line is gone" >&2; exit 1; }
timed "apt-get update && $line" inside "apt-get -q update && DEBIAN_FRONTEND=noninteractive $line"

rm -rf "$root/srv/snug" "$root/srv/snug.git"
git clone -q --bare "$source" "$root/srv/snug.git"
inside "git clone -q snug.git snug"
for command in "$@"; do
    timed "$command" inside "cd snug && $command"
done
echo "== $(nproc) cores"
printf '%s' "$times"
