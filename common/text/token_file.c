/* token_file.c: opens token files, and checks that all their ids are in the vocabulary. See token_file.h. */
#include "text/token_file.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json_value.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- opening ---- */

static status check_tokens(const token_file *f, int64_t expected, int64_t length, error *e) {
    size_t bytes = f->map_bytes - f->layout.offset, width = token_type_bytes(f->layout.type);
    if (bytes % width)
        return fail(e, BAD_INPUT,
                    "%s has %zu bytes, not a whole number of %zu-byte tokens: it was cut off or is not a token file; "
                    "make it again",
                    f->path, bytes, width);
    if (f->layout.tokens >= 0 && f->tokens != f->layout.tokens)
        return fail(e, BAD_INPUT, "%s has %lld tokens where its header says %lld: cut off; copy or make it again",
                    f->path, (long long)f->tokens, (long long)f->layout.tokens);
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

/* What to do where there is no folder/name: often it is there under another tool's name. The caller frees it. */
static char *advice_for(const char *folder, const char *name) {
    char *found = NULL;
    DIR *d = xfound(opendir(folder));
    const struct dirent *entry;
    size_t word = strcspn(name, ".");
    while (d && (entry = readdir(d))) {
        const char *end = strrchr(entry->d_name, '.');
        if (!end || (strcmp(end, ".npy") && strcmp(end, ".bin")) ||
            !memmem(entry->d_name, strlen(entry->d_name), name, word))
            continue;
        if (found && strcmp(found, entry->d_name) < 0) continue;
        free(found);
        found = xstrdup(entry->d_name);
    }
    if (d) closedir(d);
    char *advice = found ? xprintf("but there is %s: rename it, and it is read as it is", found)
                         : xstrdup("`snug prepare TEXT --out=DIR` makes it, nanoGPT's prepare.py too");
    free(found);
    return advice;
}

status token_file_open(const char *folder, const char *name, int64_t length, token_file *f, error *e) {
    int64_t expected;
    mapped_file map;
    *f = (token_file){.path = xprintf("%s/%s", folder, name)};
    char *advice = file_exists(f->path) ? xstrdup("") : advice_for(folder, name);
    status s = file_map(f->path, advice, &map, e);
    free(advice);
    if (s == OK) {
        f->map = map.data;
        f->map_bytes = map.bytes;
        s = token_layout_find(folder, name, &map, &f->layout, &expected, e);
    }
    if (s == OK) {
        f->tokens = (int64_t)((map.bytes - f->layout.offset) / token_type_bytes(f->layout.type));
        s = check_tokens(f, expected, length, e);
    }
    if (s != OK) token_file_close(f);
    return s;
}

void token_file_close(token_file *f) {
    mapped_file map = {f->map, f->map_bytes};
    file_unmap(&map);
    free(f->path);
    *f = (token_file){0};
}

static const void *first_token(const token_file *f) { return (const char *)f->map + f->layout.offset; }

/* Token files are little-endian, and so are the machines that snug is made for. */
int64_t token_at(const token_file *f, int64_t i) {
    const void *ids = first_token(f);
    switch (f->layout.type) {
    case TOKENS_UINT16: return ((const uint16_t *)ids)[i];
    case TOKENS_UINT32: return ((const uint32_t *)ids)[i];
    case TOKENS_INT32: return ((const int32_t *)ids)[i];
    default: return ((const int64_t *)ids)[i];
    }
}

/* ---- all ids ---- */

/* The largest of ids[0 .. n-1], read as unsigned numbers, so that one below 0 is larger than any vocabulary. One loop
   for each width: this is what the compiler makes vector code of, and memory is what it waits for. */
#define LARGEST(name, type)                                                                                            \
    static uint64_t name(const type *ids, int64_t n) {                                                                 \
        type largest = 0;                                                                                              \
        for (int64_t i = 0; i < n; i++) largest = ids[i] > largest ? ids[i] : largest;                                 \
        return largest;                                                                                                \
    }
LARGEST(largest_16, uint16_t)
LARGEST(largest_32, uint32_t)
LARGEST(largest_64, uint64_t)

static uint64_t largest_of(const token_file *f, int64_t from, int64_t n) {
    const void *ids = first_token(f);
    switch (token_type_bytes(f->layout.type)) {
    case 2: return largest_16((const uint16_t *)ids + from, n);
    case 4: return largest_32((const uint32_t *)ids + from, n);
    default: return largest_64((const uint64_t *)ids + from, n);
    }
}

static uint64_t scan(const token_file *f) {
    enum { PART = 1 << 20 };
    uint64_t largest = 0;
#pragma omp parallel for schedule(dynamic) reduction(max : largest) if (f->tokens > PART)
    for (int64_t at = 0; at < f->tokens; at += PART) {
        uint64_t part = largest_of(f, at, f->tokens - at < PART ? f->tokens - at : PART);
        largest = part > largest ? part : largest;
    }
    return largest;
}

/* ---- what was found, kept ---- */

/* The file in the cache folder for this one, and what must be the same for it to hold; false: nothing is kept. */
static bool keeping_place(const token_file *f, char **place, char **stamp) {
    enum { WORTH = 16 << 20 }; /* bytes; less is read at once */
    struct stat now;
    char hex[HASH_HEX], *real = f->map_bytes < WORTH ? NULL : xfound(realpath(f->path, NULL));
    *place = *stamp = NULL;
    if (real && stat(real, &now) == 0) {
        hash_bytes(real, strlen(real), hex);
        char *name = xprintf("tokens-%.16s.json", hex);
        *place = file_cache_path(name);
        *stamp = xprintf("%s %lld bytes, changed %lld.%09ld %lld.%09ld, %s from %zu", real, (long long)now.st_size,
                         (long long)now.st_mtim.tv_sec, now.st_mtim.tv_nsec, (long long)now.st_ctim.tv_sec,
                         now.st_ctim.tv_nsec, token_type_name(f->layout.type), f->layout.offset);
        free(name);
    }
    free(real);
    return *place != NULL;
}

static bool recall(const char *place, const char *stamp, uint64_t *largest) {
    cJSON *kept;
    int64_t value;
    if (json_read_object(place, &kept, NULL) != OK) return false;
    const cJSON *same = json_get(kept, "file");
    bool holds = cJSON_IsString(same) && !strcmp(same->valuestring, stamp) &&
                 json_integer(json_get(kept, "largest_id"), &value) && value >= 0;
    if (holds) *largest = (uint64_t)value;
    cJSON_Delete(kept);
    return holds;
}

static void keep(const char *place, const char *stamp, uint64_t largest) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "file", stamp);
    cJSON_AddNumberToObject(object, "largest_id", (double)largest);
    json_write(place, object, false, NULL); /* without it the file is only read once more */
}

