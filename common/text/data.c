/* data.c: see data.h. token_file.c reads token files; prepare.c makes them. */
#include "text/data.h"
#include "base/json_value.h"
#include "base/rng.h"
#include "text/meta_pickle.h"
#include "text/tokenizer.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__extension__ typedef unsigned __int128 u128;

/* ---- folders ---- */

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool has_file(const char *folder, const char *name) {
    char *path = xprintf("%s/%s", folder, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* The folder of a config file's path: "config/train.py" -> "config"; the caller frees it. */
static char *folder_of(const char *file) {
    const char *slash = strrchr(file, '/');
    if (!slash) return xstrdup(".");
    return slash == file ? xstrdup("/") : xprintf("%.*s", (int)(slash - file), file);
}

status data_folder(const config *c, char **folder, error *e) {
    *folder = NULL;
    const char *name = c->dataset;
    if (!*name) return fail(e, BAD_INPUT, "dataset is empty; give a folder with train.bin and val.bin, --dataset=DIR");
    char *beside = c->config_file ? folder_of(c->config_file) : NULL;
    char *candidate[] = {xstrdup(name), xprintf("data/%s", name), beside ? xprintf("%s/data/%s", beside, name) : NULL,
                         beside ? xprintf("%s/%s", beside, name) : NULL,
                         beside ? xprintf("%s/../data/%s", beside, name) : NULL};
    enum { N = sizeof candidate / sizeof *candidate };
    int best = -1;
    for (int i = 0; i < N && best < 0; i++)
        if (candidate[i] && has_file(candidate[i], "train.bin")) best = i;
    for (int i = 0; i < N && best < 0;
         i++) /* any folder will do then: token_file_open says that train.bin is missing */
        if (candidate[i] && is_folder(candidate[i])) best = i;
    if (best >= 0) *folder = xstrdup(candidate[best]);
    for (int i = 0; i < N; i++) free(candidate[i]);
    free(beside);
    if (best >= 0) return OK;
    return fail(e, BAD_INPUT,
                "dataset '%s': no such folder here, under data/%s; make one with `snug prepare TEXT --out=data/%s`",
                name, c->config_file ? " or beside the config file" : "", name);
}

/* ---- the vocabulary ---- */

/* What meta.json says that the tokenizer had; 0: there is none, or it does not say. */
static int64_t vocabulary_of_meta(const char *folder) {
    char *path = xprintf("%s/meta.json", folder);
    cJSON *meta = NULL;
    int64_t n = 0;
    if (has_file(folder, "meta.json") && json_read_object(path, &meta, NULL) == OK &&
        !(json_integer(json_get(meta, "vocab_size"), &n) && n > 0))
        n = 0;
    cJSON_Delete(meta);
    free(path);
    return n;
}

status data_vocabulary_of(const char *folder, int64_t *vocabulary, error *e) {
    *vocabulary = 0;
    if (tokenizer_is_in(folder)) {
        tokenizer *t;
        TRY(tokenizer_open(folder, &t, e));
        *vocabulary = tokenizer_size(t);
        tokenizer_close(t);
    } else if (has_file(folder, "meta.pkl")) {
        char *path = xprintf("%s/meta.pkl", folder);
        status s = meta_pickle_vocabulary(path, vocabulary, e);
        free(path);
        return s;
    } else
        *vocabulary = vocabulary_of_meta(folder);
    return OK;
}

/* ---- sequences ---- */

/* The token at which the sequence starts. A random one is the high half of 64 random bits times the number of places,
   which makes no place likelier than another by more than tokens / 2^64. */
static int64_t start_of(const token_file *f, const data_order *order, batch_stream stream, int64_t step,
                        int64_t number) {
    if (order->sequential) {
        u128 sequence = (u128)(uint64_t)step * (uint64_t)order->sequences + (uint64_t)number;
        u128 tokens = (uint64_t)f->tokens;
        return (int64_t)(sequence % tokens * (uint64_t)order->length % tokens);
    }
    uint32_t w[4];
    uint32_t high = (uint32_t)(step >> 32) | (uint32_t)(number >> 32) << 16; /* both may be 2^32 and more */
    philox(order->seed, (uint32_t)step, (uint32_t)number, random_word(SITE_BATCH, stream), high, w);
    uint64_t bits = (uint64_t)w[0] << 32 | w[1];
    return (int64_t)((u128)bits * (uint64_t)(f->tokens - order->length) >> 64);
}

status data_sequence(const token_file *f, const data_order *order, batch_stream stream, int64_t step, int64_t number,
                     int32_t *x, int32_t *y, error *e) {
    int64_t at = start_of(f, order, stream, step, number);
    int64_t vocabulary = order->vocabulary;
    if (f->vocabulary > 0 && f->vocabulary < vocabulary) vocabulary = f->vocabulary;
    for (int64_t i = 0; i <= order->length; i++, at = at + 1 < f->tokens ? at + 1 : 0) {
        int64_t id = token_at(f, at);
        bool ignored = id == order->ignore_token;
        bool is_input = i < order->length;
        if (id < 0 || (id >= vocabulary && (is_input || !ignored))) return token_refuse(f, at, vocabulary, e);
        if (is_input) x[i] = (int32_t)id;
        if (i > 0) y[i - 1] = ignored ? -1 : (int32_t)id;
    }
    return OK;
}
