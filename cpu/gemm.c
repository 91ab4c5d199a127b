/* gemm.c: matrix products by fixed tiles (R6). OpenBLAS's bits change with the numbers of rows and threads. So it runs
   in one thread, on tiles whose shapes depend on the model alone, and OpenMP shares the tiles out. */
#include "cpu/ops.h"

/* How an output of rows x columns, each element the sum of `depth` products, is cut into tiles. Large tiles are the
   fastest; but there should be some for every thread, as long as a tile has at least `least` multiply-adds, which make
   up for the copies that OpenBLAS makes of its operands. Tiles depend on shapes alone, never on the number of threads;
   nor on the number of pieces, except where pieces are joined and so no bit depends on the tiles. LEAST_WORK_ADDED is
   for weight gradients, whose pieces cannot be shared out too, since they are added in order. */
enum { MOST_ROWS = 256, MOST_COLUMNS = 512, LEAST_ROWS = 64, LEAST_COLUMNS = 128, TILES = 8 };
enum { LEAST_WORK = 1 << 22, LEAST_WORK_ADDED = 1 << 21 };
typedef struct {
    int64_t rows, columns; /* of a tile */
    int64_t down, across;  /* how many tiles there are in a column of them, and in a row */
} tiling;

static tiling tiling_of(int64_t rows, int64_t columns, int64_t depth, int64_t least) {
    tiling t;
    for (int64_t r = MOST_ROWS, c = MOST_COLUMNS;;) {
        t.rows = tile_size(rows, r);
        t.columns = tile_size(columns, c);
        t.down = (rows + t.rows - 1) / t.rows;
        t.across = (columns + t.columns - 1) / t.columns;
        if (t.down * t.across >= TILES || t.rows * t.columns * depth <= least) return t;
        if (c > LEAST_COLUMNS && (c >= 2 * r || r <= LEAST_ROWS))
            c /= 2;
        else if (r > LEAST_ROWS)
            r /= 2;
        else
            return t;
    }
}

void R(matmul)(const real *a, const real *b, bool tb, int64_t ldb, const real *bias, real *c, int64_t ldc, int pieces,
               int64_t piece_rows, int64_t n, int64_t k) {
    if (piece_rows == 1) {
        R(gemm_rows)(tb, pieces, n, k, a, k, b, ldb, bias, c, ldc);
        return;
    }
    bool joins = R(gemm_joins)(piece_rows);
    if (joins) {
        piece_rows *= pieces;
        pieces = 1;
    }
    tiling t = tiling_of(piece_rows, n, k, LEAST_WORK);
    share_out((double)pieces * (double)piece_rows * (double)n * (double)k);
#pragma omp parallel for collapse(3) schedule(runtime)
    for (int p = 0; p < pieces; p++)
        for (int64_t i = 0; i < t.down; i++)
            for (int64_t j = 0; j < t.across; j++) {
                int64_t r0 = i * t.rows, nr = r0 + t.rows > piece_rows ? piece_rows - r0 : t.rows;
                int64_t c0 = j * t.columns, nc = c0 + t.columns > n ? n - c0 : t.columns;
                int64_t row = p * piece_rows + r0;
                real *out = c + row * ldc + c0;
                if (bias)
                    for (int64_t r = 0; r < nr; r++)
                        for (int64_t q = 0; q < nc; q++) out[r * ldc + q] = bias[c0 + q];
                const real *from = tb ? b + c0 * ldb : b + c0;
                if (joins)
                    R(gemm_short)(false, tb, nr, nc, k, 1, a + row * k, k, from, ldb, bias, out, ldc);
                else
                    R(gemm)(false, tb, nr, nc, k, 1, a + row * k, k, from, ldb, bias ? 1 : 0, out, ldc);
            }
}

void R(matmul_add)(const cpu_call *turns, real *w, const real *a, int64_t lda, const real *d, int64_t ldd, int pieces,
                   int64_t piece_rows, int64_t k, int64_t n) {
    tiling t = tiling_of(k, n, piece_rows, LEAST_WORK_ADDED);
    bool own = R(gemm_short_adds)(piece_rows);
    share_out((double)pieces * (double)piece_rows * (double)n * (double)k);
#pragma omp parallel for collapse(2) schedule(runtime)
    for (int64_t i = 0; i < t.down; i++)
        for (int64_t j = 0; j < t.across; j++) {
            int64_t k0 = i * t.rows, nk = k0 + t.rows > k ? k - k0 : t.rows;
            int64_t n0 = j * t.columns, nn = n0 + t.columns > n ? n - n0 : t.columns;
            if (turns) lane_wait(turns, i * t.across + j);
            for (int64_t row = 0; row < pieces * piece_rows; row += piece_rows) {
                const real *from = a + row * lda + k0, *by = d + row * ldd + n0;
                real *to = w + k0 * n + n0;
                if (own)
                    R(gemm_short)(true, false, nk, nn, piece_rows, 1, from, lda, by, ldd, true, to, n);
                else
                    R(gemm)(true, false, nk, nn, piece_rows, 1, from, lda, by, ldd, 1, to, n);
            }
            if (turns) lane_pass(turns, i * t.across + j);
        }
}

/* db[n] += the sum of the rows of d [rows,n]: first over each piece, row after row, then over the pieces in order. */
static void add_columns(const cpu_call *c, real *db, const real *d, int64_t n) {
    enum { COLUMNS = 64 };
    int64_t length = piece_rows(c);
    lane_wait(c, LANE_ALL);
#pragma omp parallel for schedule(dynamic)
    for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
        int64_t nc = c0 + COLUMNS > n ? n - c0 : COLUMNS;
        for (int p = 0; p < pieces(c); p++) {
            real sum[COLUMNS] = {0};
            const real *row = d + p * length * n + c0;
            for (int64_t r = 0; r < length; r++, row += n)
                for (int64_t j = 0; j < nc; j++) sum[j] += row[j];
            for (int64_t j = 0; j < nc; j++) db[c0 + j] += sum[j];
        }
    }
}

void R(cpu_LINEAR)(const cpu_call *c) {
    int64_t in = dim(c, 2, 0), out = dim(c, 2, 1);
    real *y = c->arg[0] /* [B,T,out] */;
    const real *x = c->arg[1] /* [B,T,in] */, *w = c->arg[2] /* [in,out] */, *b = c->arg[3] /* [out] */;
    R(matmul)(x, w, false, out, b, y, out, pieces(c), piece_rows(c), out, in);
}

void R(cpu_LINEAR_DX)(const cpu_call *c) {
    int64_t in = dim(c, 2, 0), out = dim(c, 2, 1);
    real *dx = c->arg[0] /* [B,T,in] */;
    const real *dy = c->arg[1] /* [B,T,out] */, *w = c->arg[2] /* [in,out] */;
    R(matmul)(dy, w, true, out, NULL, dx, in, pieces(c), piece_rows(c), in, out);
}

void R(cpu_LINEAR_DW)(const cpu_call *c) {
    int64_t in = dim(c, 0, 0), out = dim(c, 0, 1);
    real *dw = c->arg[0] /* [in,out] */, *db = c->arg[1] /* [out] */;
    const real *dy = c->arg[2] /* [B,T,out] */, *x = c->arg[3] /* [B,T,in] */;
    R(matmul_add)(c, dw, x, in, dy, out, pieces(c), piece_rows(c), in, out);
    if (db) add_columns(c, db, dy, out);
}
