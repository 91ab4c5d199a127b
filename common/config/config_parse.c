/* config_parse.c: a command's arguments, in order, over the defaults; and the checks across options. */
#include "config/config_store.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the command line ---- */

/* --key without an =: a switch becomes True. Any other option was most likely meant as "--key value", which is not
   supported. */
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

/* Puts the values that take effect into the place of those that mean something else here, and notes each change. */
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
    if (strcmp(c->dtype, "float16") == 0) {
        note(c, xstrdup("dtype 'float16': trains in bfloat16, which is as small and needs no loss scaling"));
        strcpy(c->dtype, "bfloat16");
    }
    if (strcmp(c->dtype, "bfloat16") == 0 && strcmp(c->matmul_precision, "high") == 0)
        note(c, xstrdup("matmul_precision 'high' means nothing with dtype=bfloat16, whose products are bf16"));
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
