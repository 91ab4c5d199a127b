/* resume.c: see resume.h. */
#include "run/resume.h"
#include "base/version.h"
#include <stdlib.h>
#include <string.h>

/* The settings that the weights depend on, but for the model's own, which come with the checkpoint. */
static const option_id decisive[] = {
    OPTION_dropout,    OPTION_dataset,         OPTION_data_order,      OPTION_ignore_token, OPTION_learning_rate,
    OPTION_decay_lr,   OPTION_warmup_iters,    OPTION_lr_decay_iters,  OPTION_min_lr,       OPTION_weight_decay,
    OPTION_beta1,      OPTION_beta2,           OPTION_grad_clip,       OPTION_seed,         OPTION_dtype,
    OPTION_block_size, OPTION_batch_invariant, OPTION_matmul_precision};

int resume_length(const config *c, const run_state *s, int length) {
    const char *own = run_state_get(s, "block_size");
    int n = own ? atoi(own) : 0;
    return c->given[OPTION_block_size] || n < 1 || n > length ? length : n;
}

static int64_t whole(const run_state *s, const char *key) {
    const char *text = run_state_get(s, key);
    return text ? strtoll(text, NULL, 10) : 0;
}

static void note_settings(const config *c, const run_state *s, FILE *f) {
    char value[VALUE_TEXT_MAX];
    const char *before = "note: since this run was saved, settings have changed: ";
    for (size_t i = 0; i < sizeof decisive / sizeof *decisive; i++) {
        const char *name = option_table[decisive[i]].name, *own = run_state_get(s, name);
        if (decisive[i] == OPTION_block_size && !c->given[OPTION_block_size]) continue;
        if (!own || !strcmp(own, config_value(c, decisive[i], value))) continue;
        fprintf(f, "%s%s is %s, was %s", before, name, value, own);
        before = "; ";
    }
    int64_t was = whole(s, "batch_size") * whole(s, "gradient_accumulation_steps");
    int64_t is = c->batch_size * c->gradient_accumulation_steps;
    if (was && was != is) {
        fprintf(f, "%sthe effective batch is %lld, was %lld", before, (long long)is, (long long)was);
        before = "; ";
    }
    if (*before == ';') fputc('\n', f);
}

void resume_notes(const config *c, const run_state *s, const backend *b, FILE *f) {
    if (strcmp(s->device, b->device) || strcmp(s->build, snug_build()))
        fprintf(f, "note: this run was made on '%s' by build '%s': the bits may differ from here on\n", s->device,
                s->build);
    bool was_tf32 = !strncmp(s->gemm, "tf32", 4), is_tf32 = !strncmp(b->gemm, "tf32", 4);
    if (strcmp(s->gemm, b->gemm) && was_tf32 == is_tf32) /* else matmul_precision has changed, and that is said */
        fprintf(f, "note: this run's matrix products went by '%s', and this device can't: the bits may differ\n",
                s->gemm);
    note_settings(c, s, f);
}
