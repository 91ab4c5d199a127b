/* gemm_rows.c: products of few rows: one position of each text that is being written. Reading the weights takes the
   time, so each is read from memory once for several rows, and next to the ones read before it. */
#include "cpu/ops.h"
#include "cpu/vmath.h"

/* Columns whose sums lie in the first cache, and lines of b that are added to them at a time. */
enum { COLUMNS = 512, DEPTH = 8 };

/* c[n] += a[DEPTH] b [DEPTH,n], in the order of b's lines. */
static void add_lines(int64_t n, const real *restrict a, const real *restrict b, int64_t ldb, real *restrict c) {
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        real sum = c[j];
        for (int p = 0; p < DEPTH; p++) sum = madd(a[p], b[p * ldb + j], sum);
        c[j] = sum;
    }
}

static void add_line(int64_t n, real a, const real *restrict b, real *restrict c) {
#pragma omp simd
    for (int64_t j = 0; j < n; j++) c[j] = madd(a, b[j], c[j]);
}

/* c[m,n] = a[m,k] b[k,n], plus bias [n]; n is at most COLUMNS. */
static void columns(int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, const real *b, int64_t ldb,
                    const real *bias, real *c, int64_t ldc) {
    for (int64_t r = 0; r < m; r++)
        for (int64_t j = 0; j < n; j++) c[r * ldc + j] = bias ? bias[j] : 0;
    int64_t p = 0;
    for (; p + DEPTH <= k; p += DEPTH)
        for (int64_t r = 0; r < m; r++) add_lines(n, a + r * lda + p, b + p * ldb, ldb, c + r * ldc);
    for (; p < k; p++)
        for (int64_t r = 0; r < m; r++) add_line(n, a[r * lda + p], b + p * ldb, c + r * ldc);
}

/* c[0..3] = a[k] . four lines of b, which come from memory side by side. */
static void four_dots(int64_t k, const real *restrict a, const real *restrict b, int64_t ldb, real *restrict c) {
    const real *b0 = b, *b1 = b + ldb, *b2 = b + 2 * ldb, *b3 = b + 3 * ldb;
    real s0[LANES] = {0}, s1[LANES] = {0}, s2[LANES] = {0}, s3[LANES] = {0};
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES) {
#pragma omp simd
        for (int q = 0; q < LANES; q++) {
            s0[q] = madd(a[p + q], b0[p + q], s0[q]);
            s1[q] = madd(a[p + q], b1[p + q], s1[q]);
            s2[q] = madd(a[p + q], b2[p + q], s2[q]);
            s3[q] = madd(a[p + q], b3[p + q], s3[q]);
        }
    }
    c[0] = lanes_total(s0), c[1] = lanes_total(s1), c[2] = lanes_total(s2), c[3] = lanes_total(s3);
    for (; p < k; p++)
        for (int j = 0; j < 4; j++) c[j] = madd(a[p], b[j * ldb + p], c[j]);
}

/* The same for one line, in the same order. */
static real one_dot(int64_t k, const real *a, const real *b) {
    real sums[LANES] = {0};
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES)
        for (int q = 0; q < LANES; q++) sums[q] = madd(a[p + q], b[p + q], sums[q]);
    real sum = lanes_total(sums);
    for (; p < k; p++) sum = madd(a[p], b[p], sum);
    return sum;
}

/* Lines first .. end - 1 of b [n,k], each of which becomes a column of c. */
static void lines(int64_t m, int64_t first, int64_t end, int64_t k, const real *a, int64_t lda, const real *b,
                  int64_t ldb, const real *bias, real *c, int64_t ldc) {
    int64_t j = first;
    for (; j + 4 <= end; j += 4)
        for (int64_t r = 0; r < m; r++) four_dots(k, a + r * lda, b + j * ldb, ldb, c + r * ldc + j);
    for (; j < end; j++)
        for (int64_t r = 0; r < m; r++) c[r * ldc + j] = one_dot(k, a + r * lda, b + j * ldb);
    for (int64_t r = 0; r < m && bias; r++)
        for (j = first; j < end; j++) c[r * ldc + j] += bias[j];
}

void R(gemm_rows)(bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, const real *b, int64_t ldb,
                  const real *bias, real *c, int64_t ldc) {
    enum { LEAST = 1 << 16 }; /* multiply-adds for which other threads are woken */
#pragma omp parallel if (m * n * k >= LEAST)
    {
        int64_t threads = omp_get_num_threads(), me = omp_get_thread_num(), units = (n + LANES - 1) / LANES;
        int64_t first = units * me / threads * LANES, end = units * (me + 1) / threads * LANES;
        if (end > n) end = n;
        for (int64_t r = 0; r < m; r += ROWS_AT_ONCE) {
            int64_t rows = m - r < ROWS_AT_ONCE ? m - r : ROWS_AT_ONCE;
            const real *x = a + r * lda;
            real *y = c + r * ldc;
            if (tb) lines(rows, first, end, k, x, lda, b, ldb, bias, y, ldc);
            for (int64_t j = first; j < end && !tb; j += COLUMNS)
                columns(rows, end - j < COLUMNS ? end - j : COLUMNS, k, x, lda, b + j, ldb, bias ? bias + j : NULL,
                        y + j, ldc);
        }
    }
}
