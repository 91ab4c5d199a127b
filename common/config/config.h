/* config.h: all settings of a run, from config files like nanoGPT's and from --key=value. One table holds the name,
   type, default, limits, readers and help of each; parsing, `help`, the man page and the echo of a run are made from
   it. */
#ifndef SNUG_CONFIG_H
#define SNUG_CONFIG_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { TEXT_MAX = 512 };

/* The commands that read options of the same kind: those that plan or make steps of training, those that make a model
   of the settings' shape, and all that compute. tests/option_sweep.sh tries whether each does read what it should. */
#define BY_TRAINING "plan train equivalence"
#define BY_MODELS BY_TRAINING " tune bench gradcheck"
#define BY_MODELS_BUT_TUNE BY_TRAINING " bench gradcheck" /* what has no product */
#define BY_ALL_STEPS BY_MODELS " sample eval grads logits"

/* clang-format off: one option a line, or two */
/* X(TYPE, name, default, low, high, GROUP, readers, BITS or FREE, help)   TYPE: INT int64_t, REAL double, BOOL bool,
   TEXT char[TEXT_MAX], BYTES uint64_t with a unit ("10.5GiB", "12GB"; 0 alone needs none). low and high bound INT and
   REAL; for TEXT, high is NULL or the allowed words, "a|b|c". readers: the commands that read it, with spaces between.
   BITS: the weights that a run arrives at depend on it, so that a resumed run says when it has changed. The others of
   the model are FREE because they come with the checkpoint, and the batch's two because only their product counts.
   A leading _ is no part of the option's name, which without it would be a word of C. */
