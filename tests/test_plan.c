/* test_plan.c: graphs, plans and recomputation, held against a symbolic run: every value is a hash of how it was made,
   every tensor lies where the plan says, and what is overwritten is gone. Then GPT-2's sizes. */
#include "graph/backend.h"
#include "graph/home.h"
#include "graph/recompute.h"
#include "support_plan.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* ---- random numbers, and models ---- */

static uint64_t next(uint64_t *s) { /* splitmix64 */
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static int below(uint64_t *s, int n) { return (int)(next(s) % (uint64_t)n); }
static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t s = a * 0x100000001b3u ^ b;
    return next(&s);
}

static const gpt_shape SIZES[] = {
    {12, 12, 768, 1024, 50304, false, false, 1e-5},
    {24, 16, 1024, 1024, 50304, false, false, 1e-5},
    {36, 20, 1280, 1024, 50304, false, false, 1e-5},
};

/* ---- a symbolic run inside the plan's memory ---- */

typedef struct {
    const graph *g;
    const plan *p;     /* NULL: every tensor has memory of its own */
    uint64_t *value;   /* by tensor: the hash of how it was made */
    bool *valid;       /* false: never written, or overwritten since */
    const char *fault; /* the first thing that went wrong */
    int at;
} machine;

static machine machine_new(const graph *g, const plan *p) {
    machine m = {.g = g, .p = p};
    m.value = xcalloc((size_t)g->n_tensors, sizeof *m.value);
    m.valid = xcalloc((size_t)g->n_tensors, sizeof *m.valid);
    for (int t = 1; t < g->n_tensors; t++)
        if (tensor_is_persistent(&g->tensors[t])) {
            m.valid[t] = true;
            m.value[t] = (uint64_t)g->tensors[t].layer; /* by name: recomputing changes numbers */
            for (const char *c = g->tensors[t].name; *c; c++) m.value[t] = mix(m.value[t], (uint64_t)*c);
        }
    return m;
}

static void machine_free(machine *m) {
    free(m->value);
    free(m->valid);
}

static void overwrite(machine *m, int t, int op_index) {
    if (!m->p) return;
    const slot *a = &m->p->slots[t];
    if ((a->first_op > op_index || a->last_op < op_index) && !m->fault)
        m->fault = "an op touches a tensor outside its life", m->at = op_index;
    for (int u = 1; u < m->g->n_tensors; u++) {
        const slot *b = &m->p->slots[u];
        if (u == t || b->first_op < 0 || b->block != a->block) continue;
        if (a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes) m->valid[u] = false;
    }
}

/* A clone stands for its original: its name is what its op and that op's arguments make of it. */
static uint64_t hash_op(const machine *m, const op *o) {
    uint64_t h = mix((uint64_t)o->code, (uint64_t)(o->attr.layer + 1));
    h = mix(h, (uint64_t)o->attr.site * 64 + (uint64_t)o->attr.heads);
    const op_info *info = op_describe(o->code);
    for (int a = 0; a < info->arguments; a++)
        if (info->access[a] != 'W' && o->arg[a]) h = mix(h, m->value[o->arg[a]]);
    return h;
}

/* The norm that RESIDUAL_NORM makes is the one that NORM makes of the same stream. */
static uint64_t hash_norm_of(const machine *m, const op *o) {
    op norm = {.code = OP_NORM, .arg = {o->arg[1], o->arg[2], o->arg[0], o->arg[6], o->arg[7]}};
    norm.attr.layer = m->g->tensors[o->arg[1]].layer;
    return hash_op(m, &norm);
}

static void run_op(machine *m, int i) {
    const op *o = &m->g->ops[i];
    const op_info *info = op_describe(o->code);
    for (int a = 0; a < info->arguments; a++)
        if (o->arg[a] && info->access[a] != 'W' && !m->valid[o->arg[a]] && !m->fault)
            m->fault = "an op reads what was overwritten or never written", m->at = i;
    uint64_t made = hash_op(m, o);
    if (o->scratch) overwrite(m, o->scratch, i);
    for (int a = 0; a < info->arguments; a++) {
        if (!o->arg[a] || info->access[a] == 'R') continue;
        overwrite(m, o->arg[a], i);
        bool normed = o->code == OP_RESIDUAL_NORM && a > 0; /* then y, argument 0, has its value */
        m->value[o->arg[a]] = normed ? mix(hash_norm_of(m, o), (uint64_t)a - 1) : mix(made, (uint64_t)a);
        m->valid[o->arg[a]] = true;
    }
    for (int a = 0; a < info->arguments; a++) /* an op's own arguments must not share memory */
        if (o->arg[a] && !m->valid[o->arg[a]] && !m->fault) m->fault = "an op overwrites its own argument", m->at = i;
}

