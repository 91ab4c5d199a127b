/* safetensors.c: reads safetensors files. The header may come from anywhere, so that every number in it is checked
   before it is used. Writing is in safetensors_write.c. */
#include "save/safetensors.h"
#include "base/bf16.h"
#include "base/hash.h"
#include "base/json_value.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "safetensors files are little-endian, and so must the host be");

enum { HEADER_MAX = 100000000, NODES_MAX = 4000000, DEPTH_MAX = 3, NAME_LONGEST = 512 };
#define DAMAGED "the file is damaged: fetch or copy it again"

static const struct {
    const char *name;
    size_t size;
} types[] = {[ST_F32] = {"F32", 4}, [ST_F64] = {"F64", 8},  [ST_F16] = {"F16", 2}, [ST_BF16] = {"BF16", 2},
             [ST_I32] = {"I32", 4}, [ST_I64] = {"I64", 8},  [ST_U16] = {"U16", 2}, [ST_U32] = {"U32", 4},
             [ST_U8] = {"U8", 1},   [ST_BOOL] = {"BOOL", 1}};
enum { TYPES = sizeof types / sizeof types[0] };

size_t st_size(st_type type) { return types[type].size; }
const char *st_name(st_type type) { return types[type].name; }

/* ---- what the file is, if it is not what it should be ---- */

static const struct {
    const char *magic;
    size_t length;
    const char *what;
} texts[] = {
    {"version https://git-lfs", 23, "a Git LFS pointer, not the file itself; run `git lfs pull`"},
    {"<!DOCTYPE", 9, "a web page; download the file itself"},
    {"<html", 5, "a web page; download the file itself"},
    {"{", 1, "JSON text, perhaps the index of a model in several files; give one safetensors file"},
};

/* To be called only when the header makes no sense, since a sound header of 640 bytes begins like a pickle. */
static status not_ours(const st_file *f, const char *otherwise, error *e) {
    const char *mistaken = file_mistaken(&f->map);
    if (mistaken) return fail(e, BAD_INPUT, "%s: is %s; it has to be saved as safetensors", f->path, mistaken);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (f->map.bytes >= texts[i].length && !memcmp(f->map.data, texts[i].magic, texts[i].length))
            return fail(e, BAD_INPUT, "%s: is %s", f->path, texts[i].what);
    return fail(e, BAD_INPUT, "%s: is not a safetensors file: %s; " DAMAGED, f->path, otherwise);
}

/* ---- the header ---- */

/* A safetensors header needs nothing but objects, arrays, strings and plain digits, three levels deep. A header that
   keeps to this can neither exhaust the JSON parser's stack or memory, nor have a number that a double would round. */
static status header_scan(const char *path, const char *text, size_t bytes, error *e) {
    int depth = 0;
    int64_t nodes = 0;
    bool string = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (string) {
            if ((unsigned char)c < 0x20)
                return fail(e, BAD_INPUT, "%s: control character at byte %zu of the header; " DAMAGED, path, i);
            if (c == '\\' && i + 5 < bytes && !memcmp(text + i + 1, "u0000", 5))
                return fail(e, BAD_INPUT, "%s: a name with a zero character at byte %zu of the header", path, i);
            if (c == '\\') i++;
            string = c != '"';
            continue;
        }
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        nodes += c == '{' || c == '[' || c == ',';
        string = c == '"';
        if (depth > DEPTH_MAX) return fail(e, BAD_INPUT, "%s: header nested too deeply at byte %zu; " DAMAGED, path, i);
        if (nodes > NODES_MAX) return fail(e, BAD_INPUT, "%s: more tensors than any model has; " DAMAGED, path);
        if (c == '-' || c == '.' || c == 'e' || c == 'E' || c == '+')
            return fail(e, BAD_INPUT,
                        "%s: a number that is not a plain non-negative integer at byte %zu of the header; " DAMAGED,
                        path, i);
        if (!c || !strchr("{}[]\":, \t\r\n0123456789", c))
            return fail(e, BAD_INPUT, "%s: unexpected character 0x%02x at byte %zu of the header; " DAMAGED, path,
                        (unsigned)(unsigned char)c, i);
    }
    return OK;
}

static status bad_tensor(const st_file *f, const char *name, const char *what, error *e) {
    return fail(e, BAD_INPUT, "%s: tensor \"%.200s\": %s; " DAMAGED, f->path, name, what);
}

