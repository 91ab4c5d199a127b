#!/bin/sh
# bad_input.sh: every row of bad_input.txt gets one clear line on stderr and exit status 1, and damages nothing that is
# there. Runs it with $SNUG (build/snug), and once more with build-asan/snug where that has been built.
# usage: sh tests/bad_input.sh [PROGRAM ...]
set -u
cd "$(dirname "$0")/.." || exit 1
top=$PWD
if [ $# = 0 ]; then
    set -- "${SNUG:-build/snug}"
    if [ -x build-asan/snug ]; then set -- "$@" build-asan/snug; fi
fi
mkdir -p build
work=$(mktemp -d "$top/build/bad_input.XXXXXX") || exit 1
chmod 755 "$work"
trap 'chmod -R u+rwx "$work" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
export LC_ALL=C OMP_NUM_THREADS=1 HOME="$work/home" XDG_CACHE_HOME="$work/tmp/cache"
export ASAN_OPTIONS=detect_leaks=1:verify_asan_link_order=0:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1
program=

# ---- what rows are made of ------------------------------------------------------------------------------------------

snug() { "$program" "$@"; }
# Writes tmp/run.py.
config() { printf '%s\n' "$1" >tmp/run.py; }
# A copy of the good model as tmp/m, of the good data as tmp/d, of the good run as tmp/o, with a change made in it.
broken() { copy_of out/latest/. tmp/m "$1"; }
# The same as a plain model folder: without the hashes that a checkpoint is known by.
model() { copy_of out/latest/. tmp/m "rm state.json optimizer.safetensors; $1"; }
tokens() { copy_of data tmp/d "$1"; }
spoilt() { copy_of out tmp/o "$1"; }
copy_of() {
    rm -rf "$2"
    cp -r "$1" "$2"
    (cd "$2" && eval "$3")
}
# number N BYTES: little-endian. safetensors FILE HEADER [BYTES OF DATA]
number() {
    n=$1 left=$2
    while [ "$left" -gt 0 ]; do
        # shellcheck disable=SC2059
        printf "\\$(printf %03o $((n % 256)))"
        n=$((n / 256)) left=$((left - 1))
    done
}
safetensors() {
    { number ${#2} 8; printf %s "$2"; head -c "${3:-0}" /dev/zero; } >"$1"
}
# repeat TEXT TIMES
repeat() { head -c "$2" /dev/zero | sed "s/\\x00/$1/g"; }
# Replaces a text of the same length in a file of bytes.
swap() { sed -i "s/$2/$3/" "$1"; }
# huge FOLDER: its token embeddings become 3.4e38 each, and nothing in the file is infinite.
huge() {
    header=$(od -An -tu8 -N8 "$1/model.safetensors")
    head -c 512 /dev/zero | tr '\0' '\177' | dd of="$1/model.safetensors" bs=1 seek=$((header + 8)) conv=notrunc status=none
}
# The disk is full from the K-th call on that writes below a path with this word in it.
full_disk() { # K WORD COMMAND...
    k=$1 word=$2
    shift 3
    FAULTFS_K=$k FAULTFS_ERRNO=28 FAULTFS_STICKY=1 FAULTFS_PATH=$word LD_PRELOAD=$top/build/preload_faultfs.so \
        "$program" "$@"
}
# As a user whom permissions bind.
powerless() {
    shift
    if [ "$(id -u)" != 0 ]; then snug "$@"; else setpriv --reuid=65534 --regid=65534 --clear-groups "$program" "$@"; fi
}
can_be_powerless() { powerless snug version >/dev/null 2>&1; }

# ---- what is good: nothing of it may change -------------------------------------------------------------------------

make_good() {
    mkdir tmp home
    awk -v bytes=6000 -f "$top/tests/support_text.awk" >text.txt
    cat >tiny.py <<'END'
dataset = 'data'
out_dir = 'out'
device = 'cpu'
n_layer = 1
n_head = 2
n_embd = 8
block_size = 8
batch_size = 2
gradient_accumulation_steps = 1
max_iters = 2
eval_interval = 2
eval_iters = 1
overwrite = True
END
    safetensors batch.safetensors \
        '{"x":{"dtype":"I32","shape":[1,4],"data_offsets":[0,16]},"y":{"dtype":"I32","shape":[1,4],"data_offsets":[16,32]}}' 32
    mkdir folder secret readonly
    echo secret >secret/text.txt
    chmod 555 readonly
    "$program" prepare text.txt --out=data && "$program" train tiny.py && "$program" eval out tiny.py &&
        "$program" grads out/latest --batch=batch.safetensors --device=cpu 
    cp -r data locked && chmod 000 locked/* secret
}
# What is there, in two ways: with the sums of what is in files; and by one process, with the places, sizes and times of
# files, of which no change of a file leaves all as they were. Times change without a change, too, so that the sums decide.
state() { find . -path ./tmp -prune -o -type f -exec cksum {} + -o -type d -print -o -type l -print 2>/dev/null | sort; }
glance() { find . -path ./tmp -prune -o -type f -printf '%i %s %T@ %C@ %p\n' -o -printf '%y %p %l\n' 2>/dev/null; }

# ---- the table ------------------------------------------------------------------------------------------------------

rows=0 failed=0
wrong() {
    failed=$((failed + 1))
    printf 'bad_input: %s\n  %s\n' "$1" "$line" >&2
    sed 's/^/  > /' tmp/err | head -n 8 >&2
}
check_row() { # COMMAND FRAGMENT
    rows=$((rows + 1)) lines=0 told=
    (eval "$1") </dev/null >tmp/out 2>tmp/err
    got=$?
    while IFS= read -r said || [ "$said" ]; do
        case $said in 'note: '*) ;; *) lines=$((lines + 1)) told=$said ;; esac
    done <tmp/err
    if [ $got != 1 ]; then wrong "exit status $got"
    elif [ $lines != 1 ]; then wrong "$lines lines"
    else
        case $told in *"$2"*) ;; *) wrong "does not say: $2" ;; esac
        case $told in 'snug: '*) ;; *) wrong "not one clear line" ;; esac
        if [ ${#told} -lt 16 ] || [ ${#told} -gt 406 ]; then wrong "not one clear line"; fi
    fi
    if [ "${BAD_INPUT_SHOW:-}" ]; then printf '%s\n  %s\n' "$line" "$(cat tmp/err)"; fi
    now=$(glance)
    [ "$now" != "$seen" ] || return
    seen=$now
    state >tmp/now
    if ! cmp -s tmp/good tmp/now; then
        wrong "something else changed:"
        diff tmp/good tmp/now >&2
        state >tmp/good
    fi
}

for program in "$@"; do
    case $program in /*) ;; *) program=$top/$program ;; esac
    # LeakSanitizer crashes now and then over the threads of an OpenCL driver.
    case $program in *asan*) export OCL_ICD_VENDORS="$work/home" ;; esac
    (cd "$work" && chmod -R u+rwx . && find . -mindepth 1 -delete && make_good >log 2>&1) ||
        { echo "bad_input: the good commands failed" >&2; cat "$work/log"; exit 1; }
    cd "$work" || exit 1
    state >tmp/good
    seen=$(glance) before=$rows
    while IFS= read -r line; do
        case $line in
        '' | '#'*) continue ;;
        powerless*) can_be_powerless || { echo "bad_input: no other user may run this, skipped: $line"; continue; } ;;
        esac
        check_row "${line% => *}" "${line##* => }"
    done <"$top/tests/bad_input.txt"
    echo "bad_input: $program: $((rows - before)) rows"
    [ $((rows - before)) -ge 60 ] || { echo "bad_input: that is not the whole table" >&2; exit 1; }
    cd "$top" || exit 1
done
[ $failed = 0 ] || { echo "bad_input: $failed of $rows failed" >&2; exit 1; }
