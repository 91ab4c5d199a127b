/* config.c: the option table, and everything that stores into a config. Values are read by config_value.c, files by
   config_file.c; what people see of a config is made by config_show.c. */
#include "config/config.h"
#include "config/config_value.h"
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- the table ---- */

#define LIMITS_INT(a, b) .low = a, .high = b
#define LIMITS_REAL(a, b) .least = a, .most = b
#define LIMITS_BOOL(a, b) .low = a, .high = b
#define LIMITS_TEXT(a, b) .words = b
#define LIMITS_BYTES(a, b) .low = a, .high = b
#define X(kind, key, initial, a, b, in, text)                                                                          \
    [OPTION_##key] = {.name = #key,                                                                                    \
                      .type = OPTION_##kind,                                                                           \
                      .group = #in,                                                                                    \
                      .help = text,                                                                                    \
                      .offset = offsetof(config, key),                                                                 \
                      LIMITS_##kind(a, b)},
const option_info option_table[OPTION_COUNT] = {OPTIONS(X)};
#undef X

option_id config_find(const char *name) {
    option_id id = 0;
    while (id < OPTION_COUNT && strcmp(option_table[id].name, name) != 0) id++;
    return id;
}

#define SET_INT(member, initial) member = initial
#define SET_REAL(member, initial) member = initial
#define SET_BOOL(member, initial) member = initial
#define SET_BYTES(member, initial) member = initial
#define SET_TEXT(member, initial) strcpy(member, initial)
void config_defaults(config *c) {
    *c = (config){0};
#define X(kind, key, initial, ...) SET_##kind(c->key, initial);
    OPTIONS(X)
#undef X
}

void config_free(config *c) {
    for (int i = 0; i < OPTION_COUNT; i++) free(c->given[i]);
    for (int i = 0; i < c->n_positional; i++) free(c->positional[i]);
    for (int i = 0; i < c->n_notes; i++) free(c->notes[i]);
    for (size_t i = 0; i < sizeof c->ignored / sizeof *c->ignored; i++) free(c->ignored[i]);
    free(c->positional);
    free(c->config_file);
    *c = (config){0};
}

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

/* Levenshtein's distance; case and - against _ count nothing. */
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
    /* Half of a name wrong: then a guess is a guess only. */
    int trusted = (int)strlen(shown.text) / 2 > 2 ? (int)strlen(shown.text) / 2 : 2;
    const char *dashes = r->line ? "" : "--", *kind = r->line ? "key " : "option";
    if (r->line == 0) shown.text[0] = 0; /* it is the source */
    if (distance > trusted) return reader_fail(r, "unknown %s%s: `snug help` lists what there is", kind, shown.text);
    return reader_fail(r, "unknown %s%s: did you mean %s%s? `snug help` lists all", kind, shown.text, dashes,
                       option_table[nearest].name);
}

/* ---- storing and loading one value ---- */

static bool word_allowed(const char *words, const char *word) {
    size_t n = strlen(word);
    for (const char *w = words; w; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL)
        if (n && strncmp(w, word, n) == 0 && (w[n] == '|' || !w[n])) return true;
    return false;
}

static status store_int(const option_info *o, int64_t *to, const value *v, const reader *r) {
    int64_t i = v->integer;
    if (v->type == VALUE_REAL) { /* 6e5 is a number of steps; past 2^53 a double no longer says which */
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
    case OPTION_BYTES: TRY(store_bytes(o, to, v, r)); break;
    }
    free(c->given[id]);
    c->given[id] = r->line ? xprintf("%s:%d", r->source, r->line) : xstrdup(r->source);
    return OK;
}

value config_load(const config *c, option_id id) {
    const void *from = (const char *)c + option_table[id].offset;
    value v = {0};
    switch (option_table[id].type) {
    case OPTION_INT: v.type = VALUE_INT, v.integer = *(const int64_t *)from, v.real = (double)v.integer; break;
    case OPTION_REAL: v.type = VALUE_REAL, v.real = *(const double *)from; break;
    case OPTION_BOOL: v.type = VALUE_BOOL, v.truth = *(const bool *)from; break;
    default: v.type = VALUE_TEXT, strcpy(v.text, from);
    }
    return v;
}

