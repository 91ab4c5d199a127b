/* plan_nanogpt.c: see plan_nanogpt.h. The bytes are graph/nanogpt.c's; here stands which settings are asked for, and in
   plan_nanogpt_text.c what is printed. */
#include "commands/plan_nanogpt.h"
#include "run/shape.h"
#include <stdlib.h>
#include <string.h>

/* ---- what is asked, and what is not known of it ---- */

static void add_unknown(nanogpt_report *r, const char *text) { r->unknown[r->n_unknown++] = text; }

/* Settings that nanoGPT does not have, and pictures of a plan that is not made, are refused or named: nothing that was
   given is passed over in silence. */
static status look_at_given(nanogpt_report *r, error *e) {
    const config *c = r->config;
    if (c->graph || c->svg[0])
        return fail(e, BAD_INPUT, "--for=nanogpt: --%s shows snug's own plan: leave one of the two out",
                    c->graph ? "graph" : "svg");
    for (int id = 0; id < OPTION_COUNT; id++) {
        const option_info *o = &option_table[id];
        bool shared = id == OPTION_device || id == OPTION_dtype || id == OPTION_vram_cap;
        if (c->given[id] && !strcmp(o->group, "MEMORY") && !shared && r->n_left_out < NANOGPT_LEFT_OUT_MAX)
            r->left_out[r->n_left_out++] = o->name;
    }
    return OK;
}

static status find_run(nanogpt_report *r, const gpt_shape *shape, int length, error *e) {
    const config *c = r->config;
    int head_size = shape->channels / shape->heads;
    r->dtype = *c->written_dtype ? c->written_dtype : "bfloat16";
    if (!strcmp(r->dtype, "float64"))
        return fail(e, BAD_INPUT, "%s: nanoGPT has no dtype float64: write float32, bfloat16 or float16",
                    c->given[OPTION_dtype]);
    r->run = (nanogpt_run){.shape = *shape,
                           .length = length,
                           .micro_batch = (int)c->batch_size,
                           .accumulates = c->gradient_accumulation_steps > 1,
                           .mixed = strcmp(r->dtype, "float32") != 0,
                           .dropout = c->dropout > 0,
                           .flash = true,
                           .holds_logits = true};
    r->sequences = c->batch_size * c->gradient_accumulation_steps;
    r->card = c->vram_cap;
    if (!c->compile_is_off)
        add_unknown(r, "compile = True, whose bytes change with PyTorch's version: these are those of compile = False");
    if (!strcmp(r->dtype, "float16")) add_unknown(r, "float16: taken to need what bfloat16 needs");
    if (head_size % 8 || head_size > 256)
        add_unknown(r, "heads whose size is no multiple of 8, or above 256: PyTorch may pad or copy them");
    if (!strcmp(c->device, "cpu")) add_unknown(r, "device = 'cpu': these are the bytes on a CUDA card");
    return OK;
}

static status add_split(nanogpt_report *r, int batch_size, error *e) {
    nanogpt_split *s = &r->splits[r->n_splits++];
    nanogpt_run run = r->run;
    run.micro_batch = batch_size;
    run.accumulates = r->sequences > batch_size;
    s->batch_size = batch_size;
    TRY(nanogpt_measure(&run, &s->memory, e));
    s->verdict = r->card ? nanogpt_judge(&s->memory, r->card) : NANOGPT_FITS;
    return OK;
}

/* The largest that fits; where none does, the smallest that is at the edge, which is the likeliest to run. */
static int best_of(const nanogpt_report *r) {
    int edge = -1;
    for (int i = 0; i < r->n_splits; i++) {
        if (r->splits[i].verdict == NANOGPT_FITS) return i;
        if (r->splits[i].verdict == NANOGPT_AT_THE_EDGE) edge = i;
    }
    return edge;
}

status plan_nanogpt_gather(const config *c, const gpt_shape *shape, int length, nanogpt_report *r, error *e) {
    *r = (nanogpt_report){.config = c, .vocabulary_from = "", .best = -1};
    TRY(find_run(r, shape, length, e));
    TRY(add_split(r, r->run.micro_batch, e));
    for (int k = r->run.micro_batch - 1; k >= 1; k--) {
        if (r->sequences % k) continue;
        if (r->n_splits > 1 && r->splits[r->n_splits - 2].verdict == NANOGPT_FITS) break; /* one below it is enough */
        if (r->n_splits == NANOGPT_SPLITS_MAX - 1 && r->splits[r->n_splits - 1].verdict != NANOGPT_FITS) r->n_splits--;
        TRY(add_split(r, k, e));
    }
    r->best = best_of(r);
    nanogpt_run run = r->run;
    run.flash = false;
    return nanogpt_measure(&run, &r->written_out, e);
}

/* ---- the command ---- */

static void print_json(const nanogpt_report *r) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "effective_batch", (double)r->sequences);
    plan_nanogpt_json(r, cJSON_AddObjectToObject(root, "nanogpt"));
    char *text = cJSON_Print(root);
    printf("%s\n", text);
    free(text);
    cJSON_Delete(root);
}

status plan_nanogpt_run(const config *c, error *e) {
    nanogpt_report *r = xcalloc(1, sizeof *r);
    gpt_shape shape;
    int length;
    const char *vocabulary_from = "";
    status s = shape_of_settings(c, &shape, &length, &vocabulary_from, e);
    if (s == OK) s = plan_nanogpt_gather(c, &shape, length, r, e);
    if (s == OK) s = look_at_given(r, e);
    r->vocabulary_from = vocabulary_from;
    if (s == OK && c->json)
        print_json(r);
    else if (s == OK)
        plan_nanogpt_text(r, stdout);
    char card[32];
    if (s == OK && r->best < 0)
        s = fail(e, NO_MEMORY,
                 "no batch_size fits nanoGPT into %s: even 1 allocates %llu bytes: take a smaller model or block_size, "
                 "or train by `snug train`, if `snug plan` says that it fits",
                 bytes_print(r->card, card, sizeof card),
                 (unsigned long long)r->splits[r->n_splits - 1].memory.allocated);
    free(r);
    return s;
}
