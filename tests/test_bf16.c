/* test_bf16.c: bfloat16: conversions against values worked out by hand and by distance; which tensors a graph of 16
   bits stores so; what the CPU backend rounds, and when; and what plans say of it. Ops and gradients are held against
   float64 in test_ops*.c and test_golden.c, splits and policies in test_golden.c too. */
#include "base/bf16.h"
#include "graph/backend.h"
#include "graph/fit.h"
#include "graph/precision.h"
#include "run/model.h"
#include "support_one_op.h"
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- conversions ---- */

static float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A float has 23 bits of mantissa and a bfloat16 7: one unit in the last place of a bfloat16 near 1 is 2^-7. */
static const struct {
    float x;
    uint16_t want;
} KNOWN[] = {
    {0.0f, 0x0000},
    {-0.0f, 0x8000},
    {1.0f, 0x3f80},
    {-2.5f, 0xc020},
    {3.14159265f, 0x4049},
    {1.00390625f, 0x3f80},  /* 1 + 2^-8, halfway from 1 to 1 + 2^-7: to the even one below */
    {1.01171875f, 0x3f82},  /* 1 + 3 * 2^-8, halfway from 1 + 2^-7: to the even one above */
    {1.003906369f, 0x3f81}, /* just above halfway */
    {1.00390613f, 0x3f80},  /* just below */
    {-1.00390625f, 0xbf80}, /* the same below zero */
    {0x1.ffp-1f, 0x3f80},   /* 1 - 2^-9, halfway, to 1: the carry reaches the exponent */
    {FLT_MAX, 0x7f80},      /* beyond halfway to 2^128 */
    {-FLT_MAX, 0xff80},
    {0x1.fep127f, 0x7f7f},     /* the largest bfloat16 */
    {0x1.fefffep127f, 0x7f7f}, /* just below halfway to 2^128 */
    {0x1.ffp127f, 0x7f80},     /* halfway, to the even one, which is infinity */
    {INFINITY, 0x7f80},
    {-INFINITY, 0xff80},
    {0x1p-126f, 0x0080},   /* the smallest normal number */
    {0x1p-133f, 0x0001},   /* the smallest denormal bfloat16 */
    {0x1p-134f, 0x0000},   /* halfway to zero, which is even */
    {0x1.8p-133f, 0x0002}, /* halfway from 1 to 2 of the smallest, to 2 */
    {0x1.0002p-134f, 0x0001},
    {0x1p-149f, 0x0000}, /* the smallest denormal float */
    {-0x1p-149f, 0x8000},
};

START_TEST(conversion_is_to_the_nearest_and_of_two_to_the_even_one) {
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        ck_assert_msg(bf16_of_float(KNOWN[i].x) == KNOWN[i].want, "%a becomes %04x, not %04x", (double)KNOWN[i].x,
                      bf16_of_float(KNOWN[i].x), KNOWN[i].want);
}
END_TEST

START_TEST(a_nan_stays_one_whatever_its_bits) {
    const uint32_t nans[] = {0x7fc00000, 0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff, 0x7f80ffff, 0xffff8000};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++) {
        float x = bf16_round(float_of_bits(nans[i]));
        ck_assert_msg(isnan(x) && !signbit(x) == !(nans[i] >> 31), "%08x becomes %a", nans[i], (double)x);
    }
}
END_TEST

/* Of every two neighbours, and all that lies at and beside their middle. */
START_TEST(no_bfloat16_is_nearer_than_the_one_taken) {
    for (uint32_t h = 0; h < 0x7f7f; h++) {
        double low = (double)float_of_bits(h << 16), high = (double)float_of_bits((h + 1) << 16);
        ck_assert(bf16_of_float((float)low) == h && bf16_of_float((float)-low) == (h | 0x8000));
        for (uint32_t bits = (h << 16) + 0x7fff; bits <= (h << 16) + 0x8001; bits++) {
            double x = (double)float_of_bits(bits), down = x - low, up = high - x;
            uint32_t want = down < up ? h : up < down ? h + 1 : h + (h & 1);
            ck_assert_msg(bf16_of_float((float)x) == want, "%a becomes %04x, not %04x", x, bf16_of_float((float)x),
                          want);
        }
    }
}
END_TEST

