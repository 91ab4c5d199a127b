/* test_generate.c: texts by kept keys and values, on the CPU: the logits of the whole text, the same tokens, whatever
   stands beside; and what it takes of memory. */
#include "base/sort.h"
#include "run/generate.h"
#include "run/open.h"
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

/* A device that refuses what its limits allow, as drivers do that share their memory. */
static uint64_t most_bytes;
static status (*bind_really)(backend *, const graph *, const plan *, error *);
static status bind_little(backend *b, const graph *g, const plan *p, error *e) {
    if (p->total <= most_bytes) return bind_really(b, g, p, e);
    snprintf(e->text, sizeof e->text, "no room");
    return NO_MEMORY;
}

static uint64_t bytes_of_texts(const gpt_shape *s, int texts) {
    gpt_run run = {.purpose = GRAPH_SAMPLE, .micro_batch = 1, .sequences = 1, .length = 64, .kept = texts};
    model m;
    error e;
    run.batch_invariant = true;
    ck_assert_msg(model_open(&m, cpu_open(4, 0), s, &run, &e) == OK, "%s", e.text);
    uint64_t total = m.plan.total;
    model_close(&m);
    return total;
}

/* Half as many each time; where it has no room for a single one, that is said. */
START_TEST(a_device_that_refuses_gets_fewer_texts_side_by_side) {
    static const int got[] = {16, 8, 4, 1, 0};
    const gpt_shape s = {.layers = 2, .heads = 2, .channels = 32, .positions = 64, .vocabulary = 100};
    config *c = xcalloc(1, sizeof *c);
    error e = {""};
    ck_assert_int_eq(config_parse_for(c, "sample", 1, 1, (char *[]){"--device=cpu"}, &e), OK);
    model m;
    fit_request r;
    backend *b = cpu_open(4, 0);
    bind_really = b->bind;
    b->bind = bind_little;
    most_bytes = got[_i] ? bytes_of_texts(&s, got[_i]) : bytes_of_texts(&s, 1) - 1;
    open_request(c, &s, GRAPH_SAMPLE, 64, 1, &r);
    r.policy = &recompute_policies[0];
    r.run.batch_invariant = true;
    ck_assert_int_eq(open_for_texts(&r, b, 16, &m, &e), got[_i] ? OK : NO_MEMORY);
    if (got[_i]) {
        ck_assert_int_eq(m.run.kept, got[_i]);
        model_close(&m);
    } else
        ck_assert_msg(strstr(e.text, "the device refuses even the smallest plan"), "%s", e.text);
    config_free(c);
    free(c);
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
    tcase_add_loop_test(c, a_device_that_refuses_gets_fewer_texts_side_by_side, 0, 5);
    tcase_add_test(c, the_nth_number_is_the_one_that_sorting_puts_there);
    suite_add_tcase(s, c);
    return s;
}
