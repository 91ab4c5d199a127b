#!/bin/sh
# planted_errors.sh: do the tests notice? Plants each error of planted_errors.txt into a copy of the sources in
# build/planted, builds what it touches, and demands that every suite named beside it fails; the same suites must pass
# without it. First it sees, for all of them, that the text stands once in its file and that the suites have such test
# cases: code moves.
# usage: sh tests/planted_errors.sh [check | quick | FROM-TO,... | WORDS]
#     check: nothing but that, which takes a second and needs no build; quick: those with a *, each in its first suite;
#     FROM-TO,...: those of these numbers; WORDS: those with these words in the name
set -u
cd "$(dirname "$0")/.." || exit 1
table=$PWD/tests/planted_errors.txt
tree=$PWD/build/planted/tree good=$PWD/build/planted/good
choice=${1:-}
opencl=${OPENCL:-1}
export CK_FORK=yes CK_VERBOSITY=normal OMP_NUM_THREADS=1
# Whether this processor gets cpu/gemm_short.c's own kernel: the condition that stands there.
case $(${CC:-cc} -march=native -dM -E - 2>/dev/null </dev/null) in
*__AVX2__*) short=true ;;
*) short=false ;;
esac
say() { printf 'planted: %s\n' "$*"; }
make_program() { ${MAKE:-make} -s -C "$tree" DEPS=0 SANITIZE=0 BUILD=build all; }
make_tests() { ${MAKE:-make} -s -C "$tree" DEPS=0 SANITIZE=0 BUILD=build tests; }

