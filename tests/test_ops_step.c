/* test_ops_step.c: the head and the ops of a step's end, each alone on the CPU, against loops in float64. See
   test_ops.c. */
#include "support_one_op.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SETTING (&op_settings[_i / 3])
#define BYTES ((size_t[]){8, 4, 2}[_i % 3]) /* 2: bfloat16 */
enum { LOSSES = 9 };                        /* of the whole step: more than the micro-batch, which begins at the 3rd */

static double *zeros(int64_t n) { return xcalloc((size_t)n, sizeof(double)); }
static double *copy(const double *x, int64_t n) { return memcpy(zeros(n), x, (size_t)n * sizeof *x); }
static int64_t rows(const one_op *k) { return (int64_t)k->step.sequences * k->step.length; }

/* ---- the head ---- */

/* p[V] = softmax of wte x; returns the loss, 0 for an ignored target. */
static double softmax(const one_op *k, const double *x, const double *wte, double target, double *p) {
    double sum = 0, right = 0;
    for (int64_t j = 0; j < k->s.V; j++) {
        double logit = 0;
        for (int64_t c = 0; c < k->s.C; c++) logit += x[c] * wte[j * k->s.C + c];
        if (j == (int64_t)target) right = logit;
        sum += p[j] = exp(logit);
    }
    for (int64_t j = 0; j < k->s.V; j++) p[j] /= sum;
    return target < 0 ? 0 : log(sum) - right;
}

/* Losses by sequence, added to losses[3 ...]; x, wte, targets are arguments a .. a + 2. */
static void head_losses(const one_op *k, int a, double *losses) {
    double *p = zeros(k->s.V);
    for (int s = 0; s < k->step.sequences; s++) losses[k->step.first_sequence + s] = 0;
    for (int64_t r = 0; r < rows(k); r++)
        losses[k->step.first_sequence + r / k->s.T] +=
            softmax(k, k->in[a] + r * k->s.C, k->in[a + 1], k->in[a + 2][r], p);
    free(p);
}

/* HEAD: losses dx dwte x wte targets */
static double head_loss(const one_op *k) {
    double losses[LOSSES] = {0}, sum = 0;
    head_losses(k, 3, losses);
    for (int i = 0; i < LOSSES; i++) sum += losses[i] * k->step.inv_targets;
    return sum;
}

static void ignore_some(const one_op *k, int a) {
    for (int64_t i = 0; i < k->n[a]; i++)
        if (i % 4 == 1) k->in[a][i] = -1;
}

START_TEST(head_sums_losses_by_sequence_and_scales_gradients_by_the_steps_targets) {
    const op_setting *s = SETTING;
    one_op k = one_op_new(s, BYTES, OP_HEAD, (op_attr){0});
    double *losses = one_op_real(&k, 1, LOSSES, 0, 0);
    one_op_real(&k, 3, s->B, s->T, s->C);
    double *dwte = one_op_real(&k, 2, s->V, s->C, 0), *x = one_op_real(&k, 3, s->B, s->T, s->C);
    double *wte = one_op_real(&k, 2, s->V, s->C, 0), *targets = one_op_ids(&k, s->B, s->T, 0, s->V);
    ignore_some(&k, 5);
    one_op_run(&k);
    double *want = copy(losses, LOSSES), *dx = zeros(k.n[1]), *dw = copy(dwte, k.n[2]), *p = zeros(s->V);
    double *dw_alone = zeros(k.n[2]);
    head_losses(&k, 3, want);
    for (int64_t r = 0; r < rows(&k); r++) {
        softmax(&k, x + r * s->C, wte, targets[r], p);
        for (int64_t j = 0; j < s->V && targets[r] >= 0; j++)
            for (int64_t c = 0; c < s->C; c++) {
                double d = (p[j] - (j == (int64_t)targets[r])) * k.step.inv_targets;
                dx[r * s->C + c] += d * wte[j * s->C + c];
                dw_alone[j * s->C + c] += d * x[r * s->C + c];
            }
    }
    for (int64_t i = 0; i < k.n[2]; i++) dw[i] += dw_alone[i];
    if (s->sequences == s->B && s->V < 100) {
        one_op_differentiate(&k, 3, dx, head_loss);
        one_op_differentiate(&k, 4, dw_alone, head_loss);
    }
    free(p);
    free(dw_alone);
    one_op_expect(&k, 0, -1, want);
    one_op_expect(&k, 1, rows(&k) * s->C, dx);
    one_op_expect(&k, 2, -1, dw);
    one_op_free(&k);
}
END_TEST

