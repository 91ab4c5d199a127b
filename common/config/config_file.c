/* config_file.c: nanoGPT's config files: Python of which only `key = value` lines are read. Nothing is executed. */
#include "config/config_store.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1 << 20 };

/* What follows a statement on its line: nothing but a comment is allowed. */
static status statement_end(reader *r) {
    reader_blank(r);
    if (!*r->at || *r->at == '\n') return OK;
    if (*r->at == ';') return reader_fail(r, "two statements on one line: give each key a line of its own");
    return reader_fail(r, "can't read '%s' after the value: only numbers, strings, True, False and + - * / are read",
                       excerpt_of(r->at, SIZE_MAX).text);
}

/* `import time` stands in nanoGPT's own files, for the name of a wandb run. */
static status read_import(reader *r) {
    const char *module = r->at + strspn(r->at, " \t");
    if (name_length(module) != 4 || strncmp(module, "time", 4) != 0)
        return reader_fail(r, "import %s: nothing is imported (only `import time` is skipped): remove the line",
                           excerpt_of(module, SIZE_MAX).text);
    r->at = module + 4;
    return statement_end(r);
}

static status read_assignment(reader *r, config *c, const char *key, size_t n) {
    char name[64] = "";
    if (n < sizeof name) memcpy(name, key, n);
    if (config_is_ignored(name)) {
        reader_blank(r);
        if (!*r->at || *r->at == '\n') return reader_fail(r, "a value is missing: write key = value");
        config_ignore(c, name);
        return reader_skip(r);
    }
    option_id id = config_find(name);
    if (id == OPTION_COUNT) return config_unknown(r, key, n);
    const reader start = *r; /* messages name the line on which the key stands */
    value v;
    TRY(reader_value(r, &v));
    TRY(statement_end(r));
    return config_store(c, id, &v, &start);
}

static status read_statement(reader *r, config *c) {
    const char *start = r->at, *line_end = strchr(start, '\n');
    reader_blank(r);
    if (!*r->at || *r->at == '\n') return OK;
    if (r->at != start)
        return reader_fail(r, "the line is indented: only `key = value` lines that start at the margin are read");
    if (*r->at == '"' || *r->at == '\'') { /* a docstring */
        TRY(reader_string(r, NULL));
        return statement_end(r);
    }
    const char *key = r->at;
    size_t n = name_length(key);
    excerpt line = excerpt_of(start, line_end ? (size_t)(line_end - start) : strlen(start));
    r->at += n;
    if (n == 6 && strncmp(key, "import", n) == 0) return read_import(r);
    reader_blank(r);
    if (n && *r->at == '=' && r->at[1] != '=') {
        r->at++;
        return read_assignment(r, c, key, n);
    }
    if (n && *r->at && strchr("+-*/", *r->at) && strchr(r->at, '='))
        return reader_fail(r, "'%s' changes a value in place: write key = value", line.text);
    return reader_fail(r, "'%s' is not a `key = value` line: remove it, nothing else is read and nothing is executed",
                       line.text);
}

/* How many bytes come before the first that does not belong into UTF-8 text; `bytes` when all do. */
static size_t text_length(const char *text, size_t bytes) {
    for (size_t i = 0, more; i < bytes; i += more) {
        unsigned char b = (unsigned char)text[i];
        if (b == 0x7F || (b < 0x20 && !strchr("\t\n\r\f", b)) || b == 0) return i;
        more = b < 0x80 ? 1 : b >= 0xC2 && b < 0xE0 ? 2 : b >= 0xE0 && b < 0xF0 ? 3 : b >= 0xF0 && b < 0xF5 ? 4 : 0;
        if (!more || more > bytes - i) return i;
        for (size_t j = 1; j < more; j++)
            if (((unsigned char)text[i + j] & 0xC0) != 0x80) return i;
    }
    return bytes;
}

status config_read_text(config *c, const char *name, const char *text, unsigned long bytes, error *e) {
    reader r = {.source = name, .line = 1, .c = c, .e = e};
    if (bytes > FILE_BYTES_MAX)
        return fail(e, BAD_INPUT, "%.250s: larger than 1 MiB: is this a config file? It has lines of key = value",
                    name);
    size_t good = text_length(text, bytes);
    if (good < bytes) {
        for (size_t i = 0; i < good; i++) r.line += text[i] == '\n';
        return reader_fail(&r, "byte 0x%02x is not text: is this a config file? It has lines of key = value in UTF-8",
                           (unsigned char)text[good]);
    }
    char *copy = xcalloc(bytes + 1, 1), *to = copy;
    for (size_t i = 0; i < bytes; i++) { /* CR LF and CR become LF */
        if (text[i] == '\r' && i + 1 < bytes && text[i + 1] == '\n') continue;
        *to++ = text[i] == '\r' ? '\n' : text[i];
    }
    r.at = strncmp(copy, "\xEF\xBB\xBF", 3) == 0 ? copy + 3 : copy; /* a byte order mark */
    status s = OK;
    while (s == OK && *r.at) {
        s = read_statement(&r, c);
        if (s == OK && *r.at == '\n') r.at++, r.line++;
    }
    free(copy);
    return s;
}

status config_read(config *c, const char *path, error *e) {
    struct stat st;
    const char *problem = NULL;
    size_t n = strlen(path);
    const char *shown = n > 250 ? path + n - 250 : path;
    if (stat(path, &st) != 0)
        problem = strerror(errno);
    else if (S_ISDIR(st.st_mode))
        problem = "this is a folder";
    else if (!S_ISREG(st.st_mode)) /* a pipe could wait for ever */
        problem = "this is not a regular file";
    if (problem) return fail(e, BAD_INPUT, "%s: %s: give the path of a config file, CONFIG.py", shown, problem);
    FILE *f = fopen(path, "rb");
    if (!f) return fail(e, BAD_INPUT, "%s: %s: make it readable, or give another config", shown, strerror(errno));
    char *text = xcalloc(FILE_BYTES_MAX + 1, 1);
    size_t bytes = fread(text, 1, FILE_BYTES_MAX + 1, f);
    status s = OK;
    if (ferror(f)) s = fail(e, FAILED, "%s: can't be read: %s", shown, strerror(errno));
    fclose(f);
    if (s == OK) s = config_read_text(c, path, text, bytes, e);
    free(text);
    if (s != OK) return s;
    free(c->config_file);
    c->config_file = xstrdup(path);
    return OK;
}
