/* gradcheck.c: see gradcheck.h. */
#include "commands/gradcheck.h"
#include "graph/recompute.h"
#include "base/terminal.h"
#include "base/rng.h"
#include "run/device.h"
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define STEP 3e-4      /* h: makes truncation, h^4, and rounding, 1e-16 / h, both about 1e-13 of the loss */
#define TOLERANCE 1e-7 /* of the backward pass, against differences */
/* A smaller norm counts as this much: differences are exact to 1e-12 at best, however small the gradient is. */
#define NO_GRADIENT 1e-4

/* The model that is checked unless the settings say otherwise: two layers, sequences shorter than the model's
   positions, micro-batches of 2 and 1, and no size a multiple of another. */
static const gpt_shape SMALL = {
    .layers = 2, .heads = 2, .channels = 10, .positions = 9, .vocabulary = 23, .bias = true, .norm_epsilon = 1e-5};
enum { SMALL_LENGTH = 7, SMALL_SEQUENCES = 3, SMALL_MICRO_BATCH = 2 };
#define SMALL_DROPOUT 0.2

typedef struct {
    FILE *out;
    gpt_shape shape;
    gpt_run run;
    batch batch; /* [N,T] */
    step_settings step;
    double **gradients; /* of the backward pass in float64, by parameter */
    int bad;            /* tensors that were off */
} check;

static void words_of(uint64_t seed, uint32_t what, int64_t i, uint32_t words[4]) {
    philox(seed, (uint32_t)i, (uint32_t)((uint64_t)i >> 32), random_word(SITE_INIT, STREAM_GRADCHECK), what, words);
}

status gradcheck_weights(model *m, uint64_t seed, error *e) {
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

batch gradcheck_batch(int64_t sequences, int64_t length, int64_t vocabulary, uint64_t seed) {
    batch b = batch_new(sequences, length);
    for (int64_t i = 0; i < sequences * length; i++) {
        uint32_t words[4];
        words_of(seed, 0, i, words);
        b.x[i] = (int32_t)(words[0] % vocabulary);
        b.y[i] = words[2] % sequences < i / length ? -1 : (int32_t)(words[1] % vocabulary);
    }
    return b;
}

/* out[i] = the derivative of the loss by element i of a parameter, as a four-point central difference, whose error is
   of the order of h^4. */
static status differences(const check *k, model *m, tensor_id param, int64_t count, double *out, error *e) {
    static const double at[4] = {-2, -1, 1, 2}, weight[4] = {1, -8, 8, -1};
    for (int64_t i = 0; i < count; i++) {
        double w, loss;
        TRY(model_read(m, param, i, 1, &w, e));
        out[i] = 0;
        for (int j = 0; j < 4; j++) {
            double moved = w + at[j] * STEP;
            TRY(model_write(m, param, i, 1, &moved, e));
            TRY(model_training_loss(m, &k->batch, &k->step, &loss, e));
            out[i] += weight[j] * loss / (12 * STEP);
        }
        TRY(model_write(m, param, i, 1, &w, e));
    }
    return OK;
}

double gradcheck_distance(const double *a, const double *b, int64_t n) {
    double d = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        d += (a[i] - b[i]) * (a[i] - b[i]);
        all += b[i] * b[i];
    }
    return sqrt(d) / fmax(sqrt(all), NO_GRADIENT);
}

/* Reads all gradients, by parameter, as doubles; the caller frees them with free_gradients. */
static status read_gradients(const check *k, model *m, double **gradients, error *e) {
    double loss, norm;
    TRY(gradcheck_weights(m, k->step.seed, e));
    TRY(model_gradients(m, &k->batch, &k->step, &loss, e));
    TRY(model_finish(m, &k->step, &norm, e));
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        gradients[p] = xcalloc((size_t)n, sizeof(double));
        TRY(model_read(m, m->gpt.grad[p], 0, n, gradients[p], e));
    }
    return OK;
}

static void free_gradients(const model *m, double **gradients) {
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) free(gradients[p]);
    free(gradients);
}

/* Prints a tensor's line, and counts it as bad when `off` is more than the tolerance, or NaN. */
static void report(check *k, const model *m, tensor_id p, double off, double tolerance) {
    char name[96];
    fprintf(k->out, "%-44s %.3e%s\n", gpt_param_name(m->gpt.graph, p, name, sizeof name), off,
            off <= tolerance ? "" : "   TOO MUCH");
    k->bad += !(off <= tolerance);
}

static status against_differences(check *k, model *m, error *e) {
    fprintf(k->out, "backward pass against four-point central differences (h = %g), float64: at most %g\n", STEP,
            TOLERANCE);
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        double *numeric = xcalloc((size_t)n, sizeof *numeric);
        status s = differences(k, m, p, n, numeric, e);
        if (s == OK) report(k, m, p, gradcheck_distance(k->gradients[p], numeric, n), TOLERANCE);
        free(numeric);
        TRY(s);
    }
    return OK;
}

/* Compares the device's gradients, in the precision that the settings ask for, with the float64 ones, and closes it.
   Does nothing more where that is the CPU's float32 or float64. */
