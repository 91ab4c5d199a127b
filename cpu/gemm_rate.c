/* gemm_rate.c: measures how fast OpenBLAS multiplies on this machine, with which `bench` compares everything. */
#include "cpu/ops.h"
#include "base/sort.h"
#include <stdlib.h>

double R(cpu_gemm_rate)(int64_t m, int64_t n, int64_t k) {
    enum { TIMES = 7 };
    double seconds[TIMES] = {0};
    real *a = xcalloc((size_t)(m * k), sizeof *a), *b = xcalloc((size_t)(k * n), sizeof *b);
    real *c = xcalloc((size_t)(m * n), sizeof *c);
    for (int64_t i = 0; i < m * k; i++) a[i] = (real)(i % 7) - 3;
    for (int64_t i = 0; i < k * n; i++) b[i] = (real)(i % 5) - 2;
    for (int t = -2; t < TIMES; t++) {
        double start = omp_get_wtime();
        R(gemm)(false, false, m, n, k, 1, a, k, b, n, 0, c, n);
        if (t >= 0) seconds[t] = omp_get_wtime() - start;
    }
    free(a);
    free(b);
    free(c);
    sort_doubles(seconds, TIMES);
    return 2.0 * (double)m * (double)n * (double)k / seconds[TIMES / 2];
}
