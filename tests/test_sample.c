/* test_sample.c: drawing a token from logits: by their probabilities, among the likeliest k, or the likeliest. */
#include "run/generate.h"
#include "base/rng.h"
#include <check.h>
#include <math.h>
#include <string.h>

enum { N = 12, DRAWS = 60000 };

static const double LOGITS[N] = {0.5, -1, 2, 2.5, -3, 0, 1, 1.5, -0.5, 3, -2, 0.25};

static int64_t pick(double temperature, int64_t top_k, double u) {
    double logits[N], sorted[N];
    memcpy(logits, LOGITS, sizeof logits);
    return sample_pick(logits, N, temperature, top_k, u, sorted);
}

/* Probability of each id among the likeliest k (0: all). */
static void probabilities(double temperature, int k, double p[N]) {
    double sum = 0;
    for (int i = 0; i < N; i++) {
        int above = 0;
        for (int j = 0; j < N; j++) above += LOGITS[j] > LOGITS[i];
        p[i] = k && above >= k ? 0 : exp(LOGITS[i] / temperature);
        sum += p[i];
    }
    for (int i = 0; i < N; i++) p[i] /= sum;
}

/* Chi-square of DRAWS draws of Philox; *degrees: of freedom. */
static double chi_square(double temperature, int k, uint64_t seed, int *degrees) {
    double p[N], chi = 0;
    int count[N] = {0};
    probabilities(temperature, k, p);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t words[4];
        philox(seed, (uint32_t)i, 0, 0, 0, words);
        count[pick(temperature, k, rng_uniform(words[0], words[1]))]++;
    }
    *degrees = -1;
    for (int i = 0; i < N; i++) {
        if (p[i] == 0) {
            ck_assert_msg(count[i] == 0, "id %d was drawn %d times", i, count[i]);
            continue;
        }
        double expected = p[i] * DRAWS;
        ck_assert_double_gt(expected, 5);
        chi += (count[i] - expected) * (count[i] - expected) / expected;
        ++*degrees;
    }
    return chi;
}

/* The seeds are fixed, so that this never fails by chance; 4 standard deviations above the mean is one in 10^4. */
START_TEST(ids_come_as_often_as_they_are_likely) {
    static const struct {
        double temperature;
        int k;
    } cases[] = {{1, 0}, {0.8, 0}, {2, 0}, {1, 5}, {0.8, 3}, {1, N}, {1.5, 2}};
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        int degrees;
        double chi = chi_square(cases[i].temperature, cases[i].k, 42, &degrees);
        ck_assert_int_eq(degrees, (cases[i].k && cases[i].k < N ? cases[i].k : N) - 1);
        ck_assert_msg(chi < degrees + 4 * sqrt(2.0 * degrees), "temperature %g, top_k %d: chi-square %.1f for %d",
                      cases[i].temperature, cases[i].k, chi, degrees);
    }
}
END_TEST

START_TEST(the_chi_square_would_notice_another_temperature) {
    double p[N], q[N], chi = 0;
    probabilities(1, 0, p);
    probabilities(1.05, 0, q);
    for (int i = 0; i < N; i++) chi += (p[i] - q[i]) * (p[i] - q[i]) / q[i] * DRAWS;
    ck_assert_double_gt(chi, N - 1 + 4 * sqrt(2.0 * (N - 1)));
}
END_TEST

START_TEST(temperature_0_and_top_k_1_give_the_likeliest) {
    for (int i = 0; i <= 10; i++) {
        double u = i == 10 ? 1 - 0x1p-53 : i / 10.0;
        ck_assert_int_eq(pick(0, 0, u), 9);
        ck_assert_int_eq(pick(0, 4, u), 9);
        ck_assert_int_eq(pick(0.8, 1, u), 9);
        ck_assert_int_eq(pick(1e-9, 0, u), 9); /* no overflow on the way there */
    }
}
END_TEST

START_TEST(the_ends_of_the_interval_are_the_first_and_last_id) {
    ck_assert_int_eq(pick(1, 0, 0), 0);
    ck_assert_int_eq(pick(1, 0, 1 - 0x1p-53), N - 1);
    ck_assert_int_eq(pick(1, 3, 0), 2); /* of 2, 3 and 9 */
    ck_assert_int_eq(pick(1, 3, 1 - 0x1p-53), 9);
}
END_TEST

START_TEST(equal_logits_and_infinite_ones_are_drawn_from) {
    double equal[4] = {7, 7, 7, 7}, sorted[4];
    ck_assert_int_eq(sample_pick(equal, 4, 1, 0, 0.6, sorted), 2);
    double never[4] = {0, -INFINITY, 0, -INFINITY};
    ck_assert_int_eq(sample_pick(never, 4, 1, 0, 1 - 0x1p-53, sorted), 2);
}
END_TEST

Suite *sample_suite(void);
Suite *sample_suite(void) {
    Suite *s = suite_create("sample");
    TCase *c = tcase_create("pick");
    tcase_add_test(c, ids_come_as_often_as_they_are_likely);
    tcase_add_test(c, the_chi_square_would_notice_another_temperature);
    tcase_add_test(c, temperature_0_and_top_k_1_give_the_likeliest);
    tcase_add_test(c, the_ends_of_the_interval_are_the_first_and_last_id);
    tcase_add_test(c, equal_logits_and_infinite_ones_are_drawn_from);
    suite_add_tcase(s, c);
    return s;
}
