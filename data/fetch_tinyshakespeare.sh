#!/bin/sh
# fetch_tinyshakespeare.sh [DIR]: gets the 1.1 MB of Shakespeare that nanoGPT's character model is trained on, checks that
# it is the same text, and prepares it. SNUG=path names the program (build/snug); without it only the text is fetched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/shakespeare_char}
snug=${SNUG:-$here/../build/snug}
url=https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
sum=86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed
text=$dir/input.txt

same() { printf '%s  %s\n' "$sum" "$1" | sha256sum -c - >/dev/null 2>&1; }

mkdir -p "$dir"
if [ ! -f "$text" ] || ! same "$text"; then
    trap 'rm -f "$text.part"' EXIT
    if command -v curl >/dev/null; then
        curl -fsSL -o "$text.part" "$url" || { echo "$url cannot be fetched; put the text at $text" >&2; exit 1; }
    elif command -v wget >/dev/null; then
        wget -q -O "$text.part" "$url" || { echo "$url cannot be fetched; put the text at $text" >&2; exit 1; }
    else
        echo "curl or wget is needed; or put the text at $text" >&2
        exit 1
    fi
    same "$text.part" || { echo "$url is not the text that was expected (SHA-256 $sum)" >&2; exit 1; }
    mv "$text.part" "$text"
fi
echo "$text: SHA-256 as expected"
if [ -x "$snug" ]; then
    "$snug" prepare "$text" --out="$dir"
else
    echo "now type: snug prepare $text --out=$dir"
fi
