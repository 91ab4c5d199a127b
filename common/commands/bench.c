/* bench.c: see bench.h. Times whole steps, then ops, on random tokens. Prints nothing; bench_report.c does. */
#include "commands/bench.h"
#include "run/calibrate.h"
#include "base/bf16.h"
#include "base/rng.h"
#include "base/sort.h"
#include "run/device.h"
#include "run/open.h"
#include "run/shape.h"
#include "base/timer.h"
#include <stdlib.h>
#include <string.h>

/* About how many seconds one timed step, and all of them together, may take; and how many steps are timed. */
static const double STEP_SECONDS = 8, ALL_SECONDS = 5;
enum { LEAST_STEPS = 3, MOST_STEPS = 201 };

static double median(double *x, int n) {
    sort_doubles(x, (size_t)n);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* ---- the limit ---- */

/* Fills a tensor with random numbers as they come in training, since some devices are faster on zeros. */
static status fill_tensor(backend *b, const graph *g, tensor_id t, error *e) {
    const tensor *like = &g->tensors[t];
    uint64_t n = (uint64_t)tensor_elements(like);
    float *x = xcalloc(n, sizeof *x);
    uint16_t *halves = (uint16_t *)(void *)x;
    for (uint64_t i = 0; i < n; i++) {
        float v = (float)((i * 2654435761u >> 8) % 1000) / 500 - 1;
        if (like->type == TYPE_BF16)
            halves[i] = bf16_of_float(v);
        else
            x[i] = v;
    }
    status s = b->write(b, t, x, 0, tensor_bytes(like, sizeof *x), e);
    free(x);
    return s;
}

/* For a backend without gemm_rate: times a LINEAR op alone, which is one product. */
static status time_linear(backend *b, const graph *g, tensor_id read, int64_t rows, double *seconds, error *e) {
    enum { TIMES = 7, AT_ONCE = 4 };
    step_args a = {.sequences = 1, .length = (int)rows};
    double times[TIMES] = {0};
    float one = 0;
    for (int t = -1; t < TIMES; t++) {
        double start = seconds_now();
        for (int i = 0; i < AT_ONCE; i++) TRY(b->run(b, g->micro, &a, e));
        TRY(b->read(b, read, &one, 0, sizeof one, e));
        if (t >= 0) times[t] = (seconds_now() - start) / AT_ONCE;
    }
    *seconds = median(times, TIMES);
    return OK;
}

static status linear_rate(backend *b, const int64_t shape[3], double *rate, error *e) {
    int64_t rows = shape[0], n = shape[1], k = shape[2];
    graph *g = graph_new(GRAPH_GRADS, 1, (int)rows, true);
    tensor_id w = graph_tensor(g, "w", -1, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, 2, (int64_t[]){k, n});
    tensor_id x = graph_tensor(g, "x", -1, ROLE_INPUT, KIND_BLOCK, b->type->stored, 3, (int64_t[]){1, rows, k});
    tensor_id y = graph_tensor(g, "y", -1, ROLE_INPUT, KIND_BLOCK, b->type->stored, 3, (int64_t[]){1, rows, n});
    plan p = {0};
    double seconds;
    g->micro.first = g->n_ops;
    graph_op(g, OP_LINEAR, (tensor_id[MAX_ARGUMENTS]){y, x, w});
    g->micro.end = g->n_ops;
    graph_add_scratch(g, b->type->scratch, b->limits.real_bytes);
    status s = plan_make(g, &b->limits, &p, e);
    if (s == OK) s = b->bind(b, g, &p, e);
    if (s == OK) s = fill_tensor(b, g, w, e);
    if (s == OK) s = fill_tensor(b, g, x, e);
    if (s == OK) s = time_linear(b, g, y, rows, &seconds, e);
    if (s == OK) *rate = 2.0 * (double)rows * (double)n * (double)k / seconds;
    b->unbind(b);
    plan_free(&p);
    graph_free(g);
    return s;
}

/* The product that the ops are held against: on the CPU always of the same shape, so that figures of different models
   can be compared; on other devices of this model's own, which decides how fast they are. Times it there; the CPU's
   waits for the plan to be made, so that a plan that does not fit is refused at once. */
static status find_limit(backend *b, const gpt_shape *shape, int64_t rows, bench *t, error *e) {
    int64_t fixed[3] = {1024, 3072, 768}, own[3] = {rows < 2048 ? rows : 2048, 4 * shape->channels, shape->channels};
    memcpy(t->limit_shape, b->gemm_rate ? fixed : own, sizeof own);
    return b->gemm_rate ? OK : linear_rate(b, t->limit_shape, &t->limit, e); /* with gemm_rate: see measure */
}

/* ---- steps ---- */

static void fill_batch(batch *b, int64_t vocabulary) {
    for (int64_t i = 0; i < b->sequences * b->length; i++) {
        uint32_t words[4];
        philox(1, (uint32_t)i, (uint32_t)(i >> 32), random_word(SITE_BATCH, STREAM_TRAIN), 0, words);
        b->x[i] = (int32_t)(words[0] % (uint64_t)vocabulary);
        b->y[i] = (int32_t)(words[1] % (uint64_t)vocabulary);
    }
}

/* One step on the first `sequences` of the batch: seconds of its gradients and of its update. */
static status step(bench *t, int64_t sequences, int64_t number, double seconds[2], error *e) {
    batch part = t->batch;
    double unused, start = seconds_now();
    step_settings s = {.step = number, .lr = 1e-5};
    part.sequences = sequences;
    TRY(model_gradients(&t->m, &part, &s, &unused, e));
    double between = seconds_now();
    TRY(model_finish(&t->m, &s, &unused, e));
    seconds[0] = between - start;
    seconds[1] = seconds_now() - between;
    return OK;
}

/* Runs one micro-batch to warm up, and from its time decides how much of the batch will be timed. */
static status warm_up(bench *t, error *e) {
    int micro_batch = t->option.micro_batch;
    double seconds[2];
    for (int i = 0; i < 2; i++) TRY(step(t, micro_batch, i, seconds, e));
    int64_t micro_batches = 1 + (int64_t)(STEP_SECONDS / seconds[0]);
    if (micro_batches * micro_batch < t->batch.sequences) t->batch.sequences = micro_batches * micro_batch;
    return OK;
}

/* Times steps, and after each of them, if the backend can, its products alone: the same calls on the same memory. They
   take turns so that both are affected alike when the machine changes its speed. */
static status time_steps(bench *t, double seconds[2], error *e) {
    double gradients[MOST_STEPS], update[MOST_STEPS], products[MOST_STEPS] = {0}, all = 0, one[2], alone[2];
    backend *b = t->m.backend;
    uint64_t before = b->launches;
    int n = 0;
    for (; n < LEAST_STEPS || (n < MOST_STEPS && all < ALL_SECONDS); n++) {
        TRY(step(t, t->batch.sequences, n, one, e));
        if (!n) t->launches = b->launches - before;
        gradients[n] = one[0];
        update[n] = one[1];
        all += one[0] + one[1];
        if (b->gemm_rate) continue;
        b->products_only = true;
        status s = step(t, t->batch.sequences, n, alone, e);
        b->products_only = false;
        TRY(s);
        products[n] = alone[0] / (one[0] + one[1]);
    }
    t->steps = n;
    seconds[0] = median(gradients, n);
    seconds[1] = median(update, n);
    t->products = median(products, n);
    return OK;
}

/* ---- ops ---- */

static bool within(span s, int i) { return i >= s.first && i < s.end; }

/* joined: o is done by the launch of the op before it, whose row this is. */
static void count_op(bench_row *row, const graph *g, const op *o, bool joined, int64_t runs, int sequences,
                     size_t real) {
    if (!joined) row->runs += runs;
    row->flops += (double)runs * op_flops(g, o, sequences);
    row->bytes += (double)runs * (joined ? op_traffic_joined : op_traffic)(g, o, sequences, real);
}

/* Fills the rows from what each op took in `steps` steps of the sequences that were timed. */
static void count_ops(bench *t, const double *seconds, int steps) {
    const graph *g = t->m.gpt.graph;
    size_t real = t->m.backend->limits.real_bytes;
    int64_t all = t->request.run.sequences;
    int micro_batch = t->option.micro_batch, rest = (int)(all % micro_batch);
    double scale = (double)all / (double)t->batch.sequences;
    for (int i = 0; i < g->n_ops; i++) {
        const op *o = &g->ops[i];
        bool joined = t->m.backend->is_joined && t->m.backend->is_joined(t->m.backend, i);
        bench_row *row = &t->rows[joined ? o[-1].code : o->code];
        bool once = graph_is_once(g, i);
        if (!once && !within(g->micro, i)) continue;
        row->seconds += seconds[i] / steps * (once ? 1 : scale);
        count_op(row, g, o, joined, once ? 1 : all / micro_batch, once ? 0 : micro_batch, real);
        if (!once && rest) count_op(row, g, o, joined, 1, rest, real);
    }
    for (int code = 0; code < OP_COUNT; code++) {
        t->total.runs += t->rows[code].runs;
        t->total.flops += t->rows[code].flops;
        t->total.bytes += t->rows[code].bytes;
    }
}

/* Seconds of a step of the whole batch, from one of the timed sequences; its `begin` seconds are the same for any
   number of sequences. */
static double whole_step(const bench *t, double begin, const double seconds[2]) {
    double scale = (double)t->request.run.sequences / (double)t->batch.sequences;
    return begin + (seconds[0] - begin) * scale + seconds[1];
}

static status time_ops(bench *t, const double timed[2], error *e) {
    const graph *g = t->m.gpt.graph;
    backend *b = t->m.backend;
    double *seconds = xcalloc((size_t)g->n_ops, sizeof *seconds), one[2], sum[2] = {0}, begin = 0;
    int steps = 1 + t->steps / 4;
    status s = OK;
    b->profile = true;
    b->transfer_seconds = 0;
    for (int i = 0; i < steps && s == OK; i++) {
        s = step(t, t->batch.sequences, i, one, e);
        sum[0] += one[0] / steps;
        sum[1] += one[1] / steps;
    }
    if (s == OK) s = b->op_seconds(b, seconds, e);
    if (s == OK) count_ops(t, seconds, steps);
    t->transfers.seconds = b->transfer_seconds / steps;
    t->transfers.bytes = 2 * (double)b->host_allocated;
    for (int i = g->begin.first; i < g->begin.end; i++) begin += seconds[i] / steps;
    free(seconds);
    t->seconds = whole_step(t, begin, timed);
    t->total.seconds = whole_step(t, begin, sum);
    return s;
}

static status measure(bench *t, error *e) {
    double seconds[2];
    const int64_t *at = t->limit_shape;
    backend *b = t->m.backend;
    if (b->gemm_rate) TRY(b->gemm_rate(b, at[0], at[1], at[2], &t->limit, e));
    t->batch = batch_new(t->request.run.sequences, t->request.run.length);
    fill_batch(&t->batch, t->m.shape.vocabulary);
    b->profile = false;
    TRY(model_init(&t->m, 1, e));
    TRY(warm_up(t, e));
    TRY(time_steps(t, seconds, e));
    TRY(time_ops(t, seconds, e));
    if (!b->gemm_rate) return OK;
    double after; /* machines change their speed within minutes, so the limit is measured before and after the steps */
    TRY(b->gemm_rate(b, at[0], at[1], at[2], &after, e));
    t->limit = (t->limit + after) / 2;
    return OK;
}

status bench_run(const config *c, error *e) {
    gpt_shape shape;
    int length;
    const char *from;
    backend *b;
    bench *t = xcalloc(1, sizeof *t);
    int64_t sequences = c->batch_size * c->gradient_accumulation_steps;
    status s = shape_of_settings(c, &shape, &length, &from, e);
    if (s == OK) s = backend_open_for(c, &shape, length, NULL, &b, NULL, e);
    if (s == OK) {
        open_request(c, &shape, GRAPH_TRAIN, length, sequences, &t->request);
        s = find_limit(b, &shape, sequences * length, t, e);
        if (s == OK)
            s = calibrate_ensure(c, b, NULL, &t->request.cost, e); /* so that the micro-batch chosen is train's */
        b->profile = true;
        if (s == OK)
            s = open_model(&t->request, b, &t->m, &t->option, NULL, e);
        else
            b->close(b);
    }
    if (s == OK) {
        s = measure(t, e);
        if (s == OK) c->json ? bench_json(t, stdout) : bench_text(t, stdout);
        batch_free(&t->batch);
        model_close(&t->m);
    }
    free(t);
    return s;
}
