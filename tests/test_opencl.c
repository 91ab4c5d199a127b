/* test_opencl.c: every op on OpenCL in float32 against the CPU backend in float64, on the same inputs; the same bits
   for every split of a batch; what the allocator counts. Runs on any OpenCL device there is, PoCL included. */
#include "graph/backend.h"
#include "opencl/ops.h"
#include "opencl_device.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one graph with every op, each on tensors that stay ---- */

typedef struct {
    int B, T, C, H, V, F; /* F: inner channels of the MLP */
    double dropout;
    bool invariant;
} shape;

typedef struct {
    graph *g;
    plan p;
    backend *b;
    double tolerance; /* relative, norm-wise */
} side;

static tensor_id real_tensor(graph *g, const char *name, int rank, int64_t a, int64_t b, int64_t c) {
    return graph_tensor(g, name, -1, ROLE_STEP, KIND_TEMP, TYPE_REAL, rank, (int64_t[]){a, b, c});
}

#define OP(code, ...) graph_op(g, OP_##code, (tensor_id[MAX_ARGUMENTS]){__VA_ARGS__})

typedef struct {
    tensor_id tokens, targets, wte, wpe, x, w, b, y, stats, w2, b2, qkv, att, lse, w3, b3, fc, act, losses, logits;
} forward_ids;

static void add_forward(graph *g, const shape *s, forward_ids *t) {
    int64_t B = s->B, T = s->T, C = s->C, V = s->V, F = s->F;
    t->tokens = graph_tensor(g, "tokens", -1, ROLE_INPUT, KIND_BATCH, TYPE_INT32, 2, (int64_t[]){B, T});
    t->targets = graph_tensor(g, "targets", -1, ROLE_INPUT, KIND_BATCH, TYPE_INT32, 2, (int64_t[]){B, T});
    t->wte = real_tensor(g, "wte", 2, V, C, 0), t->wpe = real_tensor(g, "wpe", 2, T, C, 0);
    t->x = real_tensor(g, "x", 3, B, T, C);
    *OP(EMBED, t->x, t->tokens, t->wte, t->wpe) = (op_attr){.layer = -1, .site = SITE_EMBED, .dropout = s->dropout};
    t->w = real_tensor(g, "w", 1, C, 0, 0), t->b = real_tensor(g, "b", 1, C, 0, 0);
    t->y = real_tensor(g, "y", 3, B, T, C), t->stats = real_tensor(g, "stats", 3, B, T, 2);
    OP(NORM, t->y, t->stats, t->x, t->w, t->b)->epsilon = 1e-5;
    tensor_id plain = real_tensor(g, "plain", 3, B, T, C), plain_stats = real_tensor(g, "plain_stats", 3, B, T, 2);
    OP(NORM, plain, plain_stats, t->x, t->w, 0)->epsilon = 1e-5;
    t->w2 = real_tensor(g, "w2", 2, C, 3 * C, 0), t->b2 = real_tensor(g, "b2", 1, 3 * C, 0, 0);
    t->qkv = real_tensor(g, "qkv", 3, B, T, 3 * C);
    OP(LINEAR, t->qkv, t->y, t->w2, t->b2);
    t->att = real_tensor(g, "att", 3, B, T, C), t->lse = real_tensor(g, "lse", 3, B, s->H, T);
    *OP(ATTENTION, t->att, t->lse, t->qkv) =
        (op_attr){.layer = 2, .heads = s->H, .site = SITE_ATTENTION, .dropout = s->dropout};
    tensor_id r = real_tensor(g, "r", 3, B, T, C);
    for (int bias = 1; bias >= 0; bias--) {
        tensor_id sum = real_tensor(g, "sum", 3, B, T, C), stats = real_tensor(g, "r_stats", 3, B, T, 2);
        *OP(RESIDUAL_NORM, sum, bias ? r : real_tensor(g, "r_plain", 3, B, T, C), stats, t->x, t->att, bias ? t->b : 0,
            t->w, bias ? t->b : 0) =
            (op_attr){.layer = 2, .site = SITE_ATTENTION_RESIDUAL, .dropout = s->dropout, .epsilon = 1e-5};
    }
    t->w3 = real_tensor(g, "w3", 2, C, F, 0), t->fc = real_tensor(g, "fc", 3, B, T, F);
    OP(LINEAR, t->fc, r, t->w3, 0);
    t->act = real_tensor(g, "act", 3, B, T, F);
    t->b3 = real_tensor(g, "b3", 1, F, 0, 0);
    OP(GELU, t->act, t->fc, 0);
    OP(GELU, real_tensor(g, "act_bias", 3, B, T, F), t->fc, t->b3);
    OP(GELU, real_tensor(g, "act_tanh", 3, B, T, F), t->fc, t->b3)->tanh_gelu = true;
    t->losses = real_tensor(g, "losses", 1, B + 5, 0, 0), t->logits = real_tensor(g, "logits", 1, (B + 5) * V, 0, 0);
    OP(HEAD_LOSS, t->losses, t->y, t->wte, t->targets);
    OP(LOGITS, t->logits, t->y, t->wte);
}

