/* test_opencl_bf16.c: dtype=bfloat16 on OpenCL. Every op of a model against the CPU, on the same inputs, by the kernels
   for CPUs, those for GPUs and (emulated) matrix units; the same bits for every split; bytes as planned. Products alone
   are in test_opencl_product.c, PyTorch's gradients in test_opencl_golden.c. */
#include "base/bf16.h"
#include "graph/recompute.h"
#include "opencl/ops.h"
#include "opencl_device.h"
#include "run/model.h"
#include "support_steps.h"
#include <math.h>
#include <string.h>

/* Multiples of nothing, with biases and dropout; and whole vectors, heads that attention by matrix units takes, and the
   residual stream's own gradient in linear layers, since nothing is dropped. */
static const gpt_shape shapes[] = {
    {.layers = 1, .heads = 3, .channels = 27, .positions = 33, .vocabulary = 71, .bias = true, .norm_epsilon = 1e-5},
    {.layers = 1, .heads = 2, .channels = 64, .positions = 40, .vocabulary = 96, .bias = true, .norm_epsilon = 1e-5},
};
static gpt_run run_for(int shape, int micro_batch, unsigned recompute) {
    gpt_run run = steps_run(5, shapes[shape].positions, micro_batch, recompute);
    if (shape) run.dropout = 0;
    return run;
}

/* How the kernels are made; a card with matrix units of its own uses them in all three. */
enum { FOR_CPU, FOR_GPU, BY_UNITS, WAYS };
static const char *const way_names[WAYS] = {"as for CPUs", "as for GPUs", "matrix units"};
static backend *open_way(int way) {
    return open_device_with((opencl_options){
        .precision = PRECISION_BFLOAT16, .as_gpu = way == FOR_GPU, .mma = way == BY_UNITS ? MMA_EMULATED : MMA_OWN});
}

/* ---- op by op ---- */

typedef struct {
    model cl, cpu;
    bool exact; /* the CPU computes in float64, else in bfloat16 */
    int way;
} pair;

static double uniform(void) { /* SplitMix64 */
    static uint64_t state = 1;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return 2 * ((double)((z ^ z >> 31) >> 11) / 9007199254740992.0) - 1;
}

/* To 8 bits, ties to even: what a double is once it is stored as bfloat16. No number here is denormal. */
static double as_stored(double x) {
    int exponent;
    double fraction = frexp(x, &exponent);
    return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static double *read_all(model *m, tensor_id t, int64_t *n) {
    error e = {""};
    *n = tensor_elements(&m->gpt.graph->tensors[t]);
    double *v = xcalloc((size_t)*n, sizeof *v);
    ck_assert_msg(model_read(m, t, 0, *n, v, &e) == OK, "%s", e.text);
    return v;
}
static void write_all(model *m, tensor_id t, const double *v, int64_t n) {
    error e = {""};
    ck_assert_msg(model_write(m, t, 0, n, v, &e) == OK, "%s", e.text);
}

/* The same parameters and gradients on both; of rank 2, rounded beforehand for a CPU in float64, which does not round
   what it reads. */
static void fill(pair *k, const gpt_shape *shape) {
    error e = {""};
    const graph *g = k->cl.gpt.graph;
    for (tensor_id t = 1; t < g->n_tensors; t++) {
        const tensor *x = &g->tensors[t];
        int64_t n = tensor_elements(x);
        if (x->role == ROLE_INPUT) {
            int32_t *ids = xcalloc((size_t)n, sizeof *ids);
            for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)(floor(fabs(uniform()) * shape->vocabulary));
            for (int64_t i = 0; i < n && t == k->cl.gpt.targets; i += 6) ids[i] = -1;
            for (int b = 0; b < 2; b++) {
                model *m = b ? &k->cpu : &k->cl;
                ck_assert_int_eq(m->backend->write(m->backend, t, ids, 0, 4 * (size_t)n, &e), OK);
            }
            free(ids);
        }
        if (x->role != ROLE_PARAM && x->role != ROLE_GRAD) continue;
        double *v = xcalloc((size_t)n, sizeof *v);
        for (int64_t i = 0; i < n; i++) v[i] = (double)(float)(uniform() * (x->rank == 2 ? 0.3 : 1));
        write_all(&k->cl, t, v, n);
        for (int64_t i = 0; i < n && k->exact && graph_reads_rounded(g, t); i++) v[i] = as_stored(v[i]);
        write_all(&k->cpu, t, v, n);
        free(v);
    }
}

