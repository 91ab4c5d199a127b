/* test_golden.c: gradients and training against PyTorch's golden values (P5), and batch invariance (P4), on the CPU. */
#include "graph/backend.h"
#include "save/checkpoint.h"
#include "run/model.h"
#include "graph/recompute.h"
#include "save/safetensors.h"
#include <check.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static error e;

/* real_bytes: 8, 4, or 2, which is bfloat16. */
static void open_case(const char *folder, size_t real_bytes, graph_purpose purpose, int micro, unsigned dropped, int n,
                      int length, double dropout, bool invariant, model *m) {
    gpt_shape shape;
    ck_assert_msg(checkpoint_shape(folder, &shape, &e) == OK, "%s", e.text);
    gpt_run run = {.purpose = purpose,
                   .micro_batch = micro,
                   .length = length,
                   .sequences = n,
                   .one_upload = micro % 2, /* tokens by the step and by the micro-batch */
                   .batch_invariant = invariant,
                   .dropout = dropout,
                   .weight_decay = 0.1,
                   .beta1 = 0.9,
                   .beta2 = 0.95,
                   .grad_clip = 1,
                   .recompute = dropped,
                   .recompute_layers = micro % 3 % shape.layers}; /* 0: all layers */
    backend *b = real_bytes == 2 ? cpu_open_as(PRECISION_BFLOAT16, 0) : cpu_open(real_bytes, 0);
    ck_assert_msg(model_open(m, b, &shape, &run, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(b->allocated, m->plan.total); /* P1 */
    ck_assert_msg(checkpoint_load_weights(folder, NULL, &m->shape, &m->gpt, b, &e) == OK, "%s", e.text);
}

static batch read_batch(const char *folder) {
    char path[256];
    st_file f;
    snprintf(path, sizeof path, "%s/batch.safetensors", folder);
    ck_assert_msg(st_open(path, &f, &e) == OK, "%s", e.text);
    const st_tensor *x = st_find(&f, "x"), *y = st_find(&f, "y");
    batch b = batch_new(x->dim[0], x->dim[1]);
    for (int64_t i = 0; i < x->elements; i++) {
        b.x[i] = (int32_t)st_value(x, i);
        b.y[i] = (int32_t)st_value(y, i);
    }
    st_close(&f);
    return b;
}

/* ||got - reference|| / ||reference|| of one gradient. */
static double distance(model *m, tensor_id param, const st_file *reference) {
    char name[96];
    const st_tensor *t = st_find(reference, gpt_param_name(m->gpt.graph, param, name, sizeof name));
    ck_assert_msg(t != NULL, "%s is missing", name);
    double *got = calloc((size_t)t->elements, sizeof *got), sum = 0, all = 0;
    ck_assert(model_read(m, m->gpt.grad[param], 0, t->elements, got, &e) == OK);
    for (int64_t i = 0; i < t->elements; i++) {
        double d = got[i] - st_value(t, i);
        sum += d * d;
        all += st_value(t, i) * st_value(t, i);
    }
    free(got);
    return sqrt(sum / all);
}

static double json_number(const char *text, const char *key) {
    const char *at = strstr(text, key);
    ck_assert_msg(at != NULL, "%s is missing", key);
    return strtod(strchr(at, ':') + 1, NULL);
}

static char *read_text(const char *path) {
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    char *text = calloc(1, 1 << 16);
    ck_assert(fread(text, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    return text;
}

static const char *const CASES[] = {"tests/golden/tanh-bias", "tests/golden/erf-nobias"};

static void check_case(const char *folder, size_t real_bytes, double tolerance) {
    char path[256];
    snprintf(path, sizeof path, "%s/expect.json", folder);
    char *expected = read_text(path);
    double want = json_number(expected, "\"loss\"");
    free(expected);
    st_file reference;
    snprintf(path, sizeof path, "%s/grads.safetensors", folder);
    ck_assert(st_open(path, &reference, &e) == OK);
    batch b = read_batch(folder);
    for (int micro = 1; micro <= b.sequences; micro++)
        for (int p = 0; p < RECOMPUTE_POLICIES; p++) {
            model m;
            double loss, norm;
            step_settings s = {0};
            open_case(folder, real_bytes, GRAPH_GRADS, micro, recompute_policies[p].dropped, (int)b.sequences,
                      (int)b.length, 0, true, &m);
            ck_assert(model_gradients(&m, &b, &s, &loss, &e) == OK && model_finish(&m, &s, &norm, &e) == OK);
            ck_assert_double_le(fabs(loss - want) / want, tolerance);
            for (tensor_id t = 1; t <= m.gpt.n_params; t++) ck_assert_double_le(distance(&m, t, &reference), tolerance);
            model_close(&m);
        }
    batch_free(&b);
    st_close(&reference);
}

START_TEST(float64_gradients_match_pytorch_for_every_split_and_policy) { check_case(CASES[_i], 8, 1e-12); }
END_TEST
START_TEST(float32_gradients_match_pytorch_for_every_split_and_policy) { check_case(CASES[_i], 4, 1e-5); }
END_TEST
START_TEST(bfloat16_gradients_match_pytorch_for_every_split_and_policy) { check_case(CASES[_i], 2, 3e-2); }
END_TEST

/* ---- training ---- */

enum { N = 6, T = 32, STEPS = 20 };

static double golden_rate(int it) {
    if (it < 5) return 1e-3 * (it + 1) / 6;
    return 1e-4 + 0.5 * (1 + cos(3.14159265358979323846 * (it - 5) / 15)) * 9e-4;
}

/* Trains `steps` on the stream; losses and norms may be NULL; hash of the final weights. */
static void train_case(size_t real_bytes, int micro, unsigned dropped, double dropout, int steps, bool ignore,
                       bool invariant, double *losses, double *norms, char sha256[65]) {
    model m;
    token_file f;
    open_case("tests/golden/train", real_bytes, GRAPH_TRAIN, micro, dropped, N, T, dropout, invariant, &m);
    ck_assert_msg(token_file_open("tests/golden/train", "stream.bin", T, &f, &e) == OK, "%s", e.text);
    data_order order = {
        .sequential = true, .sequences = N, .length = T, .ignore_token = ignore ? 3 : -1, .vocabulary = 128};
    batch b = batch_new(N, T);
    for (int i = 0; i < steps; i++) {
        double loss, norm;
        step_settings s = {.step = i, .lr = golden_rate(i), .seed = 11};
        ck_assert(batch_draw(&b, &f, &order, 0, i, 0, &e) == OK);
        ck_assert(model_gradients(&m, &b, &s, &loss, &e) == OK && model_finish(&m, &s, &norm, &e) == OK);
        if (losses) losses[i] = loss;
        if (norms) norms[i] = norm;
    }
    ck_assert(model_hash(&m, sha256, &e) == OK);
    batch_free(&b);
    token_file_close(&f);
    model_close(&m);
}

static void check_training(size_t real_bytes, double tolerance) {
    double losses[STEPS], norms[STEPS];
    char sha[65];
    train_case(real_bytes, 4, 0, 0, STEPS, false, true, losses, norms, sha);
    char *text = read_text("tests/golden/train/expect.json"), *at = strchr(strstr(text, "\"losses\""), '[') + 1;
    for (int i = 0; i < STEPS; i++, at++) {
        double want = strtod(at, &at);
        ck_assert_double_le(fabs(losses[i] - want) / want, tolerance);
    }
    at = strchr(strstr(text, "\"grad_norms\""), '[') + 1;
    for (int i = 0; i < STEPS; i++, at++) {
        double want = strtod(at, &at);
        ck_assert_double_le(fabs(norms[i] - want) / want, tolerance);
    }
    free(text);
}

START_TEST(twenty_float64_steps_follow_pytorch) { check_training(8, 1e-9); }
END_TEST
START_TEST(twenty_float32_steps_follow_pytorch) { check_training(4, 1e-4); }
END_TEST
START_TEST(twenty_bfloat16_steps_follow_pytorch) { check_training(2, 3e-2); }
END_TEST

/* _i: 0 float64, 1 float32, 2 bfloat16; with dropout and ignored targets. */
START_TEST(micro_batch_split_policy_and_threads_never_change_bits) {
    size_t real_bytes = (size_t[]){8, 4, 2}[_i];
    char first[65] = "", sha[65];
    for (int threads = 1; threads <= 2; threads++)
        for (int micro = 1; micro <= N; micro++)
            for (int p = 0; p < RECOMPUTE_POLICIES; p++) {
                omp_set_num_threads(threads);
                train_case(real_bytes, micro, recompute_policies[p].dropped, 0.2, 5, true, true, NULL, NULL, sha);
                if (!first[0]) strcpy(first, sha);
                ck_assert_msg(!strcmp(first, sha), "micro-batch %d, recompute %s, %d threads: other bits", micro,
                              recompute_policies[p].name, threads);
            }
}
END_TEST

START_TEST(without_batch_invariance_the_result_is_the_same_but_for_rounding) {
    double a[5], b[5];
    char sha[65];
    train_case(8, 6, 0, 0, 5, false, false, a, NULL, sha);
    train_case(8, 6, 0, 0, 5, false, true, b, NULL, sha);
    for (int i = 0; i < 5; i++) ck_assert_double_le(fabs(a[i] - b[i]), 1e-12 * b[i]);
}
END_TEST

Suite *golden_suite(void);
Suite *golden_suite(void) {
    Suite *s = suite_create("golden");
    TCase *gradients = tcase_create("gradients"), *steps = tcase_create("steps"), *bits = tcase_create("bits");
    tcase_set_timeout(gradients, 300);
    tcase_set_timeout(bits, 300);
    tcase_add_loop_test(gradients, float64_gradients_match_pytorch_for_every_split_and_policy, 0, 2);
    tcase_add_loop_test(gradients, float32_gradients_match_pytorch_for_every_split_and_policy, 0, 2);
    tcase_add_loop_test(gradients, bfloat16_gradients_match_pytorch_for_every_split_and_policy, 0, 2);
    tcase_add_test(steps, twenty_float64_steps_follow_pytorch);
    tcase_add_test(steps, twenty_float32_steps_follow_pytorch);
    tcase_add_test(steps, twenty_bfloat16_steps_follow_pytorch);
    tcase_add_loop_test(bits, micro_batch_split_policy_and_threads_never_change_bits, 0, 3);
    tcase_add_test(bits, without_batch_invariance_the_result_is_the_same_but_for_rounding);
    tcase_set_tags(bits, "once");
    suite_add_tcase(s, gradients);
    suite_add_tcase(s, steps);
    suite_add_tcase(s, bits);
    return s;
}