#define OPTIONS(X)                                                                                                     \
    X(INT, n_layer, 12, 1, 1024, MODEL, BY_MODELS, FREE, "transformer blocks")                                         \
    X(INT, n_head, 12, 1, 1024, MODEL, BY_MODELS, FREE, "attention heads; must divide n_embd")                         \
    X(INT, n_embd, 768, 1, 65536, MODEL, BY_MODELS, FREE, "channels")                                                  \
    X(INT, block_size, 1024, 1, 1048576, MODEL, BY_MODELS " eval", BITS, "positions (tokens) of a sequence")           \
    X(INT, vocab_size, 0, 0, 16777216, MODEL, BY_MODELS, FREE,                                                         \
      "0: the checkpoint's, the tokenizer's or the data's, else 50304")                                                \
    X(BOOL, bias, false, 0, 0, MODEL, BY_MODELS, FREE, "biases in linear layers and layer norms")                      \
    X(TEXT, activation, "gelu", 0, "gelu|gelu_tanh", MODEL, BY_MODELS_BUT_TUNE, FREE,                                  \
      "exact GELU (erf), or GPT-2's tanh form")                                                                        \
    X(REAL, dropout, 0.0, 0, 0.999, MODEL, BY_MODELS_BUT_TUNE, BITS, "probability, in the three places GPT-2 has it")  \
    X(TEXT, dataset, "openwebtext", 0, NULL, DATA, BY_TRAINING " eval tune bench", BITS,                               \
      "a folder with train.bin and val.bin, or its name under data/")                                                  \
    X(TEXT, data_order, "random", 0, "random|sequential", DATA, BY_TRAINING, BITS,                                     \
      "sequential: sequence i of step s starts at (s*N+i)*T")                                                          \
    X(INT, ignore_token, -1, -1, 4294967295, DATA, BY_TRAINING, BITS, "targets equal to it don't count; -1 = none")    \
    X(INT, batch_size, 12, 1, 1048576, TRAIN, BY_TRAINING " eval tune bench gradcheck", FREE,                          \
      "sequences of a micro-batch: a wish, see micro_batch_size")                                                      \
    X(INT, gradient_accumulation_steps, 40, 1, 1048576, TRAIN, BY_TRAINING " tune bench", FREE,                        \
      "batch_size times this is the effective batch, kept")                                                            \
    X(INT, gradient_shards, 0, 0, 65536, TRAIN, BY_TRAINING, BITS,                                                     \
      "blocks of sequences, summed apart and then added in order; 0: a resumed run's, else one for each process")      \
    X(INT, max_iters, 600000, 0, 1000000000000, TRAIN, "plan train", FREE, "optimizer steps")                          \
    X(REAL, learning_rate, 6e-4, 0, 1e6, TRAIN, BY_TRAINING, BITS, "the highest")                                      \
    X(BOOL, decay_lr, true, 0, 0, TRAIN, BY_TRAINING, BITS, "warm up, then cosine down to min_lr")                     \
    X(INT, warmup_iters, 2000, 0, 1000000000000, TRAIN, BY_TRAINING, BITS, "steps of linear warm-up")                  \
    X(INT, lr_decay_iters, 600000, 0, 1000000000000, TRAIN, BY_TRAINING, BITS, "step at which min_lr is reached")      \
    X(REAL, min_lr, 6e-5, 0, 1e6, TRAIN, BY_TRAINING, BITS, "the lowest after warm-up")                                \
    X(REAL, weight_decay, 0.1, 0, 1e3, TRAIN, BY_TRAINING, BITS, "AdamW's, on tensors of rank 2 only")                 \
    X(REAL, beta1, 0.9, 0, 0.9999999, TRAIN, BY_TRAINING, BITS, "AdamW: decay of the mean")                            \
    X(REAL, beta2, 0.95, 0, 0.9999999, TRAIN, BY_TRAINING, BITS, "AdamW: decay of the variance")                       \
    X(REAL, grad_clip, 1.0, 0, 1e30, TRAIN, BY_TRAINING, BITS, "largest gradient norm; 0 = off")                       \
    X(INT, eval_interval, 2000, 1, 1000000000000, TRAIN, "plan train", FREE, "steps between evaluations")              \
    X(INT, eval_iters, 200, 1, 1000000000, TRAIN, "plan train eval", FREE,                                             \
      "batches of batch_size sequences per evaluation and split")                                                      \
    X(BOOL, eval_only, false, 0, 0, TRAIN, "plan train", FREE, "evaluate once and end")                                \
    X(INT, log_interval, 1, 1, 1000000000000, TRAIN, "plan train", FREE, "steps between log lines")                    \
    X(INT, seed, 1337, 0, 9223372036854775807, TRAIN, BY_TRAINING " gradcheck sample eval", BITS,                      \
      "of everything random")                                                                                          \
    X(TEXT, out_dir, "out", 0, NULL, FILES, BY_TRAINING " tune bench sample eval report", FREE,                        \
      "folder for checkpoints and the log")                                                                            \
    X(TEXT, init_from, "scratch", 0, NULL, FILES, "plan train tune bench", FREE,                                       \
      "scratch, resume, or a folder in Hugging Face GPT-2 layout")                                                     \
    X(BOOL, overwrite, false, 0, 0, FILES, "train", FREE,                                                              \
      "train: delete the run that out_dir holds, when the new one begins")                                             \
    X(BOOL, always_save_checkpoint, true, 0, 0, FILES, "plan train", FREE,                                             \
      "False: at evaluations save only when val loss improved")                                                        \
    X(INT, keep_checkpoints, 2, 1, 1000000, FILES, "plan train", FREE, "newest checkpoints kept, beside the best")     \
    X(TEXT, save_dtype, "full", 0, "full|bfloat16", FILES, "plan train", FREE,                                         \
      "bfloat16: model.safetensors in 16 bits, for serving, beside master.safetensors, from which a run goes on")      \
    X(REAL, save_minutes, 15, 0, 1e9, FILES, "plan train", FREE,                                                       \
      "also save after so many minutes; 0 = only at evaluations")                                                      \
    X(TEXT, device, "auto", 0, NULL, MEMORY, BY_ALL_STEPS " devices", FREE,                                            \
      "auto, cpu, opencl, opencl:N or a part of the device's name; %r: the process' number (docs/scale.md)")           \
    X(TEXT, dtype, "float32", 0, "float32|float64|bfloat16|float16", MEMORY, BY_ALL_STEPS, BITS,                       \
      "bfloat16: activations in 16 bits, and so less memory; float16 trains as bfloat16; float64: CPU only")           \
    X(BYTES, vram_cap, 0, 0, 0, MEMORY, BY_ALL_STEPS, FREE,                                                            \
      "hard cap with a unit (10.5GiB, 12GB); 0 = the device's memory less a reserve")                                  \
    X(INT, micro_batch_size, 0, 0, 1048576, MEMORY, "plan train tune bench gradcheck sample eval grads logits", FREE,  \
      "sequences computed at once; 0 = chosen to fit and to be fast")                                                  \
    X(TEXT, recompute, "auto", 0, "auto|none|gelu[:N]|norm[:N]|attention[:N]|block[:N]", MEMORY, BY_MODELS " grads",   \
      FREE,                                                                                                            \
      "what the backward pass computes again instead of keeping (also called gradient or activation checkpointing)")   \
    X(TEXT, offload, "auto", 0, "auto|none|moments|optimizer", MEMORY, BY_MODELS, FREE,                                \
      "what lies in the host's memory, at the cost of transfers; auto: nothing, unless nothing fits otherwise")        \
    X(BOOL, batch_invariant, true, 0, 0, MEMORY, BY_MODELS " grads", BITS, "same bits for every micro-batch size")     \
    X(TEXT, matmul_precision, "highest", 0, "highest|high|medium", MEMORY, BY_ALL_STEPS, BITS,                         \
      "highest: float32; high: inputs rounded to tf32, medium: to bf16, by NVIDIA's matrix units")                     \
    X(REAL, tune_minutes, 5, 0.01, 10000, MEMORY, "tune", FREE,                                                        \
      "tune: about how long to search; 0.5 finds most, more finds more")                                               \
    X(TEXT, start, "\n", 0, NULL, SAMPLE, "sample", FREE, "text to continue, or FILE:path")                            \
    X(INT, num_samples, 10, 1, 1000000, SAMPLE, "sample", FREE, "texts to write")                                      \
    X(INT, max_new_tokens, 500, 1, 1000000000, SAMPLE, "sample", FREE, "length of each")                               \
    X(REAL, temperature, 0.8, 0, 1000, SAMPLE, "sample", FREE, "0 = always the likeliest")                             \
    X(INT, top_k, 200, 0, 16777216, SAMPLE, "sample", FREE, "choose among the likeliest k; 0 = all")                   \
    X(TEXT, batch, "", 0, NULL, FILES, "grads logits", FREE, "grads, logits: safetensors file with x and y")           \
    X(TEXT, out, "", 0, NULL, FILES, "grads logits prepare", FREE, "grads, logits, prepare: where to write")           \
    X(TEXT, tokenizer, "char", 0, NULL, DATA, "prepare sample", FREE,                                                  \
      "prepare: char, byte, bpe:SIZE, or a folder with one; sample: such a folder, for a checkpoint without one")      \
    X(REAL, val_fraction, 0.1, 0, 0.9, DATA, "prepare", FREE, "prepare: share of the text that becomes val.bin")       \
    X(BOOL, check, false, 0, 0, CHECK, "devices", FREE,                                                                \
      "devices: prove gradients, cap and splits on the device, for a report")                                          \
    X(TEXT, splits, "", 0, NULL, CHECK, "equivalence", FREE,                                                           \
      "equivalence: micro-batch sizes, like 1,3,8; or all. Else six at most")                                          \
    X(INT, steps, 3, 1, 1000000, CHECK, "equivalence", FREE,                                                           \
      "equivalence: steps at each split (5 for the built-in model)")                                                   \
    X(BOOL, json, false, 0, 0, OUTPUT, "plan bench", FREE, "plan, bench: machine-readable")                            \
    X(BOOL, graph, false, 0, 0, OUTPUT, "plan", FREE, "plan: dump the graph")                                          \
    X(TEXT, svg, "", 0, NULL, OUTPUT, "plan", FREE, "plan: draw the memory map into this file")                        \
    X(TEXT, _for, "snug", 0, "snug|nanogpt", OUTPUT, "plan", FREE,                                                     \
      "plan: nanogpt: what this config needs in nanoGPT (PyTorch), and which batch_size fits the card")

