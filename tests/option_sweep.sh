#!/bin/sh
# option_sweep.sh: every option of every command is done, refused, or named in a note (P7). Goes through the option table as
# `snug help` prints it: for each command it runs a toy once as it is, and once more with each option at another value. What
# the command does must then differ (not only the settings that it repeats), or stderr must say why not. The program is $SNUG.
# bench is first asked under a cap in which nothing fits, since a whole run takes seconds. A tune takes minutes and needs
# a device, so of it only the options that it does not read are tried.
# usage: sh tests/option_sweep.sh [TOY ...]
set -u
cd "$(dirname "$0")/.." || exit 1
snug=${SNUG:-build/snug}
case $snug in /*) ;; *) snug=$PWD/$snug ;; esac
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
awk -v bytes=6000 -f tests/support_text.awk >"$work/text.txt" || exit 1
cd "$work" || exit 1
export LC_ALL=C OMP_NUM_THREADS=1 XDG_CACHE_HOME="$work/cache" OCL_ICD_VENDORS="$work/none"
failed=0 pairs=0

# ---- the toy --------------------------------------------------------------------------------------------------------

shape="--n_layer=1 --n_head=2 --n_embd=8 --block_size=8"
step="--dataset=data --batch_size=2 --gradient_accumulation_steps=2 --device=cpu"
steps="$step --max_iters=6 --eval_interval=2 --eval_iters=1 --warmup_iters=1 --lr_decay_iters=4 --learning_rate=3"
{
    "$snug" prepare text.txt --out=data && "$snug" prepare text.txt --out=data2 --tokenizer=bpe:300 &&
        "$snug" train $shape $steps --out_dir=run && "$snug" train $shape $steps --out_dir=run2 --n_embd=16 &&
        cp -r run/latest/. model && rm model/state.json model/optimizer.safetensors
} >log 2>&1 || { echo "option_sweep: the toy does not run" >&2; cat log >&2; exit 1; }
# Two sequences of two tokens, and two others: safetensors with x and y.
batch() { # FIRST TOKEN, OUT
    header='{"x":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]},"y":{"dtype":"I32","shape":[2,2],"data_offsets":[16,32]}}'
    { printf "\\$(printf %03o ${#header})\0\0\0\0\0\0\0%s" "$header"; printf "\\$1\0\0\0"; head -c 28 /dev/zero; } >"$2"
}
batch 1 batch.st
batch 2 batch2.st

# The arguments of each command's toy. *_from and *_on: with weights of a folder, and going on with a run.
toy() {
    case $1 in
    plan) echo "plan $shape $step" ;;
    plan_from) echo "plan --init_from=model $step" ;;
    train) echo "train $shape $steps --out_dir=out" ;;
    train_from) echo "train --init_from=model $steps --out_dir=out" ;;
    train_on) echo "train $shape $steps --init_from=resume --out_dir=out --max_iters=12 --lr_decay_iters=8" ;;
    train_taken) echo "train $shape $steps --out_dir=run" ;; # which holds a run: only for `overwrite`
    equivalence) echo "equivalence $shape $steps" ;;
    sample) echo "sample --out_dir=run --device=cpu --num_samples=1 --max_new_tokens=30" ;;
    eval) echo "eval --out_dir=run $step --eval_iters=1" ;;
    grads) echo "grads model --batch=batch.st --device=cpu" ;;
    logits) echo "logits model --batch=batch.st --out=out.st --device=cpu" ;;
    prepare) echo "prepare text.txt --out=prepared" ;;
    report) echo "report --out_dir=run" ;;
    devices) echo "devices" ;;
    bench) echo "bench $shape $step" ;;
    bench_on) echo "bench --init_from=resume --out_dir=run $step" ;; # only for `out_dir`
    tune) echo "tune --device=cpu" ;; # which is refused
    gradcheck) echo "gradcheck --n_layer=1 --n_head=2 --n_embd=4 --block_size=4 --batch_size=2 --device=cpu" ;;
    esac
}

# Another value than the toy's, for each option; a new one needs a row here.
other() {
    case $1 in
    n_layer) echo 2 ;; n_head) echo 1 ;; n_embd) echo 16 ;; block_size) echo 1 ;; vocab_size) echo 80 ;;
    bias | eval_only | overwrite | check | json | graph) echo True ;;
    activation) echo gelu_tanh ;; dropout) echo 0.3 ;; dataset) echo data2 ;; data_order) echo sequential ;;
    ignore_token) echo 3 ;; batch_size | gradient_accumulation_steps | micro_batch_size) echo 1 ;;
    max_iters) echo 3 ;; learning_rate) echo 1e-2 ;; decay_lr | always_save_checkpoint | batch_invariant) echo False ;;
    warmup_iters) echo 3 ;; lr_decay_iters) echo 2 ;; min_lr) echo 5e-4 ;; weight_decay) echo 5 ;;
    beta1 | beta2) echo 0.5 ;; grad_clip) echo 0.01 ;; eval_interval) echo 1 ;; eval_iters) echo 2 ;;
    log_interval) echo 2 ;; seed) echo 7 ;; out_dir) echo run2 ;; init_from) echo model ;; keep_checkpoints) echo 1 ;;
    save_minutes) echo 1e-9 ;; device) echo nosuch ;; dtype) echo float64 ;; vram_cap) echo 1kB ;; recompute) echo block ;;
    matmul_precision) echo high ;; tune_minutes) echo 1 ;; start) echo th ;; num_samples) echo 2 ;;
    max_new_tokens) echo 3 ;; temperature) echo 0 ;; top_k) echo 1 ;; batch) echo batch2.st ;; out) echo other ;;
    tokenizer) echo byte ;; val_fraction) echo 0.5 ;; splits) echo 1 ;; steps) echo 2 ;; svg) echo map.svg ;;
    offload) echo moments ;; gradient_shards) echo 2 ;; for) echo nanogpt ;; save_dtype) echo bfloat16 ;;
    esac
}

# ---- what a run does ------------------------------------------------------------------------------------------------

# Runs the program in a fresh copy of the toy's folder and writes what it did to the file $1: its words without times and
# without the settings that it repeats, the files that are there, and what is in those that hold results.
does() { # FILE ARGUMENTS...
    file=$1
    shift
    rm -rf trial
    mkdir trial
    cp -r data data2 model text.txt batch.st batch2.st run run2 trial
    if [ "${on:-}" ]; then cp -r run trial/out; fi
    (
        cd trial || exit 1
        "$snug" "$@" >"../$file" 2>../errors
        echo "status $?" >>"../$file"
        find . -type f ! -name log.jsonl ! -path './run/.*' | sort >>"../$file"
        # shellcheck disable=SC2038
        find . -newer ../errors.before \( -name '*.safetensors' -o -name '*.st' -o -name '*.bin' -o -name other \) -type f |
            sort | xargs cksum >>"../$file" 2>/dev/null
        sed -e 's/"ms".*//' -e 's/"run_s".*//' out/log.jsonl 2>/dev/null | grep -v '"command"' >>"../$file"
    )
    # times, rates, and settings repeated
    sed -i -e '/^[a-z_0-9]* = /d' -e 's/[0-9.,]* ms.*//' -e 's/ [0-9]*\.[0-9] / /g' -e '/^step of\|^| \|^time \|^limit \|hours\|^build\|seconds/d' "$file"
}

