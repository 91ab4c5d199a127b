#!/bin/sh
# wings.sh: does check_wings.sh notice? The tree passes; a copy of it with one include too many does not, and the message
# names what was planted.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "wings.sh: $*" >&2; exit 1; }

sh tests/check_wings.sh
# plant FILE HEADER WORDS: FILE of a copy includes HEADER as well; the check must fail and say WORDS.
plant() {
    rm -rf "$work/tree"
    mkdir "$work/tree"
    cp -R common cpu opencl "$work/tree"
    [ -e "$work/tree/$1" ] || fail "there is no $1 to plant in"
    echo "#include \"$2\"" >>"$work/tree/$1"
    if sh tests/check_wings.sh "$work/tree" 2>"$work/said"; then fail "$1 may include $2: went by"; fi
    grep -qF -- "$3" "$work/said" || fail "$1 includes $2, but it says: $(cat "$work/said")"
}

plant common/base/files.h config/config.h 'base may not use config'
plant common/graph/plan.c run/model.h 'graph may not use run'
plant common/save/safetensors.c cpu/cpu.h 'save may not use cpu'
plant cpu/backend.c opencl/opencl.h 'cpu may not use opencl'
plant common/text/data.c status.h 'names no wing'
# tokenizer_internal.h includes tokenizer.h
plant common/text/tokenizer.h text/tokenizer_internal.h 'text/tokenizer_internal -> text/tokenizer'
# Through a header and its source, which are one: gpt.h stands on graph.h
plant common/graph/graph.c graph/gpt.h 'graph/graph -> graph/gpt'
mkdir "$work/empty"
if sh tests/check_wings.sh "$work/empty" 2>"$work/said"; then fail "a folder without sources passes"; fi
echo "wings: a fault of each kind is noticed"
