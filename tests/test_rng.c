/* test_rng.c: Philox4x32-10 against the published known answers, and the distributions made of it. */
#include "base/fnv.h"
#include "base/rng.h"
#include "support_memory_backend.h"
#include "support_steps.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Random123's kat_vectors, philox4x32 with 10 rounds. */
START_TEST(philox_gives_the_published_answers) {
    static const struct {
        uint32_t counter[4];
        uint64_t key;
        uint32_t answer[4];
    } known[] = {
        {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         0xffffffffffffffff,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    uint32_t out[4];
    philox(known[_i].key, known[_i].counter[0], known[_i].counter[1], known[_i].counter[2], known[_i].counter[3], out);
    for (int i = 0; i < 4; i++) ck_assert_uint_eq(out[i], known[_i].answer[i]);
}
END_TEST

START_TEST(uniform_covers_zero_to_one_without_one) {
    ck_assert(rng_uniform(0, 0) == 0.0);
    ck_assert(rng_uniform(0xffffffff, 0xffffffff) == 1.0 - 0x1p-53);
    ck_assert(rng_uniform(0x80000000, 0) == 0.5);
    double sum = 0, squares = 0;
    enum { N = 100000 };
    for (uint32_t i = 0; i < N; i++) {
        uint32_t w[4];
        philox(7, i, 0, 0, 0, w);
        double u = rng_uniform(w[0], w[1]);
        sum += u;
        squares += u * u;
    }
    ck_assert_double_eq_tol(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    ck_assert_double_eq_tol(squares / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
}
END_TEST

/* Moments, and the share within one and two deviations, all within five standard errors. */
START_TEST(normals_are_standard_and_independent) {
    enum { N = 100000 };
    double sum = 0, squares = 0, fourth = 0, product = 0;
    int within_one = 0, within_two = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t w[4];
        double z[2];
        philox(1337, i, 1, 2, 3, w);
        rng_normal(w, z);
        for (int k = 0; k < 2; k++) {
            sum += z[k];
            squares += z[k] * z[k];
            fourth += z[k] * z[k] * z[k] * z[k];
            within_one += fabs(z[k]) < 1;
            within_two += fabs(z[k]) < 2;
        }
        product += z[0] * z[1];
    }
    ck_assert_double_eq_tol(sum / (2 * N), 0, 5 / sqrt(2.0 * N));
    ck_assert_double_eq_tol(squares / (2 * N), 1, 5 * sqrt(2 / (2.0 * N)));
    ck_assert_double_eq_tol(fourth / (2 * N), 3, 5 * sqrt(96 / (2.0 * N)));
    ck_assert_double_eq_tol(product / N, 0, 5 / sqrt((double)N));
    ck_assert_double_eq_tol(within_one / (2.0 * N), 0.682689, 0.006);
    ck_assert_double_eq_tol(within_two / (2.0 * N), 0.954500, 0.003);
}
END_TEST

/* By libm, of all 64 bits of both numbers. */
START_TEST(normals_are_box_and_mullers) {
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t w[4];
        double z[2];
        philox(11, i, 4, 5, 6, w);
        rng_normal(w, z);
        double radius = sqrt(-2 * log(1 - rng_uniform(w[0], w[1]))), angle = 2 * acos(-1) * rng_uniform(w[2], w[3]);
        ck_assert_double_eq_tol(z[0], radius * cos(angle), 1e-14);
        ck_assert_double_eq_tol(z[1], radius * sin(angle), 1e-14);
    }
}
END_TEST

/* Many draws at a time or one by one, whatever processor the build is for: so that a seed means the same weights. The
   hash is of a build without vectors or fused multiplication (NATIVE=0). */
START_TEST(normals_have_the_same_bits_in_every_build) {
    enum { DRAWS = 5000 };
    static double many[2 * DRAWS];
    uint64_t h = FNV_START;
    rng_normals(1337, 0xfffffff0u, 3, 4, DRAWS, many);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t draw = 0xfffffff0u + (uint64_t)i;
        uint32_t w[4];
        double z[2];
        philox(1337, (uint32_t)draw, (uint32_t)(draw >> 32), 3, 4, w);
        rng_normal(w, z);
        ck_assert_mem_eq(z, many + 2 * i, sizeof z);
    }
    h = fnv_add(h, many, sizeof many);
    ck_assert_msg(h == 0x9594c2f9ffe407bau, "%llx", (unsigned long long)h);
}
END_TEST

START_TEST(normals_are_finite_at_the_ends) {
    double z[2];
    rng_normal((uint32_t[4]){0xffffffff, 0xffffffff, 0, 0}, z);
    ck_assert(isfinite(z[0]) && isfinite(z[1]));
    rng_normal((uint32_t[4]){0, 0, 0, 0}, z);
    ck_assert(z[0] == 0.0 && z[1] == 0.0);
}
END_TEST

/* Element i is normal i % 2 of draw i / 2, times 0.02, wherever a thread begins. */
START_TEST(initial_weights_go_by_their_place_alone) {
    enum { N = 40 };
    gpt_shape shape = {.layers = 1, .heads = 1, .channels = 4, .positions = 4, .vocabulary = 16, .norm_epsilon = 1e-5};
    gpt m = memory_gpt(&shape, GRAPH_EVAL);
    double got[N], z[2];
    uint32_t words[4];
    for (int first = 0; first < 6; first++) {
        gpt_init(&shape, m.graph, 1, 9, first, N - first, got);
        for (int i = first; i < N; i++) {
            philox(9, (uint32_t)i / 2, 0, (uint32_t)SITE_INIT << 16, 1, words);
            rng_normal(words, z);
            ck_assert_msg(got[i - first] == 0.02 * z[i % 2], "element %d, begun at %d", i, first);
        }
    }
    gpt_free(&m);
}
END_TEST

/* ---- a new model's weights ---- */

/* By all threads and piece by piece, as by one; more than a piece and less than two. */
START_TEST(threads_draw_the_weights_that_one_would) {
    gpt_shape shape = {
        .layers = 1, .heads = 1, .channels = 48, .positions = 33, .vocabulary = 12000, .norm_epsilon = 1e-5};
    gpt_run run = steps_run(1, 33, 1, 0);
    error e = {""};
    for (int real = 4; real <= 8; real += 4) {
        model m;
        ck_assert_msg(model_open(&m, cpu_open((size_t)real, 0), &shape, &run, &e) == OK, "%s", e.text);
        ck_assert_msg(model_init(&m, 3, &e) == OK, "%s", e.text);
        for (tensor_id p = 1; p <= m.gpt.n_params; p++) {
            int64_t n = tensor_elements(&m.gpt.graph->tensors[p]);
            double *want = xcalloc((size_t)n, sizeof *want), *got = xcalloc((size_t)n, sizeof *got);
            gpt_init(&shape, m.gpt.graph, p, 3, 0, n, want);
            ck_assert_int_eq(model_read(&m, p, 0, n, got, &e), OK);
            for (int64_t i = 0; i < n; i++)
                ck_assert_msg(got[i] == (real == 4 ? (float)want[i] : want[i]), "tensor %d, element %lld", p,
                              (long long)i);
            free(want);
            free(got);
        }
        model_close(&m);
    }
}
END_TEST

/* The first elements of every tensor, by its name. */
enum { LAYERS = 3, DRAWN = 4000 };

static double std_wanted(const char *name, double *mean) {
    size_t n = strlen(name);
    bool norm = strstr(name, ".ln_") != NULL;
    *mean = norm && !strcmp(name + n - 7, ".weight");
    if (norm || !strcmp(name + n - 5, ".bias")) return 0;
    return strstr(name, "c_proj") ? 0.02 / sqrt(2.0 * LAYERS) : 0.02;
}

START_TEST(initial_weights_have_gpt2s_moments_and_no_two_tensors_share_a_stream) {
    gpt_shape shape = {.layers = LAYERS,
                       .heads = 2,
                       .channels = 64,
                       .positions = 64,
                       .vocabulary = 70,
                       .bias = true,
                       .norm_epsilon = 1e-5};
    gpt m = memory_gpt(&shape, GRAPH_EVAL);
    static double x[64][DRAWN];
    int drawn = 0, scaled = 0;
    for (tensor_id t = 1; t <= m.n_params; t++) {
        char name[96];
        double mean, sum = 0, squares = 0, want = std_wanted(gpt_param_name(m.graph, t, name, sizeof name), &mean);
        int64_t n = tensor_elements(&m.graph->tensors[t]);
        n = n < DRAWN ? n : DRAWN;
        gpt_init(&shape, m.graph, t, 5, 0, n, x[drawn]);
        for (int64_t i = 0; i < n; i++) sum += x[drawn][i] - mean, squares += x[drawn][i] * x[drawn][i];
        if (want == 0) {
            for (int64_t i = 0; i < n; i++) ck_assert_msg(x[drawn][i] == mean, "%s is not all %g", name, mean);
            continue;
        }
        ck_assert_int_eq(n, DRAWN);
        ck_assert_msg(fabs(sum / DRAWN) < 5 * want / sqrt(DRAWN), "%s has mean %g", name, sum / DRAWN);
        ck_assert_msg(fabs(squares / DRAWN / (want * want) - 1) < 5 * sqrt(2.0 / DRAWN), "%s has variance %g, not %g",
                      name, squares / DRAWN, want * want);
        for (int k = 0; k < drawn; k++) {
            double product = 0, size = 0;
            for (int i = 0; i < DRAWN; i++) product += x[k][i] * x[drawn][i], size += x[k][i] * x[k][i];
            ck_assert_msg(fabs(product) < 6 * sqrt(size * squares / DRAWN), "%s goes with tensor %d", name, k);
        }
        scaled += strstr(name, "c_proj") != NULL;
        drawn++;
    }
    ck_assert_int_eq(drawn, 2 + 4 * LAYERS);
    ck_assert_int_eq(scaled, 2 * LAYERS);
    gpt_free(&m);
}
END_TEST

Suite *rng_suite(void);
Suite *rng_suite(void) {
    Suite *s = suite_create("rng");
    TCase *t = tcase_create("rng");
    tcase_add_loop_test(t, philox_gives_the_published_answers, 0, 3);
    tcase_add_test(t, uniform_covers_zero_to_one_without_one);
    tcase_add_test(t, normals_are_standard_and_independent);
    tcase_add_test(t, normals_are_box_and_mullers);
    tcase_add_test(t, normals_have_the_same_bits_in_every_build);
    tcase_add_test(t, normals_are_finite_at_the_ends);
    tcase_add_test(t, initial_weights_go_by_their_place_alone);
    tcase_add_test(t, threads_draw_the_weights_that_one_would);
    tcase_add_test(t, initial_weights_have_gpt2s_moments_and_no_two_tensors_share_a_stream);
    suite_add_tcase(s, t);
    return s;
}