/* clang-format on */

#define X(type, name, ...) OPTION_##name,
typedef enum { OPTIONS(X) OPTION_COUNT } option_id;
#undef X

#define CONFIG_INT int64_t
#define CONFIG_REAL double
#define CONFIG_BOOL bool
#define CONFIG_BYTES uint64_t
typedef char CONFIG_TEXT[TEXT_MAX];
typedef struct {
#define X(type, name, ...) CONFIG_##type name;
    OPTIONS(X)
#undef X
    char *given[OPTION_COUNT]; /* where it was given last, "train.py:12" or "--n_layer"; NULL: the default */
    char vram_cap_text[32];    /* as it was typed, "2.2GiB"; "": not typed, or too long */
    const char *program;       /* the program as it was typed, "build/snug"; NULL: "snug" */
    char *config_file;         /* NULL: none; its folder is where `dataset` is looked for too */
    char **positional;         /* arguments without --: prepare's paths, grads' folder */
    int n_positional;
    char *notes[16]; /* lines to show once, before the command begins: what was skipped, or taken otherwise than
                        written */
    int n_notes;
    char *ignored[16];   /* the first of the given keys that are skipped, as wandb_log */
    int n_ignored;       /* how many there were, which may be more than 16 */
    const char *command; /* whose arguments these are; NULL: no particular one's */
    struct names *names; /* config_names.h: what names stand for in the files that were read */
    bool asked;          /* a file asked whether there is a GPU */
    /* For `plan --for=nanogpt`, what snug itself has no use for: dtype as it was written, and compile = False. */
    char written_dtype[TEXT_MAX];
    bool compile_is_off;
} config;

