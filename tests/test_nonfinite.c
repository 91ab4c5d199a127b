/* test_nonfinite.c: the first tensor with a NaN or an infinity is named, and such a step changes no weight. On the CPU;
   tests/faults.sh asks OpenCL. */
#include "run/nonfinite.h"
#include <check.h>
#include <math.h>
#include <string.h>

enum { N = 3, T = 5 };
static const gpt_shape shape = {
    .layers = 2, .heads = 2, .channels = 10, .positions = 6, .vocabulary = 23, .bias = true, .norm_epsilon = 1e-5};
static const step_settings settings = {.lr = 1e-3, .seed = 5};
static error e;
static model m;
static batch b;

static void begin(void) {
    gpt_run run = {.purpose = GRAPH_TRAIN,
                   .micro_batch = 2,
                   .length = T,
                   .sequences = N,
                   .batch_invariant = true,
                   .weight_decay = 0.1,
                   .beta1 = 0.9,
                   .beta2 = 0.95,
                   .grad_clip = 1};
    ck_assert_msg(model_open(&m, cpu_open(4, 0), &shape, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(&m, 3, &e) == OK, "%s", e.text);
    b = batch_new(N, T);
    for (int i = 0; i < N * T; i++) {
        b.x[i] = i * 7 % 23;
        b.y[i] = i % 4 ? i * 5 % 23 : -1;
    }
}

static void end(void) {
    batch_free(&b);
    model_close(&m);
}

static void fill(const char *param, double value) {
    char name[128];
    for (tensor_id p = 1; p <= m.gpt.n_params; p++) {
        if (strcmp(gpt_param_name(m.gpt.graph, p, name, sizeof name), param)) continue;
        for (int64_t i = 0; i < tensor_elements(&m.gpt.graph->tensors[p]); i++)
            ck_assert_int_eq(model_write(&m, p, i, 1, &value, &e), OK);
        return;
    }
    ck_abort_msg("there is no %s", param);
}

/* A step as `train` makes it: what comes first is `first`, and no weight has changed. */
static void expect(span what, const char *first) {
    char before[65], after[65], text[256];
    double loss, norm = 0;
    ck_assert_int_eq(model_hash(&m, before, &e), OK);
    ck_assert_int_eq(model_gradients(&m, &b, &settings, &loss, &e), OK);
    ck_assert_int_eq(model_finish(&m, &settings, &norm, &e), OK);
    ck_assert(!isfinite(norm));
    ck_assert_msg(nonfinite_find(&m, what, &b, &settings, text, sizeof text, &e) == OK, "%s", e.text);
    ck_assert_str_eq(text, first);
    ck_assert_int_eq(model_hash(&m, after, &e), OK);
    ck_assert_str_eq(before, after);
}

START_TEST(poisoned_weight_is_named_first) {
    fill("transformer.h.1.attn.c_attn.weight", NAN);
    expect(m.gpt.graph->micro, "the weight transformer.h.1.attn.c_attn.weight");
    fill("transformer.h.0.mlp.c_proj.bias", -INFINITY);
    expect(m.gpt.graph->eval, "the weight transformer.h.0.mlp.c_proj.bias");
}
END_TEST

START_TEST(activation_that_overflows_is_named_with_its_layer) {
    fill("transformer.h.1.ln_2.weight", 3e38);
    expect(m.gpt.graph->micro, "n2[1] (made by RESIDUAL_NORM, sequences 0 to 1 of the step)");
    expect(m.gpt.graph->eval, "n2[1] (made by RESIDUAL_NORM, sequences 0 to 1 of the step)");
    fill("transformer.wpe.weight", 3e38);
    fill("transformer.wte.weight", 3e38);
    expect(m.gpt.graph->micro, "x (made by EMBED, sequences 0 to 1 of the step)");
}
END_TEST

/* The loss and every gradient are finite, but not the sum of squares that the norm is made of. */
START_TEST(gradient_too_large_for_a_norm_is_named) {
    double loss;
    fill("transformer.ln_f.weight", 1e22);
    ck_assert_int_eq(model_gradients(&m, &b, &settings, &loss, &e), OK);
    ck_assert(isfinite(loss));
    expect(m.gpt.graph->micro, "the sum of squares of the gradient of transformer.wte.weight");
}
END_TEST

START_TEST(what_an_earlier_step_left_behind_is_not_blamed) {
    char text[256];
    double loss, norm;
    fill("transformer.ln_f.bias", NAN); /* losses, gradients and sums are poisoned now */
    ck_assert_int_eq(model_gradients(&m, &b, &settings, &loss, &e), OK);
    ck_assert_int_eq(model_finish(&m, &settings, &norm, &e), OK);
    ck_assert(!isfinite(norm) && !isfinite(loss));
    fill("transformer.ln_f.bias", 0);
    ck_assert_int_eq(nonfinite_find(&m, m.gpt.graph->micro, &b, &settings, text, sizeof text, &e), OK);
    ck_assert_msg(!strncmp(text, "none ", 5), "%s", text);
}
END_TEST

Suite *nonfinite_suite(void);
Suite *nonfinite_suite(void) {
    Suite *s = suite_create("nonfinite");
    TCase *t = tcase_create("nonfinite");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, poisoned_weight_is_named_first);
    tcase_add_test(t, activation_that_overflows_is_named_with_its_layer);
    tcase_add_test(t, gradient_too_large_for_a_norm_is_named);
    tcase_add_test(t, what_an_earlier_step_left_behind_is_not_blamed);
    suite_add_tcase(s, t);
    return s;
}
