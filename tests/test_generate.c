/* test_generate.c: texts by kept keys and values, on the CPU: the logits of the whole text, the same tokens, whatever
   stands beside; and what it takes of memory. */
#include "base/sort.h"
#include "run/generate.h"
#include "support_generate.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static backend *float64(void) { return cpu_open(8, 0); }
static backend *float32(void) { return cpu_open(4, 0); }
static backend *bfloat16(void) { return cpu_open_as(PRECISION_BFLOAT16, 0); }

START_TEST(kept_positions_give_the_logits_of_the_whole_text) {
    generate_expect_logits(float64, float64, _i, 1e-12);
    generate_expect_logits(float32, float64, _i, 1e-5);
    generate_expect_logits(bfloat16, bfloat16, _i, 1e-2);
}
END_TEST

START_TEST(longer_texts_than_the_model_sees_go_by_windows) {
    generate_expect_tokens(float64, float64, _i);
    generate_expect_tokens(float32, float64, _i);
}
END_TEST

START_TEST(no_text_depends_on_those_beside_it) {
    generate_expect_same_bits(float32, _i);
    generate_expect_same_bits(float64, _i);
}
END_TEST

/* Weights, what is kept, and of the rest as much as one text of all positions takes: not as many as there are texts. */
START_TEST(each_text_takes_its_keys_and_values_and_little_else) {
    const gpt_shape s = {.layers = 3, .heads = 2, .channels = 64, .positions = 128, .vocabulary = 320};
    uint64_t total[3];
    for (int i = 0; i < 3; i++) {
        gpt_run run = {.purpose = GRAPH_SAMPLE,
                       .micro_batch = 1,
                       .sequences = 1,
                       .length = 128,
                       .kept = 1 + 4 * i,
                       .batch_invariant = true};
        model m;
        error e;
        ck_assert_msg(model_open(&m, cpu_open(4, 0), &s, &run, &e) == OK, "%s", e.text);
        ck_assert_uint_eq(m.backend->allocated, m.plan.total);
        total[i] = m.plan.total;
        model_close(&m);
    }
    const uint64_t keys_and_values = 4ull * 3 * 128 * 2 * 64, logits = 4 * 320;
    ck_assert_uint_eq(total[2] - total[1], 4 * (keys_and_values + logits));
}
END_TEST

START_TEST(the_nth_number_is_the_one_that_sorting_puts_there) {
    enum { N = 200 };
    uint32_t state = 1;
    for (int round = 0; round < 200; round++) {
        double x[N], sorted[N];
        size_t n = 1 + (size_t)round;
        for (size_t i = 0; i < n; i++) {
            state = state * 1664525u + 1013904223u;
            x[i] = sorted[i] = (double)(state >> 8) - (round % 3 == 0 ? 0 : (double)(state >> 8) * 0.999999);
            if (round % 3 == 2) x[i] = sorted[i] = (double)(state >> 28);
        }
        sort_doubles(sorted, n);
        size_t k = state % n;
        ck_assert_double_eq(nth_double(x, n, k), sorted[k]);
    }
}
END_TEST

Suite *generate_suite(void);
Suite *generate_suite(void) {
    Suite *s = suite_create("generate");
    TCase *c = tcase_create("kept");
    tcase_add_loop_test(c, kept_positions_give_the_logits_of_the_whole_text, 0, GENERATE_SHAPES);
    tcase_add_loop_test(c, longer_texts_than_the_model_sees_go_by_windows, 0, 2);
    tcase_add_loop_test(c, no_text_depends_on_those_beside_it, 0, 2);
    tcase_add_test(c, each_text_takes_its_keys_and_values_and_little_else);
    tcase_add_test(c, the_nth_number_is_the_one_that_sorting_puts_there);
    suite_add_tcase(s, c);
    return s;
}