START_TEST(head_loss_leaves_other_sequences_alone_and_skips_ignored_targets) {
    const op_setting *s = SETTING;
    one_op k = one_op_new(s, BYTES, OP_HEAD_LOSS, (op_attr){0});
    double *losses = one_op_real(&k, 1, LOSSES, 0, 0);
    one_op_real(&k, 3, s->B, s->T, s->C);
    one_op_real(&k, 2, s->V, s->C, 0);
    one_op_ids(&k, s->B, s->T, 0, s->V);
    ignore_some(&k, 3);
    one_op_run(&k);
    double *want = copy(losses, LOSSES);
    head_losses(&k, 1, want);
    one_op_expect(&k, 0, -1, want);
    one_op_free(&k);
}
END_TEST

START_TEST(large_logits_overflow_nothing) {
    one_op k = one_op_new(&op_settings[0], BYTES, OP_HEAD_LOSS, (op_attr){0});
    one_op_real(&k, 1, LOSSES, 0, 0);
    double *x = one_op_real(&k, 3, 2, 5, 6), *wte = one_op_real(&k, 2, 11, 6, 0);
    one_op_ids(&k, 2, 5, 0, 1); /* always 0, and 0 is far the likeliest */
    for (int64_t i = 0; i < k.n[1]; i++) x[i] = 100;
    for (int64_t i = 0; i < k.n[2]; i++) wte[i] = i < 6 ? 100 : -100;
    one_op_run(&k);
    for (int i = 3; i < 5; i++) ck_assert_double_le(fabs(k.got[0][i]), 1e-30);
    one_op_free(&k);
}
END_TEST

/* Of each sequence, in its own row; the rows of others stay. */
START_TEST(logits_are_those_of_the_last_position_there_is) {
    const op_setting *s = SETTING;
    enum { FIRST = 3 };
    for (int length = s->T; length > 0; length -= length > 4 ? length / 2 : 4) {
        one_op k = one_op_new(s, BYTES, OP_LOGITS, (op_attr){0});
        int64_t V = s->V, C = s->C, n = (FIRST + s->B) * V;
        double *before = one_op_real(&k, 1, n, 0, 0), *want = zeros(n);
        double *x = one_op_real(&k, 3, s->B, s->T, C), *wte = one_op_real(&k, 2, V, C, 0);
        k.step.first_sequence = FIRST;
        k.step.length = length;
        one_op_run(&k);
        for (int64_t i = 0; i < n; i++) {
            int64_t row = i / V - FIRST, v = i % V;
            if (row < 0 || row >= k.step.sequences) want[i] = before[i];
            for (int64_t c = 0; c < C && row >= 0 && row < k.step.sequences; c++)
                want[i] += wte[v * C + c] * x[((row + 1) * length - 1) * C + c];
        }
        one_op_expect(&k, 0, -1, want);
        one_op_free(&k);
    }
}
END_TEST

/* ---- the end of a step ---- */

enum { SIZES = 5 };
static const int sizes[SIZES] = {1, 15, 4097, 65537, 150001}; /* past a chunk and a tile of partial sums */
#define SIZE (sizes[_i / 3])

START_TEST(zero_clears_and_add_adds_every_element) {
    one_op k = one_op_new(&op_settings[0], BYTES, OP_ZERO, (op_attr){0});
    one_op_real(&k, 1, SIZE, 0, 0);
    one_op_run(&k);
    for (int64_t i = 0; i < SIZE; i++) ck_assert(k.got[0][i] == 0);
    one_op_free(&k);
    k = one_op_new(&op_settings[0], BYTES, OP_ADD, (op_attr){0});
    double *y = one_op_real(&k, 1, SIZE, 0, 0), *x = one_op_real(&k, 1, SIZE, 0, 0), *want = zeros(SIZE);
    one_op_run(&k);
    for (int64_t i = 0; i < SIZE; i++) want[i] = y[i] + x[i];
    one_op_expect(&k, 0, -1, want);
    one_op_free(&k);
}
END_TEST

START_TEST(sum_of_squares_goes_to_its_place) {
    one_op k = one_op_new(&op_settings[0], BYTES, OP_SUM_SQUARES, (op_attr){.index = 2});
    double *sums = one_op_real(&k, 1, 4, 0, 0), *x = one_op_real(&k, 1, SIZE, 0, 0);
    one_op_run(&k);
    double *want = copy(sums, 4);
    want[2] = 0;
    for (int64_t i = 0; i < SIZE; i++) want[2] += x[i] * x[i];
    one_op_expect(&k, 0, -1, want);
    one_op_free(&k);
}
END_TEST

