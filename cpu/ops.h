/* ops.h: the functions behind the op table, in this precision, and the helpers that they share. */
#ifndef SNUG_OPS_H
#define SNUG_OPS_H

#include "cpu/cpu.h"
#include "cpu/real.h"
#include <omp.h>
#include <stdbool.h>

#define X(name, access, names) void R(cpu_##name)(const cpu_call *c);
OPS(X)
#undef X

/* c[m,n] = alpha * op(a) op(b) + beta * c, row-major; one thread. */
static inline void R(gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                           const real *b, int64_t ldb, real beta, real *c, int64_t ldc) {
    CBLAS_GEMM(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
               alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

/* c[m,n] = alpha * op(a) op(b), plus c if `add`: for few rows, in one thread. Where gemm_joins says so of the rows of a
   piece, pieces may be multiplied together: no row's bits depend on the others (R6). */
void R(gemm_short)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                   const real *b, int64_t ldb, bool add, real *c, int64_t ldc);
bool R(gemm_joins)(int64_t rows);

/* How the next loop with schedule(runtime) hands its tasks out. In small ops each thread gets the same rows as in the
   ops before, which it still has in its cache; large ops go to whoever is free, since cores may differ in speed. Bits
   don't depend on it. */
static inline void share_out(double multiply_adds) {
    omp_set_schedule(multiply_adds < 2e8 ? omp_sched_static : omp_sched_dynamic, 0);
}

/* n cut into equal tiles of at most `most`, each a multiple of 16 but for the last. */
static inline int64_t tile_size(int64_t n, int64_t most) {
    int64_t tiles = (n + most - 1) / most;
    int64_t size = (n + tiles - 1) / tiles;
    return size >= n ? n : (size + 15) / 16 * 16;
}

/* c[rows,n] = a[rows,k] op(b) by tiles that never cross a piece (R6) unless gemm_joins; bias [n] or NULL is added. In
 * parallel. */
void R(matmul)(const real *a, const real *b, bool tb, int64_t ldb, const real *bias, real *c, int64_t ldc, int pieces,
               int64_t piece_rows, int64_t n, int64_t k);
/* w[k,n] += a[rows,k]^T d[rows,n], a tile walking the pieces in order. In parallel. turns: the call whose lanes take
   turns at each tile, or NULL. */
void R(matmul_add)(const cpu_call *turns, real *w, const real *a, int64_t lda, const real *d, int64_t ldd, int pieces,
                   int64_t piece_rows, int64_t k, int64_t n);

/* y[i] = (x ? x[i] : 0) + (kept ? in[i] / (1 - p) : 0) for elements first .. first + n - 1 of a sequence (R9); a copy
   or sum when the op's dropout is 0. y may be in or x. sequence: within this run. */
void R(dropout_add)(const cpu_call *c, int sequence, int64_t first, int64_t n, const real *x, const real *in, real *y);

#endif