static void run_span(machine *m, span s) {
    for (int i = s.first; i < s.end; i++) run_op(m, i);
}

/* Two steps of two micro-batches, an evaluation in between. */
static void run_steps(machine *m) {
    for (int step = 0; step < 2; step++) {
        run_span(m, m->g->begin);
        run_span(m, m->g->micro);
        run_span(m, m->g->micro);
        run_span(m, m->g->finish);
        run_span(m, m->g->eval);
        run_span(m, m->g->sample);
    }
}

static void check_run(const graph *g, const plan *p, const char *what) {
    machine m = machine_new(g, p);
    run_steps(&m);
    ck_assert_msg(!m.fault, "%s: op %d: %s", what, m.at, m.fault);
    machine_free(&m);
}

/* ---- random graphs ---- */

static uint64_t random_scratch(const graph *g, const op *o, size_t real_bytes, tensor_kind *kind) {
    uint64_t s = (uint64_t)(o - g->ops) * 77 + real_bytes;
    *kind = below(&s, 2) ? KIND_TEMP : KIND_GEMM;
    return below(&s, 3) ? 0 : 1 + next(&s) % 5000;
}

/* Ops that write one new activation from one or two that are there, recent ones more often. */
static graph *random_graph(uint64_t *s) {
    graph *g = graph_new(GRAPH_EVAL, 1 + below(s, 3), 1 + below(s, 40), true);
    int n = 5 + below(s, 60), widths[] = {1, 7, 16, 64, 130};
    int64_t bt[3] = {g->micro_batch, g->length, 16}, shape[2];
    tensor_id *acts = xcalloc((size_t)n + 1, sizeof *acts);
    tensor_id tokens = graph_tensor(g, "tokens", -1, ROLE_INPUT, KIND_BATCH, TYPE_INT32, 2, bt);
    tensor_id wte = graph_tensor(g, "wte", -1, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, 2, (int64_t[]){9, 16});
    tensor_id wpe = graph_tensor(g, "wpe", -1, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, 2, (int64_t[]){40, 16});
    acts[0] = graph_tensor(g, "a0", -1, ROLE_ACT, KIND_BLOCK, TYPE_REAL, 3, bt);
    graph_op(g, OP_EMBED, (tensor_id[]){acts[0], tokens, wte, wpe});
    for (int i = 1; i <= n; i++) {
        tensor_id x = acts[below(s, 3) ? i - 1 - below(s, i < 4 ? i : 4) : below(s, i)];
        char name[24];
        snprintf(name, sizeof name, "a%d", i);
        int64_t in = g->tensors[x].dim[2], out = below(s, 2) ? widths[below(s, 5)] : in;
        bt[2] = out;
        acts[i] = graph_tensor(g, name, -1, ROLE_ACT, KIND_FC, TYPE_REAL, 3, bt);
        if (out == in) {
            graph_op(g, OP_GELU, (tensor_id[]){acts[i], x, 0});
            continue;
        }
        shape[0] = in, shape[1] = out;
        tensor_id w = graph_tensor(g, "w", i, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, 2, shape);
        graph_op(g, OP_LINEAR, (tensor_id[]){acts[i], x, w, 0});
    }
    g->begin = g->micro = g->finish = (span){0, 0};
    g->eval = (span){0, g->n_ops};
    g->sample = (span){g->n_ops, g->n_ops};
    free(acts);
    graph_add_scratch(g, random_scratch, 4);
    return g;
}

/* CLBlast writes its temporaries from the start of the buffer that it is given. */
static void check_gemm_first(const graph *g, const plan *p, const memory_limits *limits, const char *what) {
    for (int i = 0; i < g->n_ops && limits->gemm_first; i++) {
        tensor_id t = g->ops[i].scratch;
        bool products = t && (g->tensors[t].kind == KIND_GEMM || g->tensors[t].kind == KIND_HEAD);
        ck_assert_msg(!products || p->slots[t].offset == 0, "%s: op %d's temporaries do not begin a block", what, i);
    }
}