/* How far an output may be off. Ops round inputs and outputs to bfloat16 and compute in float: with the same inputs,
   and what they write rounded on either side, no more is left than float's own rounding; where a sum lies near the
   middle of two bfloat16, one of them may be taken here and the other there. Kernels round on the way what matrix units
   multiply (the stream's gradient, the logits', probabilities): then, and against bfloat16 on the CPU, a hundredth. */
static double allowed_for(const pair *k, const op *o, tensor_id t) {
    const graph *g = k->cl.gpt.graph;
    bool attention = o->code == OP_ATTENTION || o->code == OP_ATTENTION_DX;
    bool by_units = ((const opencl *)k->cl.backend)->attention.way == ATTENTION_BF16; /* a card's own too */
    bool rounds = o->code == OP_HEAD || (attention && by_units);
    if (o->code == OP_LINEAR_DX) rounds = g->tensors[o->by.LINEAR_DX.dy].type != TYPE_BF16;
    if (o->code == OP_LINEAR_DW) rounds = g->tensors[o->by.LINEAR_DW.dy].type != TYPE_BF16;
    if (!k->exact || rounds) return 1e-2;
    return g->tensors[t].type == TYPE_BF16 ? 5e-4 : 1e-5;
}

/* Runs op i on both, from what the CPU has; compares what it wrote; what is bfloat16 is so on the CPU too from then on.
 */
static void compare_op(pair *k, int i, const step_args *args) {
    error e = {""};
    const graph *g = k->cl.gpt.graph;
    const op *o = &g->ops[i];
    const op_info *info = op_describe(o->code);
    int64_t n;
    for (int a = 0; a < info->arguments; a++) {
        const tensor *x = &g->tensors[o->arg[a]];
        if (!o->arg[a] || info->access[a] == 'W' || x->role == ROLE_PARAM || x->role == ROLE_INPUT) continue;
        double *v = read_all(&k->cpu, o->arg[a], &n);
        write_all(&k->cl, o->arg[a], v, n);
        free(v);
    }
    for (int b = 0; b < 2; b++) {
        backend *at = (b ? &k->cpu : &k->cl)->backend;
        ck_assert_msg(at->run(at, (span){i, i + 1}, args, &e) == OK, "%s", e.text);
    }
    for (int a = 0; a < info->arguments; a++) {
        tensor_id t = o->arg[a];
        if (!t || info->access[a] == 'R') continue;
        double *want = read_all(&k->cpu, t, &n), *got = read_all(&k->cl, t, &n), off = 0, size = 0;
        for (int64_t j = 0; j < n; j++) {
            if (g->tensors[t].type == TYPE_BF16) want[j] = as_stored(want[j]);
            off += (got[j] - want[j]) * (got[j] - want[j]);
            size += want[j] * want[j];
        }
        ck_assert_msg(sqrt(off) <= allowed_for(k, o, t) * sqrt(size), "%s, %s: %s of %s is off by %.3g",
                      way_names[k->way], k->exact ? "float64" : "bfloat16", g->tensors[t].name, info->name,
                      sqrt(off / size));
        write_all(&k->cpu, t, want, n);
        free(want);
        free(got);
    }
}

static void compare_ops(int shape, int way, bool exact) {
    error e = {""};
    pair k = {.exact = exact, .way = way};
    if (way == BY_UNITS && emulates_wrongly("bfloat16")) return;
    gpt_run run = run_for(shape, 2, 0);
    ck_assert_msg(model_open(&k.cl, open_way(way), &shapes[shape], &run, &e) == OK, "%s", e.text);
    backend *cpu = exact ? cpu_open(8, 0) : cpu_open_as(PRECISION_BFLOAT16, 0);
    ck_assert_msg(model_open(&k.cpu, cpu, &shapes[shape], &run, &e) == OK, "%s", e.text);
    fill(&k, &shapes[shape]);
    const graph *g = k.cl.gpt.graph;
    step_args args = {.sequences = 2, .length = run.length, .step = 4, .inv_targets = 1.0 / 50, .seed = 0x123456789u};
    const span spans[] = {g->micro, g->eval, g->sample};
    for (int s = 0; s < 3; s++)
        for (int i = spans[s].first; i < spans[s].end; i++) {
            if (g->ops[i].code == OP_LOGITS)
                args.sequences = 1; /* it is asked for one alone, and the CPU's lanes rely on it */
            compare_op(&k, i, &args);
        }
    model_close(&k.cl);
    model_close(&k.cpu);
}