static void add_backward(graph *g, const shape *s, const forward_ids *t) {
    int64_t B = s->B, T = s->T, C = s->C, V = s->V, F = s->F;
    tensor_id dx = real_tensor(g, "dx", 3, B, T, C), dwte = real_tensor(g, "dwte", 2, V, C, 0);
    OP(HEAD, t->losses, dx, dwte, t->y, t->wte, t->targets);
    tensor_id dw = real_tensor(g, "dw", 1, C, 0, 0), db = real_tensor(g, "db", 1, C, 0, 0);
    tensor_id d2 = real_tensor(g, "d2", 3, B, T, C), d3 = real_tensor(g, "d3", 3, B, T, C);
    OP(NORM_DW, dw, db, dx, t->x, t->stats);
    OP(NORM_DW, real_tensor(g, "dw_only", 1, C, 0, 0), 0, dx, t->x, t->stats);
    OP(NORM_DX, d2, dx, t->x, t->stats, t->w, t->y);
    OP(NORM_DX, d3, dx, t->x, t->stats, t->w, 0);
    *OP(RESIDUAL_DX, real_tensor(g, "dp", 3, B, T, C), d2) =
        (op_attr){.layer = 2, .site = SITE_MLP_RESIDUAL, .dropout = s->dropout};
    tensor_id dqkv = real_tensor(g, "dqkv", 3, B, T, 3 * C);
    *OP(ATTENTION_DX, dqkv, d2, t->qkv, t->att, t->lse) =
        (op_attr){.layer = 2, .heads = s->H, .site = SITE_ATTENTION, .dropout = s->dropout};
    OP(LINEAR_DX, real_tensor(g, "dy", 3, B, T, C), dqkv, t->w2);
    OP(LINEAR_DW, real_tensor(g, "dw2", 2, C, 3 * C, 0), real_tensor(g, "db2", 1, 3 * C, 0, 0), dqkv, t->y);
    tensor_id dact = real_tensor(g, "dact", 3, B, T, F);
    OP(GELU_DX, dact, t->fc, 0);
    OP(GELU_DX, dact, t->fc, t->b3);
    OP(GELU_DX, dact, t->fc, t->b3)->tanh_gelu = true;
    OP(LINEAR_DW, real_tensor(g, "dw3", 2, C, F, 0), 0, dact, t->y);
    tensor_id ewte = real_tensor(g, "dwte_embedding", 2, V, C, 0);
    *OP(EMBED_DW, ewte, real_tensor(g, "dwpe", 2, T, C, 0), d3, t->tokens) =
        (op_attr){.layer = -1, .site = SITE_EMBED, .dropout = s->dropout};
    OP(ADD, dwte, ewte);
    tensor_id sums = real_tensor(g, "sums", 1, 2, 0, 0), norm = real_tensor(g, "norm", 1, 2, 0, 0);
    OP(SUM_SQUARES, sums, dwte)->index = 0;
    OP(SUM_SQUARES, sums, db)->index = 1;
    OP(GRAD_NORM, norm, sums)->clip = 0.5;
    *OP(ADAMW, t->wte, real_tensor(g, "m", 2, V, C, 0), real_tensor(g, "v", 2, V, C, 0), dwte, norm) =
        (op_attr){.epsilon = 1e-8, .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.95};
    OP(ZERO, dwte);
}

