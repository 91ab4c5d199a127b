/* token_layout.c: tells how the ids of a token file are stored: see token_file.h. */
#include "base/files.h"
#include "base/json_file.h"
#include "text/token_file.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define CONVERT "write the bare array instead: array.astype(numpy.uint16).tofile(path)"

static const struct {
    const char *name, *numpy; /* numpy: what .npy files call it */
    size_t bytes;
} types[] = {{"uint16", "<u2", 2}, {"uint32", "<u4", 4}, {"int32", "<i4", 4}, {"int64", "<i8", 8}};

const char *token_type_name(token_type t) { return types[t].name; }
size_t token_type_bytes(token_type t) { return types[t].bytes; }

token_type token_type_find(const char *name) {
    int t = 0;
    while (t < TOKEN_TYPES && strcmp(types[t].name, name)) t++;
    return (token_type)t;
}

/* ---- headers ---- */

/* llm.c's: 256 int32, of which the first three are a magic number, a version and the number of tokens. */
static status read_llmc(const char *path, const mapped_file *map, token_layout *l, bool *found, error *e) {
    enum { HEADER = 256 * 4 };
    static const struct {
        int32_t magic, version;
        token_type type;
    } known[] = {{20240520, 1, TOKENS_UINT16}, {20240801, 7, TOKENS_UINT32}};
    int32_t head[3];
    if (map->bytes < sizeof head) return OK;
    memcpy(head, map->data, sizeof head);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (head[0] != known[i].magic) continue;
        if (head[1] != known[i].version || head[2] < 0)
            return fail(e, BAD_INPUT, "%s begins like llm.c's token files, but with version %d instead of %d; " CONVERT,
                        path, head[1], known[i].version);
        if (map->bytes < HEADER)
            return fail(e, BAD_INPUT, "%s is cut off within llm.c's header of %d bytes; copy or make it again", path,
                        HEADER);
        *l = (token_layout){known[i].type, HEADER, head[2], false};
        *found = true;
    }
    return OK;
}

/* The text after 'KEY': in a .npy header, which is the source text of a Python dict; NULL if it is not there. */
static const char *npy_value(const char *header, const char *key) {
    const char *at = strstr(header, key);
    if (!at) return NULL;
    at += strlen(key);
    return at + strspn(at, " ");
}

static status read_npy_header(const char *path, const char *header, token_layout *l, error *e) {
    const char *descr = npy_value(header, "'descr':"), *shape = npy_value(header, "'shape':");
    char kind[8] = "?", *end = NULL;
    if (descr && *descr == '\'') snprintf(kind, sizeof kind, "%.*s", (int)strcspn(descr + 1, "'"), descr + 1);
    int type = 0;
    while (type < TOKEN_TYPES && strcmp(types[type].numpy, kind)) type++;
    if (type == TOKEN_TYPES)
        return fail(e, BAD_INPUT,
                    "%s is a NumPy .npy file of '%s'; uint16, uint32, int32 and int64, little-endian, can be "
                    "read; " CONVERT,
                    path, kind);
    bool is_list = shape && *shape == '(' && shape[1] >= '0' && shape[1] <= '9';
    l->tokens = is_list ? strtoll(shape + 1, &end, 10) : -1;
    if (!is_list || l->tokens == LLONG_MAX || strncmp(end, ",)", 2) != 0)
        return fail(e, BAD_INPUT, "%s is a NumPy .npy file, but of another shape than a list of ids; " CONVERT, path);
    l->type = (token_type)type;
    return OK;
}

static status read_npy(const char *path, const mapped_file *map, token_layout *l, bool *found, error *e) {
    enum { LONGEST = 1 << 16 };
    if (map->bytes < 12 || memcmp(map->data, "\x93NUMPY", 6) != 0) return OK;
    bool old = map->data[6] == 1;
    uint16_t narrow;
    uint32_t length;
    memcpy(&narrow, map->data + 8, 2);
    memcpy(&length, map->data + 8, 4);
    if (old) length = narrow;
    l->offset = (old ? 10u : 12u) + (size_t)length;
    if (length > LONGEST || l->offset > map->bytes || l->offset % 8 || map->data[6] < 1 || map->data[6] > 3)
        return fail(e, BAD_INPUT, "%s is a NumPy .npy file, but its header makes no sense; " CONVERT, path);
    char *header = xprintf("%.*s", (int)length, map->data + l->offset - length);
    status s = read_npy_header(path, header, l, e);
    free(header);
    *found = true;
    return s;
}

