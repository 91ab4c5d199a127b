/* equivalence_gradients.c: adds one gradient up in right and wrong ways, and looks at it before clipping and AdamW,
   both of which would hide a wrong length; measures how far gradients of N and of N/2 sequences scatter around their
   mean. */
#include "commands/equivalence.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- gradients on the host ---- */

/* All gradients of a model in a row: `count` doubles. */
typedef struct {
    double *values;
    int64_t count;
} gradients;

static gradients gradients_new(const model *m) {
    gradients g = {.count = gpt_parameters(&m->shape)};
    g.values = xcalloc((size_t)g.count, sizeof *g.values);
    return g;
}

/* g = scale * g + the model's gradients of b. */
static status add_gradients(model *m, const batch *b, gradients *g, double scale, error *e) {
    double loss, norm;
    TRY(model_gradients(m, b, &(step_settings){0}, &loss, e));
    TRY(model_finish(m, &(step_settings){0}, &norm, e));
    int64_t at = 0;
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        double *part = xcalloc((size_t)n, sizeof *part);
        status s = model_read(m, m->gpt.grad[p], 0, n, part, e);
        for (int64_t i = 0; i < n; i++) g->values[at + i] = scale * g->values[at + i] + part[i];
        at += n;
        free(part);
        TRY(s);
    }
    return OK;
}

/* |scale a - b| / |b| */
static double distance(const gradients *a, double scale, const gradients *b) {
    double off = 0, all = 0;
    for (int64_t i = 0; i < b->count; i++) {
        double d = scale * a->values[i] - b->values[i];
        off += d * d;
        all += b->values[i] * b->values[i];
    }
    return all > 0 ? sqrt(off / all) : sqrt(off);
}

/* ---- right and wrong ways to add up ---- */

/* Of sequence i only the last (i + 1) / N of its targets count, as if the rest were padding or a question. So the parts
   of the batch have unequal numbers of targets. */
static void ignore_some(batch *b) {
    for (int64_t i = 0; i < b->sequences; i++) {
        int64_t ignored = b->length - (b->length * (i + 1) + b->sequences - 1) / b->sequences;
        for (int64_t t = 0; t < ignored; t++) b->y[i * b->length + t] = -1;
    }
}

/* Adds the gradients of each part's own mean loss, as a simple training loop does, without dividing by the number of
   parts. */
static status add_means(model *m, const batch *b, gradients *g, error *e) {
    for (int64_t first = 0; first < b->sequences; first += m->run.micro_batch) {
        int64_t left = b->sequences - first, n = left < m->run.micro_batch ? left : m->run.micro_batch;
        batch part = {n, b->length, b->x + first * b->length, b->y + first * b->length};
        TRY(add_gradients(m, &part, g, 1, e));
    }
    return OK;
}

static void add_row(equivalence *q, const char *name, const char *how, const char *verdict, double error) {
    q->rows[q->n_rows++] = (equivalence_row){name, how, verdict, error};
}

/* b: the batch with unequal parts, whose gradient at once is `uneven`; all: the one in which every target counts, whose
   gradient at once is `even`. */
static status compare_ways(equivalence *q, model *m, const batch *b, const batch *all, const gradients *uneven,
                           const gradients *even, error *e) {
    gradients g = gradients_new(m);
    double parts = q->parts;
    status s = add_gradients(m, b, &g, 0, e);
    if (s == OK && m->run.batch_invariant) {
        add_row(q, "batch_invariant=True", "each part / the step's targets", "the same bits", distance(&g, 1, uneven));
        memset(g.values, 0, (size_t)g.count * sizeof *g.values);
        s = add_means(m, b, &g, e);
        if (s == OK) {
            add_row(q, "mean of means", "each part / its own targets, then / parts", "WRONG",
                    distance(&g, 1 / parts, uneven));
            add_row(q, "not divided", "each part / its own targets", "WRONG", distance(&g, 1, uneven));
            memset(g.values, 0, (size_t)g.count * sizeof *g.values);
            s = add_means(m, all, &g, e);
        }
        if (s == OK)
            add_row(q, "mean of means, equal counts", "the same where every target counts", "right, but for rounding",
                    distance(&g, 1 / parts, even));
    } else if (s == OK)
        add_row(q, "batch_invariant=False", "the same, in larger products", "right, but for rounding",
                distance(&g, 1, uneven));
    free(g.values);
    return s;
}

/* The split that the table of ways uses: the second largest that divides the batch; NULL if there is none. */
static const equivalence_split *split_of_table(const equivalence *q) {
    for (int i = 1; i < q->n_splits; i++)
        if (q->order.sequences % q->splits[i].micro_batch == 0 && q->splits[i].micro_batch <= q->order.sequences / 3)
            return &q->splits[i];
    for (int i = 1; i < q->n_splits; i++)
        if (q->order.sequences % q->splits[i].micro_batch == 0) return &q->splits[i];
    return NULL;
}

