#!/bin/sh
# demo_corpus.sh OUT: a text to learn from that needs no download of its own, in one plain-ASCII file: English, some 2 MB
# of sayings from Debian's package `fortunes`; without that 4 MB of this machine's C headers. Sayings and headers come in
# an order that is mixed, so that the last tenth, which is for validation, is like the rest, and always the same.
# FORTUNES=DIR and INCLUDE=DIR take them from elsewhere.
set -eu
[ $# -eq 1 ] || { echo "usage: demo_corpus.sh OUT" >&2; exit 2; }
fortunes=${FORTUNES:-/usr/share/games/fortunes}
include=${INCLUDE:-/usr/include}
bytes=4000000
least=300000
tab=$(printf '\t')
newline='
'
list=$1.list
LC_ALL=C
export LC_ALL
trap 'rm -f "$list"' EXIT

# Records in an order that depends on their number alone: Fisher-Yates with Lehmer's generator. $1: what ends a record.
mix() {
    awk -v end="$1" 'BEGIN { RS = end; ORS = end } !seen[$0]++ { record[++n] = $0 }
        END { for (i = n; i > 1; i--) {
                  x = (x ? x : 20) * 16807 % 2147483647; j = x % i + 1
                  t = record[i]; record[i] = record[j]; record[j] = t }
              for (i = 1; i <= n; i++) print record[i] }'
}

# ---- English ----

# Prose and verse for everybody. A saying that is not plain ASCII is left out; a line with a name under it keeps it.
from_fortunes() {
    for name in art computers cookie definitions education food fortunes goedel humorists kids law linux literature \
        magic medicine miscellaneous news paradoxum people pets platitudes riddles science songs-poems sports startrek \
        tao wisdom work zippy; do
        [ ! -f "$fortunes/$name" ] || cat "$fortunes/$name"
    done | sed "s/$tab/    /g; s/ *\$//" | awk '/^%$/ { if (good && text) printf "%s\001", text; text = ""; good = 1; next }
        BEGIN { good = 1 } /[^ -~]/ { good = 0 } { text = text $0 "\n" }' | mix "$(printf '\001')" | tr '\001' '\n' |
        head -c "$bytes" >"$1"
}

# ---- C headers ----

# The C library's and the kernel's: comments in prose, and nearly the same on every machine. Files that are hardly more
# than long tables (over 150 kB) would teach nothing but numbers. grep -L keeps the files of printable ASCII alone.
from_headers() {
    {
        find "$include" -maxdepth 1 -name '*.h' -size -150k 2>/dev/null | sort
        for folder in sys net netinet arpa rpc bits asm-generic linux; do
            for root in "$include" "$include"/*-linux-gnu*; do
                [ ! -d "$root/$folder" ] || find "$root/$folder" -name '*.h' -size -150k | sort
            done
        done
    } >"$list"
    : >"$1"
    [ ! -s "$list" ] || tr '\n' '\0' <"$list" | xargs -0 grep -L "[^ -~$tab]" | mix "$newline" | tr '\n' '\0' |
        xargs -0 cat 2>/dev/null | head -c "$bytes" >"$1" || true # head ends the pipe early: not an error
}

from_fortunes "$1"
what="English sayings (Debian's package fortunes)"
if [ "$(wc -c <"$1")" -lt "$least" ]; then
    from_headers "$1"
    what="C headers (English sayings come with  apt-get install fortunes)"
fi
size=$(wc -c <"$1")
if [ "$size" -lt "$least" ]; then
    echo "demo_corpus.sh: neither $least bytes of sayings in $fortunes nor of C headers in $include: install fortunes" \
        "or libc6-dev, or prepare a text of your own" >&2
    exit 1
fi
echo "$1: $size bytes of $what"
