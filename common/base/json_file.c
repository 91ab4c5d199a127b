/* json_file.c: see json_file.h. */
#include "base/json_file.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include <stdlib.h>
#include <string.h>

enum { JSON_MAX = 1 << 29 }; /* far more than any tokenizer.json; parsing takes some ten times the file's size */

static status json_parse(const char *path, const mapped_file *f, cJSON **root, error *e) {
    const char *mistaken = file_mistaken(f);
    if (mistaken) return fail(e, BAD_INPUT, "%s is %s, not JSON", path, mistaken);
    if (f->bytes > JSON_MAX)
        return fail(e, BAD_INPUT, "%s has %zu bytes; the limit for JSON is %d", path, f->bytes, JSON_MAX);
    const char *end = f->data;
    *root = cJSON_ParseWithLengthOpts(f->data, f->bytes, &end, 0);
    if (*root) return OK;
    long line = 1;
    for (const char *p = f->data; p < end; p++) line += *p == '\n';
    return fail(e, BAD_INPUT, "%s is damaged: no JSON at line %ld, byte %ld; copy or make the file again", path, line,
                (long)(end - f->data));
}

status json_read(const char *path, cJSON **root, error *e) {
    mapped_file f;
    *root = NULL;
    TRY(file_map(path, "", &f, e));
    status s = json_parse(path, &f, root, e);
    file_unmap(&f);
    return s;
}

status json_write(const char *path, cJSON *root, bool durable, error *e) {
    char *text = cJSON_Print(root), *folder = xstrdup(path);
    cJSON_Delete(root);
    *strrchr(folder, '/') = 0;
    status s = folder_make(folder, e);
    if (s == OK) s = file_write(path, text, strlen(text), durable, NULL, e);
    free(folder);
    free(text);
    return s;
}

void json_print_string(FILE *f, const char *text, size_t bytes) {
    putc('"', f);
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(f, "\\u%04x", c);
        else
            putc(c, f);
    }
    putc('"', f);
}
