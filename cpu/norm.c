/* norm.c: layer norm (Ba et al., arXiv 1607.06450), forward and backward. */
#include "cpu/ops.h"
#include <math.h>

/* The sum of x[n]. */
static real sum_of(const real *x, int64_t n) {
    real acc[LANES] = {0}, tail = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) acc[j] += x[i + j];
    for (; i < n; i++) tail += x[i];
    return lanes_total(acc) + tail;
}

/* The sum of the squares of x[n] - mean. */
static real sum_of_squares_about(const real *x, real mean, int64_t n) {
    real acc[LANES] = {0}, tail = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) acc[j] += (x[i + j] - mean) * (x[i + j] - mean);
    for (; i < n; i++) tail += (x[i] - mean) * (x[i] - mean);
    return lanes_total(acc) + tail;
}

/* y[n] = the norm of the row x[n] with weights w[n] and bias b[n] (NULL: none); stats[2] = its mean and 1 / standard
   deviation. */
static void norm_row(const real *x, const real *w, const real *b, double epsilon, int64_t n, real *y, real *stats) {
    real mean = sum_of(x, n) / (real)n;
    real variance = sum_of_squares_about(x, mean, n) / (real)n;
    real rstd = 1 / (real)sqrt((double)variance + epsilon);
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * w[i];
    if (b)
        for (int64_t i = 0; i < n; i++) y[i] += b[i];
    stats[0] = mean;
    stats[1] = rstd;
}

void R(cpu_NORM)(const cpu_call *c) {
    int64_t n = dim(c, 0, 2), rows = rows_of(c);
    real *y = c->arg[0] /* [B,T,C] */, *stats = c->arg[1] /* [B,T,2] */;
    const real *x = c->arg[2] /* [B,T,C] */, *w = c->arg[3], *b = c->arg[4] /* [C] */;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) norm_row(x + r * n, w, b, c->o->attr.epsilon, n, y + r * n, stats + 2 * r);
}

/* Each row is added up and then normalised at once, while it is in the core's cache. */
void R(cpu_RESIDUAL_NORM)(const cpu_call *c) {
    int64_t n = dim(c, 0, 2), rows = rows_of(c), length = c->step->length;
    real *y = c->arg[0], *normed = c->arg[1] /* [B,T,C] */, *stats = c->arg[2] /* [B,T,2] */;
    const real *x = c->arg[3], *p = c->arg[4] /* [B,T,C] */, *pb = c->arg[5], *w = c->arg[6], *b = c->arg[7] /* [C] */;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const real *in = p + r * n;
        real *out = y + r * n;
        if (pb) {
            for (int64_t i = 0; i < n; i++) out[i] = in[i] + pb[i];
            in = out;
        }
        R(dropout_add)(c, (int)(r / length), r % length * n, n, x + r * n, in, out);
        norm_row(out, w, b, c->o->attr.epsilon, n, normed + r * n, stats + 2 * r);
    }
}

/* The sum of dy * w * (x - mean) over a row of each, [n]. */
static real sum_of_slopes(const real *dy, const real *x, const real *w, real mean, int64_t n) {
    real acc[LANES] = {0}, tail = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) acc[j] += dy[i + j] * w[i + j] * (x[i + j] - mean);
    for (; i < n; i++) tail += dy[i] * w[i] * (x[i] - mean);
    return lanes_total(acc) + tail;
}

void R(cpu_NORM_DX)(const cpu_call *c) {
    int64_t n = dim(c, 0, 2), rows = rows_of(c);
    real *dx = c->arg[0] /* [B,T,C] */;
    const real *dy = c->arg[1], *x = c->arg[2], *dres = c->arg[5] /* [B,T,C] */;
    const real *stats = c->arg[3] /* [B,T,2] */, *w = c->arg[4] /* [C] */;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const real *dyr = dy + r * n, *xr = x + r * n, *res = dres ? dres + r * n : NULL;
        real *out = dx + r * n, mean = stats[2 * r], rstd = stats[2 * r + 1];
        real m1 = dot(dyr, w, n) / (real)n; /* m1 is the mean of dy * w, m2 that of dy * w * xhat */
        real m2 = sum_of_slopes(dyr, xr, w, mean, n) * rstd / (real)n;
        for (int64_t i = 0; i < n; i++) out[i] = rstd * (dyr[i] * w[i] - m1 - (xr[i] - mean) * rstd * m2);
        if (res)
            for (int64_t i = 0; i < n; i++) out[i] += res[i];
    }
}

void R(cpu_NORM_DW)(const cpu_call *c) {
    enum { COLUMNS = 64 };
    int64_t n = dim(c, 2, 2), length = piece_rows(c);
    real *dw = c->arg[0], *db = c->arg[1] /* [C] */;
    const real *dy = c->arg[2], *x = c->arg[3] /* [B,T,C] */, *stats = c->arg[4] /* [B,T,2] */;
    lane_wait(c, LANE_ALL);
#pragma omp parallel for schedule(dynamic)
    for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
        int64_t nc = c0 + COLUMNS > n ? n - c0 : COLUMNS;
        for (int p = 0; p < pieces(c); p++) {
            real sw[COLUMNS] = {0}, sb[COLUMNS] = {0};
            for (int64_t r = p * length; r < (p + 1) * length; r++) {
                const real *dyr = dy + r * n + c0, *xr = x + r * n + c0;
                real mean = stats[2 * r], rstd = stats[2 * r + 1];
                for (int64_t j = 0; j < nc; j++) {
                    sw[j] += dyr[j] * ((xr[j] - mean) * rstd);
                    sb[j] += dyr[j];
                }
            }
            for (int64_t j = 0; j < nc; j++) dw[c0 + j] += sw[j];
            if (db)
                for (int64_t j = 0; j < nc; j++) db[c0 + j] += sb[j];
        }
    }
}