static uint64_t largest_id(const token_file *f) {
    char *place, *stamp;
    uint64_t largest = 0;
    bool keeps = keeping_place(f, &place, &stamp);
    if (!(keeps && recall(place, stamp, &largest))) {
        largest = scan(f);
        if (keeps) keep(place, stamp, largest);
    }
    free(place);
    free(stamp);
    return largest;
}

int64_t token_file_vocabulary(const token_file *f) {
    uint64_t largest = f->tokens ? largest_id(f) : 0;
    return largest >= INT64_MAX ? INT64_MAX : (int64_t)largest + (f->tokens > 0);
}

status token_refuse(const token_file *f, int64_t i, int64_t vocabulary, error *e) {
    int64_t id = token_at(f, i);
    if (id < 0)
        return fail(e, BAD_INPUT, "%s: token %lld has id %lld: an id is 0 or more; prepare the data again", f->path,
                    (long long)i, (long long)id);
    return fail(e, BAD_INPUT,
                "%s: token %lld has id %lld, but the vocabulary ends at %lld; give --vocab_size=%lld or more, "
                "or prepare the data again",
                f->path, (long long)i, (long long)id, (long long)vocabulary - 1, (long long)id + 1);
}

status token_file_check(const token_file *f, int64_t vocabulary, int64_t ignore_token, error *e) {
    if (token_file_vocabulary(f) <= vocabulary) return OK;
    for (int64_t i = 0; i < f->tokens; i++) {
        int64_t id = token_at(f, i);
        if (id < 0 || (id >= vocabulary && id != ignore_token)) return token_refuse(f, i, vocabulary, e);
    }
    return OK;
}
