/* config_file.c: reads nanoGPT's config files, which are Python. Nothing of it is executed: config_statement.c
   evaluates what can be, names get values, and those that are settings' are stored at the end, as nanoGPT's
   configurator does. */
#include "config/config_names.h"
#include "config/config_statement.h"
#include "config/config_store.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1 << 20 };

/* Stores what the file has given to settings. A name that the command does not read may hold what is no setting's
   value: `batch = 32` is then only a name. */
static status store_names(config *c, error *e) {
    for (int i = 0; i < c->names->n; i++) {
        named_value *x = &c->names->list[i];
        option_id id = config_find(x->name);
        if (!x->fresh) continue;
        x->fresh = false;
        if (name_is_skipped(x->name)) config_ignore(c, x->name, x->v->type != VALUE_UNKNOWN && !value_truth(x->v));
        if (id == OPTION_COUNT) continue;
        reader place = reader_of("", x->source, x->line, c->names, e);
        place.now.line = x->line;
        status s = config_store(c, id, x->v, &place);
        if (s != OK && (!c->command || option_read_by(&option_table[id], c->command))) return s;
    }
    return OK;
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

/* The text with a zero at its end and line ends as LF, and without a byte order mark. */
static char *copy_of(const char *text, size_t bytes) {
    char *copy = xcalloc(bytes + 1, 1), *to = copy;
    size_t mark = bytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;
    for (size_t i = mark; i < bytes; i++) { /* CR LF and CR become LF */
        if (text[i] == '\r' && i + 1 < bytes && text[i + 1] == '\n') continue;
        *to++ = text[i] == '\r' ? '\n' : text[i];
    }
    return copy;
}

status config_read_text(config *c, const char *name, const char *text, unsigned long bytes, error *e) {
    if (bytes > FILE_BYTES_MAX)
        return fail(e, BAD_INPUT, "%.250s: larger than 1 MiB: is this a config file? It has lines of key = value",
                    name);
    size_t good = text_length(text, bytes);
    config_names(c);
    char *copy = copy_of(text, good);
    reader r = reader_of(copy, name, 1, c->names, e);
    status s = OK;
    if (good < bytes) {
        for (const char *at = copy; *at; at++) r.line += *at == '\n';
        s = reader_fail_at(&r, r.line,
                           "byte 0x%02x is not text: is this a config file? It has lines of key = value in UTF-8",
                           (unsigned char)text[good]);
    }
    if (s == OK) s = statements_run(&r);
    if (s == OK) s = store_names(c, e);
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
    char *near = problem ? config_near_file(path, ".py") : NULL;
    if (near) fail(e, BAD_INPUT, "%s: %s: did you mean %.200s?", shown, problem, near);
    free(near);
    if (near) return BAD_INPUT;
    if (problem) return fail(e, BAD_INPUT, "%s: %s: give the path of a config file, CONFIG.py", shown, problem);
    FILE *f = xfound(fopen(path, "rb"));
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
