/* help_text.c: what there is to say about each command. */
#include "config/help_text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const help_group help_groups[] = {
    {"MODEL", "The model"}, {"DATA", "The data"}, {"TRAIN", "Training"},    {"MEMORY", "Memory and device"},
    {"FILES", "Files"},     {"SAMPLE", "sample"}, {"CHECK", "equivalence"}, {"OUTPUT", "Output"},
};
const int help_n_groups = sizeof help_groups / sizeof *help_groups;

static const help_text TEXTS[] = {
    {"plan",
     "Works out what a run needs and prints it before anything is allocated: the bytes by what they are for, against "
     "the cap; the micro-batch and the recompute policy that fit it (how they are chosen: snug help micro_batch_size), "
     "with what they cost; and the command line to type. "
     "Needs no device. Exit status 1 when nothing fits that keeps the effective batch. With --for=nanogpt it says the "
     "same "
     "of nanoGPT (PyTorch on a CUDA card of vram_cap bytes): what the config as it stands allocates and reserves, by "
     "what it is for, and which batch_size x gradient_accumulation_steps fits; nothing of snug's is planned then.",
     "snug plan config/train_gpt2.py --vram_cap=10.5GiB --svg=map.svg"},
    {"prepare",
     "Turns text files, and the text files in folders, into train.bin, val.bin (nanoGPT's format) and tokenizer.json.",
     "snug prepare notes.txt --out=data/notes"},
    {"train",
     "Trains. The effective batch, batch_size x gradient_accumulation_steps, is kept; how it is split, and what is "
     "computed again, is chosen to fit under vram_cap. Writes OUT_DIR/log.jsonl, checkpoints in Hugging Face's GPT-2 "
     "layout and report.html. Ctrl-C finishes the step and saves; --init_from=resume goes on, also under another cap.",
     "snug train config/train_gpt2.py --vram_cap=10.5GiB"},
    {"sample",
     "Writes text with a checkpoint: DIR, or the newest in out_dir. Keys and values of all positions are kept, inside "
     "vram_cap, so that a token costs one position; a text that outgrows block_size goes on from its last block_size "
     "tokens, all computed again for each token. As many texts as fit, up to 32, are written side by side, which "
     "changes none of them: the first appears as it comes, the others when they are complete.",
     "snug sample --out_dir=out --start='Once upon a time' --num_samples=2"},
    {"eval", "The train and val loss of a checkpoint: DIR, or the newest in out_dir.",
     "snug eval out --dataset=data/notes"},
    {"grads",
     "One gradient of the checkpoint DIR on a batch that you give (safetensors with x and y, int32 [N,T]; a target of "
     "-1 is ignored), under the names and shapes of the weights. Prints the loss with 17 digits.",
     "snug grads out/latest --batch=batch.safetensors --out=grads.safetensors"},
    {"logits",
     "The logits [N,T,V] of the checkpoint DIR on a batch (safetensors with x, int32 [N,T]), into the tensor `logits` "
     "of a safetensors file: for comparing with other programs.",
     "snug logits out/latest --batch=batch.safetensors --out=logits.safetensors"},
    {"equivalence",
     "Runs the same steps at several splits of the effective batch and compares: the peak in bytes, the time of a "
     "step, and the hash of the weights, which has to be the same for all. Then shows how adding up gradients goes "
     "wrong, and what a smaller batch costs in noise. Without a config it takes a small model and text of its own. "
     "With --out_dir it writes OUT_DIR/equivalence.json, which `snug report` draws.",
     "snug equivalence config/train_gpt2.py --out_dir=out-equivalence"},
    {"gradcheck",
     "Compares the backward pass with four-point central differences of the loss in float64, tensor by tensor, on a "
     "small model; with an OpenCL device also its float32 gradients with the CPU's float64 ones.",
     "snug gradcheck"},
    {"report",
     "Writes report.html into DIR or out_dir from what lies there (log.jsonl, the newest checkpoint, "
     "equivalence.json): one page with curves, memory map, settings and samples that needs no network and no server. "
     "`snug train` writes it too.",
     "snug report out"},
    {"devices",
     "Lists the OpenCL devices with what matters for snug, and says which one device=auto takes. With --check also "
     "proves a device in some seconds: gradients against float64, the cap to the byte, the same weights for every "
     "split.",
     "snug devices --check"},
    {"tune",
     "Tries which of CLBlast's parameters make its matrix products fast on this OpenCL device, at the shapes of the "
     "settings given, which are train's. Checks each set that is faster against OpenBLAS before it counts. Then times "
     "the best and what is used without tuning by turns: if it is 2 % faster, it is kept under XDG_CACHE_HOME/snug "
     "for every later run on this device and driver, else nothing is. A run that was begun with other parameters "
     "goes on with those.",
     "snug tune config/train_gpt2.py --device=opencl --tune_minutes=10"},
    {"bench",
     "Times a training step op by op on random tokens, with operations and bytes from the graph, beside the rate of "
     "this machine's own matrix product in the same run. Of a step that takes long only a part is timed, and a line "
     "says so. Needs no data.",
     "snug bench config/train_gpt2.py --batch_size=1 --gradient_accumulation_steps=1"},
    {"version", "The program's version, and the build: commit, compiler and a hash of its flags.", "snug version"},
    {"help", "With a command or an option: what there is to know about it. `snug help man` writes the man page.",
     "snug help recompute"},
};

const help_text *help_text_of(const char *command) {
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        if (!strcmp(TEXTS[i].command, command)) return &TEXTS[i];
    return NULL;
}

/* ---- options ---- */

const char *help_of_option(option_id id) {
    switch ((int)id) {
    case OPTION_micro_batch_size:
        return "How many sequences are on the device at once. Memory grows with it; the step, batch_size x "
               "gradient_accumulation_steps, and the bits stay the same. 0: of all settings within 5 % of the fastest "
               "that fits, the largest with the least recomputation that leaves a fifth of vram_cap free (on the CPU "
               "without a cap, half of the memory), since few sequences use a device badly; else the least memory. "
               "Then the last layers keep everything (block:7) where that fits and saves 1 %.";
    case OPTION_recompute:
        return "What the backward pass needs and is not kept is computed twice: less memory, more time, the same "
               "bits. none keeps all; gelu drops GELU's outputs, norm layer norms too (next to no time), attention "
               "queries, keys, values and attention too (some 8 % more operations), block all but each block's input "
               "(16 %). block:7 does so in the first 7 layers alone; so with gelu, norm and attention. auto takes "
               "what goes with the largest micro-batch, in as few layers as fit: see micro_batch_size.";
    default: return NULL;
    }
}

bool help_reads_any(const char *command) {
    for (option_id id = 0; id < OPTION_COUNT; id++)
        if (option_read_by(&option_table[id], command)) return true;
    return false;
}

char *help_limits(const option_info *o, char *text, size_t size) {
    *text = 0;
    if (o->type == OPTION_INT && o->high < 1000000000)
        snprintf(text, size, " (%" PRId64 "..%" PRId64 ")", o->low, o->high);
    else if (o->type == OPTION_INT)
        snprintf(text, size, " (%" PRId64 "..)", o->low);
    else if (o->type == OPTION_TEXT && o->words)
        snprintf(text, size, " (%s)", o->words);
    return text;
}
