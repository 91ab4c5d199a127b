/* support_one_op.c: see support_one_op.h. */
#include "support_one_op.h"
#include "graph/precision.h"
#include "base/rng.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

const op_setting op_settings[OP_SETTINGS] = {
    {2, 5, 6, 2, 11, 7, 2, 0.3, true},       /* small enough for every loop of 4, 16 and 64 to be all tail */
    {3, 33, 15, 3, 131, 40, 2, 0.0, true},   /* a short micro-batch */
    {1, 300, 20, 1, 67, 24, 1, 0.1, true},   /* more positions than a block of keys or a chunk of the head */
    {2, 70, 80, 5, 600, 530, 2, 0.1, false}, /* more columns than a tile; reductions over all rows */
    {5, 1, 8, 2, 9, 8, 4, 0.5, true},        /* one position */
};

static double uniform(uint64_t *state) { /* SplitMix64; rounded to float, so that both precisions start alike */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

one_op one_op_new(const op_setting *s, size_t real_bytes, op_code code, op_attr attr) {
    bool bf16 = real_bytes == 2;
    one_op k = {.s = *s, .real_bytes = bf16 ? 4 : real_bytes, .bf16 = bf16, .code = code, .attr = attr};
    if (attr.site) k.attr.dropout = s->dropout;
    k.step = (step_args){.sequences = s->sequences,
                         .first_sequence = 3,
                         .length = s->T,
                         .step = 4,
                         .lr = 1e-3,
                         .inv_targets = 1.0 / 77,
                         .seed = 0x123456789abcdefu};
    return k;
}

static double *add(one_op *k, bool whole, int rank, int64_t a, int64_t b, int64_t c) {
    int i = k->arguments++;
    k->rank[i] = rank;
    k->whole[i] = whole;
    k->dim[i][0] = a, k->dim[i][1] = b, k->dim[i][2] = c;
    k->n[i] = a * (rank > 1 ? b : 1) * (rank > 2 ? c : 1);
    k->in[i] = xcalloc((size_t)k->n[i], sizeof(double));
    k->got[i] = xcalloc((size_t)k->n[i], sizeof(double));
    return k->in[i];
}

double *one_op_real(one_op *k, int rank, int64_t a, int64_t b, int64_t c) {
    double *v = add(k, false, rank, a, b, c);
    uint64_t state = (uint64_t)k->code * 100 + (uint64_t)k->arguments;
    for (int64_t i = 0; i < k->n[k->arguments - 1]; i++) v[i] = (float)(2 * uniform(&state) - 1);
    return v;
}

double *one_op_ids(one_op *k, int64_t a, int64_t b, int low, int high) {
    double *v = add(k, true, 2, a, b, 0);
    uint64_t state = (uint64_t)k->code * 100 + (uint64_t)k->arguments;
    for (int64_t i = 0; i < a * b; i++) v[i] = low + floor(uniform(&state) * (high - low));
    return v;
}

void one_op_none(one_op *k) { k->arguments++; }

void one_op_free(one_op *k) {
    for (int i = 0; i < k->arguments; i++) {
        free(k->in[i]);
        free(k->got[i]);
    }
}

static double value(const one_op *k, int i, const void *raw, int64_t j) {
    if (k->whole[i]) return ((const int32_t *)raw)[j];
    return k->real_bytes == 8 ? ((const double *)raw)[j] : (double)((const float *)raw)[j];
}

static void set_value(const one_op *k, int i, void *raw, int64_t j, double v) {
    if (k->whole[i])
        ((int32_t *)raw)[j] = (int32_t)v;
    else if (k->real_bytes == 8)
        ((double *)raw)[j] = v;
    else
        ((float *)raw)[j] = (float)v;
}

/* Moves argument i between `values` and the backend. */
static void move(const one_op *k, backend *b, tensor_id t, int i, double *values, bool write) {
    error e = {""};
    size_t size = k->whole[i] ? sizeof(int32_t) : k->real_bytes, bytes = (size_t)k->n[i] * size;
    void *raw = xcalloc((size_t)k->n[i], size);
    for (int64_t j = 0; j < k->n[i] && write; j++) set_value(k, i, raw, j, values[j]);
    status s = write ? b->write(b, t, raw, 0, bytes, &e) : b->read(b, t, raw, 0, bytes, &e);
    ck_assert_msg(s == OK, "%s", e.text);
    for (int64_t j = 0; j < k->n[i] && !write; j++) values[j] = value(k, i, raw, j);
    free(raw);
}

/* In bfloat16 the activations that the op writes are ACT, which keep their place to the end of a graph of one op, and
   what has rank 2 and is read is a parameter. */
static tensor_role role_of(const one_op *k, int i) {
    char access = op_describe(k->code)->access[i];
    if (!k->bf16) return ROLE_STEP;
    if (access == 'W' && k->rank[i] == 3) return ROLE_ACT;
    return access == 'R' && k->rank[i] == 2 && !k->whole[i] ? ROLE_PARAM : ROLE_STEP;
}

void one_op_run(one_op *k) {
    error e = {""};
    plan p;
    backend *b = k->bf16 ? cpu_open_as(PRECISION_BFLOAT16, 0) : cpu_open(k->real_bytes, 0);
    graph *g = graph_new(GRAPH_TRAIN, k->s.B, k->s.T, k->s.invariant);
    tensor_id id[MAX_ARGUMENTS] = {0};
    ck_assert_int_eq(k->arguments, op_describe(k->code)->arguments);
    for (int i = 0; i < k->arguments; i++)
        if (k->n[i])
            id[i] = graph_tensor(g, "t", i, role_of(k, i), KIND_TEMP, k->whole[i] ? TYPE_INT32 : TYPE_REAL, k->rank[i],
                                 k->dim[i]);
    *graph_op(g, k->code, id) = k->attr;
    g->micro = (span){0, 1};
    if (k->bf16) precision_apply(g, b->type->stored);
    if (k->bf16 && k->code == OP_GELU_DX) g->tensors[id[0]].type = b->type->stored; /* as LINEAR_DX has left it */
    graph_add_scratch(g, b->type->scratch, k->real_bytes);
    ck_assert_msg(plan_make(g, &b->limits, &p, &e) == OK && b->bind(b, g, &p, &e) == OK, "%s", e.text);
    for (int i = 0; i < k->arguments; i++)
        if (id[i]) move(k, b, id[i], i, k->in[i], true);
    ck_assert_msg(b->run(b, g->micro, &k->step, &e) == OK, "%s", e.text);
    for (int i = 0; i < k->arguments; i++)
        if (id[i]) move(k, b, id[i], i, k->got[i], false);
    b->close(b);
    plan_free(&p);
    graph_free(g);
}

double one_op_mask(const one_op *k, int sequence, int64_t element) {
    uint32_t words[4];
    double p = k->attr.dropout;
    if (p == 0) return 1;
    philox(k->step.seed, (uint32_t)k->step.step, (uint32_t)(k->step.first_sequence + sequence),
           (uint32_t)k->attr.site << 16 | (uint32_t)(k->attr.layer < 0 ? 0 : k->attr.layer), (uint32_t)(element / 4),
           words);
    return words[element % 4] >= p * 4294967296.0 ? 1 / (1 - p) : 0;
}

void one_op_expect(const one_op *k, int a, int64_t n, double *want) {
    double off = 0, all = 0, tolerance = k->bf16 ? 1e-2 : k->real_bytes == 8 ? 1e-12 : 2e-6;
    if (n < 0) n = k->n[a];
    for (int64_t i = 0; i < n; i++) {
        off += (k->got[a][i] - want[i]) * (k->got[a][i] - want[i]);
        all += want[i] * want[i];
    }
    ck_assert_msg(sqrt(off) <= tolerance * sqrt(all),
                  "%s, B=%d T=%d C=%d dropout %g, %sfloat%d: argument %d is off by %.3g", op_describe(k->code)->name,
                  k->s.B, k->s.T, k->s.C, k->s.dropout, k->bf16 ? "bfloat16 by " : "", (int)k->real_bytes * 8, a,
                  sqrt(off / all));
    free(want);
}

void one_op_differentiate(one_op *k, int a, const double *gradient, double (*loss)(const one_op *)) {
    static const double at[4] = {-2, -1, 1, 2}, weight[4] = {1, -8, 8, -1};
    enum { ELEMENTS = 6 };
    uint64_t state = 1;
    double off = 0, all = 0, h = 1e-3;
    if (k->real_bytes == 4) return; /* the loss is in float64 whatever the op is */
    for (int i = 0; i < ELEMENTS; i++) {
        int64_t j = (int64_t)(uniform(&state) * (double)k->n[a]);
        double kept = k->in[a][j], numeric = 0;
        for (int q = 0; q < 4; q++) {
            k->in[a][j] = kept + at[q] * h;
            numeric += weight[q] * loss(k) / (12 * h);
        }
        k->in[a][j] = kept;
        off += (numeric - gradient[j]) * (numeric - gradient[j]);
        all += numeric * numeric;
    }
    ck_assert_msg(sqrt(off) <= 1e-7 * fmax(sqrt(all), 1e-4),
                  "%s, B=%d T=%d C=%d: argument %d's gradient is off by %.3g", op_describe(k->code)->name, k->s.B,
                  k->s.T, k->s.C, a, sqrt(off));
}