static status against_device(check *k, backend *device, error *e) {
    model m;
    bool cpu = device->type->kind == BACKEND_CPU && device->type->precision != PRECISION_BFLOAT16;
    status s = cpu ? OK : model_open(&m, device, &k->shape, &k->run, e);
    if (cpu || s != OK) {
        device->close(device);
        return s;
    }
    const precision_info *p = &precision_table[device->type->precision];
    double tolerance = p->tolerance;
    text_print(k->out, "%s, %s%s%s, against the CPU's float64: at most %g\n", device->device, p->dtype,
               *p->products ? " with products in " : "", p->products, tolerance);
    double **got = xcalloc((size_t)m.gpt.n_params + 1, sizeof *got);
    s = read_gradients(k, &m, got, e);
    for (tensor_id p = 1; p <= m.gpt.n_params && s == OK; p++)
        report(k, &m, p, gradcheck_distance(got[p], k->gradients[p], tensor_elements(&m.gpt.graph->tensors[p])),
               tolerance);
    free_gradients(&m, got);
    model_close(&m);
    return s;
}

/* The small model, changed by the keys that were given. */
static status choose(const config *c, check *k, error *e) {
    gpt_shape *s = &k->shape;
    *s = SMALL;
    int length = SMALL_LENGTH, sequences = SMALL_SEQUENCES;
    if (c->given[OPTION_n_layer]) s->layers = (int)c->n_layer;
    if (c->given[OPTION_n_head]) s->heads = (int)c->n_head;
    if (c->given[OPTION_n_embd]) s->channels = (int)c->n_embd;
    if (c->given[OPTION_block_size]) length = s->positions = (int)c->block_size;
    if (c->given[OPTION_bias]) s->bias = c->bias;
    if (c->vocab_size) s->vocabulary = c->vocab_size;
    if (c->given[OPTION_batch_size]) sequences = (int)c->batch_size;
    s->tanh_gelu = !strcmp(c->activation, "gelu_tanh");
    if (s->channels % s->heads)
        return fail(e, BAD_INPUT, "gradcheck: n_head %d does not divide n_embd %d: give both", s->heads, s->channels);
    if (gpt_parameters(s) > GRADCHECK_PARAMETERS || sequences > GRADCHECK_PARAMETERS)
        return fail(e, BAD_INPUT,
                    "gradcheck: %lld parameters and %d sequences are too many for differences, %d are the most: try "
                    "--n_layer=2 --n_head=2 --n_embd=16 --block_size=8 --batch_size=3",
                    (long long)gpt_parameters(s), sequences, GRADCHECK_PARAMETERS);
    int layers;
    const recompute_policy *policy = recompute_read(c->recompute, &layers); /* auto: keep everything */
    TRY(recompute_check(policy, layers, s->layers, e));
    k->run = (gpt_run){.purpose = GRAPH_GRADS,
                       .micro_batch = (int)(c->micro_batch_size ? c->micro_batch_size : SMALL_MICRO_BATCH),
                       .length = length,
                       .sequences = sequences,
                       .one_upload = true,
                       .batch_invariant = c->batch_invariant,
                       .dropout = c->given[OPTION_dropout] ? c->dropout : SMALL_DROPOUT,
                       .recompute = policy ? policy->dropped : 0,
                       .recompute_layers = layers};
    if (k->run.micro_batch > sequences) k->run.micro_batch = sequences;
    k->step = (step_settings){.step = 3, .seed = (uint64_t)c->seed};
    return OK;
}

static void print_choice(const check *k, const config *c) {
    const gpt_shape *s = &k->shape;
    fprintf(k->out,
            "%d layer%s, %d head%s, %d channels, %d of %d positions, %lld tokens, %s, %s%s; %lld sequences in "
            "micro-batches of %d, dropout %g, ignored targets, recompute %s\n",
            s->layers, s->layers == 1 ? "" : "s", s->heads, s->heads == 1 ? "" : "s", s->channels, k->run.length,
            s->positions, (long long)s->vocabulary, s->bias ? "biases" : "no biases",
            s->tanh_gelu ? "gelu_tanh" : "gelu", k->run.batch_invariant ? "" : ", not batch-invariant",
            (long long)k->run.sequences, k->run.micro_batch, k->run.dropout, k->run.recompute ? c->recompute : "none");
}

status gradcheck_run(const config *c, FILE *out, error *e) {
    check k = {.out = out};
    model m;
    TRY(choose(c, &k, e));
    /* Before the differences, which take a while: a device that cannot be opened is known at once. */
    backend *device;
    TRY(backend_open(c, &device, NULL, e));
    int threads = omp_get_max_threads();
    omp_set_num_threads(1); /* to share out ops as small as these takes longer than to do them */
    backend *cpu = NULL;
    status s = cpu_check_room(e);
    if (s == OK) {
        cpu = cpu_open(8, c->vram_cap);
        s = model_open(&m, cpu, &k.shape, &k.run, e);
        if (s != OK) cpu->close(cpu);
    }
    if (s == OK) {
        print_choice(&k, c);
        k.batch = gradcheck_batch(k.run.sequences, k.run.length, k.shape.vocabulary, k.step.seed);
        k.gradients = xcalloc((size_t)m.gpt.n_params + 1, sizeof *k.gradients);
        s = read_gradients(&k, &m, k.gradients, e);
        if (s == OK) s = against_differences(&k, &m, e);
        if (s == OK) {
            s = against_device(&k, device, e);
            device = NULL;
        }
        free_gradients(&m, k.gradients);
        batch_free(&k.batch);
        model_close(&m);
    }
    if (device) device->close(device);
    omp_set_num_threads(threads);
    if (s == OK && k.bad)
        return fail(e, FAILED, "gradcheck: %d tensor%s off by more than the tolerance, see above", k.bad,
                    k.bad == 1 ? " is" : "s are");
    return s;
}
