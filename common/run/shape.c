/* shape.c: see shape.h. */
#include "run/shape.h"
#include "base/excerpt.h"
#include "base/nearest.h"
#include "save/checkpoint.h"
#include "save/foreign.h"
#include "save/runs.h"
#include "text/data.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

status shape_new(const config *c, int64_t vocabulary, gpt_shape *s, int *length, error *e) {
    enum { GPT2_VOCABULARY = 50304 }; /* 50257, rounded up as nanoGPT does */
    *s = (gpt_shape){.layers = (int)c->n_layer,
                     .heads = (int)c->n_head,
                     .channels = (int)c->n_embd,
                     .positions = (int)c->block_size,
                     .vocabulary = c->vocab_size ? c->vocab_size
                                   : vocabulary  ? vocabulary
                                                 : GPT2_VOCABULARY,
                     .bias = c->bias,
                     .tanh_gelu = !strcmp(c->activation, "gelu_tanh"),
                     .norm_epsilon = 1e-5};
    *length = s->positions;
    if (s->vocabulary < vocabulary && c->vocab_size)
        return fail(e, BAD_INPUT,
                    "vocab_size %lld is smaller than the data's vocabulary of %lld: raise it, or leave it out",
                    (long long)s->vocabulary, (long long)vocabulary);
    return OK;
}

static status agree(const config *c, option_id id, const char *folder, int64_t wanted, int64_t there, error *e) {
    if (!c->given[id] || wanted == there) return OK;
    return fail(e, BAD_INPUT, "%s: %s is %lld, but the checkpoint %s has %lld: leave it out, or start from scratch",
                c->given[id], option_table[id].name, (long long)wanted, folder, (long long)there);
}

/* Do the settings that were given agree with the shape s of `folder`? Sets *length. */
static status agree_with(const config *c, const char *folder, const gpt_shape *s, int *length, error *e) {
    TRY(agree(c, OPTION_n_layer, folder, c->n_layer, s->layers, e));
    TRY(agree(c, OPTION_n_head, folder, c->n_head, s->heads, e));
    TRY(agree(c, OPTION_n_embd, folder, c->n_embd, s->channels, e));
    TRY(agree(c, OPTION_bias, folder, c->bias, s->bias, e));
    if (c->vocab_size) TRY(agree(c, OPTION_vocab_size, folder, c->vocab_size, s->vocabulary, e));
    if (c->given[OPTION_activation] && !strcmp(c->activation, "gelu_tanh") != s->tanh_gelu)
        return fail(e, BAD_INPUT,
                    "%s: activation is '%s', but the checkpoint %s has '%s': leave it out, or start from scratch",
                    c->given[OPTION_activation], c->activation, folder, s->tanh_gelu ? "gelu_tanh" : "gelu");
    *length = s->positions;
    if (!c->given[OPTION_block_size]) return OK;
    if (c->block_size > s->positions)
        return fail(e, BAD_INPUT, "%s: block_size %lld is more than the %d positions that %s has",
                    c->given[OPTION_block_size], (long long)c->block_size, s->positions, folder);
    *length = (int)c->block_size;
    return OK;
}

status shape_of_checkpoint(const config *c, const char *folder, gpt_shape *s, int *length, error *e) {
    TRY(checkpoint_shape(folder, s, e));
    return agree_with(c, folder, s, length, e);
}

/* The models that nanoGPT's init_from names. Their shapes are known without their weights. False: it is none of them.
 */
static bool published_shape(const char *name, gpt_shape *s) {
    static const struct {
        const char *name;
        int layers, heads, channels;
    } models[] = {
        {"gpt2", 12, 12, 768}, {"gpt2-medium", 24, 16, 1024}, {"gpt2-large", 36, 20, 1280}, {"gpt2-xl", 48, 25, 1600}};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(name, models[i].name) != 0) continue;
        *s = (gpt_shape){.layers = models[i].layers,
                         .heads = models[i].heads,
                         .channels = models[i].channels,
                         .positions = 1024,
                         .vocabulary = 50257,
                         .bias = true,
                         .tanh_gelu = true,
                         .norm_epsilon = 1e-5};
        return true;
    }
    return false;
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The shape of a new model. Without its dataset it has GPT-2's vocabulary. */
static status shape_of_data(const config *c, gpt_shape *s, int *length, const char **vocabulary_from, error *e) {
    int64_t vocabulary = 0;
    char *folder;
    *vocabulary_from = "no dataset here: assumed as GPT-2's, rounded up; or give --vocab_size";
    if (c->vocab_size)
        *vocabulary_from = "vocab_size";
    else if (data_folder(c, &folder, NULL) == OK) {
        status read = data_vocabulary_of(folder, &vocabulary, e);
        free(folder);
        TRY(read);
        *vocabulary_from =
            vocabulary ? "the dataset's" : "not in the data: assumed as GPT-2's, rounded up; or give --vocab_size";
    }
    return shape_new(c, vocabulary, s, length, e);
}

status shape_of_settings(const config *c, gpt_shape *s, int *length, const char **vocabulary_from, error *e) {
    if (!strcmp(c->init_from, "scratch")) return shape_of_data(c, s, length, vocabulary_from, e);
    if (!is_folder(c->init_from) && published_shape(c->init_from, s)) {
        *vocabulary_from = "GPT-2's";
        return agree_with(c, c->init_from, s, length, e);
    }
    char *folder = NULL;
    if (!strcmp(c->init_from, "resume"))
        TRY(run_find_latest(c->out_dir, &folder, e));
    else
        folder = xstrdup(c->init_from);
    status found = shape_of_checkpoint(c, folder, s, length, e);
    *vocabulary_from = "the checkpoint's";
    free(folder);
    return found;
}

/* Commands that open no weights: the shape is enough. */
static bool needs_shape_alone(const config *c) {
    return c->command && (!strcmp(c->command, "plan") || !strcmp(c->command, "bench") || !strcmp(c->command, "tune"));
}

status shape_check_source(const config *c, error *e) {
    struct stat st;
    gpt_shape shape;
    if (!strcmp(c->init_from, "scratch") || !strcmp(c->init_from, "resume")) return OK;
    if (stat(c->init_from, &st) == 0) return S_ISDIR(st.st_mode) ? OK : foreign_explain(c->init_from, e);
    const char *where = c->given[OPTION_init_from];
    excerpt shown = excerpt_of(c->init_from, sizeof c->init_from);
    bool published = published_shape(c->init_from, &shape);
    if (published && needs_shape_alone(c)) return OK;
    if (published)
        return fail(
            e, BAD_INPUT,
            "%s: init_from '%s': nothing is downloaded: get its folder (pip install huggingface_hub; hf download "
            "openai-community/%s config.json model.safetensors tokenizer.json --local-dir %s) and write "
            "init_from=%s again",
            where, shown.text, shown.text, shown.text, shown.text);
    char *near = nearest_path(c->init_from, NULL);
    nearest word = {.typed = c->init_from};
    static const char *const words[] = {"scratch", "resume", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) nearest_try(&word, words[i]);
    fail(e, BAD_INPUT,
         "%s: init_from '%s' is not a folder%s%s%s write scratch, resume, or a folder with config.json and "
         "model.safetensors",
         where, shown.text, near || word.word ? ": did you mean " : "",
         word.word ? word.word
         : near    ? near
                   : "",
         near || word.word ? "? Else" : ":");
    free(near);
    return BAD_INPUT;
}
