#!/bin/sh
# demo_corpus.sh OUT: a corpus that needs no download: 4 MB of this machine's own C headers in one plain-ASCII file, always
# in the same order. INCLUDE=DIR takes them from elsewhere.
set -eu
[ $# -eq 1 ] || { echo "usage: demo_corpus.sh OUT" >&2; exit 2; }
include=${INCLUDE:-/usr/include}
bytes=4000000
least=300000
tab=$(printf '\t')
list=$1.list
LC_ALL=C
export LC_ALL
trap 'rm -f "$list"' EXIT

# The C library's and the kernel's headers first: comments in prose, and nearly the same on every machine. Files that are
# hardly more than long tables (over 150 kB) would teach nothing but numbers.
{
    find "$include" -maxdepth 1 -name '*.h' -size -150k 2>/dev/null | sort
    for folder in sys net netinet arpa rpc bits asm-generic linux; do
        for root in "$include" "$include"/*-linux-gnu*; do
            [ ! -d "$root/$folder" ] || find "$root/$folder" -name '*.h' -size -150k | sort
        done
    done
} | awk '!seen[$0]++' >"$list"

if [ -s "$list" ]; then
    # grep -L keeps the files without a single byte that is not printable ASCII. head ends the pipe early: not an error.
    tr '\n' '\0' <"$list" | xargs -0 grep -L "[^ -~$tab]" | tr '\n' '\0' | xargs -0 cat 2>/dev/null |
        head -c "$bytes" >"$1" || true
else
    : >"$1"
fi
size=$(wc -c <"$1")
if [ "$size" -lt "$least" ]; then
    echo "demo_corpus.sh: only $size bytes of C headers in $include; install libc6-dev, or prepare a text of your own" >&2
    exit 1
fi
echo "$1: $size bytes of C headers"