static status whole_gradients(equivalence *q, const batch *b, const batch *all, gradients *uneven, gradients *even,
                              error *e) {
    model m;
    TRY(equivalence_open(q, GRAPH_GRADS, &q->splits[0], true, &m, e));
    *uneven = gradients_new(&m);
    *even = gradients_new(&m);
    status s = add_gradients(&m, b, uneven, 0, e);
    if (s == OK) s = add_gradients(&m, all, even, 0, e);
    model_close(&m);
    return s;
}

static status fill_table(equivalence *q, const equivalence_split *split, const batch *b, const batch *all, error *e) {
    gradients uneven = {0}, even = {0};
    status s = whole_gradients(q, b, all, &uneven, &even, e);
    for (int invariant = 1; invariant >= 0 && s == OK; invariant--) {
        model m;
        s = equivalence_open(q, GRAPH_GRADS, split, invariant, &m, e);
        if (s != OK) break;
        s = compare_ways(q, &m, b, all, &uneven, &even, e);
        model_close(&m);
    }
    free(uneven.values);
    free(even.values);
    return s;
}

/* Moves the row of batch_invariant=False to the second place, where it belongs. It is measured last since it needs
   another graph. */
static void order_rows(equivalence *q) {
    equivalence_row last = q->rows[q->n_rows - 1];
    memmove(&q->rows[2], &q->rows[1], (size_t)(q->n_rows - 2) * sizeof last);
    q->rows[1] = last;
}

status equivalence_gradients(equivalence *q, error *e) {
    const equivalence_split *split = split_of_table(q);
    if (!split) return OK;
    q->parts = (int)(q->order.sequences / split->micro_batch);
    batch b = batch_new(q->order.sequences, q->order.length), all = batch_new(q->order.sequences, q->order.length);
    status s = batch_draw(&b, &q->text, &q->order, STREAM_TABLE, 0, 0, e);
    if (s == OK) s = batch_draw(&all, &q->text, &q->order, STREAM_TABLE, 0, 0, e);
    if (s == OK) {
        ignore_some(&b);
        s = fill_table(q, split, &b, &all, e);
    }
    if (s == OK) order_rows(q);
    batch_free(&b);
    batch_free(&all);
    return s;
}

/* ---- noise ---- */

static int samples_of(const equivalence *q) {
    if (q->order.sequences < 2) return 0;
    return q->built_in ? 48 : 6;
}

double equivalence_gradient_work(const equivalence *q) { return (split_of_table(q) ? 6 : 0) + 1.5 * samples_of(q); }

/* Measures the root mean square distance of gradients from their mean: with n samples,
   sqrt((sum |g|^2 - n |mean|^2) / (n - 1)). Each is a gradient of fresh sequences: of the steps first, first + 1, ...
   of a random stream of its own. */
static status scatter(equivalence *q, model *m, int64_t sequences, int64_t first, double *noise, double *norm,
                      error *e) {
    int samples = q->noise.samples;
    batch b = batch_new(sequences, q->order.length);
    gradients sum = gradients_new(m), one = gradients_new(m);
    double squares = 0, mean = 0;
    status s = OK;
    for (int k = 0; k < samples && s == OK; k++) {
        s = batch_draw(&b, &q->text, &q->order, STREAM_NOISE, first + k, 0, e);
        if (s == OK) s = add_gradients(m, &b, &one, 0, e);
        for (int64_t i = 0; i < sum.count; i++) {
            sum.values[i] += one.values[i];
            squares += one.values[i] * one.values[i];
        }
    }
    for (int64_t i = 0; i < sum.count; i++) mean += sum.values[i] * sum.values[i] / samples / samples;
    *noise = sqrt(fmax(0, squares - samples * mean) / (samples - 1));
    *norm = sqrt(mean);
    free(sum.values);
    free(one.values);
    batch_free(&b);
    return s;
}

status equivalence_measure_noise(equivalence *q, error *e) {
    model m;
    double half_norm;
    int64_t n = q->order.sequences;
    q->noise.samples = samples_of(q);
    if (!q->noise.samples) return OK;
    TRY(equivalence_open(q, GRAPH_GRADS, &q->splits[0], q->config->batch_invariant, &m, e));
    status s = scatter(q, &m, n, 0, &q->noise.noise, &q->noise.norm, e);
    if (s == OK) s = scatter(q, &m, n / 2, q->noise.samples, &q->noise.half, &half_norm, e);
    model_close(&m);
    return s;
}
