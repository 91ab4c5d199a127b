/* config_store.c: one value, already read, goes into its option, or a message says why it cannot; what to do with keys
   that mean nothing here, and what to say to unknown ones. */
#include "config/config_store.h"
#include "base/nearest.h"
#include "config/config_names.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys that mean nothing here, and unknown ones ---- */

void config_ignore(config *c, const char *name, bool is_off) {
    enum { KEPT = sizeof c->ignored / sizeof *c->ignored };
    if (!strcmp(name, "compile")) c->compile_is_off = is_off;
    for (int i = 0; i < c->n_ignored && i < KEPT; i++)
        if (strcmp(c->ignored[i], name) == 0) return;
    if (c->n_ignored < KEPT) c->ignored[c->n_ignored] = xstrdup(name);
    if (c->n_ignored < INT_MAX) c->n_ignored++;
}

struct names *config_names(config *c) {
    if (!c->names) c->names = xcalloc(1, sizeof *c->names);
    c->names->c = c;
    return c->names;
}

status config_unknown(const reader *r, const char *name, size_t bytes) {
    excerpt shown = excerpt_of(name, bytes);
    nearest n = {.typed = shown.text};
    for (int i = 0; i < OPTION_COUNT; i++) nearest_try(&n, option_table[i].name);
    const char *dashes = r->now.line ? "" : "--", *kind = r->now.line ? "key " : "option";
    if (!n.word)
        return reader_fail(r, "unknown %s%s: `snug help` lists what there is", kind, r->now.line ? shown.text : "");
    return reader_fail(r, "unknown %s%s: did you mean %s%s? `snug help` lists all", kind, r->now.line ? shown.text : "",
                       dashes, n.word);
}

/* ---- storing one value ---- */

/* ":7", from 1 to 9999. */
static bool is_count(const char *text) {
    size_t digits = strspn(text + 1, "0123456789");
    return text[0] == ':' && text[1] > '0' && digits >= 1 && digits <= 4 && !text[1 + digits];
}

/* words: "a|b|c[:N]"; a word followed by [:N] may have a count. */
static bool word_allowed(const char *words, const char *word) {
    size_t n = strcspn(word, ":");
    for (const char *w = words; n && w; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL) {
        if (strncmp(w, word, n) != 0) continue;
        const char *end = w + n;
        if (!word[n] ? !*end || *end == '|' || *end == '[' : !strncmp(end, "[:N]", 4) && is_count(word + n))
            return true;
    }
    return false;
}

/* The fewest digits that mean this number and no other: a limit of 0.9999999 is not 1. */
static excerpt shown(double x) {
    excerpt e;
    int digits = 1;
    do snprintf(e.text, sizeof e.text, "%.*g", digits, x);
    while (strtod(e.text, NULL) != x && digits++ < 17);
    return e;
}

static status store_int(const option_info *o, int64_t *to, const value *v, const reader *r) {
    int64_t i = v->integer;
    if (v->type == VALUE_REAL) { /* as in max_iters = 6e5; beyond 2^53 a double may stand for several integers */
        if (floor(v->real) < v->real || fabs(v->real) > 9007199254740992.0)
            return reader_fail(r, "%s is %s, but must be a whole number", o->name, shown(v->real).text);
        i = (int64_t)v->real;
    }
    if (i < o->low || i > o->high)
        return reader_fail(r, "%s is %lld, out of range: it must be %lld to %lld", o->name, (long long)i,
                           (long long)o->low, (long long)o->high);
    *to = i;
    return OK;
}

static status store_bytes(const option_info *o, uint64_t *to, const value *v, const reader *r) {
    error inner;
    if (v->type == VALUE_TEXT && config_bytes(v->text, to, &inner) != OK)
        return reader_fail(r, "%s%s%s", r->now.line ? o->name : "", r->now.line ? ": " : "", inner.text);
    if (v->type == VALUE_TEXT) return OK;
    if (v->real != 0 || v->type == VALUE_BOOL)
        return reader_fail(r, "%s needs a size with its unit: write %s='10.5GiB' or '12GB'", o->name, o->name);
    *to = 0;
    return OK;
}

status config_store(config *c, option_id id, const value *v, const reader *r) {
    const option_info *o = &option_table[id];
    void *to = (char *)c + o->offset;
    bool number = v->type == VALUE_INT || v->type == VALUE_REAL;
    bool fits = o->type == OPTION_BYTES || (o->type == OPTION_BOOL && v->type == VALUE_BOOL) ||
                (o->type == OPTION_TEXT && v->type == VALUE_TEXT) ||
                ((o->type == OPTION_INT || o->type == OPTION_REAL) && number);
    if (v->type == VALUE_UNKNOWN) return reader_fail_at(r, v->line, "%s", v->text);
    if (v->type == VALUE_NONE)
        return reader_fail(r, "%s can't be None: leave the line out to get the default", o->name);
    if (!fits) return reader_fail(r, "%s must be %s, not %s", o->name, option_wanted(o), value_kind(v));
    c->asked = c->asked || v->asked;
    switch (o->type) {
    case OPTION_INT: TRY(store_int(o, to, v, r)); break;
    case OPTION_REAL:
        if (v->real < o->least || v->real > o->most)
            return reader_fail(r, "%s is %s, out of range: it must be %s to %s", o->name, shown(v->real).text,
                               shown(o->least).text, shown(o->most).text);
        *(double *)to = v->real;
        break;
    case OPTION_BOOL: *(bool *)to = v->integer != 0; break;
    case OPTION_TEXT:
        if (id == OPTION_device && v->asked) { /* "cuda", if there is a GPU */
            strcpy(to, "auto");
            break;
        }
        if (o->words && !word_allowed(o->words, v->text))
            return reader_fail(r, "%s is '%s', but must be one of %s", o->name,
                               excerpt_of(v->text, sizeof v->text).text, o->words);
        strcpy(to, v->text);
        break;
    case OPTION_BYTES:
        TRY(store_bytes(o, to, v, r));
        bool short_enough = v->type == VALUE_TEXT && strlen(v->text) < sizeof c->vram_cap_text;
        strcpy(c->vram_cap_text, short_enough ? v->text : "");
        break;
    }
    free(c->given[id]);
    c->given[id] = r->now.line ? xprintf("%s:%d", r->source, r->now.line) : xstrdup(r->source);
    return OK;
}
