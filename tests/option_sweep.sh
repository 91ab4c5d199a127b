#!/bin/sh
# option_sweep.sh: every option of every command is done, refused, or named in a note (P7). Goes through the option table as
# `snug help` prints it: for each command it runs a toy once as it is, and once more with each option at another value. What
# the command does must then differ (not only the settings that it repeats), or stderr must say why not. The program is $SNUG.
# bench is first asked under a cap in which nothing fits, since a whole run takes seconds; only options that change nothing
# there are tried with whole runs. No OpenCL driver is here: tune
# says what it is going to do and ends there.
# usage: sh tests/option_sweep.sh [TOY ...]
set -u
cd "$(dirname "$0")/.." || exit 1
snug=${SNUG:-build/snug}
case $snug in /*) ;; *) snug=$PWD/$snug ;; esac
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/toy"
awk -v bytes=6000 -f tests/support_text.awk >"$work/toy/text.txt" || exit 1
cd "$work/toy" || exit 1
export LC_ALL=C OMP_NUM_THREADS=1 XDG_CACHE_HOME="$work/cache" OCL_ICD_VENDORS="$work/none"
failed=0 pairs=0

# ---- the toy --------------------------------------------------------------------------------------------------------

shape="--n_layer=1 --n_head=2 --n_embd=8 --block_size=8"
batch="--dataset=data --batch_size=2 --gradient_accumulation_steps=2"
step="$batch --device=cpu"
steps="$step --max_iters=6 --eval_interval=2 --eval_iters=1 --warmup_iters=1 --lr_decay_iters=4 --learning_rate=3"
{
    "$snug" prepare text.txt --out=data && "$snug" prepare text.txt --out=data2 --tokenizer=bpe:300 &&
        "$snug" train $shape $steps --out_dir=run && "$snug" train $shape $steps --out_dir=run2 --n_embd=16 &&
        cp -r run/latest/. model && rm model/state.json model/optimizer.safetensors
} >../log 2>&1 || { echo "option_sweep: the toy does not run" >&2; cat ../log >&2; exit 1; }
# Two sequences of two tokens, and two others: safetensors with x and y.
batch() { # FIRST TOKEN, OUT
    header='{"x":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]},"y":{"dtype":"I32","shape":[2,2],"data_offsets":[16,32]}}'
    { printf "\\$(printf %03o ${#header})\0\0\0\0\0\0\0%s" "$header"; printf "\\$1\0\0\0"; head -c 28 /dev/zero; } >"$2"
}
batch 1 batch.st
batch 2 batch2.st
cd ..
cp -r toy toy_on && cp -r toy/run toy_on/out # where the run that goes on finds its first half

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
    sample) echo "sample --out_dir=run --device=cpu --num_samples=1 --max_new_tokens=300" ;;
    eval) echo "eval --out_dir=run $step --eval_iters=1" ;;
    grads) echo "grads model --batch=batch.st --device=cpu" ;;
    logits) echo "logits model --batch=batch.st --out=out.st --device=cpu" ;;
    prepare) echo "prepare text.txt --out=prepared" ;;
    report) echo "report --out_dir=run" ;;
    devices) echo "devices --device=cpu" ;;
    bench) echo "bench $shape $step --vram_cap=1kB" ;; # which is refused
    bench_whole) echo "bench $shape $step" ;; # what bench refuses to show
    bench_on) echo "bench --init_from=resume --out_dir=run $step --vram_cap=1kB" ;; # only for `out_dir`
    tune) echo "tune --device=opencl $shape $batch" ;; # which ends where the device is opened
    tune_on) echo "tune --device=opencl --init_from=resume --out_dir=run $batch" ;; # only for `out_dir`
    gradcheck) echo "gradcheck --n_layer=1 --n_head=2 --n_embd=4 --block_size=4 --batch_size=2 --device=cpu" ;;
    esac
}

# $value: another value than the toy's, for each option; a new one needs a row here.
other() {
    value=
    case $1 in
    n_layer) value=2 ;; n_head) value=1 ;; n_embd) value=16 ;; block_size) value=1 ;; vocab_size) value=80 ;;
    bias | eval_only | overwrite | check | json | graph) value=True ;;
    activation) value=gelu_tanh ;; dropout) value=0.3 ;; dataset) value=data2 ;; data_order) value=sequential ;;
    ignore_token) value=3 ;; batch_size | gradient_accumulation_steps | micro_batch_size) value=1 ;;
    max_iters) value=3 ;; learning_rate) value=1e-2 ;; decay_lr | always_save_checkpoint | batch_invariant) value=False ;;
    warmup_iters) value=3 ;; lr_decay_iters) value=2 ;; min_lr) value=5e-4 ;; weight_decay) value=5 ;;
    beta1 | beta2) value=0.5 ;; grad_clip) value=0.01 ;; eval_interval) value=1 ;; eval_iters) value=2 ;;
    log_interval) value=2 ;; seed) value=7 ;; out_dir) value=run2 ;; init_from) value=model ;; keep_checkpoints) value=1 ;;
    save_minutes) value=1e-9 ;; device) value=nosuch ;; dtype) value=float64 ;; vram_cap) value=1kB ;; recompute) value=block ;;
    matmul_precision) value=high ;; tune_minutes) value=1 ;; start) value=th ;; num_samples) value=2 ;;
    max_new_tokens) value=3 ;; temperature) value=0 ;; top_k) value=1 ;; batch) value=batch2.st ;; out) value=other ;;
    tokenizer) value=byte ;; val_fraction) value=0.5 ;; splits) value=1 ;; steps) value=2 ;; svg) value=map.svg ;;
    offload) value=moments ;; gradient_shards) value=2 ;; for) value=nanogpt ;; save_dtype) value=bfloat16 ;;
    esac
}

# ---- what a run does ------------------------------------------------------------------------------------------------

# Runs the program in a fresh copy of the toy's folder and writes what it did to the file $1: its words, a refusal among
# them, without times and without the settings that it repeats, the files that are there, and sums of those that hold results. What it said on
# stderr is in `errors`. A pair costs nine processes beside the program's.
does() { # FILE ARGUMENTS...
    file=$1 trials=$((${trials:-0} + 1))
    shift
    cp -r "toy${on:-}" trial$trials
    cd trial$trials || exit 1
    "$snug" "$@" >../said 2>../errors
    echo "status $?" >>../said
    sed -n '/^snug: /p' ../errors >>../said
    log=out/log.jsonl
    [ -e $log ] || log=/dev/null
    find . -type f ! -name log.jsonl ! -path './run/.*' -print \
        \( -name '*.safetensors' -o -name '*.st' -o -name '*.bin' -o -name other \) -exec cksum {} + | sort |
        sed -e '/^[a-z_0-9]* = /d' -e 's/[0-9.,]* ms.*//' -e 's/ [0-9]*\.[0-9] / /g' -e 's/"ms".*//' -e 's/"run_s".*//' \
            -e '/^step of\|^| \|^time \|^limit \|hours\|^build\|seconds\|"command"/d' ../said - $log >"../$file"
    cd ..
}

