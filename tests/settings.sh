#!/bin/sh
# settings.sh: the program starts again once with settings that libraries read before main (run/settings.h): those that the
# user has not made. The commands here end with one line, since there is no such folder; libgomp shows what holds.
set -eu
snug=${SNUG:-build/snug}
build=${BUILD:-$(dirname "$snug")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "settings.sh: FAILED: $*" >&2; exit 1; }
export OMP_DISPLAY_ENV=verbose
unset OMP_WAIT_POLICY GOMP_SPINCOUNT KMP_BLOCKTIME

# starts WANTED COMMAND...: the program starts that many times, and ends with its line. What the last start has is in $work/last.
starts() {
    wanted=$1
    shift
    "$@" >"$work/out" 2>&1 && fail "'$*' found its folder"
    n=$(grep -c 'OPENMP DISPLAY ENVIRONMENT BEGIN' "$work/out" || true)
    [ "$n" -eq "$wanted" ] || fail "'$*' started $n times, not $wanted: $(cat "$work/out")"
    grep -q '^snug: no where' "$work/out" || fail "'$*': $(cat "$work/out")"
    awk '/ENVIRONMENT BEGIN/ { text = "" } { text = text $0 "\n" } END { printf "%s", text }' "$work/out" >"$work/last"
}
has() { grep -q "$1 = '$2'" "$work/last" || fail "no $1 of $2: $(cat "$work/last")"; }
skip() { echo "settings.sh: $*, skipped"; exit 77; }

"$snug" eval 'no where' >"$work/out" 2>&1 || true
grep -q GOMP_SPINCOUNT "$work/out" || skip "this OpenMP does not show how it waits"

# By itself: libgomp spins for a while, and passive is for whatever else reads it. Once, with its arguments.
starts 2 "$snug" eval 'no where'
has OMP_WAIT_POLICY PASSIVE
has GOMP_SPINCOUNT 1000
# A mark that another process has left says nothing.
starts 2 env SNUG_RESTARTED='1 OMP_WAIT_POLICY ' "$snug" eval 'no where'
has GOMP_SPINCOUNT 1000

# What the user sets stays, and the rest is not touched then.
export OPENBLAS_CORETYPE=Haswell
starts 1 env OMP_WAIT_POLICY=active "$snug" eval 'no where'
has OMP_WAIT_POLICY ACTIVE
starts 1 env GOMP_SPINCOUNT=77 "$snug" eval 'no where'
has GOMP_SPINCOUNT 77
starts 1 env OMP_WAIT_POLICY=active OPENBLAS_CORETYPE=Prescott "$snug" eval 'no where'
# A command that computes nothing, and a start by the dynamic linker, which can't be repeated.
starts 1 "$snug" report 'no where'
linker=$(ldd "$snug" | sed -n 's/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\).*/\1/p')
[ -z "$linker" ] || starts 1 "$linker" "$snug" eval 'no where'
# Nor can one be whose program has been deleted: it goes on as it is.
unset OPENBLAS_CORETYPE
cp "$snug" "$work/copy"
exec 9<"$work/copy"
rm "$work/copy"
starts 1 /proc/self/fd/9 eval 'no where'
exec 9<&-
unset OMP_DISPLAY_ENV

# In a waiting thread's processor time, the tests' own start having made the settings.
[ ! -x "$build/tests" ] || "$build/tests" settings || fail "threads that wait spin"