static void open_side(side *s, const shape *shape_, backend *b) {
    error e = {""};
    forward_ids ids;
    s->b = b;
    s->g = graph_new(GRAPH_TRAIN, shape_->B, shape_->T, shape_->invariant);
    add_forward(s->g, shape_, &ids);
    add_backward(s->g, shape_, &ids);
    s->g->micro = (span){0, s->g->n_ops};
    graph_add_scratch(s->g, b->type->scratch, b->limits.real_bytes);
    ck_assert_msg(plan_make(s->g, &b->limits, &s->p, &e) == OK, "%s", e.text);
    ck_assert_msg(b->bind(b, s->g, &s->p, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(b->allocated, s->p.total);
}

static void close_side(side *s) {
    s->b->close(s->b);
    plan_free(&s->p);
    graph_free(s->g);
}

/* ---- values ---- */

static uint64_t random_state = 1;
static double uniform(void) { /* SplitMix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static void put(const side *s, tensor_id t, const float *values, int64_t n) {
    error e = {""};
    if (s->b->limits.real_bytes == 4) {
        ck_assert_msg(s->b->write(s->b, t, values, 0, 4 * (size_t)n, &e) == OK, "%s", e.text);
        return;
    }
    double *d = malloc(sizeof *d * (size_t)n);
    for (int64_t i = 0; i < n; i++) d[i] = values[i];
    ck_assert_msg(s->b->write(s->b, t, d, 0, 8 * (size_t)n, &e) == OK, "%s", e.text);
    free(d);
}

static double *get(const side *s, tensor_id t) {
    error e = {""};
    int64_t n = tensor_elements(&s->g->tensors[t]);
    double *d = malloc(sizeof *d * (size_t)n);
    if (s->b->limits.real_bytes == 8) {
        ck_assert_msg(s->b->read(s->b, t, d, 0, 8 * (size_t)n, &e) == OK, "%s", e.text);
        return d;
    }
    float *f = malloc(sizeof *f * (size_t)n);
    ck_assert_msg(s->b->read(s->b, t, f, 0, 4 * (size_t)n, &e) == OK, "%s", e.text);
    for (int64_t i = 0; i < n; i++) d[i] = f[i];
    free(f);
    return d;
}

/* Fills every tensor with values around 0, or with positive ones where negative ones make no sense. A fifth of the
   targets is ignored. */
static void fill(const shape *shape_, side **sides, int count) {
    const graph *g = sides[0]->g;
    for (tensor_id t = 1; t < g->n_tensors; t++) {
        const tensor *x = &g->tensors[t];
        int64_t n = tensor_elements(x);
        if (x->role == ROLE_SCRATCH) continue;
        if (x->type == TYPE_INT32) {
            int32_t *v = malloc(4 * (size_t)n);
            bool targets = strcmp(x->name, "targets") == 0;
            for (int64_t i = 0; i < n; i++)
                v[i] =
                    targets && uniform() < 0.2 ? -1 : (int32_t)(uniform() * shape_->V * (targets || i % 3 ? 1 : 0.1));
            for (int k = 0; k < count; k++) sides[k]->b->write(sides[k]->b, t, v, 0, 4 * (size_t)n, NULL);
            free(v);
            continue;
        }
        bool positive = strcmp(x->name, "v") == 0 || strcmp(x->name, "w") == 0;
        double size = x->rank == 3 ? 1 : x->rank == 2 ? 0.2 : 0.5;
        float *v = malloc(4 * (size_t)n);
        for (int64_t i = 0; i < n; i++) v[i] = (float)(positive ? 0.1 + uniform() : size * (2 * uniform() - 1));
        for (int k = 0; k < count; k++) put(sides[k], t, v, n);
        free(v);
    }
}

static step_args usual_args(const shape *s) {
    return (step_args){.sequences = s->B,
                       .first_sequence = 3,
                       .length = s->T,
                       .step = 4,
                       .lr = 1e-3,
                       .inv_targets = 1.0 / (s->B * s->T),
                       .seed = 0x123456789abcdefu};
}

static double relative_error(const double *got, const double *want, int64_t n) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
        if (isnan(got[i])) return INFINITY;
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

/* ---- node by node ---- */

/* Runs op i on both; compares what it wrote; then both go on from the reference's values. */
static void compare_op(side *opencl, side *cpu, int i, const step_args *args, const char *what) {
    error e = {""};
    const op *o = &cpu->g->ops[i];
    const op_info *info = op_describe(o->code);
    side *sides[] = {cpu, opencl};
    for (int k = 0; k < 2; k++)
        ck_assert_msg(sides[k]->b->run(sides[k]->b, (span){i, i + 1}, args, &e) == OK, "%s: %s", what, e.text);
    for (int a = 0; a < info->arguments; a++) {
        tensor_id t = o->arg[a];
        if (!t || info->access[a] == 'R') continue;
        int64_t n = tensor_elements(&cpu->g->tensors[t]);
        double *want = get(cpu, t), *got = get(opencl, t);
        double off = relative_error(got, want, n);
        bool attention =
            o->code == OP_ATTENTION || o->code == OP_ATTENTION_DX; /* up to three products, one after another */
        double allowed = opencl->tolerance * (attention && opencl->tolerance > 1e-5 ? 3 : 1);
        ck_assert_msg(off <= allowed, "%s: op %d %s, tensor %s: relative error %.3g", what, i, info->name,
                      cpu->g->tensors[t].name, off);
        float *next = malloc(4 * (size_t)n);
        for (int64_t j = 0; j < n; j++) next[j] = (float)want[j];
        for (int k = 0; k < 2; k++) put(sides[k], t, next, n);
        free(next);
        free(want);
        free(got);
    }
}

/* device: of OpenCL; how: it was opened. */
static void compare_with(const shape *s, backend *device, const char *how, double tolerance) {
    side cpu, opencl;
    char what[128];
    snprintf(what, sizeof what, "B=%d T=%d C=%d H=%d V=%d F=%d dropout=%g%s, %s", s->B, s->T, s->C, s->H, s->V, s->F,
             s->dropout, s->invariant ? "" : ", not invariant", how);
    open_side(&cpu, s, cpu_open(8, 0));
    open_side(&opencl, s, device);
    opencl.tolerance = tolerance;
    fill(s, (side *[]){&cpu, &opencl}, 2);
    step_args args = usual_args(s);
    for (int i = 0; i < cpu.g->n_ops; i++) compare_op(&opencl, &cpu, i, &args, what);
    args.sequences = s->B > 1 ? s->B - 1 : 1; /* a short last micro-batch */
    fill(s, (side *[]){&cpu, &opencl}, 2);
    for (int i = 0; i < cpu.g->n_ops; i++) compare_op(&opencl, &cpu, i, &args, what);
    close_side(&opencl);
    close_side(&cpu);
}

static void compare_all(const shape *s, size_t min_indirect, bool as_gpu) {
    char how[64];
    snprintf(how, sizeof how, "min_indirect=%zu%s", min_indirect, as_gpu ? ", as for a GPU" : "");
    compare_with(s, open_shaped_device(min_indirect, 0, as_gpu), how, 1e-5);
}

static const shape shapes[] = {
    {3, 33, 80, 5, 131, 96, 0.0, true},   /* head size 16, multiples of nothing */
    {2, 17, 15, 3, 131, 40, 0.2, true},   /* 5 */
    {2, 64, 128, 2, 384, 256, 0.1, true}, /* 64; everything a multiple of the tiles */
    {1, 70, 128, 1, 300, 64, 0.1, true},  /* 128 */
    {2, 41, 48, 2, 1000, 50, 0.0, false}, /* 24 */
    {2, 300, 20, 1, 67, 24, 0.1, true},   /* 20; more rows than a chunk of the head */
    {5, 1, 8, 2, 9, 8, 0.0, true},        /* one position */
    {1, 40, 192, 1, 64, 64, 0.5, false},  /* 192 */
};
enum { SHAPES = sizeof shapes / sizeof *shapes };
/* Which of them are tried with each kind of products: PoCL compiles attention anew for each, which takes most of the
 * time. */
static const int few[] = {0, 2, 5};
enum { FEW = sizeof few / sizeof *few };

START_TEST(every_op_matches_cpu_float64_by_the_indirect_gemm) { compare_all(&shapes[few[_i]], ALWAYS_INDIRECT, false); }
END_TEST

START_TEST(every_op_matches_cpu_float64_by_the_direct_gemm) { compare_all(&shapes[_i], ALWAYS_DIRECT, false); }
END_TEST

START_TEST(every_op_matches_cpu_float64_by_snugs_own_products) {
    compare_with(&shapes[few[_i]], open_own(PRECISION_FLOAT32, false, _i % 3), "snug's own products", 1e-5);
}
END_TEST

/* Inputs rounded to 11 bits, of k products each: errors of 2^-12 on average, which partly cancel. */
START_TEST(every_op_matches_cpu_float64_by_matrix_units_but_for_tf32) {
    if (emulates_wrongly("tf32")) return;
    compare_with(&shapes[few[_i]], open_own(PRECISION_TF32, false, _i % 3), "tf32", 1e-3);
}
END_TEST

/* And to 8 bits. */
START_TEST(every_op_matches_cpu_float64_by_matrix_units_but_for_bf16) {
    if (emulates_wrongly("bf16")) return;
    compare_with(&shapes[few[_i]], open_own(PRECISION_BF16, false, _i % 3), "bf16", 8e-3);
}
END_TEST

/* More words than one of the head's sums by own products has, and no multiple of anything. */
START_TEST(a_head_of_several_sums_matches_cpu_float64) {
    static const shape wide = {2, 5, 8, 2, 4203, 8, 0.0, true};
    static const compute_precision precisions[] = {PRECISION_FLOAT32, PRECISION_TF32, PRECISION_BF16};
    static const double tolerances[] = {1e-5, 1e-3, 8e-3};
    compare_with(&wide, open_own(precisions[_i], false, 0), "a wide head", tolerances[_i]);
}
END_TEST

/* CPUs get other work-groups than GPUs; here a CPU, where there is no other device, runs a GPU's. */
START_TEST(every_op_matches_cpu_float64_in_the_shapes_for_gpus) { compare_all(&shapes[few[_i]], ALWAYS_DIRECT, true); }
END_TEST

/* Sampling runs short sequences in a graph made for long ones. */
START_TEST(a_shorter_length_runs_densely_packed) {
    shape s = {2, 48, 64, 2, 200, 96, 0.0, true};
    side cpu, opencl;
    open_side(&cpu, &s, cpu_open(8, 0));
    open_side(&opencl, &s, open_device(0, 0));
    opencl.tolerance = 1e-5;
    fill(&s, (side *[]){&cpu, &opencl}, 2);
    step_args args = usual_args(&s);
    args.length = 19;
    args.sequences = 1;
    for (int i = 0; i < cpu.g->n_ops && cpu.g->ops[i].code != OP_HEAD_LOSS; i++)
        compare_op(&opencl, &cpu, i, &args, "short");
    for (int i = 0; i < cpu.g->n_ops; i++)
        if (cpu.g->ops[i].code == OP_LOGITS) compare_op(&opencl, &cpu, i, &args, "short");
    close_side(&opencl);
    close_side(&cpu);
}
END_TEST

/* Small enough for a simulator (oclgrind.sh), large enough for more than one tile, chunk and group of each kernel. */
START_TEST(every_op_at_toy_size) {
    static const shape toys[] = {{2, 35, 6, 1, 17, 7, 0.0, true}, {1, 9, 10, 2, 11, 6, 0.3, true}};
    if (_i % 2 && getenv("SNUG_TEST_OWN_SHAPES")) return; /* tests/oclgrind.sh */
    compare_all(&toys[_i / 2], ALWAYS_DIRECT, _i % 2);
}
END_TEST

/* More rows, and more sequences, than a device takes groups in a dimension. EMBED_DW is launched for each sequence. */
START_TEST(more_rows_than_groups_in_a_dimension) {
    static const shape many = {33000, 2, 2, 1, 5, 3, 0.1, false};
    side cpu, opencl;
    open_side(&cpu, &many, cpu_open(8, 0));
    open_side(&opencl, &many, open_shaped_device(ALWAYS_DIRECT, 0, _i));
    opencl.tolerance = 1e-3; /* sums over 33,000 sequences, one after the other in float32 */
    fill(&many, (side *[]){&cpu, &opencl}, 2);
    step_args args = usual_args(&many);
    for (int i = 0; i < cpu.g->n_ops; i++)
        if (cpu.g->ops[i].code != OP_EMBED_DW) compare_op(&opencl, &cpu, i, &args, "many rows");
    close_side(&opencl);
    close_side(&cpu);
}
END_TEST

/* Does the driver know how much local memory a kernel declares? PoCL 6.0 says 0 of each. */
static bool tells_local_memory(const opencl *b) {
    cl_ulong bytes = 0;
    clGetKernelWorkGroupInfo(b->kernel[KERNEL_attention], b->device.info.id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes,
                             &bytes, NULL);
    return bytes > 0;
}

/* A device with less of something: bind says so, and binds once there is enough. */
START_TEST(bind_says_what_a_device_has_too_little_of) {
    static const shape small = {3, 40, 8, 2, 11, 16, 0.0, true};
    static const char *const words[] = {"work-groups in dimension 0", "work-groups in dimension 1",
                                        "work-groups in dimension 2", "bytes of local memory", "needs work-groups of"};
    error e = {""};
    forward_ids ids;
    plan p;
    backend *b = open_shaped_device(ALWAYS_DIRECT, 0, true);
    graph *g = graph_new(GRAPH_TRAIN, small.B, small.T, true);
    add_forward(g, &small, &ids);
    add_backward(g, &small, &ids);
    graph_add_scratch(g, b->type->scratch, b->limits.real_bytes);
    ck_assert_int_eq(plan_make(g, &b->limits, &p, &e), OK);
    device_info *d = &((opencl *)b)->device.info, whole = *d;
    ck_assert_msg(b->bind(b, g, &p, &e) == OK, "%s", e.text);
    bool tells = tells_local_memory((opencl *)b);
    b->unbind(b);
    for (int i = 0; i < 5; i++) {
        if (i == 3 && !tells) continue;
        *d = whole;
        if (i < 3) d->groups[i] = 0;
        if (i == 3) d->local = 16;
        if (i == 4) d->group = 32;
        ck_assert_int_eq(b->bind(b, g, &p, &e), BAD_INPUT);
        ck_assert_msg(strstr(e.text, words[i]) && !strchr(e.text, '\n'), "%s", e.text);
        ck_assert_uint_eq(b->allocated, 0);
    }
    *d = whole;
    ck_assert_msg(b->bind(b, g, &p, &e) == OK, "%s", e.text);
    b->close(b);
    plan_free(&p);
    graph_free(g);
}
END_TEST

Suite *opencl_suite(void) {
    Suite *suite = suite_create("opencl");
    TCase *t = tcase_create("opencl");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, every_op_matches_cpu_float64_by_the_indirect_gemm, 0, FEW);
    tcase_add_loop_test(t, every_op_matches_cpu_float64_by_the_direct_gemm, 0, SHAPES);
    tcase_add_loop_test(t, every_op_matches_cpu_float64_by_snugs_own_products, 0, FEW);
    tcase_add_loop_test(t, every_op_matches_cpu_float64_by_matrix_units_but_for_tf32, 0, FEW);
    tcase_add_loop_test(t, every_op_matches_cpu_float64_by_matrix_units_but_for_bf16, 0, FEW);
    tcase_add_loop_test(t, every_op_matches_cpu_float64_in_the_shapes_for_gpus, 0, FEW);
    tcase_add_test(t, a_shorter_length_runs_densely_packed);
    suite_add_tcase(suite, t);
    t = tcase_create("head");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, a_head_of_several_sums_matches_cpu_float64, 0, 1);
    suite_add_tcase(suite, t);
    t = tcase_create("head_units");
    tcase_set_tags(t, "once");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, a_head_of_several_sums_matches_cpu_float64, 1, 3);
    suite_add_tcase(suite, t);
    t = tcase_create("toy");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, every_op_at_toy_size, 0, 4);
    suite_add_tcase(suite, t);
    t = tcase_create("limits");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, more_rows_than_groups_in_a_dimension, 0, 2);
    tcase_add_test(t, bind_says_what_a_device_has_too_little_of);
    suite_add_tcase(suite, t);
    return suite;
}
