/* ops.h: the functions of the ops in this precision, and the helpers that they share. */
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

/* c[m,n] = alpha * op(a) op(b), plus c if `add`, for few rows, in one thread. No row's bits depend on the other rows.
   So where gemm_joins is true of the rows of one piece, several pieces may be multiplied by one call (R6). */
void R(gemm_short)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                   const real *b, int64_t ldb, bool add, real *c, int64_t ldc);
bool R(gemm_joins)(int64_t rows);
/* Whether it is faster than OpenBLAS at the weight gradient of a piece of so many rows as well. */
bool R(gemm_short_adds)(int64_t rows);

/* c[m,n] = a op(b), plus bias [n] if it is not NULL, for so few rows that reading b takes the time: b is read once for
   up to ROWS_AT_ONCE rows. Each element is one sum in an order that depends on k alone, whatever the other rows and the
   threads. All threads take part. */
enum { ROWS_AT_ONCE = 8 };
void R(gemm_rows)(bool tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, const real *b, int64_t ldb,
                  const real *bias, real *c, int64_t ldc);

/* Sets how the next loop with schedule(runtime) is shared out. In small ops each thread gets the same rows as in the
   ops before, which it still has in its cache. Tasks of large ops go to whichever thread is free, since cores may
   differ in speed. No bit depends on it. */
static inline void share_out(double multiply_adds) {
    omp_set_schedule(multiply_adds < 2e8 ? omp_sched_static : omp_sched_dynamic, 0);
}

/* The size of the tiles into which n is cut: at most `most`, all equal and a multiple of 16, but for the last. */
static inline int64_t tile_size(int64_t n, int64_t most) {
    int64_t tiles = (n + most - 1) / most;
    int64_t size = (n + tiles - 1) / tiles;
    return size >= n ? n : (size + 15) / 16 * 16;
}

/* c[rows,n] = a[rows,k] op(b), plus bias [n] if it is not NULL. Tiles do not cross pieces (R6) unless gemm_joins allows
   it; pieces of one row go to gemm_rows. All threads take part. */
void R(matmul)(const real *a, const real *b, bool tb, int64_t ldb, const real *bias, real *c, int64_t ldc, int pieces,
               int64_t piece_rows, int64_t n, int64_t k);
/* w[k,n] += a[rows,k]^T d[rows,n], where each tile of w adds up the pieces in order. All threads take part. turns: the
   call whose lanes take turns at each tile; NULL: none do. */
void R(matmul_add)(const cpu_call *turns, real *w, const real *a, int64_t lda, const real *d, int64_t ldd, int pieces,
                   int64_t piece_rows, int64_t k, int64_t n);

/* Dropout of n elements of a sequence, from element `first` on: y[i] = (x ? x[i] : 0) + (kept ? in[i] / (1 - p) : 0)
   (R9). Where the op's dropout is 0 all are kept. y may be in or x. sequence counts within this call. */
void R(dropout_add)(const cpu_call *c, int sequence, int64_t first, int64_t n, const real *x, const real *in, real *y);

#endif