/* Sets type, dim, elements and bytes from dtype and shape, checking each product for overflow. */
static status read_shape(const st_file *f, const cJSON *dtype, const cJSON *shape, st_tensor *t, error *e) {
    if (!cJSON_IsString(dtype) || !cJSON_IsArray(shape)) return bad_tensor(f, t->name, "lacks dtype or shape", e);
    int type = 0;
    while (type < TYPES && strcmp(types[type].name, dtype->valuestring)) type++;
    if (type == TYPES)
        return fail(e, BAD_INPUT,
                    "%s: tensor \"%.200s\" has dtype \"%.20s\"; snug reads F32, F64, F16, BF16 and plain integers",
                    f->path, t->name, dtype->valuestring);
    t->type = (st_type)type;
    t->elements = 1;
    for (const cJSON *d = shape->child; d; d = d->next) {
        if (t->rank == 8) return bad_tensor(f, t->name, "has more than 8 dimensions", e);
        int64_t *dim = &t->dim[t->rank++];
        if (!json_integer(d, dim) || *dim < 0)
            return bad_tensor(f, t->name, "has a dimension that is not an exact integer", e);
        if (__builtin_mul_overflow(t->elements, *dim, &t->elements))
            return bad_tensor(f, t->name, "has a shape of more elements than 64 bits can count", e);
    }
    if (__builtin_mul_overflow((uint64_t)t->elements, (uint64_t)types[type].size, &t->bytes))
        return bad_tensor(f, t->name, "has a shape of more bytes than 64 bits can count", e);
    return OK;
}

static status read_offsets(const st_file *f, const cJSON *offsets, const char *data, uint64_t data_bytes, st_tensor *t,
                           error *e) {
    int64_t begin, end;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !json_integer(offsets->child, &begin) ||
        !json_integer(offsets->child->next, &end) || begin < 0 || end < begin)
        return bad_tensor(f, t->name, "data_offsets must be [begin, end], begin <= end, exact integers", e);
    if ((uint64_t)end > data_bytes)
        return fail(e, BAD_INPUT,
                    "%s: tensor \"%.200s\" ends at byte %" PRId64 " of the data, but the file has only %" PRIu64
                    ": it is cut short; "
                    "fetch or copy it again",
                    f->path, t->name, end, data_bytes);
    if ((uint64_t)(end - begin) != t->bytes)
        return fail(e, BAD_INPUT,
                    "%s: tensor \"%.200s\" has %" PRId64 " bytes, but its shape needs %" PRIu64 "; " DAMAGED, f->path,
                    t->name, end - begin, t->bytes);
    t->data = data + begin;
    return OK;
}

static status read_tensor(const st_file *f, const cJSON *entry, const char *data, uint64_t data_bytes, st_tensor *t,
                          error *e) {
    const char *name = entry->string;
    if (strlen(name) > NAME_LONGEST) return bad_tensor(f, name, "has too long a name", e);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return fail(e, BAD_INPUT, "%s: a tensor's name has control characters; " DAMAGED, f->path);
    t->name = xstrdup(name);
    const cJSON *dtype = NULL, *shape = NULL, *offsets = NULL;
    if (!cJSON_IsObject(entry)) return bad_tensor(f, name, "is not an object", e);
    for (const cJSON *c = entry->child; c; c = c->next) {
        const cJSON **place = !strcmp(c->string, "dtype")          ? &dtype
                              : !strcmp(c->string, "shape")        ? &shape
                              : !strcmp(c->string, "data_offsets") ? &offsets
                                                                   : NULL;
        if (!place || *place) return bad_tensor(f, name, place ? "gives a key twice" : "has an unknown key", e);
        *place = c;
    }
    TRY(read_shape(f, dtype, shape, t, e));
    return read_offsets(f, offsets, data, data_bytes, t, e);
}

static int by_place(const void *a, const void *b) {
    const st_tensor *x = a, *y = b;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) -
           (x->bytes < y->bytes); /* an empty tensor stands before the one it shares an offset with */
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const st_tensor *)a)->name, ((const st_tensor *)b)->name);
}

/* Checks that every byte of the data belongs to exactly one tensor, and that no name occurs twice. Leaves the tensors
   sorted by name. */
static status check_layout(st_file *f, const char *data, uint64_t data_bytes, error *e) {
    qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_place);
    const char *at = data;
    for (const st_tensor *t = f->tensors; t < f->tensors + f->n; t++) {
        if ((const char *)t->data < at) return bad_tensor(f, t->name, "overlaps the one before it", e);
        if ((const char *)t->data > at) return bad_tensor(f, t->name, "has unused bytes before it", e);
        at += t->bytes;
    }
    if (at != data + data_bytes)
        return fail(e, BAD_INPUT, "%s: %" PRIu64 " bytes at the end belong to no tensor; " DAMAGED, f->path,
                    data_bytes - (uint64_t)(at - data));
    qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_name);
    for (int i = 1; i < f->n; i++)
        if (!strcmp(f->tensors[i - 1].name, f->tensors[i].name))
            return bad_tensor(f, f->tensors[i].name, "is there twice", e);
    return OK;
}

static status read_tensors(st_file *f, const cJSON *header, const char *data, uint64_t data_bytes, error *e) {
    f->tensors = xcalloc((unsigned long)cJSON_GetArraySize(header), sizeof *f->tensors);
    for (const cJSON *entry = header->child; entry; entry = entry->next) {
        if (!strcmp(entry->string, "__metadata__")) continue;
        TRY(read_tensor(f, entry, data, data_bytes, &f->tensors[f->n++], e));
    }
    return check_layout(f, data, data_bytes, e);
}

