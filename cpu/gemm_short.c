/* gemm_short.c: a product of our own for few rows (short sequences, blocks of attention), on which OpenBLAS spends much
   of its time with copies and calls. Each element is one sum over k in one order, whichever rows and columns are
   computed with it, so that the rows of several sequences can be joined without changing bits (R6). float32 on AVX2 and
   AVX-512. b, and on AVX2 a as well if there are more than a few columns, are copied into the order in which the tile
   in registers reads them (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3),
   2008). */
#include "cpu/ops.h"

#if REAL_BYTES == 4 && defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#include <limits.h>

/* A tile, held in registers, has TILE_ROWS rows of two vectors. With FEW_COLUMNS or less, a copy of a costs more than
   it saves; on AVX-512, whose tile multiplies each number of a by twice as many of b, always. Only there are weight
   gradients, which are added to, faster than OpenBLAS's (docs/notebook.md). */
#ifdef __AVX512F__
typedef __m512 vector;
#define V(name) _mm512_##name##_ps
enum { VECTOR = 16, TILE_ROWS = 8, FEW_COLUMNS = INT_MAX, WEIGHT_GRADIENTS = 1 };
#else
typedef __m256 vector;
#define V(name) _mm256_##name##_ps
enum { VECTOR = 8, TILE_ROWS = 6, FEW_COLUMNS = 128, WEIGHT_GRADIENTS = 0 };
#endif
/* DEPTH steps of k are taken at a time, so that a panel of b (16 or 32 KB) stays in the first cache; and PACKED numbers
   of a (192 KB) stay in the second. */
enum { TILE_COLUMNS = 2 * VECTOR, DEPTH = 256, PACKED = 192 * DEPTH };

bool R(gemm_joins)(int64_t rows) { return rows >= 8 && rows <= 128; }

bool R(gemm_short_adds)(int64_t rows) { return WEIGHT_GRADIENTS && R(gemm_joins)(rows); }

/* out[k][TILE_ROWS] = a[m,k]^T, where a[i,p] lies at a[i * row + p * step]; rows beyond m become zeros. */
static void pack_a(const real *a, int64_t row, int64_t step, int64_t m, int64_t k, real *out) {
    int64_t p = 0;
#ifndef __AVX512F__ /* there only the last few rows come here */
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
#endif
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
            for (int64_t j = 0; j < TILE_COLUMNS; j += 8) transpose(b + p + j * ldb, ldb, out + p * TILE_COLUMNS + j);
        }
    else if (n == TILE_COLUMNS)
        for (; p < k; p++) {
            _mm_prefetch((const char *)(b + (p + 16) * ldb), _MM_HINT_T0);
            V(store)(out + p * TILE_COLUMNS, V(loadu)(b + p * ldb));
            V(store)(out + p * TILE_COLUMNS + VECTOR, V(loadu)(b + p * ldb + VECTOR));
        }
    for (; p < k; p++)
        for (int64_t j = 0; j < TILE_COLUMNS; j++)
            out[p * TILE_COLUMNS + j] = j < n ? (tb ? b[j * ldb + p] : b[p * ldb + j]) : 0;
}

/* c[TILE_ROWS,TILE_COLUMNS] = alpha a b, plus c if `add`; a[i,p] lies at a[i * row + p * step], b as pack_b puts it. */
static void tile(int64_t k, real alpha, const real *a, int64_t row, int64_t step, const real *b, bool add, real *c,
                 int64_t ldc) {
    vector x[TILE_ROWS][2], factor = V(set1)(alpha);
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; i++) {
        x[i][0] = x[i][1] = V(setzero)();
        _mm_prefetch((const char *)(c + i * ldc), _MM_HINT_T0);
    }
#pragma GCC unroll 4
    for (int64_t p = 0; p < k; p++, a += step, b += TILE_COLUMNS) {
        vector left = V(load)(b), right = V(load)(b + VECTOR);
#pragma GCC unroll 8
        for (int i = 0; i < TILE_ROWS; i++) {
            vector s = V(set1)(a[i * row]);
            x[i][0] = V(fmadd)(s, left, x[i][0]);
            x[i][1] = V(fmadd)(s, right, x[i][1]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            real *out = c + i * ldc + j * VECTOR;
            vector y = V(mul)(x[i][j], factor);
            V(storeu)(out, add ? V(add)(y, V(loadu)(out)) : y);
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

bool R(gemm_short_adds)(int64_t rows) {
    (void)rows;
    return false;
}

void R(gemm_short)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                   const real *b, int64_t ldb, bool add, real *c, int64_t ldc) {
    R(gemm)(ta, tb, m, n, k, alpha, a, lda, b, ldb, add ? 1 : 0, c, ldc);
}
#endif
