/* config_parse.c: a command's arguments, in order, over the defaults; and the checks across options. */
#include "config/config_expression.h"
#include "config/config_names.h"
#include "config/config_store.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the command line ---- */

/* --key without an =: a switch becomes True. Any other option was most likely meant as "--key value", which is not
   supported. */
static status check_switch(const char *name, bool is_switch, const char *next, const reader *r) {
    bool has_next = next && strncmp(next, "--", 2) != 0;
    excerpt example = excerpt_of(has_next ? next : "VALUE", 40);
    bool truth = next && (strcasecmp(next, "True") == 0 || strcasecmp(next, "False") == 0);
    if (is_switch && !truth) return OK;
    return reader_fail(r, "the value must follow an =, without a space: write --%s=%s", name,
                       truth ? (strcasecmp(next, "True") ? "False" : "True") : example.text);
}

static bool is_quoted(const char *text) {
    size_t n = strlen(text);
    return n >= 2 && (*text == '\'' || *text == '"') && text[n - 1] == *text;
}

static bool means_no(const char *text) {
    static const char *const words[] = {"false", "no", "off", "none"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(text, words[i])) return true;
    return false;
}

/* Takes the value behind the =: text as it stands, or in quotes as a config file has it; anything else is an
   expression. */
static status read_given(const option_info *o, reader *r, value *v) {
    const char *text = r->at;
    if ((o->type == OPTION_TEXT || o->type == OPTION_BYTES) && !is_quoted(text)) {
        *v = value_text(text, strlen(text), 0);
        if (v->type == VALUE_UNKNOWN) return reader_fail(r, "the value is too long: at most %d bytes", TEXT_MAX - 1);
        return OK;
    }
    TRY(reader_next(r));
    if (r->now.kind == TOKEN_END) return reader_fail(r, "a value is missing: write --%s=VALUE", o->name);
    TRY(expression_read(r, v));
    if (r->now.kind != TOKEN_END)
        return reader_fail(r, "can't read '%s' after the value: leave it out", reader_excerpt(r).text);
    if (v->type != VALUE_UNKNOWN) return OK;
    if (o->type == OPTION_BOOL)
        return reader_fail(r, "%s; write --%s=%s", v->text, o->name, means_no(text) ? "False" : "True");
    return reader_fail(r, "%s; %s must be %s", v->text, o->name, option_wanted(o));
}

static status parse_option(config *c, const char *argument, const char *next, error *e) {
    const char *key = argument + 2, *equals = strchr(key, '=');
    size_t n = equals ? (size_t)(equals - key) : strlen(key);
    char source[80];
    snprintf(source, sizeof source, "--%s", excerpt_of(key, n).text);
    const char *name = source + 2;
    reader r = reader_of(equals ? equals + 1 : "", source, 0, config_names(c), e);
    option_id id = config_find(name);
    value v = value_bool(true);
    if (strlen(name) != n || (id == OPTION_COUNT && !name_is_skipped(name))) return config_unknown(&r, key, n);
    if (id == OPTION_COUNT) {
        if (!equals) TRY(check_switch(name, true, next, &r));
        config_ignore(c, name, equals && means_no(equals + 1));
        return OK;
    }
    if (equals)
        TRY(read_given(&option_table[id], &r, &v));
    else
        TRY(check_switch(name, option_table[id].type == OPTION_BOOL, next, &r));
    names_forget(c->names, name);
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

/* What snug makes of the settings is nothing to a plan for another program. */
void config_note(config *c, char *line) {
    enum { KEPT = sizeof c->notes / sizeof *c->notes };
    bool quiet = strcmp(c->_for, "snug") && (!c->command || option_read_by(&option_table[OPTION__for], c->command));
    if (c->n_notes < KEPT && !quiet)
        c->notes[c->n_notes++] = line;
    else
        free(line);
}

/* Puts the values that take effect into the place of those that mean something else here, and notes each change. */
static void take_effect(config *c) {
    enum { KEPT = sizeof c->ignored / sizeof *c->ignored };
    strcpy(c->written_dtype, c->given[OPTION_dtype] ? c->dtype : "");
    if (c->n_ignored) {
        char *line = xstrdup("skipped, because they mean nothing here:");
        for (int i = 0; i < c->n_ignored && i < KEPT; i++) {
            char *longer = xprintf("%s%s %s", line, i ? "," : "", c->ignored[i]);
            free(line);
            line = longer;
        }
        config_note(c, c->n_ignored > KEPT ? xprintf("%s and others", line) : xstrdup(line));
        free(line);
    }
    if (strcmp(c->dtype, "float16") == 0) {
        config_note(c, xstrdup("dtype 'float16': trains in bfloat16, which is as small and needs no loss scaling"));
        strcpy(c->dtype, "bfloat16");
    }
    if (strcmp(c->dtype, "bfloat16") == 0 && strcmp(c->matmul_precision, "high") == 0)
        config_note(c, xstrdup("matmul_precision 'high' means nothing with dtype=bfloat16, whose products are bf16"));
    if (c->asked)
        config_note(c, xstrdup("a question whether there is a GPU is not executed and counts as True; device 'auto' "
                               "takes the first, or the CPU"));
    char *end = c->device;
    long number = strncmp(c->device, "cuda:", 5) == 0 ? strtol(c->device + 5, &end, 10) : 0;
    if (number > 0 && number < 1000 && !*end) {
        config_note(c, xprintf("device '%s' means opencl:%ld here: `snug devices` lists them", c->device, number));
        snprintf(c->device, sizeof c->device, "opencl:%ld", number);
    } else if (!strcmp(c->device, "cuda") || !strcmp(c->device, "cuda:0") || !strcmp(c->device, "mps")) {
        config_note(c, xprintf("device '%s' means the first OpenCL GPU here", c->device));
        strcpy(c->device, "cuda");
    }
    if (strcmp(c->offload, "auto") && strcmp(c->offload, "none") && !strcmp(c->device, "cpu"))
        config_note(c, xprintf("offload=%s means nothing with device=cpu, whose memory is the host's", c->offload));
    if (c->overwrite && !strcmp(c->init_from, "resume"))
        config_note(c, xstrdup("overwrite means nothing with init_from=resume, which goes on with the run"));
    if (c->decay_lr && c->min_lr > c->learning_rate)
        config_note(c, xprintf("min_lr %g is above learning_rate %g: the rate will rise, not decay", c->min_lr,
                               c->learning_rate));
}

status config_parse(config *c, int argc, char **argv, error *e) { return config_parse_for(c, NULL, -1, argc, argv, e); }

status config_parse_for(config *c, const char *command, int words, int argc, char **argv, error *e) {
    config_defaults(c);
    c->command = command;
    status s = parse_arguments(c, argc, argv, e);
    if (s == OK && command) s = config_check_words(c, words, e);
    if (s == OK) take_effect(c);
    if (s == OK) s = config_command_notes(c, e);
    names_free(c->names);
    c->names = NULL;
    if (s != OK) config_free(c);
    return s;
}

void config_free(config *c) {
    names_free(c->names);
    for (int i = 0; i < OPTION_COUNT; i++) free(c->given[i]);
    for (int i = 0; i < c->n_positional; i++) free(c->positional[i]);
    for (int i = 0; i < c->n_notes; i++) free(c->notes[i]);
    for (size_t i = 0; i < sizeof c->ignored / sizeof *c->ignored; i++) free(c->ignored[i]);
    free(c->positional);
    free(c->config_file);
    *c = (config){0};
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