static status read_header(st_file *f, error *e) {
    const char *map = f->map.data;
    uint64_t length;
    if (f->map.bytes < 8) return not_ours(f, "it has fewer than 8 bytes", e);
    memcpy(&length, map, 8);
    if (length > HEADER_MAX) return not_ours(f, "its header would be larger than 100 MB", e);
    if (length > f->map.bytes - 8) return not_ours(f, "its header would end past the file's end", e);
    if (length < 2 || map[8] != '{') return not_ours(f, "its header does not begin with {", e);
    TRY(header_scan(f->path, map + 8, length, e));
    char *text = xcalloc(length + 1, 1);
    memcpy(text, map + 8, length);
    cJSON *header = cJSON_ParseWithLengthOpts(text, length + 1, NULL, 1); /* 1: nothing but space may follow */
    free(text);
    if (!header) return fail(e, BAD_INPUT, "%s: its header is not valid JSON; " DAMAGED, f->path);
    status s = read_tensors(f, header, map + 8 + length, f->map.bytes - 8 - length, e);
    cJSON_Delete(header);
    return s;
}

/* ---- files ---- */

static status check_hash(const st_file *f, const char *sha256, error *e) {
    char hex[HASH_HEX];
    if (!sha256 || !sha256[0]) return OK;
    hash_bytes(f->map.data, f->map.bytes, hex);
    if (!strcmp(hex, sha256)) return OK;
    return fail(e, BAD_INPUT, "%s: is damaged: its SHA-256 is not the one in state.json", f->path);
}

status st_open_hashed(const char *path, const char *sha256, st_file *f, error *e) {
    *f = (st_file){.path = xstrdup(path)};
    status s = file_map(path, "give a safetensors file", &f->map, e);
    if (s == OK && !f->map.bytes) s = fail(e, BAD_INPUT, "%s: is empty; fetch or copy it again", path);
    if (s == OK) s = check_hash(f, sha256, e);
    if (s == OK) s = read_header(f, e);
    if (s != OK) st_close(f);
    return s;
}

status st_open(const char *path, st_file *f, error *e) { return st_open_hashed(path, NULL, f, e); }

void st_close(st_file *f) {
    for (int i = 0; i < f->n; i++) free(f->tensors[i].name);
    free(f->tensors);
    free(f->path);
    file_unmap(&f->map);
    *f = (st_file){0};
}

const st_tensor *st_find(const st_file *f, const char *name) {
    st_tensor key = {.name = (char *)name};
    return f->n ? bsearch(&key, f->tensors, (size_t)f->n, sizeof key, by_name) : NULL;
}

/* ---- values ---- */

static float bits_to_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static float f16_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = (h >> 10) & 31, fraction = h & 1023;
    if (exponent == 0) return (sign ? -0x1p-24f : 0x1p-24f) * (float)fraction; /* zero and subnormals: exact */
    uint32_t wide = exponent == 31 ? 255 : exponent + 112;
    return bits_to_float(sign | wide << 23 | fraction << 13);
}

#define LOAD(type)                                                                                                     \
    type x;                                                                                                            \
    memcpy(&x, (const char *)t->data + (size_t)i * sizeof x, sizeof x)

double st_value(const st_tensor *t, int64_t i) {
    switch (t->type) {
    case ST_F32: {
        LOAD(float);
        return x;
    }
    case ST_F64: {
        LOAD(double);
        return x;
    }
    case ST_F16: {
        LOAD(uint16_t);
        return f16_to_float(x);
    }
    case ST_BF16: {
        LOAD(uint16_t);
        return bf16_to_float(x);
    }
    case ST_I32: {
        LOAD(int32_t);
        return x;
    }
    case ST_I64: {
        LOAD(int64_t);
        return (double)x;
    }
    case ST_U16: {
        LOAD(uint16_t);
        return x;
    }
    case ST_U32: {
        LOAD(uint32_t);
        return x;
    }
    case ST_U8:
    case ST_BOOL: {
        LOAD(uint8_t);
        return x;
    }
    }
    return NAN;
}

void st_convert(const st_tensor *t, int64_t first, int64_t count, size_t real_bytes, void *out) {
    const char *from = (const char *)t->data + (size_t)first * st_size(t->type);
    if ((t->type == ST_F32 && real_bytes == 4) || (t->type == ST_F64 && real_bytes == 8)) {
        memcpy(out, from, (size_t)count * real_bytes);
        return;
    }
    float *f = out;
    double *d = out;
    for (int64_t i = 0; i < count; i++) {
        double x = st_value(t, first + i);
        if (real_bytes == 4)
            f[i] = (float)x;
        else
            d[i] = x;
    }
}
