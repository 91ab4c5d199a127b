/* test_opencl_ends.c: what snug's own products end in: the op that follows in the same launch, with the same bits and
   under the same plan; and all sequences' weight gradients in one. */
#include "opencl/product.h"
#include "opencl_device.h"
#include "run/model.h"
#include "support_steps.h"
#include <math.h>

static const compute_precision precisions[] = {PRECISION_FLOAT32, PRECISION_TF32, PRECISION_BF16};

/* A linear layer with GELU behind it, forward and backward. Where x is not kept it dies when fc is there, so that the
   plan may put y on it. */
typedef struct {
    graph *g;
    plan p;
    tensor_id x, w, bias, fc, y, dy, w2, d;
} layer;
enum { L_B = 3, L_T = 35, L_OPS = 5 };

/* The backend keeps &l->p. */
static void layer_on(backend *b, layer *l, int64_t in, int64_t out, bool bias, bool tanh_form, bool keep_x) {
    error e = {""};
    *l = (layer){.g = graph_new(GRAPH_TRAIN, L_B, L_T, true)};
    graph *g = l->g;
    int64_t rows_in[] = {L_B, L_T, in}, rows_out[] = {L_B, L_T, out};
    l->w = graph_tensor(g, "w", -1, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, 2, (int64_t[]){in, out});
    l->w2 = graph_tensor(g, "w2", -1, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, 2, (int64_t[]){out, in});
    if (bias) l->bias = graph_tensor(g, "bias", -1, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, 1, &out);
    tensor_id begin = graph_tensor(g, "begin", -1, ROLE_STEP, KIND_NORM, TYPE_REAL, 3, rows_in);
    l->x = graph_tensor(g, "x", -1, keep_x ? ROLE_STEP : ROLE_ACT, KIND_NORM, TYPE_REAL, 3, rows_in);
    l->fc = graph_tensor(g, "fc", -1, ROLE_STEP, KIND_FC, TYPE_REAL, 3, rows_out);
    l->y = graph_tensor(g, "y", -1, keep_x ? ROLE_STEP : ROLE_ACT, KIND_GELU, TYPE_REAL, 3, rows_out);
    l->dy = graph_tensor(g, "dy", -1, ROLE_STEP, KIND_DACT, TYPE_REAL, 3, rows_in);
    l->d = graph_tensor(g, "d", -1, ROLE_STEP, KIND_DACT, TYPE_REAL, 3, rows_out);
    graph_op(g, OP_GELU, (tensor_id[MAX_ARGUMENTS]){l->x, begin, 0}); /* what writes x */
    graph_op(g, OP_LINEAR, (tensor_id[MAX_ARGUMENTS]){l->fc, l->x, l->w, 0});
    graph_op(g, OP_GELU, (tensor_id[MAX_ARGUMENTS]){l->y, l->fc, l->bias})->tanh_gelu = tanh_form;
    graph_op(g, OP_LINEAR_DX, (tensor_id[MAX_ARGUMENTS]){l->d, l->dy, l->w2});
    graph_op(g, OP_GELU_DX, (tensor_id[MAX_ARGUMENTS]){l->d, l->fc, l->bias})->tanh_gelu = tanh_form;
    g->micro = (span){0, L_OPS};
    graph_add_scratch(g, b->type->scratch, 4);
    ck_assert_msg(plan_make(g, &b->limits, &l->p, &e) == OK, "%s", e.text);
    ck_assert_msg(b->bind(b, g, &l->p, &e) == OK, "%s", e.text);
    for (tensor_id t = 1; t <= begin; t++) {
        int64_t n = tensor_elements(&g->tensors[t]);
        float *v = xcalloc((size_t)n, sizeof *v);
        for (int64_t i = 0; i < n; i++) v[i] = (float)((i * 7919 + 31 * t) % 2003 - 1001) / 500;
        ck_assert_msg(b->write(b, t, v, 0, 4 * (size_t)n, &e) == OK, "%s", e.text);
        if (t == begin) ck_assert_msg(b->write(b, l->dy, v, 0, 4 * (size_t)n, &e) == OK, "%s", e.text);
        free(v);
    }
}

static void layer_free(backend *b, layer *l) {
    b->close(b);
    plan_free(&l->p);
    graph_free(l->g);
}

/* Runs all ops in one span, or each in its own; returns how many launches that took. What t holds then: *out, which the
   caller frees. */
