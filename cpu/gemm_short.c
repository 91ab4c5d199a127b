/* gemm_short.c: a product of our own for few rows (short sequences, blocks of attention), on which OpenBLAS spends much
   of its time with copies and calls. Each element is one sum over k in one order, whichever rows and columns are
   computed with it, so that the rows of several sequences can be joined without changing bits (R6). float32 on AVX2.
   b, and a as well if there are more than a few columns, are copied into the order in which the tile in registers reads
   them (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008). */
#include "cpu/ops.h"

/* Not used with AVX-512, on which OpenBLAS's own small products are fast (docs/notebook.md). */
#if REAL_BYTES == 4 && defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
#include <immintrin.h>

bool R(gemm_joins)(int64_t rows) { return rows >= 8 && rows <= 128; }

/* A tile, held in registers, has 6 rows of two vectors. DEPTH steps of k are taken at a time, so that a panel of b
   (16 KB) stays in the first cache; and PACKED numbers of a (192 KB) stay in the second. With FEW_COLUMNS or less, a
   copy of a costs more than it saves. */
enum { VECTOR = 8, TILE_ROWS = 6, TILE_COLUMNS = 2 * VECTOR, DEPTH = 256, PACKED = 192 * DEPTH, FEW_COLUMNS = 128 };

/* out[k][TILE_ROWS] = a[m,k]^T, where a[i,p] lies at a[i * row + p * step]; rows beyond m become zeros. */
static void pack_a(const real *a, int64_t row, int64_t step, int64_t m, int64_t k, real *out) {
    int64_t p = 0;
    for (; m == TILE_ROWS && step == 1 && p + 4 <= k; p += 4, out += 4 * TILE_ROWS) {
        const real *at = a + p;
        __m128 r0 = _mm_loadu_ps(at), r1 = _mm_loadu_ps(at + row), r2 = _mm_loadu_ps(at + 2 * row);
        __m128 r3 = _mm_loadu_ps(at + 3 * row), r4 = _mm_loadu_ps(at + 4 * row), r5 = _mm_loadu_ps(at + 5 * row);
        __m128 low = _mm_unpacklo_ps(r4, r5), high = _mm_unpackhi_ps(r4, r5);
        _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
        _mm_storeu_ps(out, r0);
        _mm_storel_pi((__m64 *)(out + 4), low);
        _mm_storeu_ps(out + 6, r1);
        _mm_storeh_pi((__m64 *)(out + 10), low);
        _mm_storeu_ps(out + 12, r2);
        _mm_storel_pi((__m64 *)(out + 16), high);
        _mm_storeu_ps(out + 18, r3);
        _mm_storeh_pi((__m64 *)(out + 22), high);
    }
    for (; p < k; p++)
        for (int64_t i = 0; i < TILE_ROWS; i++) *out++ = i < m ? a[i * row + p * step] : 0;
}

