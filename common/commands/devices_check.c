/* devices_check.c: see devices_check.h. */
#include "commands/devices_check.h"
#include "commands/gradcheck.h"
#include "base/terminal.h"
#include "base/hash.h"
#include "run/device.h"
#include "base/version.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 12, STEPS = 5, SEED = 7 };

/* One model whose sizes are multiples of nothing, and one whose sizes are multiples of tiles and alignments: together
   they reach both of CLBlast's kernels, whole tiles and edges. */
static const struct {
    const char *name;
    gpt_shape shape;
    unsigned recompute;
} MODELS[] = {
    {"odd",
     {.layers = 2, .heads = 3, .channels = 45, .positions = 37, .vocabulary = 131, .bias = true, .norm_epsilon = 1e-5},
     1u << KIND_GELU | 1u << KIND_NORM},
    {"even",
     {.layers = 1,
      .heads = 2,
      .channels = 128,
      .positions = 128,
      .vocabulary = 512,
      .tanh_gelu = true,
      .norm_epsilon = 1e-5},
     0},
};
enum { N_MODELS = sizeof MODELS / sizeof *MODELS };
static const int SPLITS[] = {12, 5, 2, 1};
enum { N_SPLITS = sizeof SPLITS / sizeof *SPLITS };

static gpt_run run_of(int i, graph_purpose purpose, int micro_batch) {
    return (gpt_run){.purpose = purpose,
                     .micro_batch = micro_batch,
                     .length = MODELS[i].shape.positions,
                     .sequences = SEQUENCES,
                     .one_upload = micro_batch % 2, /* some splits upload tokens once a step, others per micro-batch */
                     .batch_invariant = true,
                     .dropout = 0.1,
                     .weight_decay = 0.1,
                     .beta1 = 0.9,
                     .beta2 = 0.95,
                     .grad_clip = 1,
                     .recompute = MODELS[i].recompute};
}

/* Opens a model on backend b, which model_close closes, and gives it the check's weights. After a failure b is closed
   as well. */
static status open_model(int i, backend *b, graph_purpose purpose, int micro_batch, model *m, error *e) {
    gpt_run run = run_of(i, purpose, micro_batch);
    status s = model_open(m, b, &MODELS[i].shape, &run, e);
    if (s != OK) {
        b->close(b);
        return s;
    }
    s = gradcheck_weights(m, SEED, e);
    if (s != OK) model_close(m);
    return s;
}

static status open_device(const config *c, uint64_t cap, backend **b, error *e) {
    config with = *c;
    if (cap) with.vram_cap = cap;
    return backend_open(&with, b, NULL, e);
}

/* ---- gradients ---- */

/* Opens m and computes the gradients of one batch in it. */
static status compute_gradients(int i, backend *b, int micro_batch, model *m, error *e) {
    double loss, norm;
    step_settings step = {.seed = SEED};
    TRY(open_model(i, b, GRAPH_GRADS, micro_batch, m, e));
    batch data = gradcheck_batch(SEQUENCES, m->run.length, m->shape.vocabulary, SEED);
    status s = model_gradients(m, &data, &step, &loss, e);
    if (s == OK) s = model_finish(m, &step, &norm, e);
    batch_free(&data);
    if (s != OK) model_close(m);
    return s;
}

/* Finds the tensor that is farthest off, and its distance. NaN counts as farther than any number. */
static status compare_gradients(const model *got, const model *want, double *worst, char name[96], error *e) {
    *worst = 0;
    for (tensor_id p = 1; p <= want->gpt.n_params; p++) {
        int64_t n = tensor_elements(&want->gpt.graph->tensors[p]);
        double *g = xcalloc((size_t)n, sizeof *g), *w = xcalloc((size_t)n, sizeof *w);
        model a = *got, b = *want;
        status s = model_read(&a, a.gpt.grad[p], 0, n, g, e);
        if (s == OK) s = model_read(&b, b.gpt.grad[p], 0, n, w, e);
        double off = gradcheck_distance(g, w, n);
        if (!(off <= *worst)) {
            *worst = off;
            gpt_param_name(b.gpt.graph, p, name, 96);
        }
        free(g);
        free(w);
        TRY(s);
    }
    return OK;
}

