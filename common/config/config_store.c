/* config_store.c: one value, already read, goes into its option, or a message says why it cannot; what to do with keys
   that mean nothing here, and what to say to unknown ones. */
#include "config/config_store.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- keys that mean nothing here, and unknown ones ---- */

/* Weights & Biases, torch.compile, DDP, and two switches of nanoGPT's bench.py. */
bool config_is_ignored(const char *name) {
    static const char *const names[] = {"compile", "backend", "profile", "real_data"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return strncmp(name, "wandb_", 6) == 0;
}

void config_ignore(config *c, const char *name) {
    enum { KEPT = sizeof c->ignored / sizeof *c->ignored };
    for (int i = 0; i < c->n_ignored && i < KEPT; i++)
        if (strcmp(c->ignored[i], name) == 0) return;
    if (c->n_ignored < KEPT) c->ignored[c->n_ignored] = xstrdup(name);
    if (c->n_ignored < INT_MAX) c->n_ignored++;
}

/* Levenshtein's distance, for which case makes no difference, nor - in the place of _. */
static int edit_distance(const char *a, const char *b) {
    enum { LONGEST = 64 };
    int row[LONGEST + 1], m = (int)strlen(b);
    if (m > LONGEST) return INT_MAX;
    for (int j = 0; j <= m; j++) row[j] = j;
    for (int i = 1; *a; a++, i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            char pair[2][2] = {{*a == '-' ? '_' : *a}, {b[j - 1]}};
            int change = diagonal + (strcasecmp(pair[0], pair[1]) != 0);
            int shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < shift ? change : shift;
        }
    }
    return row[m];
}

status config_unknown(const reader *r, const char *name, size_t bytes) {
    excerpt shown = excerpt_of(name, bytes);
    int nearest = 0, distance = INT_MAX;
    for (int i = 0; i < OPTION_COUNT; i++) {
        int d = edit_distance(shown.text, option_table[i].name);
        if (d < distance) nearest = i, distance = d;
    }
    /* Where more than half of the name (or two letters) would have to change, it is better not to guess. */
    int trusted = (int)strlen(shown.text) / 2 > 2 ? (int)strlen(shown.text) / 2 : 2;
    const char *dashes = r->line ? "" : "--", *kind = r->line ? "key " : "option";
    if (r->line == 0) shown.text[0] = 0; /* an option's name stands before the message already */
    if (distance > trusted) return reader_fail(r, "unknown %s%s: `snug help` lists what there is", kind, shown.text);
    return reader_fail(r, "unknown %s%s: did you mean %s%s? `snug help` lists all", kind, shown.text, dashes,
                       option_table[nearest].name);
}

/* ---- storing one value ---- */

static bool word_allowed(const char *words, const char *word) {
    size_t n = strlen(word);
    for (const char *w = words; w; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL)
        if (n && strncmp(w, word, n) == 0 && (w[n] == '|' || !w[n])) return true;
    return false;
}

static status store_int(const option_info *o, int64_t *to, const value *v, const reader *r) {
    int64_t i = v->integer;
    if (v->type == VALUE_REAL) { /* as in max_iters = 6e5; beyond 2^53 a double may stand for several integers */
        if (floor(v->real) < v->real || fabs(v->real) > 9007199254740992.0)
            return reader_fail(r, "%s is %g, but must be a whole number", o->name, v->real);
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
        return reader_fail(r, "%s%s%s", r->line ? o->name : "", r->line ? ": " : "", inner.text);
    if (v->type == VALUE_TEXT) return OK;
    if (v->real != 0 || v->type == VALUE_BOOL)
        return reader_fail(r, "%s needs a size with its unit: write %s='10.5GiB' or '12GB'", o->name, o->name);
    *to = 0;
    return OK;
}

status config_store(config *c, option_id id, const value *v, const reader *r) {
    static const char *const wanted[] = {[OPTION_INT] = "a whole number",
                                         [OPTION_REAL] = "a number",
                                         [OPTION_BOOL] = "True or False",
                                         [OPTION_TEXT] = "text in quotes",
                                         [OPTION_BYTES] = "a size"};
    static const char *const found[] = {"a whole number", "a number with a point", "True or False", "text"};
    const option_info *o = &option_table[id];
    void *to = (char *)c + o->offset;
    bool number = v->type == VALUE_INT || v->type == VALUE_REAL;
    bool fits = o->type == OPTION_BYTES || (o->type == OPTION_BOOL && v->type == VALUE_BOOL) ||
                (o->type == OPTION_TEXT && v->type == VALUE_TEXT) ||
                ((o->type == OPTION_INT || o->type == OPTION_REAL) && number);
    if (!fits) return reader_fail(r, "%s must be %s, not %s", o->name, wanted[o->type], found[v->type]);
    switch (o->type) {
    case OPTION_INT: TRY(store_int(o, to, v, r)); break;
    case OPTION_REAL:
        if (v->real < o->least || v->real > o->most)
            return reader_fail(r, "%s is %g, out of range: it must be %g to %g", o->name, v->real, o->least, o->most);
        *(double *)to = v->real;
        break;
    case OPTION_BOOL: *(bool *)to = v->truth; break;
    case OPTION_TEXT:
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
    c->given[id] = r->line ? xprintf("%s:%d", r->source, r->line) : xstrdup(r->source);
    return OK;
}