/* ---- meta.json ---- */

/* What meta.json says, if there is one: the type of the ids (TOKEN_TYPES: it does not say), and how many tokens `name`
   must hold (-1: it does not say). */
static status read_meta(const char *folder, const char *name, token_type *type, int64_t *tokens, error *e) {
    *type = TOKEN_TYPES;
    *tokens = -1;
    char *path = xprintf("%s/meta.json", folder);
    cJSON *meta = NULL;
    status s = file_exists(path) ? json_read(path, &meta, e) : OK;
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(meta, "dtype");
    if (dtype) {
        const char *text = cJSON_IsString(dtype) ? dtype->valuestring : "no string";
        *type = token_type_find(text);
        if (*type == TOKEN_TYPES)
            s = fail(e, BAD_INPUT, "%s: dtype is '%s'; uint16, uint32, int32 and int64 can be read", path, text);
    }
    const cJSON *count =
        cJSON_GetObjectItemCaseSensitive(meta, strcmp(name, "train.bin") ? "val_tokens" : "train_tokens");
    if (cJSON_IsNumber(count) && count->valuedouble >= 0 && count->valuedouble < 0x1p53)
        *tokens = (int64_t)count->valuedouble;
    cJSON_Delete(meta);
    free(path);
    return s;
}

/* ---- bare arrays ---- */

/* Read as 16-bit numbers, wider ids show: the upper halves of all are 0, or small, since no vocabulary has more than
   2^24 ids. So in uint32 each second number is below 256; in int64 that holds of each fourth, and the two after it are
   0. To be sure that this is no file of uint16, where a small vocabulary keeps all numbers small, each second number
   has to be 0, or the others have to reach far above 256. A text in which each second token is the vocabulary's first
   would be taken for uint32: hence the note at the start of a run, and meta.json's "dtype". */
static token_type guess(const mapped_file *map) {
    enum { SAMPLE = 1 << 20, LEAST = 128, FAR = 4 * 256 };
    const char *at = map->data;
    size_t bytes = map->bytes < SAMPLE ? map->bytes : SAMPLE;
    if (bytes < LEAST || map->bytes % 4) return TOKENS_UINT16;
    bool by_four = true, by_eight = map->bytes % 8 == 0, upper_zero = true;
    uint16_t largest = 0;
    for (size_t i = 0; i + 8 <= bytes && by_four; i += 8) {
        uint16_t n[4];
        memcpy(n, at + i, sizeof n);
        by_four = n[1] < 256 && n[3] < 256;
        by_eight = by_eight && n[1] < 256 && n[2] == 0 && n[3] == 0;
        upper_zero = upper_zero && n[1] == 0 && n[3] == 0;
        if (n[0] > largest) largest = n[0];
        if (n[2] > largest) largest = n[2];
    }
    if (by_eight && largest > 0) return TOKENS_INT64;
    return by_four && largest > 0 && (upper_zero || largest >= FAR) ? TOKENS_UINT32 : TOKENS_UINT16;
}

/* val.bin may be too short to tell, and both files of a folder are of one kind: so train.bin decides. */
static token_type guess_folder(const char *folder, const char *name, const mapped_file *map) {
    mapped_file train;
    char *path = xprintf("%s/train.bin", folder);
    token_type t;
    if (!strcmp(name, "train.bin") || file_map(path, "", &train, NULL) != OK)
        t = guess(map);
    else {
        t = guess(&train);
        file_unmap(&train);
    }
    free(path);
    return t;
}

status token_layout_find(const char *folder, const char *name, const mapped_file *map, token_layout *l,
                         int64_t *expected, error *e) {
    char *path = xprintf("%s/%s", folder, name);
    bool found = false;
    token_type said;
    *l = (token_layout){.tokens = -1};
    status s = read_meta(folder, name, &said, expected, e);
    if (s == OK) s = read_npy(path, map, l, &found, e);
    if (s == OK && !found) s = read_llmc(path, map, l, &found, e);
    if (s == OK && !found) {
        l->type = said == TOKEN_TYPES ? guess_folder(folder, name, map) : said;
        l->guessed = said == TOKEN_TYPES && l->type != TOKENS_UINT16;
    }
    free(path);
    return s;
}
