#!/bin/sh
# docs.sh: what README and docs say still holds: the man page is the option table's, links lead somewhere, the commands of
# ```console blocks print what stands below them ("..." stands for any lines), pictures are those that the program draws,
# and a number with a unit comes from such a command or has a date and a machine. The program is $SNUG.
set -eu
cd "$(dirname "$0")/.."
snug=${SNUG:-build/snug}
case $snug in /*) ;; *) snug=$PWD/$snug ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/cache" LC_ALL=C.UTF-8 # no measured device; bars in blocks
failed=0
pages="README.md docs/*.md data/README.md"

fail() {
    echo "docs: $*" >&2
    failed=1
}

# ---- help and the man page ----

check_help() {
    "$snug" help man >"$work/snug.1"
    cmp -s "$work/snug.1" docs/snug.1 || fail "docs/snug.1 is not what the program says: type  make man"
    commands=$("$snug" help | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p')
    [ "$(echo "$commands" | wc -w)" -ge 10 ] || fail "'snug help' lists too few commands: $commands"
    for c in $commands; do
        "$snug" help "$c" >"$work/help"
        grep -q "^  snug $c" "$work/help" || fail "'snug help $c' gives no example"
        "$snug" "$c" --help | cmp -s - "$work/help" || fail "'snug $c --help' is not 'snug help $c'"
        ! grep -q '.\{101\}' "$work/help" || fail "'snug help $c': a line is longer than 100 columns"
    done
    for o in recompute micro_batch_size; do # the two that are asked most: five lines each
        n=$("$snug" help $o | awk 'NF == 0 { inside = 1; next } /^  read by/ { exit } inside { n++ } END { print n + 0 }')
        [ "$n" -ge 3 ] && [ "$n" -le 5 ] || fail "'snug help $o' says it in $n lines, not in 3 to 5"
    done
    if "$snug" help no_such_thing 2>/dev/null; then fail "help on nothing succeeds"; fi
    # Bits depend on the build, so that what a run records must say which one it was.
    ! "$snug" version | grep -q unknown || fail "'snug version' does not know its build: $("$snug" version)"
}

# ---- links ----

# Each [text](target) and ![text](target) as "target", outside of ``` blocks.
links_of() {
    awk '/^```/ { inside = !inside } !inside { print }' "$1" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//'
}

check_links() {
    for page in $pages; do
        links_of "$page" >"$work/links" || true
        while read -r link; do
            case $link in http*://*) continue ;; esac
            file=${link%%#*}
            [ -z "$file" ] || [ -e "$(dirname "$page")/$file" ] || fail "$page: the link $link leads nowhere"
        done <"$work/links"
    done
    # whatever the pages call by path exists: `docs/...`, `tests/...`, `data/...`
    # shellcheck disable=SC2086
    grep -oh '\(docs\|tests\|data\|common\|cpu\|opencl\)/[a-zA-Z0-9_/-]*\.\(md\|sh\|py\|svg\|png\|h\|c\|1\)\b' $pages |
        sort -u >"$work/paths"
    while read -r path; do [ -e "$path" ] || fail "$path is named, but is not there"; done <"$work/paths"
}

# ---- commands and what they print ----

# $1 is to match $2 line by line.
matches() {
    awk -v expected="$1" 'BEGIN { while ((getline line < expected) > 0) want[++n] = line; at = 1 }
        { while (want[at] == "..." && at < n && want[at + 1] == "...") at++ }
        at <= n && want[at] == "..." { if (at < n && $0 == want[at + 1]) at += 2; next }
        at > n || $0 != want[at] { bad = 1; exit }
        { at++ }
        END { if (at <= n && want[at] == "...") at++; exit bad || at <= n }' "$2"
}

# Writes the commands of a page to $work/N.command and what should come to $work/N.expected.
blocks_of() {
    awk -v to="$work/" '/^```console/ { inside = 1; next } /^```/ { inside = 0 }
        inside && /^\$ / { n++; print substr($0, 3) > (to n ".command"); printf "" > (to n ".expected"); next }
        inside && n { print > (to n ".expected") }
        END { print n + 0 }' "$1"
}

check_commands() {
    ran=0
    for page in $pages; do
        n=$(blocks_of "$page")
        while [ "$n" -gt 0 ]; do
            sed "s:build/snug:$snug:g" "$work/$n.command" >"$work/run"
            if grep -q '^python3 ' "$work/run" && ! command -v python3 >/dev/null; then
                echo "docs: no python3 here, skipped: $(cat "$work/run")"
                rm -f "$work/$n.command" "$work/$n.expected"
                n=$((n - 1))
                continue
            fi
            sh "$work/run" 2>"$work/errors" </dev/null | sed "s:$snug:build/snug:g" >"$work/got" || true
            if ! matches "$work/$n.expected" "$work/got"; then
                fail "$page: not what this prints now: $(cat "$work/$n.command")"
                diff "$work/$n.expected" "$work/got" | head -n 12 >&2 || true
            fi
            rm -f "$work/$n.command" "$work/$n.expected"
            n=$((n - 1)) ran=$((ran + 1))
        done
    done
    [ "$ran" -ge 8 ] || fail "only $ran commands found to run"
}

check_maps() {
    for p in none block; do
        "$snug" plan data/configs/train_gpt2_124m.py --micro_batch_size=16 --recompute=$p --vram_cap=12GiB \
            --svg="$work/map.svg" >"$work/got"
        cmp -s "$work/map.svg" docs/map-$p.svg || fail "docs/map-$p.svg is not what the program draws now"
    done
}

# ---- numbers ----

# README's own tables of speed say what docs/performance.md says.
check_speed() {
    awk '/^## How fast/ { inside = 1; next } /^## / { inside = 0 } inside && /^\|/ { print }' README.md |
        grep -o '[0-9][0-9.]* \(ms\|%\)' >"$work/speeds" || true
    [ "$(wc -l <"$work/speeds")" -ge 2 ] || fail "README.md: no speed is stated"
    while read -r number unit; do
        grep -q "^|.* $number\( $unit\)\? " docs/performance.md ||
            fail "README.md: $number $unit stands in no table of docs/performance.md"
    done <"$work/speeds"
}

# A number with a unit is what a command prints that was run above, or it stands below a date and a machine; see
# doc_numbers.awk. The test's own test: a page with one of each.
check_numbers() {
    # shellcheck disable=SC2086
    awk '/^```console/ { inside = 1; next } /^```/ { inside = 0 } inside { print }' $pages >"$work/sources"
    for page in $pages; do
        awk -v sources="$work/sources" -v constants=tests/doc_constants.txt -f tests/doc_numbers.awk "$page" >"$work/numbers"
        while read -r line number unit; do
            fail "$page:$line: $number $unit: no command prints it, and no date and machine stand above it"
        done <"$work/numbers"
    done
    printf '%s\n' '# a' 'It takes 7 GiB, 8.25 ms and 3 GiB of `9 GiB`.' '| | MiB |' '|---|---|' '| x | 77.5 |' '## b' \
        'On an H100, 2026-11-26: 12 ms.' '### c' '13 ms.' '## d' '14 ms.' >"$work/page"
    echo '3 8.25' >"$work/sources"
    got=$(awk -v sources="$work/sources" -v constants=/dev/null -f tests/doc_numbers.awk "$work/page" | tr '\n' ';')
    [ "$got" = "2 7 GiB;5 77.5 MiB;11 14 ms;" ] || fail "doc_numbers.awk finds other numbers than it should: $got"
}

check_help
check_links
if "$snug" version | grep -q . && "$snug" plan data/configs/train_gpt2_124m.py --vram_cap=10GiB 2>/dev/null |
    grep -q 'an OpenCL GPU'; then
    check_commands
    check_maps
else
    echo "docs: a build without OpenCL plans for the CPU: printed plans are not compared"
fi
check_numbers
check_speed
[ "$failed" = 0 ] || exit 1
echo "docs: all of it holds"