# How often each text stands in its file, and whether each SUITE/CASE and script/NAME is there.
check() {
    awk '
    function complain(what) { print "planted: " name ": " what; wrong++ }
    function times(text, file,    line, n, i) {
        while ((getline line <file) > 0)
            while ((i = index(line, text)) > 0) { n++; line = substr(line, i + length(text)) }
        close(file)
        return n + 0
    }
    function has_case(suite, test,    file, line, found) {
        if (suite == "script") return (getline line <("tests/" test ".sh")) > 0
        file = home[suite]
        while (file != "" && (getline line <file) > 0) if (index(line, "tcase_create(\"" test "\")")) found = 1
        if (file != "") close(file)
        return found
    }
    FILENAME ~ /[.]c$/ { if (/^Suite [*][a-z0-9_]*_suite\(void\)/) { split($2, part, "_suite"); home[substr(part[1], 2)] = FILENAME } next }
    /^  in / { file = substr($0, 6) }
    /^  - / {
        texts++
        n = times(substr($0, 5), file)
        if (n != 1) complain("its text stands " n " times in " file ", and has to stand there once")
    }
    /^  [+]/ { lines++ }
    /^  fails / {
        if (texts != 1 || lines != 1) complain("it has " texts + 0 " texts and " lines + 0 " that take their place: one each")
        texts = lines = 0
        for (i = 2; i <= NF; i++) {
            split($i, part, "/")
            if (!has_case(part[1], part[2])) complain("there is no " $i)
        }
        count++
    }
    /^[^ #]/ { name = $0 }
    END { print "planted: " count " errors, " wrong + 0 " that do not fit"; exit wrong + 0 != 0 || !count }' tests/test_*.c "$table"
}
check || exit 1
[ "$choice" != check ] || exit 0

# The copy, with this build's objects, so that each error costs the objects that it touches.
[ -x build/tests ] || { say "build/tests is missing: type  make tests" >&2; exit 1; }
rm -rf build/planted
mkdir -p "$tree/build"
tar cf - --exclude='./build*' --exclude=./.git . | tar xf - -C "$tree" || exit 1
cp -a build/obj "$tree/build/"
cp -a build/flags build/build_id build/suites.h "$tree/build/"
if [ -e build/kernels.c ]; then cp -a build/kernels.c "$tree/build/"; fi
make_tests >"$tree/log" 2>&1 || { cat "$tree/log" >&2; say "the copy does not build" >&2; exit 1; }
cp -a "$tree" "$good"

# passes SUITE/CASE: as `make test` runs it, which for OpenCL is under a preloaded library; script/NAME is
# tests/NAME.sh, which runs the program.
passes() {
    under=
    case $1 in
    opencl_close/*) under="env LD_PRELOAD=$tree/build/preload_count_handles.so" ;; # it does nothing without
    opencl*) under="sh tests/strict.sh" ;;
    script/*)
        (make_program && cd "$tree" && SNUG=build/snug BUILD=build timeout 300 sh "tests/${1#*/}.sh") >"$tree/log" 2>&1
        return ;;
    esac
    (cd "$tree" && CK_RUN_CASE=${1#*/} timeout 300 $under build/tests "${1%/*}" >log 2>&1)
}
# is_sound SUITE/CASE: remembers what passed without any error
sound=
is_sound() {
    case " $sound " in *" $1 "*) return 0 ;; esac
    passes "$1" || return 1
    case $1 in script/*) ;; *) grep -q 'Checks: [1-9]' "$tree/log" || return 1 ;; esac
    sound="$sound $1"
}

# replace FILE OLD NEW: fails unless OLD stands there exactly once
replace() {
    OLD=$2 NEW=$3 awk 'BEGIN { from = ENVIRON["OLD"]; to = ENVIRON["NEW"] }
        { i = index($0, from); if (i) { n++; $0 = substr($0, 1, i - 1) to substr($0, i + length(from)) } print }
        END { exit n != 1 }' "$1" >"$1.planted" || { rm -f "$1.planted"; return 1; }
    cat "$1.planted" >"$1"
    rm "$1.planted"
}

# Puts back the sources and the objects that the last error touched.
restore() {
    cp -p "$good/$file" "$tree/$file"
    (cd "$tree" && find build -newer stamp -type f | while read -r f; do
        if [ -e "$good/$f" ]; then cp -p "$good/$f" "$f"; else rm -f "$f"; fi
    done)
}

# among NUMBER: is it in one of the ranges that were chosen?
among() {
    printf '%s\n' "$choice" | tr , '\n' | awk -F- -v n="$1" 'n >= $1 + 0 && n <= $2 + 0 { found = 1 } END { exit !found }'
}
number=0 planted=0 missed=0
miss() {
    missed=$((missed + 1))
    say "$number: $1: $name" >&2
}
plant() { # the suites that must fail
    planted=$((planted + 1))
    touch "$tree/stamp"
    replace "$tree/$file" "$old" "$new" || { miss "no longer fits $file"; return; }
    if ! make_tests >"$tree/log" 2>&1; then
        cat "$tree/log" >&2
        miss "does not compile"
        restore
        return
    fi
    for suite in "$@"; do
        if passes "$suite"; then miss "went by in $suite"; fi
    done
    restore
    say "$number: $name: $*"
}

start=$(date +%s)
name= file= old= new=
while IFS= read -r line; do
    case $line in
    '' | '#'*) ;;
    '  in '*) file=${line#  in } ;;
    '  - '*) old=${line#  - } ;;
    '  +'*) new=${line#  +} new=${new# } ;;
    '  fails '*)
        number=$((number + 1))
        case $choice in
        '') ;;
        [0-9]*-[0-9]*) among "$number" || continue ;;
        quick) case $name in '* '*) ;; *) continue ;; esac ;;
        *) case $name in *"$choice"*) ;; *) continue ;; esac ;;
        esac
        case $file in cpu/gemm_short.c) $short || { say "OpenBLAS does these products here, skipped: $name"; continue; } ;; esac
        case $file in opencl/* | tests/*strict* | tests/*late*) if [ "$opencl" = 0 ]; then say "no OpenCL here, skipped: $name"; continue; fi ;; esac
        name=${name#\* }
        # shellcheck disable=SC2086
        set -- ${line#  fails }
        if [ "$choice" = quick ]; then set -- "$1"; fi
        for suite in "$@"; do
            is_sound "$suite" || { cat "$tree/log"; say "$suite fails without any error" >&2; exit 1; }
        done
        plant "$@"
        ;;
    *) name=$line ;;
    esac
done <"$table"
[ $planted -gt 0 ] || { say "nothing is called '$choice'" >&2; exit 1; }
say "$planted errors in $(($(date +%s) - start)) s, $missed not noticed"
[ $missed = 0 ]