# The command's options, as its help lists them; all options.
options_of() { "$snug" help $1 | sed -n 's/^  --\([a-z_0-9]*\)=.*/\1/p'; }

try_option() { # NAME OF THE TOY, COMMAND, OPTION
    other "$3"
    case "$(toy "$1") " in *" --$3=$value "*) value=scratch ;; esac
    case $3,$1 in overwrite,train | overwrite,train_from) return ;; esac
    case $1,$3 in
    train_taken,overwrite | bench_on,out_dir | tune_on,out_dir | bench_whole,vram_cap | bench_whole,json) ;;
    train_taken,* | *_on,out_dir | *_whole,*) [ "$1" = train_on ] || return ;;
    bench_on,* | tune_on,* | bench,out_dir | tune,out_dir | bench,vram_cap | bench,json) return ;;
    esac
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
    tune,n_head) value=3 ;; # no product knows of heads, but they have to divide n_embd
    bench,init_from | tune,init_from) value=run2/latest ;;
    esac
    from=before
    # shellcheck disable=SC2046
    if [ "$cap" ]; then from=least; does least $(toy "$1") $cap; fi
    # shellcheck disable=SC2046
    does now $(toy "$1") "--$3=$value" $cap
    if cmp -s $from now && [ "$1" = bench ]; then # then whole runs
        from=whole
        # shellcheck disable=SC2046
        does now $(toy bench_whole) "--$3=$value"
    fi
    cmp -s $from now || return 0
    if grep -q -e "--$3" -e "^note:.*$3" errors; then return; fi
    echo "option_sweep: $2 ($1) reads --$3=$value, which changes nothing and is not named" >&2
    failed=1
}

# Options that the command does not read are named in one note, which has room for eight, before anything is done.
# With three more none begins.
try_unread() { # COMMAND OPTION...
    command=$1 arguments=
    shift
    for option; do other "$option"; arguments="$arguments --$option=$value"; done
    # shellcheck disable=SC2086
    "$snug" "$command" $arguments --n_embd=7 --n_head=3 --device=cpu >said 2>errors </dev/null
    note=" $(sed -n "s/^note: $command does not use//p" errors | tr -d ',') "
    for option; do
        pairs=$((pairs + 1))
        case $note in *" --$option "*) continue ;; esac
        # A shape is not read, but compared with the checkpoint's.
        case $command in sample | eval | grads | logits) try_option "$command" "$command" "$option"; continue ;; esac
        echo "option_sweep: $command says nothing of --$option, which it does not read" >&2
        failed=1
    done
}

all=$(options_of "")
toys=${*:-plan plan_from train train_from train_on train_taken equivalence sample eval grads logits prepare report devices
    bench_whole bench bench_on tune tune_on gradcheck}
for toy in $toys; do
    command=${toy%_*} on=
    [ "$toy" != train_on ] || on=_on
    # shellcheck disable=SC2046
    does before $(toy "$toy")
    case $toy in
    train_taken | bench | bench_on | tune | tune_on) ;; # end in a refusal
    *) grep -q '^status 0' before || { echo "option_sweep: the toy of $toy fails" >&2; cat errors >&2; failed=1; } ;;
    esac
    # shellcheck disable=SC2046
    does now $(toy "$toy")
    [ $toy != bench_whole ] || cp before whole
    cmp -s before now || { echo "option_sweep: $toy does not do the same twice" >&2; diff before now >&2; failed=1; continue; }
    read_options=" $(options_of "$command" | tr '\n' ' ')"
    unread='' n=0
    for option in $all; do
        case $read_options in *" $option "*) try_option "$toy" "$command" "$option"; continue ;; esac
        [ "$toy" = "$command" ] || continue
        unread="$unread $option" n=$((n + 1))
        # shellcheck disable=SC2086
        [ $((n % 5)) != 0 ] || { try_unread "$command" $unread; unread=; }
    done
    # shellcheck disable=SC2086
    [ ! "$unread" ] || try_unread "$command" $unread
done
echo "option_sweep: $pairs pairs of a command and an option"
exit $failed
