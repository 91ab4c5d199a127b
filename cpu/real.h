/* real.h: one source, two precisions. All sources here but backend.c and lanes.c are compiled twice, with REAL_BYTES 4
   and 8; R(name) is a name in one of them. */
#ifndef SNUG_REAL_H
#define SNUG_REAL_H

#include <cblas.h>
#include <stdint.h>

#if REAL_BYTES == 8
typedef double real;
#define R(name) name##_f64
#define CBLAS_GEMM cblas_dgemm
#else
typedef float real;
#define R(name) name##_f32
#define CBLAS_GEMM cblas_sgemm
#endif

/* A sum is made of LANES partial sums, which are then added in one fixed order. This can be vectorised without allowing
   the compiler to reorder sums (-ffast-math), and its bits depend on n alone, not on alignment or threads. These LANES
   have nothing to do with lanes.c. */
enum { LANES = 16 };

static inline real lanes_total(const real *acc) {
    real sum[LANES / 2];
    for (int j = 0; j < LANES / 2; j++) sum[j] = acc[j] + acc[j + LANES / 2];
    for (int n = LANES / 4; n; n /= 2)
        for (int j = 0; j < n; j++) sum[j] += sum[j + n];
    return sum[0];
}

static inline real dot(const real *x, const real *y, int64_t n) {
    real acc[LANES] = {0}, tail = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) acc[j] += x[i + j] * y[i + j];
    for (; i < n; i++) tail += x[i] * y[i];
    return lanes_total(acc) + tail;
}

#endif