/* ---- the pass ---- */

static const gpt_shape SHAPE = {
    .layers = 2, .heads = 2, .channels = 12, .positions = 20, .vocabulary = 31, .bias = true, .norm_epsilon = 1e-5};

static gpt_run run_of(int policy, double dropout, tensor_type stored) {
    return (gpt_run){.purpose = GRAPH_TRAIN,
                     .micro_batch = 3,
                     .length = 20,
                     .sequences = 5,
                     .batch_invariant = true,
                     .dropout = dropout,
                     .recompute = recompute_policies[policy].dropped,
                     .stored = stored};
}

/* By name, as R10 has it: the residual stream with its gradient and all statistics stay float32. */
static bool wants_bf16(const tensor *t) {
    static const char *const stay[] = {"x", "middle", "dx", "stats", "lse"};
    if (t->role != ROLE_ACT) return false;
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        if (!strcmp(t->name, stay[i])) return false;
    return true;
}

START_TEST(only_the_branches_become_bfloat16) {
    for (int policy = 0; policy < RECOMPUTE_POLICIES; policy++)
        for (int dropout = 0; dropout < 2; dropout++) {
            gpt m;
            error e;
            gpt_run run = run_of(policy, dropout ? 0.1 : 0, TYPE_BF16);
            ck_assert_msg(gpt_build(&SHAPE, &run, NULL, 4, &m, &e) == OK, "%s", e.text);
            int found = 0;
            for (tensor_id t = 1; t < m.graph->n_tensors; t++) {
                const tensor *x = &m.graph->tensors[t];
                ck_assert_msg((x->type == TYPE_BF16) == wants_bf16(x), "%s of layer %d", x->name, x->layer);
                ck_assert_uint_eq(tensor_bytes(x, 4), (uint64_t)tensor_elements(x) * (wants_bf16(x) ? 2 : 4));
                ck_assert(graph_reads_rounded(m.graph, t) == (x->role == ROLE_PARAM && x->rank == 2));
                found += wants_bf16(x);
            }
            ck_assert_int_gt(found, 30);
            gpt_free(&m);
        }
}
END_TEST

/* The table names each activation that any op writes, once, what KEEP keeps, and no other argument. */
START_TEST(the_table_has_a_row_for_each_activation_that_is_written) {
    for (op_code code = 0; code < OP_COUNT; code++) {
        /* these write no activation */
        bool no_act = code == OP_ZERO || code == OP_GRAD_NORM || code == OP_LOGITS || code == OP_ADAMW;
        for (int i = 0; i < op_describe(code)->arguments; i++) {
            int rows = 0;
            for (int k = 0; k < STORED_OUTPUTS; k++)
                if (stored_outputs[k].code == code && stored_outputs[k].argument == i) {
                    rows++;
                    ck_assert(stored_outputs[k].reason && strlen(stored_outputs[k].reason) > 10);
                }
            bool written = op_describe(code)->access[i] == 'W' && !no_act, kept = code == OP_KEEP && i == 0;
            ck_assert_msg(rows == (written || kept), "%s, argument %d: %d rows", op_describe(code)->name, i, rows);
        }
    }
}
END_TEST

START_TEST(a_graph_that_is_not_asked_for_16_bits_has_none) {
    gpt m;
    error e;
    gpt_run run = run_of(0, 0.1, TYPE_REAL);
    ck_assert(gpt_build(&SHAPE, &run, NULL, 4, &m, &e) == OK && !m.graph->bf16_weights);
    for (tensor_id t = 1; t < m.graph->n_tensors; t++)
        ck_assert(m.graph->tensors[t].type == TYPE_REAL || m.graph->tensors[t].type == TYPE_INT32);
    gpt_free(&m);
}
END_TEST

/* ---- the CPU backend ---- */

static bool is_bf16(double x) { return (double)bf16_round((float)x) == x; }

