/* data.c: see data.h. Reads token files; prepare.c makes them. */
#include "text/data.h"
#include "base/json_file.h"
#include "base/mapped_file.h"
#include "base/rng.h"
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
    for (int i = 0; i < N && best < 0; i++) /* any folder will do then: data_open says that train.bin is missing */
        if (candidate[i] && is_folder(candidate[i])) best = i;
    if (best >= 0) *folder = xstrdup(candidate[best]);
    for (int i = 0; i < N; i++) free(candidate[i]);
    free(beside);
    if (best >= 0) return OK;
    return fail(e, BAD_INPUT,
                "dataset '%s': no such folder here, under data/%s; make one with `snug prepare TEXT --out=data/%s`",
                name, c->config_file ? " or beside the config file" : "", name);
}

/* ---- files ---- */

/* What meta.json says, if there is one: the bytes of a token, and how many tokens `name` must hold (-1: unknown). */
static status read_meta(const char *folder, const char *name, int *token_bytes, int64_t *tokens, error *e) {
    *token_bytes = 2;
    *tokens = -1;
    if (!has_file(folder, "meta.json")) return OK;
    char *path = xprintf("%s/meta.json", folder);
    cJSON *meta;
    status s = json_read(path, &meta, e);
    if (s == OK) {
        const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(meta, "dtype");
        const char *text = cJSON_IsString(dtype) ? dtype->valuestring : NULL;
        if (dtype && !(text && (!strcmp(text, "uint16") || !strcmp(text, "uint32"))))
            s = fail(e, BAD_INPUT, "%s: dtype is '%s'; uint16 and uint32 can be read", path, text ? text : "no string");
        *token_bytes = text && !strcmp(text, "uint32") ? 4 : 2;
        const cJSON *count =
            cJSON_GetObjectItemCaseSensitive(meta, strcmp(name, "train.bin") ? "val_tokens" : "train_tokens");
        if (cJSON_IsNumber(count) && count->valuedouble >= 0 && count->valuedouble < 0x1p53)
            *tokens = (int64_t)count->valuedouble;
        cJSON_Delete(meta);
    }
    free(path);
    return s;
}

static status check_tokens(const token_file *f, const mapped_file *map, int64_t expected, int64_t length, error *e) {
    const char *mistaken = file_mistaken(map);
    if (mistaken && !strncmp(mistaken, "a NumPy", 7)) /* the other kinds' first bytes may be tokens */
        return fail(e, BAD_INPUT, "%s is %s; write the bare array instead: array.astype(numpy.uint16).tofile(path)",
                    f->path, mistaken);
    if (map->bytes % (size_t)f->token_bytes)
        return fail(e, BAD_INPUT,
                    "%s has %zu bytes, not a whole number of %d-byte tokens: it was cut off or is not a token file; "
                    "make it again",
                    f->path, map->bytes, f->token_bytes);
    if (expected >= 0 && f->tokens != expected)
        return fail(e, BAD_INPUT,
                    "%s has %lld tokens where meta.json says %lld: cut off or replaced; run `snug prepare` again, or "
                    "delete meta.json",
                    f->path, (long long)f->tokens, (long long)expected);
    if (f->tokens < length + 1)
        return fail(e, BAD_INPUT,
                    "%s has %lld tokens, but one sequence needs block_size + 1 = %lld; give more text, or a smaller "
                    "--block_size",
                    f->path, (long long)f->tokens, (long long)length + 1);
    return OK;
}

status data_open(const char *folder, const char *name, int64_t length, token_file *f, error *e) {
    int64_t expected;
    *f = (token_file){.token_bytes = 2};
    TRY(read_meta(folder, name, &f->token_bytes, &expected, e));
    f->path = xprintf("%s/%s", folder, name);
    mapped_file map;
    status s = file_map(f->path, "`snug prepare TEXT --out=DIR` makes it, nanoGPT's prepare.py too", &map, e);
    if (s == OK) {
        f->map = map.data;
        f->map_bytes = map.bytes;
        f->tokens = (int64_t)(map.bytes / (size_t)f->token_bytes);
        s = check_tokens(f, &map, expected, length, e);
    }
    if (s != OK) data_close(f);
    return s;
}

void data_close(token_file *f) {
    mapped_file map = {f->map, f->map_bytes};
    file_unmap(&map);
    free(f->path);
    *f = (token_file){0};
}

/* Token files are little-endian, and so are the machines that snug is made for. */
static int64_t token_at(const token_file *f, int64_t i) {
    return f->token_bytes == 2 ? ((const uint16_t *)f->map)[i] : ((const uint32_t *)f->map)[i];
}

int64_t data_vocabulary(const token_file *f) {
    int64_t largest = -1;
    for (int64_t i = 0; i < f->tokens; i++) {
        int64_t id = token_at(f, i);
        largest = id > largest ? id : largest;
    }
    return largest + 1;
}

status data_vocabulary_of(const char *folder, int64_t *vocabulary, error *e) {
    *vocabulary = 0;
    if (has_file(folder, "tokenizer.json")) {
        char *path = xprintf("%s/tokenizer.json", folder);
        tokenizer *t;
        status s = tokenizer_open(path, &t, e);
        free(path);
        if (s != OK) return s;
        *vocabulary = tokenizer_size(t);
        tokenizer_close(t);
        return OK;
    }
    if (!has_file(folder, "meta.pkl")) return OK;
    static const char *const names[] = {"train.bin", "val.bin"};
    for (int i = 0; i < 2; i++) {
        token_file f;
        if (i == 1 && !has_file(folder, names[i])) break;
        TRY(data_open(folder, names[i], 0, &f, e));
        int64_t v = data_vocabulary(&f);
        data_close(&f);
        if (v > *vocabulary) *vocabulary = v;
    }
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
        if (id >= vocabulary && (is_input || !ignored))
            return fail(e, BAD_INPUT,
                        "%s: token %lld has id %lld, but the vocabulary ends at %lld; give --vocab_size=%lld or more, "
                        "or prepare the data again",
                        f->path, (long long)at, (long long)id, (long long)vocabulary - 1, (long long)id + 1);
        if (is_input) x[i] = (int32_t)id;
        if (i > 0) y[i - 1] = ignored ? -1 : (int32_t)id;
    }
    return OK;
}
