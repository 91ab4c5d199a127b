/* safetensors_write.c: writes safetensors files in one pass, in the order given. */
#include "base/files.h"
#include "base/json_value.h"
#include "save/safetensors.h"
#include "base/memory_file.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 }; /* a multiple of every type's size */

static uint64_t tensor_size(const st_tensor *t) {
    uint64_t bytes = st_size(t->type);
    for (int i = 0; i < t->rank; i++) bytes *= (uint64_t)t->dim[i];
    return bytes;
}

/* The header's length in 8 bytes and its JSON, padded so that the data begin at a multiple of 8. The caller frees
   it. */
static char *header_make(const st_tensor *tensors, int n, size_t *bytes) {
    char *text;
    FILE *f = memory_file(&text, bytes);
    uint64_t at = 0, length = 0;
    fwrite(&length, 1, 8, f);
    fputs("{\"__metadata__\":{\"format\":\"pt\"}", f);
    for (const st_tensor *t = tensors; t < tensors + n; t++) {
        fputc(',', f);
        json_print(f, t->name);
        fprintf(f, ":{\"dtype\":\"%s\",\"shape\":[", st_name(t->type));
        for (int i = 0; i < t->rank; i++) fprintf(f, "%s%" PRId64, i ? "," : "", t->dim[i]);
        fprintf(f, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + tensor_size(t));
        at += tensor_size(t);
    }
    fputc('}', f);
    for (fflush(f); *bytes % 8; fflush(f)) fputc(' ', f);
    fclose(f);
    length = *bytes - 8;
    memcpy(text, &length, 8);
    return text;
}

static status put_tensor(file_out *out, const st_tensor *t, st_fill *fill, void *context, char *buffer, error *e) {
    uint64_t bytes = tensor_size(t);
    if (t->data) return file_put(out, t->data, bytes, e);
    for (uint64_t at = 0; at < bytes; at += CHUNK) {
        size_t size = bytes - at < CHUNK ? (size_t)(bytes - at) : CHUNK;
        TRY(fill(context, t, at, buffer, size, e));
        TRY(file_put(out, buffer, size, e));
    }
    return OK;
}

status st_write(const char *path, const st_tensor *tensors, int n, st_fill *fill, void *context, char *sha256,
                error *e) {
    file_out out;
    TRY(file_create(&out, path, e));
    size_t header_bytes;
    char *header = header_make(tensors, n, &header_bytes), *buffer = xcalloc(CHUNK, 1);
    status s = file_put(&out, header, header_bytes, e);
    for (int i = 0; s == OK && i < n; i++) s = put_tensor(&out, &tensors[i], fill, context, buffer, e);
    free(buffer);
    free(header);
    if (s == OK) return file_finish(&out, false, sha256, e);
    file_abandon(&out);
    return s;
}