static void check_norm(size_t bytes, double clip, double scale, double factor) {
    one_op k = one_op_new(&op_settings[0], bytes, OP_GRAD_NORM, (op_attr){.clip = clip});
    one_op_real(&k, 1, 2, 0, 0);
    double *sums = one_op_real(&k, 1, 3, 0, 0);
    for (int i = 0; i < 3; i++) sums[i] = scale * (i + 1); /* 6 scale together */
    one_op_run(&k);
    double norm = sqrt(6 * scale), tolerance = bytes == 8 ? 1e-12 : 1e-6;
    ck_assert_double_le(fabs(k.got[0][0] - norm), tolerance * norm);
    ck_assert_double_le(fabs(k.got[0][1] - factor), tolerance);
    one_op_free(&k);
}

START_TEST(clipping_scales_down_and_never_up) {
    check_norm(BYTES, 1, 6, 1 / (6 + 1e-6));
    check_norm(BYTES, 1, 1.0 / 600, 1);
    check_norm(BYTES, 0, 6, 1);
    check_norm(BYTES, 6, 6, 6 / (6 + 1e-6));
    check_norm(BYTES, 1, 0, 1);
}
END_TEST

START_TEST(a_gradient_that_is_no_number_stays_one) {
    one_op k = one_op_new(&op_settings[0], BYTES, OP_GRAD_NORM, (op_attr){.clip = 1});
    one_op_real(&k, 1, 2, 0, 0);
    one_op_real(&k, 1, 3, 0, 0)[1] = NAN;
    one_op_run(&k);
    ck_assert(isnan(k.got[0][0]) && isnan(k.got[0][1]));
    one_op_free(&k);
}
END_TEST

/* As PyTorch's documentation of AdamW has it, decay first. */
START_TEST(adamw_decays_then_moves_by_bias_corrected_moments) {
    const double lr = 1e-3, wd = 0.1, b1 = 0.9, b2 = 0.95, eps = 1e-8;
    one_op k = one_op_new(&op_settings[0], BYTES, OP_ADAMW,
                          (op_attr){.weight_decay = wd, .beta1 = b1, .beta2 = b2, .epsilon = eps});
    double *p = one_op_real(&k, 1, SIZE, 0, 0), *m = one_op_real(&k, 1, SIZE, 0, 0);
    double *v = one_op_real(&k, 1, SIZE, 0, 0), *g = one_op_real(&k, 1, SIZE, 0, 0);
    one_op_real(&k, 1, 2, 0, 0)[1] = 0.5; /* the clip factor */
    one_op_none(&k);                      /* p has no copy */
    for (int64_t i = 0; i < SIZE; i++) v[i] = fabs(v[i]);
    one_op_run(&k);
    double *want = zeros(SIZE), *want_m = zeros(SIZE), *want_v = zeros(SIZE), t = 5; /* step 4 is the fifth */
    for (int64_t i = 0; i < SIZE; i++) {
        double gi = g[i] * 0.5;
        want_m[i] = b1 * m[i] + (1 - b1) * gi;
        want_v[i] = b2 * v[i] + (1 - b2) * gi * gi;
        double mean = want_m[i] / (1 - pow(b1, t)), variance = want_v[i] / (1 - pow(b2, t));
        want[i] = p[i] * (1 - lr * wd) - lr * mean / (sqrt(variance) + eps);
    }
    one_op_expect(&k, 1, -1, want_m);
    one_op_expect(&k, 2, -1, want_v);
    one_op_expect(&k, 0, -1, want);
    one_op_free(&k);
}
END_TEST

Suite *ops_step_suite(void);
Suite *ops_step_suite(void) {
    Suite *s = suite_create("ops_step");
    TCase *c = tcase_create("head"), *end = tcase_create("end");
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, head_sums_losses_by_sequence_and_scales_gradients_by_the_steps_targets, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, head_loss_leaves_other_sequences_alone_and_skips_ignored_targets, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, large_logits_overflow_nothing, 0, 2);
    tcase_add_loop_test(c, logits_are_those_of_the_last_position_there_is, 0, 3 * OP_SETTINGS);
    suite_add_tcase(s, c);
    tcase_add_loop_test(end, zero_clears_and_add_adds_every_element, 0, 3 * SIZES);
    tcase_add_loop_test(end, sum_of_squares_goes_to_its_place, 0, 3 * SIZES);
    tcase_add_loop_test(end, clipping_scales_down_and_never_up, 0, 2);
    tcase_add_loop_test(end, a_gradient_that_is_no_number_stays_one, 0, 2);
    tcase_add_loop_test(end, adamw_decays_then_moves_by_bias_corrected_moments, 0, 3 * SIZES);
    suite_add_tcase(s, end);
    return s;
}