/* One row of the option table, for help, the man page and tests. */
typedef enum { OPTION_INT, OPTION_REAL, OPTION_BOOL, OPTION_TEXT, OPTION_BYTES } option_type;
typedef struct {
    const char *name;
    option_type type;
    const char *group, *help;
    const char *readers;  /* commands, with spaces between */
    bool decides_bits;    /* of the weights: the table's BITS */
    const char *words;    /* TEXT: "a|b|c", NULL: any */
    int64_t low, high;    /* INT */
    double least, most;   /* REAL */
    unsigned long offset; /* of the member in config */
} option_info;
extern const option_info option_table[OPTION_COUNT];
/* The option of that name; OPTION_COUNT when there is none. */
option_id config_find(const char *name);
/* May it stand in a config file? Not where its name is a word of Python (`for`). */
bool option_in_files(option_id id);
/* Does the command read this option? The table says so. */
bool option_read_by(const option_info *o, const char *command);
/* What its values are: "a whole number", "True or False". */
const char *option_wanted(const option_info *o);
void config_defaults(config *c);
/* An option's value as a config file would have it ("12", "1e-3", "True", "'text'"); returns text. */
enum { VALUE_TEXT_MAX = 4 * TEXT_MAX + 4 };
char *config_value(const config *c, option_id id, char text[VALUE_TEXT_MAX]);

/* Starts from the defaults and reads a command's arguments in order, "CONFIG.py --key=value PATH ..."; a later value
   wins. An argument that ends in .py is a config file. All others without --, and everything after a lone --, go to
   positional. dtype and device get the values that take effect, and notes say so: bfloat16 for float16; "cuda" (the
   first OpenCL GPU) for cuda:0 and mps; opencl:N for cuda:N. BAD_INPUT: e says in one line in which line of a file
   or in which option the mistake is and what to do, and c owns nothing. */
status config_parse(config *c, int argc, char **argv, error *e);
/* The same for one command, which takes `words` arguments without -- (-1: any number). A word that is one too many is
   refused, as is one that names nothing; e says which file or option is near. Notes tell of settings that the command
   does not read, and of names in files that are no settings and that nothing reads. */
status config_parse_for(config *c, const char *command, int words, int argc, char **argv, error *e);
/* Reads one config file on top of what c holds. config_read_text takes its text instead, which errors call `name` and
   which needs no zero at its end. */
status config_read(config *c, const char *path, error *e);
status config_read_text(config *c, const char *name, const char *text, unsigned long bytes, error *e);
void config_free(config *c);
/* Checks what concerns several options, such as that n_head divides n_embd. Looks at no file. */
status config_check(const config *c, error *e);
/* "12GB" -> bytes, rounded down. */
status config_bytes(const char *text, uint64_t *bytes, error *e);
/* The cap as it was typed, or else the shortest size of those bytes to the byte, "10.5GiB"; returns text. */
char *config_cap_print(const config *c, char *text, unsigned long size);
/* The echo of a run: all options that differ from their defaults, as lines of a config file that gives the same
   values. */
void config_print(const config *c, FILE *f);
/* "10.50 GiB" for a table; returns text. */
char *bytes_print(uint64_t bytes, char *text, unsigned long size);
/* The same in thousands, as cards are sold: "11.27 GB", "1.05 MB"; returns text. */
char *bytes_print_decimal(uint64_t bytes, char *text, unsigned long size);

#endif