START_TEST(plans_of_random_graphs_never_lose_a_value) {
    for (uint64_t seed = 1; seed <= 150; seed++) {
        uint64_t s = seed;
        graph *g = random_graph(&s);
        error e;
        ck_assert_msg(graph_check(g, &e), "seed %llu: %s", (unsigned long long)seed, e.text);
        memory_limits limits = {.real_bytes = below(&s, 2) ? 4 : 8, .alignment = (size_t)1 << (4 + below(&s, 9))};
        if (below(&s, 2)) limits.max_block = 200000 + next(&s) % 400000;
        limits.gemm_first = below(&s, 2);
        plan p = make(g, &limits);
        ck_assert_msg(plan_check(g, &p, &limits, &e), "seed %llu: %s", (unsigned long long)seed, e.text);
        char what[32];
        snprintf(what, sizeof what, "seed %llu", (unsigned long long)seed);
        check_run(g, &p, what);
        check_gemm_first(g, &p, &limits, what);
        ck_assert_uint_ge(p.transient, p.transient_live_peak);
        plan_free(&p);
        graph_free(g);
    }
}
END_TEST

/* ---- GPT-2 ---- */

static void check_gpt(const gpt_shape *shape, const gpt_run *run, scratch_rule *scratch, const memory_limits *limits) {
    gpt m = build(shape, *run, scratch);
    plan p = make(m.graph, limits);
    error e;
    char what[128];
    snprintf(what, sizeof what, "%d layers, micro-batch %d, recompute %x, blocks of %llu", shape->layers,
             run->micro_batch, run->recompute, (unsigned long long)limits->max_block);
    ck_assert_msg(plan_check(m.graph, &p, limits, &e), "%s: %s", what, e.text);
    check_gemm_first(m.graph, &p, limits, what);
    for (int b = 0; b < p.n_blocks; b++) ck_assert(!limits->max_block || p.block_bytes[b] <= limits->max_block);
    for (int t = 1; t < m.graph->n_tensors; t++)
        ck_assert(p.slots[t].first_op < 0 || p.slots[t].offset % limits->alignment == 0);
    double ratio = (double)p.transient / (double)p.transient_live_peak;
    if (!limits->max_block) ck_assert_msg(ratio <= 1.02, "%s: the arena is %.4f of its live peak", what, ratio);
    uint64_t alive[KIND_COUNT], sum = 0;
    plan_alive(m.graph, &p, p.peak_op, alive);
    for (int k = 0; k < KIND_COUNT; k++) sum += alive[k];
    ck_assert_uint_eq(sum, p.persistent + p.transient_live_peak);
    plan_free(&p);
    gpt_free(&m);
}

START_TEST(plans_of_gpt2_are_tight_aligned_and_within_blocks) {
    int micro[] = {1, 3, 16};
    for (int size = 0; size < 3; size++)
        for (int policy = 0; policy < RECOMPUTE_POLICIES; policy++)
            for (int b = 0; b < (size ? 1 : 3); b++)
                for (int variant = 0; variant < 4; variant++) {
                    bool opencl = variant & 1;
                    memory_limits limits = {.real_bytes = 4, .alignment = opencl ? 512 : 64, .gemm_first = opencl};
                    if (variant & 2) limits.max_block = 700u << 20;
                    gpt_run run = run_of(GRAPH_TRAIN, micro[b], 1024, variant != 3, size ? 0 : 0.1, policy);
                    check_gpt(&SIZES[size], &run,
                              opencl ? opencl_type(PRECISION_FLOAT32)->scratch : cpu_type(PRECISION_FLOAT32)->scratch,
                              &limits);
                }
}
END_TEST

/* Large graphs get fewer orders of placing. */
START_TEST(plans_of_many_layers_are_tight_too) {
    gpt_shape deep = SIZES[0];
    deep.layers = 64;
    for (int policy = 0; policy < RECOMPUTE_POLICIES; policy++) {
        memory_limits limits = {.real_bytes = 4, .alignment = 512, .gemm_first = true};
        gpt_run run = run_of(GRAPH_TRAIN, 4, 1024, true, 0, policy);
        check_gpt(&deep, &run, opencl_type(PRECISION_FLOAT32)->scratch, &limits);
        limits.max_block = 700u << 20;
        check_gpt(&deep, &run, opencl_type(PRECISION_FLOAT32)->scratch, &limits);
    }
}
END_TEST