static status check_gradients(const config *c, int i, FILE *f, int *bad, error *e) {
    backend *b;
    model want, got;
    double worst = 0;
    char name[96] = "";
    TRY(cpu_check_room(e));
    TRY(open_device(c, 0, &b, e));
    double tolerance = precision_table[b->type->precision].tolerance;
    TRY(compute_gradients(i, b, 5, &got, e));
    status s = compute_gradients(i, cpu_open(8, 0), SEQUENCES, &want, e);
    if (s == OK) {
        s = compare_gradients(&got, &want, &worst, name, e);
        model_close(&want);
    }
    model_close(&got);
    TRY(s);
    bool good = worst <= tolerance;
    fprintf(f, "  gradients  %s: %.1e from float64 at most (%s)%s\n", MODELS[i].name, worst, name,
            good ? "" : "   TOO MUCH");
    *bad += !good;
    return OK;
}

/* ---- the cap ---- */

/* Under a cap of exactly the plan's bytes the model must run and hold exactly these; under one byte less the device
   must refuse it. */
static status check_cap(const config *c, int i, FILE *f, int *bad, error *e) {
    backend *b;
    model m;
    TRY(open_device(c, 0, &b, e));
    TRY(open_model(i, b, GRAPH_TRAIN, 5, &m, e));
    uint64_t total = m.plan.total;
    model_close(&m);
    TRY(open_device(c, total, &b, e));
    TRY(open_model(i, b, GRAPH_TRAIN, 5, &m, e));
    bool exact = m.backend->allocated == total;
    model_close(&m);
    TRY(open_device(c, total - 1, &b, e));
    error refusal = {""};
    status s = open_model(i, b, GRAPH_TRAIN, 5, &m, &refusal);
    if (s == OK) model_close(&m);
    bool refused = s == NO_MEMORY;
    fprintf(f, "  cap        %s: %s %llu bytes; a cap of one byte less is %s\n", MODELS[i].name,
            exact ? "holds exactly the planned" : "DOES NOT HOLD the planned", (unsigned long long)total,
            refused ? "refused" : "NOT REFUSED");
    *bad += !exact + !refused;
    return OK;
}

/* ---- splits ---- */

static status hash_after_steps(const config *c, int i, int micro_batch, char sha256[HASH_HEX], error *e) {
    backend *b;
    model m;
    TRY(open_device(c, 0, &b, e));
    TRY(open_model(i, b, GRAPH_TRAIN, micro_batch, &m, e));
    status s = OK;
    for (int step = 0; step < STEPS && s == OK; step++) {
        double loss, norm;
        step_settings settings = {.step = step, .lr = 1e-2, .seed = SEED};
        batch data = gradcheck_batch(SEQUENCES, m.run.length, m.shape.vocabulary, (uint64_t)(SEED + step));
        s = model_gradients(&m, &data, &settings, &loss, e);
        if (s == OK) s = model_finish(&m, &settings, &norm, e);
        batch_free(&data);
    }
    if (s == OK) s = model_hash(&m, sha256, e);
    model_close(&m);
    return s;
}

static status check_splits(const config *c, int i, FILE *f, int *bad, error *e) {
    char first[HASH_HEX], sha256[HASH_HEX];
    TRY(hash_after_steps(c, i, SPLITS[0], first, e));
    fprintf(f, "  splits     %s: weights %.12s after %d steps of %d sequences by %d", MODELS[i].name, first, STEPS,
            SEQUENCES, SPLITS[0]);
    for (int k = 1; k < N_SPLITS; k++) {
        TRY(hash_after_steps(c, i, SPLITS[k], sha256, e));
        bool same = !strcmp(first, sha256);
        fprintf(f, ", %d%s", SPLITS[k], same ? "" : " (OTHER BITS)");
        *bad += !same;
    }
    fprintf(f, "\n");
    return OK;
}

/* ---- the command ---- */

status devices_check_run(const config *c, FILE *f, error *e) {
    config with = *c;
    backend *b;
    int bad = 0;
    if (!c->given[OPTION_device]) strcpy(with.device, "opencl");
    TRY(open_device(&with, 0, &b, e));
    text_print(f, "snug %s (%s), devices --check\n  device     %s\n", snug_version(), snug_build(), b->device);
    b->close(b);
    for (int i = 0; i < N_MODELS; i++) {
        TRY(check_gradients(&with, i, f, &bad, e));
        TRY(check_cap(&with, i, f, &bad, e));
        TRY(check_splits(&with, i, f, &bad, e));
    }
    fprintf(f, "  %s\n", bad ? "FAILED" : "all as it should be");
    return bad ? fail(e, FAILED, "devices --check: %d of its checks failed, see above", bad) : OK;
}