/* ---- the command line ---- */

/* --key without =: True for a switch; else most likely "--key value", which is not supported. */
static status store_switch(config *c, option_id id, const char *next, const reader *r) {
    const option_info *o = &option_table[id];
    bool has_next = next && strncmp(next, "--", 2) != 0;
    excerpt example = excerpt_of(has_next ? next : "VALUE", 40);
    bool truth = next && (strcasecmp(next, "True") == 0 || strcasecmp(next, "False") == 0);
    if (o->type != OPTION_BOOL || truth)
        return reader_fail(r, "the value must follow an =, without a space: write --%s=%s", o->name, example.text);
    return config_store(c, id, &(value){.type = VALUE_BOOL, .truth = true}, r);
}

static bool is_quoted(const char *text) {
    size_t n = strlen(text);
    return n >= 2 && (*text == '\'' || *text == '"') && text[n - 1] == *text;
}

static status parse_option(config *c, const char *argument, const char *next, error *e) {
    const char *key = argument + 2, *equals = strchr(key, '=');
    size_t n = equals ? (size_t)(equals - key) : strlen(key);
    char source[80];
    snprintf(source, sizeof source, "--%s", excerpt_of(key, n).text);
    reader r = {.at = equals ? equals + 1 : "", .source = source, .c = c, .e = e};
    if (strlen(source) != n + 2) return config_unknown(&r, key, n);
    if (config_is_ignored(source + 2)) {
        config_ignore(c, source + 2);
        return OK;
    }
    option_id id = config_find(source + 2);
    if (id == OPTION_COUNT) return config_unknown(&r, key, n);
    if (!equals) return store_switch(c, id, next, &r);
    bool text = option_table[id].type == OPTION_TEXT || option_table[id].type == OPTION_BYTES;
    value v = {.type = VALUE_TEXT};
    if (text && !is_quoted(r.at)) {
        if (strlen(r.at) >= TEXT_MAX) return reader_fail(&r, "the value is too long: at most %d bytes", TEXT_MAX - 1);
        strcpy(v.text, r.at);
    } else {
        TRY(reader_value(&r, &v));
        if (*r.at)
            return reader_fail(&r, "can't read '%s' after the value: leave it out", excerpt_of(r.at, SIZE_MAX).text);
    }
    return config_store(c, id, &v, &r);
}

static status parse_arguments(config *c, int argc, char **argv, error *e) {
    bool options_end = false;
    c->positional = xcalloc((unsigned long)argc + 1, sizeof *c->positional);
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        size_t n = strlen(a);
        if (options_end || (*a != '-' && (n < 3 || strcmp(a + n - 3, ".py") != 0)) || strcmp(a, "-") == 0)
            c->positional[c->n_positional++] = xstrdup(a);
        else if (strcmp(a, "--") == 0)
            options_end = true;
        else if (strncmp(a, "--", 2) == 0)
            TRY(parse_option(c, a, i + 1 < argc ? argv[i + 1] : NULL, e));
        else if (*a == '-')
            return fail(e, BAD_INPUT,
                        "%s: unknown argument: options are written --key=value; a path that starts with "
                        "- goes after a lone --",
                        excerpt_of(a, n).text);
        else
            TRY(config_read(c, a, e));
    }
    return OK;
}

static void note(config *c, char *line) { c->notes[c->n_notes++] = line; }

