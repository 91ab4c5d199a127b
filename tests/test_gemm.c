/* test_gemm.c: the CPU's product for few rows against sums in double, at every kind of edge; and its promise that a
   row's bits don't depend on the rows that are multiplied with it. */
#include "cpu/core_type.h"
#include "cpu/ops.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 300, BIG = (MOST + 1) * MOST };
static float a[BIG], b[BIG], c[BIG], before[BIG];

static void fill(float *x, unsigned seed) {
    srand(seed);
    for (int i = 0; i < BIG; i++) x[i] = (float)rand() / (float)RAND_MAX - 0.5f;
}

static void fill_all(void) {
    fill(a, 1);
    fill(b, 2);
    fill(before, 3);
}

/* Each number of c[m,n] and, around it, each that has to be left alone. Rows are `ld` apart in all three. Of
   `transposed`, 1 is b and 2 is a. */
static void check_product(int transposed, int64_t m, int64_t n, int64_t k, float alpha, bool add) {
    bool ta = transposed & 2, tb = transposed & 1;
    int64_t longest = m > n ? m : n, ld = (k > longest ? k : longest) + 3;
    memcpy(c, before, sizeof c);
    R(gemm_short)(ta, tb, m, n, k, alpha, a, ld, b, ld, add, c, ld);
    for (int64_t i = 0; i <= m; i++)
        for (int64_t j = 0; j < ld; j++) {
            if (i == m || j >= n) {
                if (memcmp(&c[i * ld + j], &before[i * ld + j], sizeof *c) != 0)
                    ck_abort_msg("m %d n %d k %d: c[%d,%d] was written", (int)m, (int)n, (int)k, (int)i, (int)j);
                continue;
            }
            double sum = 0, sizes = 1;
            for (int64_t p = 0; p < k; p++) {
                double product = (double)a[ta ? p * ld + i : i * ld + p] * (double)(tb ? b[j * ld + p] : b[p * ld + j]);
                sum += product;
                sizes += fabs(product);
            }
            double old = (double)before[i * ld + j], want = alpha * sum + (add ? old : 0);
            if (!(fabs((double)c[i * ld + j] - want) < 1e-6 * sizes))
                ck_abort_msg("a%s b%s m %d n %d k %d: c[%d,%d] is %g, not %g", ta ? "^T" : "", tb ? "^T" : "", (int)m,
                             (int)n, (int)k, (int)i, (int)j, (double)c[i * ld + j], want);
        }
}

START_TEST(products_at_every_edge) {
    static const int64_t rows[] = {1, 5, 6, 7, 64}, columns[] = {1, 8, 15, 16, 17, 48}, depths[] = {1, 3, 4, 8, 9, 64};
    fill_all();
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 6; j++)
            for (int p = 0; p < 6; p++) {
                check_product(_i, rows[i], columns[j], depths[p], 1, false);
                check_product(_i, rows[i], columns[j], depths[p], 0.3f, true);
            }
}
END_TEST

/* Deeper than what the kernel takes at a time, and more rows than it packs at once. */
START_TEST(products_in_several_blocks) {
    fill_all();
    check_product(_i, 13, 33, 290, -2, false);
    check_product(_i, 200, 20, 257, 1, true);
    check_product(_i, 290, 65, 130, 1, false);
    check_product(_i, 200, 150, 257, 0.7f, true);
}
END_TEST

START_TEST(joined_rows_keep_their_bits) {
    enum { M = 70, N = 40 };
    fill_all();
    if (!R(gemm_joins)(M)) return; /* this processor's products are OpenBLAS's, and are never joined */
    for (int64_t k = 31; k < MOST; k += 111) {
        R(gemm_short)(false, _i, M, N, k, 1, a, k, b, MOST, false, c, N);
        for (int64_t first = 0, some = 1; first < M; first += some, some = some % 9 + 1) {
            float part[9 * N];
            if (some > M - first) some = M - first;
            R(gemm_short)(false, _i, some, N, k, 1, a + first * k, k, b, MOST, false, part, N);
            ck_assert_msg(!memcmp(part, c + first * N, (size_t)(some * N) * sizeof *part),
                          "k %d: rows %d to %d have other bits alone", (int)k, (int)first, (int)(first + some - 1));
        }
    }
}
END_TEST

/* The product that sampling takes: some rows, of which eight are taken at once, and columns in threads' parts. */
START_TEST(few_rows_are_right_whatever_stands_beside_them) {
    static const int64_t rows[] = {1, 3, 8, 9, 19}, columns[] = {1, 4, 7, 33, 290}, depths[] = {1, 8, 21, 257};
    float first[MOST];
    fill_all();
    for (int j = 0; j < 5; j++)
        for (int p = 0; p < 4; p++)
            for (int i = 0; i < 5; i++) {
                int64_t m = rows[i], n = columns[j], k = depths[p], ld = MOST;
                const float *bias = (j + p) % 2 ? before + ld * MOST / 2 : NULL;
                memcpy(c, before, sizeof c);
                R(gemm_rows)(_i, m, n, k, a, ld, b, ld, bias, c, ld);
                for (int64_t r = 0; r <= m; r++)
                    for (int64_t q = 0; q < ld; q++) {
                        if (r == m || q >= n) {
                            ck_assert(!memcmp(&c[r * ld + q], &before[r * ld + q], sizeof *c));
                            continue;
                        }
                        double sum = bias ? (double)bias[q] : 0;
                        for (int64_t d = 0; d < k; d++)
                            sum += (double)a[r * ld + d] * (double)(_i ? b[q * ld + d] : b[d * ld + q]);
                        ck_assert_msg(fabs((double)c[r * ld + q] - sum) < 1e-6 * (double)(k + 1),
                                      "%d x %d x %d: [%d,%d]", (int)m, (int)n, (int)k, (int)r, (int)q);
                    }
                if (i == 0) memcpy(first, c, (size_t)n * sizeof *c); /* alone: beside others it keeps its bits */
                ck_assert(!memcmp(first, c, (size_t)n * sizeof *c));
            }
}
END_TEST

/* OpenBLAS 0.3.21 takes processors that came after it for Prescott, of 2004. */
START_TEST(a_new_processor_gets_the_kernels_that_fit_it) {
    ck_assert_str_eq(core_type_for("Prescott", true, true), "SkylakeX");
    ck_assert_str_eq(core_type_for("Prescott", true, false), "Haswell");
    ck_assert_ptr_null(core_type_for("Prescott", false, false)); /* it may be one */
    ck_assert_ptr_null(core_type_for("Haswell", true, true));
    ck_assert_ptr_null(core_type_for("SkylakeX", true, true));
}
END_TEST

Suite *gemm_suite(void);
Suite *gemm_suite(void) {
    Suite *s = suite_create("gemm");
    TCase *t = tcase_create("gemm");
    tcase_add_loop_test(t, products_at_every_edge, 0, 4);
    tcase_add_loop_test(t, products_in_several_blocks, 0, 4);
    tcase_add_loop_test(t, joined_rows_keep_their_bits, 0, 2);
    tcase_add_loop_test(t, few_rows_are_right_whatever_stands_beside_them, 0, 2);
    tcase_add_test(t, a_new_processor_gets_the_kernels_that_fit_it);
    suite_add_tcase(s, t);
    return s;
}