START_TEST(gpt_steps_survive_in_the_planned_memory) {
    for (int policy = 0; policy < RECOMPUTE_POLICIES; policy++)
        for (int variant = 0; variant < 8; variant++) {
            memory_limits limits = {.real_bytes = 4, .alignment = 64, .max_block = variant & 4 ? 20000 : 0};
            gpt_run run = run_of(GRAPH_TRAIN, 3, 8, variant & 1, variant & 2 ? 0.1 : 0, policy);
            gpt m = build(&SMALL, run, cpu_type(PRECISION_FLOAT32)->scratch);
            plan p = make(m.graph, &limits);
            check_run(m.graph, &p, recompute_policies[policy].name);
            plan_free(&p);
            gpt_free(&m);
        }
}
END_TEST

/* ---- recomputation ---- */

/* Hashes of everything that outlives a step must not depend on what was recomputed. */
START_TEST(recomputing_gives_the_same_values) {
    for (int variant = 0; variant < 4; variant++) {
        uint64_t reference[512] = {0};
        for (int policy = 0; policy < RECOMPUTE_POLICIES; policy++) {
            gpt m = build(&SMALL, run_of(GRAPH_TRAIN, 2, 8, variant & 1, variant & 2 ? 0.1 : 0, policy), NULL);
            machine v = machine_new(m.graph, NULL);
            run_steps(&v);
            ck_assert_msg(!v.fault, "%s", v.fault);
            for (int t = 1; t <= m.n_params; t++) {
                if (!policy) reference[t] = v.value[t];
                ck_assert_uint_eq(v.value[t], reference[t]);
            }
            machine_free(&v);
            gpt_free(&m);
        }
    }
}
END_TEST

START_TEST(what_a_policy_drops_does_not_live_into_the_backward_pass) {
    for (int policy = 0; policy < RECOMPUTE_POLICIES; policy++) {
        unsigned dropped = recompute_policies[policy].dropped;
        gpt m = build(&SMALL, run_of(GRAPH_TRAIN, 2, 8, true, 0.1, policy), NULL);
        plan p = make(m.graph, &(memory_limits){.real_bytes = 4, .alignment = 64});
        for (int t = 1; t < m.graph->n_tensors; t++) {
            const tensor *x = &m.graph->tensors[t];
            if (x->role != ROLE_ACT || !(dropped >> x->kind & 1) || p.slots[t].first_op >= m.graph->first_backward)
                continue;
            ck_assert_msg(p.slots[t].first_op >= m.graph->micro.end || p.slots[t].last_op < m.graph->first_backward ||
                              p.slots[t].first_op < m.graph->micro.first,
                          "%s: %s[%d] is kept", recompute_policies[policy].name, x->name, x->layer);
        }
        plan_free(&p);
        gpt_free(&m);
    }
}
END_TEST

/* Else it would live from the first of them to the last. */
START_TEST(what_is_cheap_is_computed_again_for_each_reader) {
    gpt m = build(&SMALL, run_of(GRAPH_TRAIN, 2, 8, true, 0.1, RECOMPUTE_POLICIES - 1), NULL);
    const graph *g = m.graph;
    int cheap = 0;
    for (int t = 1; t < g->n_tensors; t++) {
        int readers = 0;
        if (!g->tensors[t].of || (g->tensors[t].kind != KIND_GELU && g->tensors[t].kind != KIND_NORM)) continue;
        for (int i = g->first_backward; i < g->micro.end; i++)
            for (int a = 0; a < MAX_ARGUMENTS; a++)
                readers += g->ops[i].arg[a] == t && op_describe(g->ops[i].code)->access[a] == 'R';
        ck_assert_msg(readers <= 1, "%s[%d] has %d readers", g->tensors[t].name, g->tensors[t].layer, readers);
        cheap++;
    }
    ck_assert_int_ge(cheap, 2 * SMALL.layers);
    gpt_free(&m);
}
END_TEST

