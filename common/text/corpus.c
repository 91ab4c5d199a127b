/* corpus.c: see corpus.h. */
#include "text/corpus.h"
#include "base/utf8.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    corpus *c;
    bool has_except;
    struct stat except;
} walk;

static char *with_plain_newlines(const char *text, size_t bytes, size_t *length) {
    char *own = xcalloc(bytes + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] != '\r')
            own[n++] = text[i];
        else if (i + 1 == bytes || text[i + 1] != '\n')
            own[n++] = '\n';
    }
    *length = n;
    return own;
}

status corpus_read(const corpus *c, const char *path, corpus_text *t, error *e) {
    *t = (corpus_text){.text = ""};
    TRY(file_map(path, "", &t->map, e));
    t->text = t->map.data;
    t->bytes = t->map.bytes;
    if (c->rules.newlines && t->bytes > 0 && memchr(t->text, '\r', t->bytes))
        t->text = t->own = with_plain_newlines(t->map.data, t->map.bytes, &t->bytes);
    return OK;
}

void corpus_text_free(corpus_text *t) {
    file_unmap(&t->map);
    free(t->own);
    *t = (corpus_text){.text = ""};
}

static status look_at_file(corpus *c, const char *path, bool named, error *e) {
    corpus_text t;
    int64_t characters = 0;
    TRY(corpus_read(c, path, &t, e));
    bool lenient = named && c->rules.any_bytes;
    const char *mistaken = lenient ? NULL : file_mistaken(&t.map);
    size_t good = lenient ? t.bytes : utf8_valid(t.text, t.bytes, &characters);
    bool is_text = !mistaken && good == t.bytes && (named || t.bytes == 0 || !memchr(t.text, 0, t.bytes));
    status s = OK;
    if (named && mistaken)
        s = fail(e, BAD_INPUT, "%s is %s, not text; give text files or folders of them", path, mistaken);
    else if (named && !is_text)
        s = fail(e, BAD_INPUT,
                 "%s: byte %zu (0x%02x) is not UTF-8; convert the file (iconv -t UTF-8), or take --tokenizer=byte",
                 path, good, (unsigned char)t.text[good]);
    else if (!is_text)
        c->skipped++;
    else {
        if ((c->n & (c->n - 1)) == 0) c->files = xrealloc(c->files, (size_t)(2 * c->n + 1) * sizeof *c->files);
        c->files[c->n] = (corpus_file){xstrdup(path), c->rules.any_bytes ? (int64_t)t.bytes : characters};
        c->units += c->files[c->n++].units;
    }
    corpus_text_free(&t);
    return s;
}

/* Compares bytes, whatever the locale is, so that a folder gives the same corpus everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static int not_dots(const struct dirent *d) { return strcmp(d->d_name, ".") && strcmp(d->d_name, ".."); }

static status look_at(walk *w, const char *path, bool named, error *e);

static status look_at_folder(walk *w, const char *path, error *e) {
    struct dirent **names;
    int n = scandir(path, &names, not_dots, by_name);
    if (n < 0 && errno == ENOMEM) out_of_memory(0);
    if (n < 0) return fail(e, BAD_INPUT, "%s cannot be read: %s", path, strerror(errno));
    status s = OK;
    const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
    for (int i = 0; i < n; i++) {
        if (s == OK && names[i]->d_name[0] == '.')
            w->c->skipped++;
        else if (s == OK) {
            char *inside = xprintf("%s%s%s", path, slash, names[i]->d_name);
            s = look_at(w, inside, false, e);
            free(inside);
        }
        free(names[i]);
    }
    free(names);
    return s;
}

/* Symbolic links are followed only where the user named them, since within folders they could form a circle. */
static status look_at(walk *w, const char *path, bool named, error *e) {
    struct stat info;
    if ((named ? stat(path, &info) : lstat(path, &info)) != 0)
        return fail(e, BAD_INPUT, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) {
        bool same = w->has_except && info.st_dev == w->except.st_dev && info.st_ino == w->except.st_ino;
        return same && !named ? OK : look_at_folder(w, path, e);
    }
    if (named || S_ISREG(info.st_mode)) return look_at_file(w->c, path, named, e);
    w->c->skipped++;
    return OK;
}

status corpus_find(corpus *c, corpus_rules rules, char **paths, int n_paths, const char *except, error *e) {
    *c = (corpus){.rules = rules};
    walk w = {.c = c};
    w.has_except = stat(except, &w.except) == 0;
    for (int i = 0; i < n_paths; i++) {
        if (!*paths[i]) return fail(e, BAD_INPUT, "an empty path was given; name text files or folders");
        TRY(look_at(&w, paths[i], true, e));
    }
    return OK;
}

void corpus_free(corpus *c) {
    for (int64_t i = 0; i < c->n; i++) free(c->files[i].path);
    free(c->files);
    *c = (corpus){0};
}