/* Runs LINEAR (or its dx) in bfloat16 on weights as they are, or rounded beforehand. */
static one_op run_linear(op_code code, bool rounded) {
    const op_setting *s = &op_settings[1];
    one_op k = one_op_new(s, 2, code, (op_attr){0});
    bool dx = code == OP_LINEAR_DX;
    one_op_real(&k, 3, s->B, s->T, dx ? s->C : s->F);
    one_op_real(&k, 3, s->B, s->T, dx ? s->F : s->C);
    double *w = one_op_real(&k, 2, s->C, s->F, 0);
    if (!dx) one_op_real(&k, 1, s->F, 0, 0)[0] = 0.1;
    for (int64_t i = 0; i < k.n[2] && rounded; i++) w[i] = (double)bf16_round((float)w[i]);
    one_op_run(&k);
    return k;
}

/* So storing them rounded changes no bit (R10); and what is written is bfloat16, while inputs are left as they are. */
START_TEST(weights_are_read_rounded_and_outputs_are_written_rounded) {
    const op_code codes[] = {OP_LINEAR, OP_LINEAR_DX};
    one_op raw = run_linear(codes[_i], false), rounded = run_linear(codes[_i], true);
    int64_t live = raw.n[0] / raw.s.B * raw.s.sequences, odd = 0;
    for (int64_t i = 0; i < live; i++) {
        ck_assert(raw.got[0][i] == rounded.got[0][i]);
        ck_assert(is_bf16(raw.got[0][i]));
    }
    for (int64_t i = 0; i < raw.n[2]; i++) {
        ck_assert(raw.got[2][i] == raw.in[2][i]); /* the weights themselves stay */
        odd += !is_bf16(raw.in[2][i]);
    }
    ck_assert_int_gt(odd, raw.n[2] / 2);
    one_op_free(&raw);
    one_op_free(&rounded);
}
END_TEST

/* A product is rounded once, at its end: not while it is added up. */
START_TEST(sums_are_kept_in_float_and_rounded_once) {
    const op_setting *s = &op_settings[0];
    one_op k = one_op_new(s, 2, OP_LINEAR, (op_attr){0});
    one_op_real(&k, 3, s->B, s->T, s->F);
    double *x = one_op_real(&k, 3, s->B, s->T, s->C), *w = one_op_real(&k, 2, s->C, s->F, 0);
    one_op_none(&k);
    for (int64_t i = 0; i < k.n[1]; i++) x[i] = i % s->C ? 0x1p-9 : 1;
    for (int64_t i = 0; i < k.n[2]; i++) w[i] = 1;
    one_op_run(&k);
    ck_assert_int_eq(s->C, 6); /* 1 + 5 * 2^-9, which a sum in bfloat16 would leave at 1 */
    for (int64_t i = 0; i < (int64_t)s->sequences * s->T * s->F; i++) ck_assert(k.got[0][i] == 1 + 0x1p-7);
    one_op_free(&k);
}
END_TEST

/* Of EMBED, whose output is the residual stream and so float32: two rounded rows are added. */
START_TEST(lookups_are_of_rounded_rows_and_their_sum_is_not_rounded) {
    op_setting s = op_settings[1];
    one_op k = one_op_new(&s, 2, OP_EMBED, (op_attr){.layer = -1});
    one_op_real(&k, 3, s.B, s.T, s.C);
    double *tokens = one_op_ids(&k, s.B, s.T, 0, s.V), *wte = one_op_real(&k, 2, s.V, s.C, 0);
    double *wpe = one_op_real(&k, 2, s.T + 3, s.C, 0);
    int64_t odd = 0;
    one_op_run(&k);
    for (int64_t r = 0; r < (int64_t)s.sequences * s.T; r++)
        for (int64_t c = 0; c < s.C; c++) {
            float e = (float)wte[(int64_t)tokens[r] * s.C + c], p = (float)wpe[r % s.T * s.C + c];
            double got = k.got[0][r * s.C + c];
            ck_assert(got == (double)(bf16_round(e) + bf16_round(p)));
            odd += !is_bf16(got);
        }
    ck_assert_int_gt(odd, 100);
    one_op_free(&k);
}
END_TEST