/* Both moments, 4 bytes each, go down and up again for each parameter. */
START_TEST(moments_at_home_move_16_bytes_a_parameter) {
    gpt_run run = run_of(GRAPH_TRAIN, 2, 8, true, 0.1, 0);
    run.offload = OFFLOAD_MOMENTS;
    gpt m = build(&SMALL, run, NULL);
    double bytes = 0;
    for (int i = 0; i < m.graph->n_ops; i++) bytes += home_traffic(m.graph, &m.graph->ops[i], 4);
    ck_assert(bytes == 16.0 * (double)gpt_parameters(&SMALL));
    gpt_free(&m);
}
END_TEST

/* A clone is made of every layer that the policy is for, and of no other; so the others keep what they computed. */
START_TEST(the_last_layers_keep_what_the_first_compute_again) {
    gpt_shape shape = SMALL;
    shape.layers = 5;
    for (int policy = 1; policy < RECOMPUTE_POLICIES; policy++)
        for (int layers = 0; layers < shape.layers; layers++) {
            gpt_run run = run_of(GRAPH_TRAIN, 2, 8, true, 0.1, policy);
            run.recompute_layers = layers;
            gpt m = build(&shape, run, NULL);
            bool cloned[5] = {false};
            for (int t = 1; t < m.graph->n_tensors; t++) {
                const tensor *x = &m.graph->tensors[t];
                if (x->role == ROLE_ACT && x->of) cloned[x->layer] = true;
            }
            for (int l = 0; l < shape.layers; l++)
                ck_assert_msg(cloned[l] == (!layers || l < layers), "%s:%d: layer %d", recompute_policies[policy].name,
                              layers, l);
            gpt_free(&m);
        }
}
END_TEST

START_TEST(policies_come_in_order_of_memory) {
    uint64_t before = UINT64_MAX;
    for (int policy = 0; policy < RECOMPUTE_POLICIES; policy++) {
        memory_limits limits = {.real_bytes = 4, .alignment = 64};
        gpt m = build(&SIZES[0], run_of(GRAPH_TRAIN, 4, 1024, true, 0, policy), cpu_type(PRECISION_FLOAT32)->scratch);
        plan p = make(m.graph, &limits);
        ck_assert_uint_lt(p.total, before);
        before = p.total;
        plan_free(&p);
        gpt_free(&m);
    }
}
END_TEST

/* An embedding reads the rows that its tokens name and writes as many; its gradient adds to them, which is to read and
   to write. Positions are read, and added to, whole; tokens are of 4 bytes. */
START_TEST(an_embedding_moves_the_rows_of_its_tokens) {
    gpt m = build(&SMALL, run_of(GRAPH_TRAIN, 2, 8, true, 0.1, 1), NULL);
    const graph *g = m.graph;
    double rows = 2 * 8, x = rows * SMALL.channels, positions = SMALL.positions * SMALL.channels;
    ck_assert_double_eq(op_traffic(g, &g->ops[find_op(g, OP_EMBED, 0)], 2, 4), 4 * (2 * x + positions + rows));
    ck_assert_double_eq(op_traffic(g, &g->ops[find_op(g, OP_EMBED_DW, 0)], 2, 4), 4 * (3 * x + 2 * positions + rows));
    gpt_free(&m);
}
END_TEST

Suite *plan_suite(void) {
    Suite *s = suite_create("plan");
    TCase *random = tcase_create("random"), *gpt2 = tcase_create("gpt2"), *large = tcase_create("large");
    tcase_add_test(random, plans_of_random_graphs_never_lose_a_value);
    tcase_add_test(gpt2, gpt_steps_survive_in_the_planned_memory);
    tcase_add_test(gpt2, recomputing_gives_the_same_values);
    tcase_add_test(gpt2, what_a_policy_drops_does_not_live_into_the_backward_pass);
    tcase_add_test(gpt2, what_is_cheap_is_computed_again_for_each_reader);
    tcase_add_test(gpt2, moments_at_home_move_16_bytes_a_parameter);
    tcase_add_test(gpt2, the_last_layers_keep_what_the_first_compute_again);
    tcase_add_test(gpt2, policies_come_in_order_of_memory);
    tcase_add_test(gpt2, an_embedding_moves_the_rows_of_its_tokens);
    tcase_set_tags(large, "large");
    tcase_add_test(large, plans_of_gpt2_are_tight_aligned_and_within_blocks);
    tcase_add_test(large, plans_of_many_layers_are_tight_too);
    suite_add_tcase(s, random);
    suite_add_tcase(s, gpt2);
    suite_add_tcase(s, large);
    return s;
}