/* What was asked for and what it means here: says so, and leaves the values as they take effect. */
static void take_effect(config *c) {
    enum { KEPT = sizeof c->ignored / sizeof *c->ignored };
    if (c->n_ignored) {
        char *line = xstrdup("skipped, because they mean nothing here:");
        for (int i = 0; i < c->n_ignored && i < KEPT; i++) {
            char *longer = xprintf("%s%s %s", line, i ? "," : "", c->ignored[i]);
            free(line);
            line = longer;
        }
        note(c, c->n_ignored > KEPT ? xprintf("%s and others", line) : xstrdup(line));
        free(line);
    }
    if (strcmp(c->dtype, "bfloat16") == 0 || strcmp(c->dtype, "float16") == 0) {
        note(c, xprintf("dtype '%s': trains in float32, 16-bit types are not computed in", c->dtype));
        strcpy(c->dtype, "float32");
    }
    char *end = c->device;
    long number = strncmp(c->device, "cuda:", 5) == 0 ? strtol(c->device + 5, &end, 10) : 0;
    if (number > 0 && number < 1000 && !*end) {
        note(c, xprintf("device '%s' means opencl:%ld here: `snug devices` lists them", c->device, number));
        snprintf(c->device, sizeof c->device, "opencl:%ld", number);
    } else if (!strcmp(c->device, "cuda") || !strcmp(c->device, "cuda:0") || !strcmp(c->device, "mps")) {
        note(c, xprintf("device '%s' means the first OpenCL GPU here", c->device));
        strcpy(c->device, "cuda");
    }
    if (c->decay_lr && c->min_lr > c->learning_rate)
        note(c, xprintf("min_lr %g is above learning_rate %g: the rate will rise, not decay", c->min_lr,
                        c->learning_rate));
}

status config_parse(config *c, int argc, char **argv, error *e) {
    config_defaults(c);
    status s = parse_arguments(c, argc, argv, e);
    if (s == OK)
        take_effect(c);
    else
        config_free(c);
    return s;
}

/* ---- checks across options ---- */

static status check_not_empty(const config *c, error *e) {
    const option_id needed[] = {OPTION_dataset, OPTION_out_dir, OPTION_init_from, OPTION_device};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!*((const char *)c + option_table[needed[i]].offset))
            return fail(e, BAD_INPUT, "%s: %s is empty: give it a value or leave it out", c->given[needed[i]],
                        option_table[needed[i]].name);
    return OK;
}

status config_check(const config *c, error *e) {
    enum { SEQUENCES_MAX = 1 << 24 }; /* one loss each is kept on the device */
    int64_t effective = c->batch_size * c->gradient_accumulation_steps;
    int64_t micro = c->micro_batch_size ? c->micro_batch_size : effective;
    if (c->n_embd % c->n_head)
        return fail(e, BAD_INPUT, "n_embd %lld is not divisible by n_head %lld: change one, so that heads are equal",
                    (long long)c->n_embd, (long long)c->n_head);
    if (effective > SEQUENCES_MAX)
        return fail(e, BAD_INPUT,
                    "the effective batch batch_size x gradient_accumulation_steps is %lld sequences: at "
                    "most %d, make one smaller",
                    (long long)effective, SEQUENCES_MAX);
    if (c->micro_batch_size > effective)
        return fail(e, BAD_INPUT,
                    "micro_batch_size %lld is more than the effective batch of %lld sequences: at most "
                    "that, or 0 to fit it",
                    (long long)c->micro_batch_size, (long long)effective);
    /* Every activation of all layers in float64 must be countable in 63 bits. */
    if ((double)micro * (double)c->block_size * (double)c->n_embd * (double)c->n_layer * 256 > 0x1p62)
        return fail(e, BAD_INPUT,
                    "sequences x block_size x n_embd x n_layer is past what can be counted: make "
                    "micro_batch_size (%lld) or the model smaller",
                    (long long)micro);
    if (!strcmp(c->dtype, "float64") && strcmp(c->device, "auto") != 0 && strcmp(c->device, "cpu") != 0)
        return fail(e, BAD_INPUT,
                    "dtype float64 runs on the CPU only, but device is '%s': set device=cpu or "
                    "dtype=float32",
                    excerpt_of(c->device, sizeof c->device).text);
    return check_not_empty(c, e);
}
