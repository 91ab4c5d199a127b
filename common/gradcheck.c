/* gradcheck.c: see gradcheck.h. */
#include "gradcheck.h"
#include "rng.h"
#include "setup.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP 3e-4          /* h: truncation h^4 and rounding 1e-16 / h are both near 1e-13 of the loss */
#define TOLERANCE 1e-7     /* backward pass against differences */
#define TOLERANCE_F32 1e-5 /* OpenCL's float32 against float64 */

/* What is checked where the settings name no model: two layers, nothing a multiple of anything else. */
static const gpt_shape SMALL = {
    .layers = 2, .heads = 2, .channels = 10, .positions = 9, .vocabulary = 23, .bias = true, .norm_epsilon = 1e-5};
enum { SMALL_LENGTH = 7, SMALL_SEQUENCES = 3 };

static void words_of(uint64_t seed, uint32_t what, int64_t i, uint32_t words[4]) {
    philox(seed, (uint32_t)i, (uint32_t)((uint64_t)i >> 32), (uint32_t)SITE_INIT << 16 | 1, what, words);
}

/* Initial weights with noise on all, biases and norms too, rounded to float so that every precision starts alike. */
static status random_weights(model *m, uint64_t seed, error *e) {
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        double *w = xcalloc((size_t)n, sizeof *w);
        gpt_init(&m->shape, m->gpt.graph, p, seed, 0, n, w);
        for (int64_t i = 0; i < n; i++) {
            uint32_t words[4];
            double pair[2];
            words_of(seed, (uint32_t)p, i, words);
            rng_normal(words, pair);
            w[i] = (double)(float)(w[i] + 0.2 * pair[0]);
        }
        status s = model_write(m, p, 0, n, w, e);
        free(w);
        TRY(s);
    }
    return OK;
}

/* Random tokens; sequence i ignores about i / N of its targets, so that counts differ (R5). */
static batch random_batch(int64_t sequences, int64_t length, int64_t vocabulary, uint64_t seed) {
    batch b = batch_new(sequences, length);
    for (int64_t i = 0; i < sequences * length; i++) {
        uint32_t words[4];
        words_of(seed, 0, i, words);
        b.x[i] = (int32_t)(words[0] % vocabulary);
        b.y[i] = words[2] % sequences < i / length ? -1 : (int32_t)(words[1] % vocabulary);
    }
    return b;
}

status gradcheck_numeric(model *m, const batch *b, const step_settings *s, tensor_id param, int64_t first,
                         int64_t count, double *out, error *e) {
    static const double at[4] = {-2, -1, 1, 2}, weight[4] = {1, -8, 8, -1};
    for (int64_t i = 0; i < count; i++) {
        double w, loss;
        TRY(model_read(m, param, first + i, 1, &w, e));
        out[i] = 0;
        for (int k = 0; k < 4; k++) {
            double moved = w + at[k] * STEP;
            TRY(model_write(m, param, first + i, 1, &moved, e));
            TRY(model_gradients(m, b, s, &loss, e));
            out[i] += weight[k] * loss / (12 * STEP);
        }
        TRY(model_write(m, param, first + i, 1, &w, e));
    }
    return OK;
}

/* ||a - b|| / ||b|| */
static double distance(const double *a, const double *b, int64_t n) {
    double d = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        d += (a[i] - b[i]) * (a[i] - b[i]);
        all += b[i] * b[i];
    }
    return all > 0 ? sqrt(d / all) : sqrt(d);
}

/* gradients[p]: of every parameter, allocated here. */
static status read_gradients(model *m, const batch *b, const step_settings *s, double **gradients, error *e) {
    double loss, norm;
    TRY(model_gradients(m, b, s, &loss, e));
    TRY(model_finish(m, s, &norm, e));
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        gradients[p] = xcalloc((size_t)n, sizeof(double));
        TRY(model_read(m, m->gpt.grad[p], 0, n, gradients[p], e));
    }
    return OK;
}

/* Prints a line a tensor; reference(p) is the numeric gradient or another backend's. */
static void report(const model *m, tensor_id p, double off, double tolerance, int *bad) {
    char name[96];
    printf("%-44s %.3e%s\n", gpt_param_name(m->gpt.graph, p, name, sizeof name), off,
           off <= tolerance ? "" : "   TOO MUCH");
    *bad += !(off <= tolerance);
}