/* ---- plans ---- */

static uint64_t peak_of(const gpt_shape *shape, const backend_type *type, int micro_batch, const char *policy) {
    error e;
    fit_request r = {.shape = *shape,
                     .type = type,
                     .cost = type->cost,
                     .run = {.purpose = GRAPH_TRAIN, .length = 1024, .sequences = 512, .batch_invariant = true},
                     .limits = type->limits(type->precision, 12ull << 30)};
    fit_option o = {.micro_batch = micro_batch, .policy = recompute_find(policy)};
    ck_assert_msg(fit_measure(&r, &o, &e) == OK, "%s", e.text);
    return o.peak;
}

static const gpt_shape GPT2 = {
    .layers = 12, .heads = 12, .channels = 768, .positions = 1024, .vocabulary = 50304, .norm_epsilon = 1e-5};

START_TEST(plans_of_16_bits_are_as_small_as_promised) {
    const backend_type *gpu = opencl_type(PRECISION_BFLOAT16);
    gpt_shape medium = GPT2, large = GPT2;
    medium.layers = 24, medium.heads = 16, medium.channels = 1024;
    large.layers = 36, large.heads = 20, large.channels = 1280;
    const double gib = 0x1p30;
    ck_assert_double_le((double)peak_of(&GPT2, gpu, 16, "none"), 7.4 * gib);
    ck_assert_double_le((double)peak_of(&medium, gpu, 1, "block"), 5.65 * gib);
    ck_assert_double_le((double)peak_of(&large, gpu, 1, "block"), 12.05 * gib);
    /* what became smaller is half of what became bfloat16: [16,1024] of n, qkv, att, fc and gelu in 12 layers, of nf
       and of dnf */
    uint64_t halves = 16ull * 1024 * 768 * 2 * (12 * (2 + 3 + 1 + 4 + 4) + 2);
    const backend_type *own = opencl_type_own(PRECISION_FLOAT32);
    ck_assert_uint_eq(peak_of(&GPT2, own, 16, "none") - peak_of(&GPT2, gpu, 16, "none"), halves);
}
END_TEST

/* The CPU gives bfloat16's numbers in float's bytes: nothing is saved, and the rounded copy of wte comes on top. */
START_TEST(the_cpus_plan_counts_floats) {
    const backend_type *cpu = cpu_type(PRECISION_BFLOAT16), *full = cpu_type(PRECISION_FLOAT32);
    uint64_t wte = 50304ull * 768 * 4;
    ck_assert_uint_eq(peak_of(&GPT2, cpu, 16, "none") - peak_of(&GPT2, full, 16, "none"), wte);
    ck_assert_ptr_nonnull(strstr(cpu->assumed, "each in a float"));
}
END_TEST

Suite *bf16_suite(void);
Suite *bf16_suite(void) {
    Suite *s = suite_create("bf16");
    TCase *c = tcase_create("bfloat16");
    tcase_add_test(c, conversion_is_to_the_nearest_and_of_two_to_the_even_one);
    tcase_add_test(c, a_nan_stays_one_whatever_its_bits);
    tcase_add_test(c, no_bfloat16_is_nearer_than_the_one_taken);
    tcase_add_test(c, only_the_branches_become_bfloat16);
    tcase_add_test(c, the_table_has_a_row_for_each_activation_that_is_written);
    tcase_add_test(c, a_graph_that_is_not_asked_for_16_bits_has_none);
    tcase_add_loop_test(c, weights_are_read_rounded_and_outputs_are_written_rounded, 0, 2);
    tcase_add_test(c, sums_are_kept_in_float_and_rounded_once);
    tcase_add_test(c, lookups_are_of_rounded_rows_and_their_sum_is_not_rounded);
    tcase_add_test(c, plans_of_16_bits_are_as_small_as_promised);
    tcase_add_test(c, the_cpus_plan_counts_floats);
    suite_add_tcase(s, c);
    return s;
}
