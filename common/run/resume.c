/* resume.c: see resume.h. */
#include "run/resume.h"
#include "base/files.h"
#include "base/terminal.h"
#include "base/version.h"
#include "save/runs.h"
#include <stdlib.h>
#include <string.h>

config resume_as_trained(const config *c, const char *folder) {
    config own = *c;
    run_state s = {0};
    char value[VALUE_TEXT_MAX], *path = xprintf("%s/state.json", folder);
    strcpy(own.dtype, "bfloat16");
    bool is_run = file_exists(path) && run_state_read(path, &s, NULL) == OK;
    const char *was = is_run ? run_state_get(&s, option_table[OPTION_dtype].name) : NULL;
    bool same = was && !strcmp(was, config_value(&own, OPTION_dtype, value));
    if (c->given[OPTION_dtype] || !same) strcpy(own.dtype, c->dtype);
    run_state_free(&s);
    free(path);
    return own;
}

int resume_length(const config *c, const run_state *s, int length) {
    const char *own = run_state_get(s, "block_size");
    int n = own ? atoi(own) : 0;
    return c->given[OPTION_block_size] || n < 1 || n > length ? length : n;
}

static int64_t whole(const run_state *s, const char *key) {
    const char *text = run_state_get(s, key);
    return text ? strtoll(text, NULL, 10) : 0;
}

int resume_shards(const config *c, const run_state *s) {
    int64_t own = whole(s, option_table[OPTION_gradient_shards].name);
    return c->gradient_shards ? (int)c->gradient_shards : own > 1 ? (int)own : 1;
}

status resume_settle(const config *c, int *length, int *shards, error *e) {
    run_state s = {0};
    char *folder = NULL;
    status found = OK;
    if (!strcmp(c->init_from, "resume")) {
        TRY(run_find_latest(c->out_dir, &folder, e));
        found = run_load_state(folder, &s, e);
    }
    *length = resume_length(c, &s, *length);
    *shards = resume_shards(c, &s);
    if (found == OK) run_state_free(&s);
    free(folder);
    return found;
}

/* Is it one of those that a resumed run takes over where they are not given? */
static bool is_taken_over(const config *c, option_id id) {
    return (id == OPTION_block_size && !c->given[id]) || (id == OPTION_gradient_shards && !c->gradient_shards);
}

/* Has the setting another value than when the run was saved? value: what it is now. */
static bool was_other(const config *c, const run_state *s, option_id id, char value[VALUE_TEXT_MAX]) {
    const char *own = run_state_get(s, option_table[id].name);
    return own && strcmp(own, config_value(c, id, value));
}

static void note_settings(const config *c, const run_state *s, FILE *f) {
    char value[VALUE_TEXT_MAX];
    const char *before = "note: since this run was saved, settings have changed: ";
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        const char *name = option_table[id].name;
        if (!option_table[id].decides_bits || is_taken_over(c, id) || !was_other(c, s, id, value)) continue;
        text_print(f, "%s%s is %s, was %s", before, name, value, run_state_get(s, name));
        before = "; ";
    }
    int64_t was = whole(s, "batch_size") * whole(s, "gradient_accumulation_steps");
    int64_t is = c->batch_size * c->gradient_accumulation_steps;
    if (was && was != is) {
        text_print(f, "%sthe effective batch is %lld, was %lld", before, (long long)is, (long long)was);
        before = "; ";
    }
    if (*before == ';') fputc('\n', f);
}

static bool same_part(const run_part *a, const char *device, const char *build, const char *gemm) {
    return !strcmp(a->device, device) && !strcmp(a->build, build) && !strcmp(a->gemm, gemm);
}

/* Names each other device, build or set of matrix products on which the run has been, once, with the first steps that
   it did there. */
static void note_parts(const run_state *s, const backend *b, bool other_products_are_said, FILE *f) {
    enum { SHOWN = 3 };
    int told = 0;
    for (int i = 0; i < s->n_parts; i++) {
        const run_part *p = &s->parts[i];
        bool before = false;
        for (int k = 0; k < i; k++) before |= same_part(&s->parts[k], p->device, p->build, p->gemm);
        bool other_place = strcmp(p->device, b->device) || strcmp(p->build, snug_build());
        if (before || !(other_place || (strcmp(p->gemm, b->gemm) && !other_products_are_said))) continue;
        if (++told > SHOWN) continue;
        int64_t end = i + 1 < s->n_parts ? s->parts[i + 1].from : s->iter;
        text_print(f, "note: this run's steps %lld to %lld were made on '%s' by build '%s'", (long long)p->from,
                   (long long)(end > p->from ? end - 1 : end), p->device, p->build);
        if (strcmp(p->gemm, b->gemm)) text_print(f, " with products by '%s', and here by '%s'", p->gemm, b->gemm);
        fputs(": the bits may differ\n", f);
    }
    if (told > SHOWN) text_print(f, "note: and other parts elsewhere, %d in all: state.json lists them\n", told);
}

void resume_notes(const config *c, const run_state *s, const backend *b, FILE *f) {
    char value[VALUE_TEXT_MAX];
    note_parts(s, b, was_other(c, s, OPTION_matmul_precision, value), f); /* that alone changes products: see below */
    note_settings(c, s, f);
}