# The command's options, as its help lists them; all options.
options_of() { "$snug" help $1 | sed -n 's/^  --\([a-z_0-9]*\)=.*/\1/p'; }

try_option() { # NAME OF THE TOY, COMMAND, OPTION
    value=$(other "$3")
    case "$(toy "$1") " in *" --$3=$value "*) value=scratch ;; esac
    case $3,$1 in overwrite,train | overwrite,train_from) return ;; esac
    case $1,$3 in train_taken,overwrite | bench_on,out_dir) ;; train_taken,* | bench_on,* | bench,out_dir) return ;; esac
    [ "$value" ] || { echo "option_sweep: no other value of $3 is known: add one" >&2; failed=1; return; }
    pairs=$((pairs + 1))
    # These change no bit of what comes out (P4), but the memory: the least that is asked for under a small cap.
    cap=
    case $command,$3 in
    grads,recompute) cap=--vram_cap=1kB value=none ;;
    sample,micro_batch_size | eval,micro_batch_size | grads,micro_batch_size | logits,micro_batch_size | \
        grads,batch_invariant) cap=--vram_cap=1kB ;;
    sample,dtype | gradcheck,dtype) value=bfloat16 ;;
    gradcheck,bias) value=False ;;
    bench,init_from) value=run2/latest ;;
    bench,vram_cap | bench,json) ;;
    bench,*) cap=--vram_cap=1kB ;;
    esac
    # shellcheck disable=SC2046
    if [ "$cap" ]; then does least $(toy "$1") $cap; mv errors least; fi
    # shellcheck disable=SC2046
    does now $(toy "$1") "--$3=$value" $cap
    if [ "$cap" ]; then
        cmp -s errors least || return 0
    fi
    if [ "$command" = bench ]; then # then the whole run
        cap=
        # shellcheck disable=SC2046
        does now $(toy "$1") "--$3=$value"
    fi
    if grep -q -e "--$3" -e "^note:.*$3" errors; then return; fi
    if [ ! "$cap" ] && ! cmp -s before now; then return; fi
    echo "option_sweep: $2 ($1) reads --$3=$value, which changes nothing and is not named" >&2
    failed=1
}

# An option that the command does not read is named in a note, before anything is done.
try_unread() { # COMMAND OPTION
    pairs=$((pairs + 1))
    "$snug" "$1" "--$2=$(other "$2")" --n_embd=7 --n_head=3 --device=cpu >/dev/null 2>errors </dev/null
    grep -q "^note: $1 does not use.*--$2\b" errors && return
    # A shape is not read, but compared with the checkpoint's.
    case $1 in sample | eval | grads | logits) try_option "$1" "$1" "$2"; return ;; esac
    echo "option_sweep: $1 says nothing of --$2, which it does not read" >&2
    failed=1
}

all=$(options_of "")
toys=${*:-plan plan_from train train_from train_on train_taken equivalence sample eval grads logits prepare report devices
    bench bench_on tune gradcheck}
for toy in $toys; do
    command=${toy%_*} # devices: what it reads concerns --check, which needs a driver
    on=
    [ "$toy" != train_on ] || on=1
    : >errors.before
    # shellcheck disable=SC2046
    does before $(toy "$toy")
    case $toy in
    train_taken | devices | tune) ;; # may fail
    *) grep -q '^status 0' before || { echo "option_sweep: the toy of $toy fails" >&2; cat errors >&2; failed=1; } ;;
    esac
    # shellcheck disable=SC2046
    does now $(toy "$toy")
    cmp -s before now || { echo "option_sweep: $toy does not do the same twice" >&2; diff before now >&2; failed=1; continue; }
    read_options=" $(options_of "$command" | tr '\n' ' ')"
    for option in $all; do
        case $read_options in
        *" $option "*) [ "$toy" = devices ] || [ "$toy" = tune ] || try_option "$toy" "$command" "$option" ;;
        *) [ "$toy" != "$command" ] || try_unread "$command" "$option" ;;
        esac
    done
done
echo "option_sweep: $pairs pairs of a command and an option"
exit $failed