static status against_differences(model *m, const batch *b, const step_settings *s, double **gradients, int *bad,
                                  error *e) {
    printf("backward pass against four-point central differences (h = %g), float64: at most %g\n", STEP, TOLERANCE);
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        double *numeric = xcalloc((size_t)n, sizeof *numeric);
        status result = gradcheck_numeric(m, b, s, p, 0, n, numeric, e);
        if (result == OK) report(m, p, distance(gradients[p], numeric, n), TOLERANCE, bad);
        free(numeric);
        TRY(result);
    }
    return OK;
}

static status against_device(const config *c, const gpt_shape *shape, const gpt_run *run, const batch *b,
                             const step_settings *s, double **gradients, int *bad, error *e) {
    backend *device;
    model m;
    double **got;
    TRY(setup_device(c, &device, NULL, e));
    status result = strcmp(device->name, "cpu") ? model_open(&m, device, shape, run, e) : FAILED;
    if (result != OK) {
        bool cpu = !strcmp(device->name, "cpu");
        device->close(device);
        return cpu ? OK : result; /* no GPU: the differences were all there is to do */
    }
    printf("%s, float32, against the CPU's float64: at most %g\n", device->device, TOLERANCE_F32);
    got = xcalloc((size_t)m.gpt.n_params + 1, sizeof *got);
    result = random_weights(&m, s->seed, e);
    if (result == OK) result = read_gradients(&m, b, s, got, e);
    for (tensor_id p = 1; p <= m.gpt.n_params; p++) {
        if (result == OK)
            report(&m, p, distance(got[p], gradients[p], tensor_elements(&m.gpt.graph->tensors[p])), TOLERANCE_F32,
                   bad);
        free(got[p]);
    }
    free(got);
    model_close(&m);
    return result;
}

static status choose(const config *c, gpt_shape *shape, gpt_run *run, error *e) {
    bool own = c->given[OPTION_n_layer] || c->given[OPTION_n_embd] || c->given[OPTION_block_size] ||
               c->given[OPTION_vocab_size];
    *shape = SMALL;
    shape->tanh_gelu = !strcmp(c->activation, "gelu_tanh");
    int length = SMALL_LENGTH;
    int64_t sequences = SMALL_SEQUENCES;
    if (own) {
        TRY(setup_shape_new(c, c->vocab_size ? c->vocab_size : SMALL.vocabulary, shape, &length, e));
        sequences = c->given[OPTION_batch_size] ? c->batch_size : SMALL_SEQUENCES;
    }
    if (gpt_parameters(shape) > GRADCHECK_PARAMETERS)
        return fail(e, BAD_INPUT,
                    "gradcheck: %lld parameters are too many for differences, %d are the most: try "
                    "--n_layer=2 --n_head=2 --n_embd=16 --block_size=8 --vocab_size=32",
                    (long long)gpt_parameters(shape), GRADCHECK_PARAMETERS);
    *run = (gpt_run){.purpose = GRAPH_GRADS,
                     .micro_batch = (int)(sequences + 1) / 2,
                     .length = length,
                     .sequences = sequences,
                     .batch_invariant = c->batch_invariant,
                     .dropout = c->given[OPTION_dropout] ? c->dropout : 0.2};
    const recompute_policy *policy = recompute_find(c->recompute);
    run->recompute = policy ? policy->dropped : 0;
    return OK;
}

status gradcheck_run(const config *c, error *e) {
    gpt_shape shape;
    gpt_run run;
    model m;
    int bad = 0;
    TRY(choose(c, &shape, &run, e));
    backend *cpu = cpu_open(8, c->vram_cap);
    status s = model_open(&m, cpu, &shape, &run, e);
    if (s != OK) {
        cpu->close(cpu);
        return s;
    }
    step_settings settings = {.step = 3, .seed = (uint64_t)c->seed};
    batch b = random_batch(run.sequences, run.length, shape.vocabulary, settings.seed);
    double **gradients = xcalloc((size_t)m.gpt.n_params + 1, sizeof *gradients);
    s = random_weights(&m, settings.seed, e);
    if (s == OK) s = read_gradients(&m, &b, &settings, gradients, e);
    if (s == OK) s = against_differences(&m, &b, &settings, gradients, &bad, e);
    if (s == OK && strcmp(c->device, "cpu") && strcmp(c->dtype, "float64"))
        s = against_device(c, &shape, &run, &b, &settings, gradients, &bad, e);
    for (tensor_id p = 1; p <= m.gpt.n_params; p++) free(gradients[p]);
    free(gradients);
    batch_free(&b);
    model_close(&m);
    if (s == OK && bad) return fail(e, FAILED, "gradcheck: %d tensor%s too far off", bad, bad == 1 ? " is" : "s are");
    return s;
}