/* Each way with the shape that has most to tell it. */
static const struct { int shape, way; } tries[] = {{0, FOR_CPU}, {0, FOR_GPU}, {1, BY_UNITS}, {1, FOR_CPU}};

START_TEST(every_op_matches_cpu_float64_but_for_the_rounding) { compare_ops(tries[_i].shape, tries[_i].way, true); }
END_TEST

START_TEST(every_op_matches_cpu_bfloat16) { compare_ops(1, FOR_CPU, false); }
END_TEST

/* ---- whole steps ---- */

/* Products end in GELU or not, as the plan has room; sequences share launches or not; what is dropped is computed
 * again. */
START_TEST(no_split_or_policy_changes_bits) {
    static const int splits[] = {5, 2, 1};
    char hash[HASH_HEX] = "", first[HASH_HEX] = "";
    int shape = tries[_i].shape, way = tries[_i].way;
    if (way == BY_UNITS && emulates_wrongly("splits in bfloat16")) return;
    for (int i = 0; i < 3; i++) {
        gpt_run run = run_for(shape, splits[i], recompute_policies[(2 * i) % RECOMPUTE_POLICIES].dropped);
        run.one_upload = i % 2;
        steps_train(open_way(way), &shapes[shape], &run, i ? hash : first, NULL);
        ck_assert_msg(!i || !strcmp(hash, first), "%s: micro-batches of %d change the weights", way_names[way],
                      splits[i]);
    }
}
END_TEST

/* Fewer bytes than in float32, all of them planned, and no temporaries. */
START_TEST(planned_bytes_are_allocated_bytes) {
    error e = {""};
    model m;
    gpt_run run = run_for(1, 3, 0);
    backend *b = open_own(PRECISION_FLOAT32, false, 0);
    ck_assert_msg(model_open(&m, b, &shapes[1], &run, &e) == OK, "%s", e.text);
    uint64_t in_float32 = m.plan.total;
    model_close(&m);
    ck_assert_msg(model_open(&m, open_way(FOR_CPU), &shapes[1], &run, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(opencl_memory_now(m.backend).live, m.plan.total);
    ck_assert_uint_eq(m.backend->allocated, m.plan.total);
    ck_assert_uint_lt(m.plan.total, in_float32);
    for (tensor_id t = 1; t < m.gpt.graph->n_tensors; t++) ck_assert(m.gpt.graph->tensors[t].kind != KIND_GEMM);
    model_close(&m);
}
END_TEST

/* Where there are no matrix units, the portable kernels multiply, and say why. */
START_TEST(a_device_without_matrix_units_multiplies_in_float32) {
    backend *b = open_way(FOR_CPU);
    if (!((opencl *)b)->products.units) {
        ck_assert_str_eq(b->gemm, "bf16 by float32");
        ck_assert_msg(strstr(b->advice, "in float32, since ") && strstr(b->advice, "no matrix units"), "%s", b->advice);
    } else
        ck_assert_str_eq(b->gemm, "bf16 by mma.sync");
    b->close(b);
}
END_TEST

Suite *opencl_bf16_suite(void);
Suite *opencl_bf16_suite(void) {
    Suite *suite = suite_create("opencl_bf16");
    TCase *t = tcase_create("ops");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, every_op_matches_cpu_float64_but_for_the_rounding, 0, 4);
    tcase_add_test(t, every_op_matches_cpu_bfloat16);
    suite_add_tcase(suite, t);
    t = tcase_create("steps");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, no_split_or_policy_changes_bits, 0, WAYS);
    tcase_add_test(t, planned_bytes_are_allocated_bytes);
    tcase_add_test(t, a_device_without_matrix_units_multiplies_in_float32);
    suite_add_tcase(suite, t);
    return suite;
}