static uint64_t run_layer(backend *b, const layer *l, bool together, tensor_id t, float **out) {
    error e = {""};
    step_args args = {.sequences = L_B, .length = L_T};
    uint64_t before = b->launches;
    for (int i = 0; i < L_OPS; i += together ? L_OPS : 1)
        ck_assert_msg(b->run(b, (span){i, together ? L_OPS : i + 1}, &args, &e) == OK, "%s", e.text);
    int64_t n = tensor_elements(&l->g->tensors[t]);
    *out = xcalloc((size_t)n, sizeof **out);
    ck_assert_msg(b->read(b, t, *out, 0, 4 * (size_t)n, &e) == OK, "%s", e.text);
    return b->launches - before;
}

/* launches: of all five ops in one span. */
static void expect_same(backend *b, const layer *l, tensor_id t, uint64_t launches) {
    float *apart, *together;
    double sum = 0;
    ck_assert_uint_eq(run_layer(b, l, false, t, &apart), L_OPS);
    ck_assert_uint_eq(run_layer(b, l, true, t, &together), launches);
    for (int64_t i = 0; i < tensor_elements(&l->g->tensors[t]); i++) {
        sum += fabs(apart[i]);
        ck_assert_msg(apart[i] == together[i], "%s[%d] is %a, apart %a", l->g->tensors[t].name, (int)i, together[i],
                      apart[i]);
    }
    ck_assert(sum > 0);
    free(apart);
    free(together);
}

START_TEST(an_end_gives_the_bits_of_the_op_it_stands_for) {
    backend *b = open_own(precisions[_i / 8], false, 1 + _i % 2);
    layer l;
    layer_on(b, &l, 24, _i & 1 ? 80 : 37, _i & 2, _i & 4, true);
    expect_same(b, &l, l.fc, 3);
    expect_same(b, &l, l.y, 3);
    expect_same(b, &l, l.d, 3);
    for (int i = 0; i < L_OPS; i++) ck_assert_int_eq(b->is_joined(b, i), i == 2 || i == 4);
    /* GELU reads nothing that is not there, and writes y; its gradient reads fc. Both read the bias. */
    double y = (double)tensor_bytes(&l.g->tensors[l.y], 4),
           bias = l.bias ? (double)tensor_bytes(&l.g->tensors[l.bias], 4) : 0;
    ck_assert(op_traffic_joined(l.g, &l.g->ops[2], L_B, 4) == y + bias);
    ck_assert(op_traffic_joined(l.g, &l.g->ops[4], L_B, 4) == y + bias);
    layer_free(b, &l);
}
END_TEST

/* Where the plan lets GELU's output begin on what the product reads, the two ops stay apart. */
START_TEST(an_end_never_writes_what_its_product_reads) {
    backend *b = open_own(PRECISION_FLOAT32, false, 0);
    layer l;
    layer_on(b, &l, 24, 80, true, false, false);
    const slot *x = &l.p.slots[l.x], *y = &l.p.slots[l.y];
    ck_assert_msg(x->block == y->block && x->offset < y->offset + y->bytes && y->offset < x->offset + x->bytes,
                  "the plan keeps x and y apart: this test needs another layer");
    expect_same(b, &l, l.fc, 4);
    expect_same(b, &l, l.y, 4);
    layer_free(b, &l);
}
END_TEST

START_TEST(weight_gradients_of_all_sequences_are_one_launch) {
    static const gpt_shape shape = {
        .layers = 1, .heads = 2, .channels = 64, .positions = 64, .vocabulary = 256, .norm_epsilon = 1e-5};
    error e = {""};
    model m;
    gpt_run run = steps_run(4, 64, 4, 0);
    ck_assert_msg(model_open(&m, open_own(precisions[_i], false, 0), &shape, &run, &e) == OK, "%s", e.text);
    const graph *g = m.gpt.graph;
    step_args args = {.sequences = 4, .length = 64};
    int seen = 0;
    for (int i = g->micro.first; i < g->micro.end; i++) {
        if (g->ops[i].code != OP_LINEAR_DW) continue;
        uint64_t before = m.backend->launches;
        ck_assert_msg(m.backend->run(m.backend, (span){i, i + 1}, &args, &e) == OK, "%s", e.text);
        ck_assert_uint_eq(m.backend->launches - before, 1);
        seen++;
    }
    ck_assert_int_eq(seen, 4);
    model_close(&m);
}
END_TEST

Suite *opencl_ends_suite(void) {
    Suite *suite = suite_create("opencl_ends");
    TCase *t = tcase_create("opencl_ends");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, an_end_gives_the_bits_of_the_op_it_stands_for, 0, 24);
    tcase_add_test(t, an_end_never_writes_what_its_product_reads);
    tcase_add_loop_test(t, weight_gradients_of_all_sequences_are_one_launch, 0, 3);
    suite_add_tcase(suite, t);
    return suite;
}