/* out[p][0..7] = b[0..7][p] for p < 8, rows of out TILE_COLUMNS apart. */
static void transpose(const real *b, int64_t ldb, real *out) {
    __m256 r[8], s[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(b + i * ldb);
    for (int i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_store_ps(out + i * TILE_COLUMNS, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_store_ps(out + (i + 4) * TILE_COLUMNS, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

/* out[k][TILE_COLUMNS] = op(b)[k,n]; columns beyond n become zeros. */
static void pack_b(bool tb, const real *b, int64_t ldb, int64_t k, int64_t n, real *out) {
    int64_t p = 0;
    if (n == TILE_COLUMNS && tb)
        for (; p + 8 <= k; p += 8) {
            transpose(b + p, ldb, out + p * TILE_COLUMNS);
            transpose(b + p + 8 * ldb, ldb, out + p * TILE_COLUMNS + 8);
        }
    else if (n == TILE_COLUMNS)
        for (; p < k; p++) {
            _mm_prefetch((const char *)(b + (p + 16) * ldb), _MM_HINT_T0);
            _mm256_store_ps(out + p * TILE_COLUMNS, _mm256_loadu_ps(b + p * ldb));
            _mm256_store_ps(out + p * TILE_COLUMNS + VECTOR, _mm256_loadu_ps(b + p * ldb + VECTOR));
        }
    for (; p < k; p++)
        for (int64_t j = 0; j < TILE_COLUMNS; j++)
            out[p * TILE_COLUMNS + j] = j < n ? (tb ? b[j * ldb + p] : b[p * ldb + j]) : 0;
}

/* c[6,16] = alpha a b, plus c if `add`; a[i,p] lies at a[i * row + p * step], and b as pack_b leaves it. */
static void tile(int64_t k, real alpha, const real *a, int64_t row, int64_t step, const real *b, bool add, real *c,
                 int64_t ldc) {
    __m256 x[TILE_ROWS][2], factor = _mm256_set1_ps(alpha);
#pragma GCC unroll 6
    for (int i = 0; i < TILE_ROWS; i++) {
        x[i][0] = x[i][1] = _mm256_setzero_ps();
        _mm_prefetch((const char *)(c + i * ldc), _MM_HINT_T0);
    }
#pragma GCC unroll 4
    for (int64_t p = 0; p < k; p++, a += step, b += TILE_COLUMNS) {
        __m256 left = _mm256_load_ps(b), right = _mm256_load_ps(b + VECTOR);
#pragma GCC unroll 6
        for (int i = 0; i < TILE_ROWS; i++) {
            __m256 s = _mm256_broadcast_ss(a + i * row);
            x[i][0] = _mm256_fmadd_ps(s, left, x[i][0]);
            x[i][1] = _mm256_fmadd_ps(s, right, x[i][1]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < TILE_ROWS; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            real *out = c + i * ldc + j * VECTOR;
            __m256 y = _mm256_mul_ps(x[i][j], factor);
            _mm256_storeu_ps(out, add ? _mm256_add_ps(y, _mm256_loadu_ps(out)) : y);
        }
}

/* The same for a tile of which c has only m x n; a and b are as large as for a whole one, with zeros beyond that. */
static void tile_at_edge(int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t row, int64_t step,
                         const real *b, bool add, real *c, int64_t ldc) {
    real whole[TILE_ROWS * TILE_COLUMNS];
    tile(k, alpha, a, row, step, b, false, whole, TILE_COLUMNS);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = add ? whole[i * TILE_COLUMNS + j] + c[i * ldc + j] : whole[i * TILE_COLUMNS + j];
}

static int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

/* c[m,n] = alpha op(a)[m,k] op(b)[k,n], plus c if `add`; for k of at most DEPTH and as many rows as PACKED has room
   for. */
static void block(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                  const real *b, int64_t ldb, bool add, real *c, int64_t ldc) {
    real rows[PACKED], panel[DEPTH * TILE_COLUMNS] __attribute__((aligned(64)));
    /* The first `in_place` rows of a are read where they lie, without a copy. */
    int64_t row = ta ? 1 : lda, step = ta ? lda : 1, in_place = !ta && n > FEW_COLUMNS ? 0 : m / TILE_ROWS * TILE_ROWS;
    for (int64_t i = in_place; i < m; i += TILE_ROWS)
        pack_a(a + i * row, row, step, at_most(m - i, TILE_ROWS), k, rows + i * k);
    for (int64_t j = 0; j < n; j += TILE_COLUMNS) {
        int64_t columns = at_most(n - j, TILE_COLUMNS);
        pack_b(tb, tb ? b + j * ldb : b + j, ldb, k, columns, panel);
        for (int64_t i = 0; i < m; i += TILE_ROWS) {
            int64_t height = at_most(m - i, TILE_ROWS);
            bool packed = i >= in_place;
            const real *strip = packed ? rows + i * k : a + i * row;
            int64_t down = packed ? 1 : row, right = packed ? TILE_ROWS : step;
            real *out = c + i * ldc + j;
            if (height == TILE_ROWS && columns == TILE_COLUMNS)
                tile(k, alpha, strip, down, right, panel, add, out, ldc);
            else
                tile_at_edge(height, columns, k, alpha, strip, down, right, panel, add, out, ldc);
        }
    }
}

void R(gemm_short)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                   const real *b, int64_t ldb, bool add, real *c, int64_t ldc) {
    int64_t most = PACKED / at_most(k, DEPTH) / TILE_ROWS * TILE_ROWS;
    for (int64_t i = 0; i < m; i += most)
        for (int64_t p = 0; p < k; p += DEPTH)
            block(ta, tb, at_most(m - i, most), n, at_most(k - p, DEPTH), alpha, ta ? a + p * lda + i : a + i * lda + p,
                  lda, tb ? b + p : b + p * ldb, ldb, add || p, c + i * ldc, ldc);
}

#else
bool R(gemm_joins)(int64_t rows) {
    (void)rows;
    return false;
}

void R(gemm_short)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                   const real *b, int64_t ldb, bool add, real *c, int64_t ldc) {
    R(gemm)(ta, tb, m, n, k, alpha, a, lda, b, ldb, add ? 1 : 0, c, ldc);
}
#endif
