/* gemm.c: matrix products by fixed tiles (R6). OpenBLAS changes bits with the row count and the thread count, so it
   runs with one thread on tiles whose shape depends on the model alone; OpenMP shares the tiles out. */
#include "ops.h"

/* Rows are a sequence's, columns the weight's. */
enum { TILE_ROWS = 256, TILE_COLUMNS = 512 };

void R(matmul)(const real *a, const real *b, bool tb, int64_t ldb, const real *bias, real *c, int64_t ldc, int pieces,
               int64_t piece_rows, int64_t n, int64_t k) {
    int64_t tr = tile_size(piece_rows, TILE_ROWS), tn = tile_size(n, TILE_COLUMNS);
    int64_t row_tiles = (piece_rows + tr - 1) / tr, column_tiles = (n + tn - 1) / tn;
#pragma omp parallel for collapse(3) schedule(dynamic)
    for (int p = 0; p < pieces; p++)
        for (int64_t j = 0; j < column_tiles; j++)
            for (int64_t i = 0; i < row_tiles; i++) {
                int64_t r0 = i * tr, nr = r0 + tr > piece_rows ? piece_rows - r0 : tr;
                int64_t c0 = j * tn, nc = c0 + tn > n ? n - c0 : tn;
                int64_t row = p * piece_rows + r0;
                real *out = c + row * ldc + c0;
                if (bias)
                    for (int64_t r = 0; r < nr; r++)
                        for (int64_t q = 0; q < nc; q++) out[r * ldc + q] = bias[c0 + q];
                R(gemm)
                (false, tb, nr, nc, k, 1, a + row * k, k, tb ? b + c0 * ldb : b + c0, ldb, bias ? 1 : 0, out, ldc);
            }
}

void R(matmul_add)(real *w, const real *a, int64_t lda, const real *d, int64_t ldd, int pieces, int64_t piece_rows,
                   int64_t k, int64_t n) {
    int64_t tk = tile_size(k, TILE_ROWS), tn = tile_size(n, TILE_COLUMNS);
    int64_t k_tiles = (k + tk - 1) / tk, n_tiles = (n + tn - 1) / tn;
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (int64_t i = 0; i < k_tiles; i++)
        for (int64_t j = 0; j < n_tiles; j++) {
            int64_t k0 = i * tk, nk = k0 + tk > k ? k - k0 : tk;
            int64_t n0 = j * tn, nn = n0 + tn > n ? n - n0 : tn;
            for (int64_t row = 0; row < pieces * piece_rows; row += piece_rows) R(gemm)
            (true, false, nk, nn, piece_rows, 1, a + row * lda + k0, lda, d + row * ldd + n0, ldd, 1, w + k0 * n + n0,
             n);
        }
}

/* db[n] += the sum of d's rows: within a piece first, in row order, then piece by piece. */
static void add_columns(real *db, const real *d, int pieces, int64_t piece_rows, int64_t n) {
    enum { COLUMNS = 64 };
#pragma omp parallel for schedule(dynamic)
    for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
        int64_t nc = c0 + COLUMNS > n ? n - c0 : COLUMNS;
        for (int p = 0; p < pieces; p++) {
            real sum[COLUMNS] = {0};
            const real *row = d + p * piece_rows * n + c0;
            for (int64_t r = 0; r < piece_rows; r++, row += n)
                for (int64_t j = 0; j < nc; j++) sum[j] += row[j];
            for (int64_t j = 0; j < nc; j++) db[c0 + j] += sum[j];
        }
    }
}

void R(cpu_LINEAR)(const cpu_call *c) {
    int64_t in = dim(c, 2, 0), out = dim(c, 2, 1);
    R(matmul)(c->arg[1], c->arg[2], false, out, c->arg[3], c->arg[0], out, pieces(c), piece_rows(c), out, in);
}

void R(cpu_LINEAR_DX)(const cpu_call *c) {
    int64_t in = dim(c, 2, 0), out = dim(c, 2, 1);
    R(matmul)(c->arg[1], c->arg[2], true, out, NULL, c->arg[0], in, pieces(c), piece_rows(c), in, out);
}

void R(cpu_LINEAR_DW)(const cpu_call *c) {
    int64_t in = dim(c, 0, 0), out = dim(c, 0, 1);
    R(matmul_add)(c->arg[0], c->arg[3], in, c->arg[2], out, pieces(c), piece_rows(c), in, out);
    if (c->arg[1]) add_columns(c->arg[1], c->arg[2], pieces(c), piece_rows(c), out);
}
