/* elementwise.c: ops that treat each element by itself: dropout, GELU, sums of squares, and the update of the
   weights. */
#include "cpu/ops.h"
#include "cpu/vmath.h"
#include <string.h>

typedef uint32_t u32;
typedef uint64_t u64;
#include "base/philox.h"

enum { CHUNK = 4096 };  /* elements that a thread takes at once; a multiple of 4, since a draw gives 4 numbers */
enum { ALONE = 16384 }; /* with fewer elements one thread is done before others have woken up */

/* ---- dropout ---- */

void R(dropout_add)(const cpu_call *c, int sequence, int64_t first, int64_t n, const real *x, const real *in, real *y) {
    const op_attr *a = &c->o->attr;
    if (a->dropout == 0) {
        if (x)
            for (int64_t i = 0; i < n; i++) y[i] = x[i] + in[i];
        else if (y != in)
            memmove(y, in, (size_t)n * sizeof *y);
        return;
    }
    u64 threshold = (u64)(a->dropout * 4294967296.0);
    real scale = (real)(1 / (1 - a->dropout));
    u32 layer = a->layer < 0 ? 0 : (u32)a->layer;
    for (int64_t i = 0; i < n;) {
        enum { QUADS = 16 }; /* drawn together, so that the compiler can vectorise the rounds */
        u32 words[QUADS][4];
        int64_t quad = (first + i) / 4, skip = (first + i) % 4;
        for (int q = 0; q < QUADS; q++)
            dropout_words(c->step->seed, (u32)c->step->step, (u32)(c->step->first_sequence + sequence), a->site, layer,
                          (u32)(quad + q), words[q]);
        const u32 *w = &words[0][0] + skip;
        int64_t some = 4 * QUADS - skip < n - i ? 4 * QUADS - skip : n - i;
        for (int64_t j = 0; j < some; j++) {
            real kept = w[j] >= threshold ? in[i + j] * scale : 0;
            y[i + j] = x ? x[i + j] + kept : kept;
        }
        i += some;
    }
}

void R(cpu_RESIDUAL_DX)(const cpu_call *c) {
    int64_t n = c->step->length * dim(c, 0, 2), chunks = (n + CHUNK - 1) / CHUNK;
    real *dp = c->arg[0] /* [B,T,C] */;
    const real *dy = c->arg[1] /* [B,T,C] */;
#pragma omp parallel for collapse(2) schedule(static)
    for (int s = 0; s < c->step->sequences; s++)
        for (int64_t k = 0; k < chunks; k++) {
            int64_t i = k * CHUNK, some = i + CHUNK > n ? n - i : CHUNK;
            R(dropout_add)(c, s, i, some, NULL, dy + s * n + i, dp + s * n + i);
        }
}

/* ---- GELU (Hendrycks & Gimpel, arXiv 1606.08415), exact and tanh ---- */

#define SQRT_2_OVER_PI ((real)0.79788456080286535588)
#define CUBIC ((real)0.044715)

static inline real gelu_exact(real x) { return (real)0.5 * x * (1 + verf(x * (real)0.70710678118654752440)); }
static inline real gelu_exact_slope(real x) {
    real bell, half = (real)0.5 * (1 + verf_bell(x * (real)0.70710678118654752440, &bell));
    return half + x * (real)0.39894228040143267794 * bell;
}
static inline real gelu_tanh(real x) { return (real)0.5 * x * (1 + vtanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x))); }
static inline real gelu_tanh_slope(real x) {
    real t = vtanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
    return (real)0.5 * (1 + t) + (real)0.5 * x * (1 - t * t) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x);
}

/* A loop over a row with v = x + b. There is one for each case, so that none has a branch and all are vectorised. */
#define FOR_EACH(v, ...)                                                                                               \
    do {                                                                                                               \
        if (b)                                                                                                         \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                real v = x[i] + b[i];                                                                                  \
                __VA_ARGS__;                                                                                           \
            }                                                                                                          \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                real v = x[i];                                                                                         \
                __VA_ARGS__;                                                                                           \
            }                                                                                                          \
    } while (0)

/* y[n] = GELU(x[n] + b[n]); b may be NULL. */
static void gelu_row(real *y, const real *x, const real *b, int64_t n, bool by_tanh) {
    if (by_tanh)
        FOR_EACH(v, y[i] = gelu_tanh(v));
    else
        FOR_EACH(v, y[i] = gelu_exact(v));
}

/* d[n] *= GELU's slope at x[n] + b[n]; b may be NULL. */
static void gelu_dx_row(real *d, const real *x, const real *b, int64_t n, bool by_tanh) {
    if (by_tanh)
        FOR_EACH(v, d[i] *= gelu_tanh_slope(v));
    else
        FOR_EACH(v, d[i] *= gelu_exact_slope(v));
}

void R(cpu_GELU)(const cpu_call *c) {
    int64_t n = dim(c, 0, 2), rows = rows_of(c);
    real *y = c->arg[0] /* [B,T,4C] */;
    const real *x = c->arg[1] /* [B,T,4C] */, *b = c->arg[2] /* [4C] */;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) gelu_row(y + r * n, x + r * n, b, n, c->o->attr.tanh_gelu);
}

void R(cpu_GELU_DX)(const cpu_call *c) {
    int64_t n = dim(c, 0, 2), rows = rows_of(c);
    real *d = c->arg[0] /* [B,T,4C] */;
    const real *x = c->arg[1] /* [B,T,4C] */, *b = c->arg[2] /* [4C] */;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) gelu_dx_row(d + r * n, x + r * n, b, n, c->o->attr.tanh_gelu);
}

/* ---- once a step ---- */

static int64_t elements(const cpu_call *c, int i) { return tensor_elements(&c->g->tensors[c->o->arg[i]]); }

void R(cpu_ZERO)(const cpu_call *c) {
    int64_t n = elements(c, 0);
    real *x = c->arg[0] /* [n] */;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i += CHUNK) memset(x + i, 0, (size_t)(i + CHUNK > n ? n - i : CHUNK) * sizeof *x);
}

void R(cpu_ADD)(const cpu_call *c) {
    int64_t first = c->step->add_first, n = c->step->add_count ? c->step->add_count : elements(c, 0);
    real *y = (real *)c->arg[0] + first /* [n] */;
    const real *x = (const real *)c->arg[1] + first /* [n] */;
#pragma omp parallel for schedule(static) if (n > ALONE)
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

void R(cpu_SUM_SQUARES)(const cpu_call *c) {
    int64_t n = elements(c, 1), tiles = (n + SUM_TILE - 1) / SUM_TILE;
    const real *x = c->arg[1] /* [n] */;
    double alone = 0, sum = 0, *partial = tiles > 1 ? c->scratch : &alone; /* run_small's threads share the scratch */
#pragma omp parallel for schedule(static) if (tiles > 1)
    for (int64_t t = 0; t < tiles; t++) {
        int64_t i = t * SUM_TILE, end = i + SUM_TILE > n ? n : i + SUM_TILE;
        double acc[LANES] = {0}, s = 0;
        for (; i + LANES <= end; i += LANES)
            for (int j = 0; j < LANES; j++) acc[j] += (double)x[i + j] * (double)x[i + j];
        for (; i < end; i++) s += (double)x[i] * (double)x[i];
        for (int j = 0; j < LANES; j++) s += acc[j];
        partial[t] = s;
    }
    for (int64_t t = 0; t < tiles; t++) sum += partial[t];
    ((real *)c->arg[0])[c->o->attr.index] = (real)sum;
}

void R(cpu_GRAD_NORM)(const cpu_call *c) {
    real *norm = c->arg[0] /* [2]: the norm, and the factor that clips it */;
    const real *sums = c->arg[1] /* [parameters]: the squares of each one's gradient, added up */;
    double sum = 0, clip = c->o->attr.clip;
    for (int64_t i = 0; i < elements(c, 1); i++) sum += (double)sums[i];
    double length = sqrt(sum), factor = clip > 0 ? clip / (length + 1e-6) : 1;
    norm[0] = (real)length;
    norm[1] = (real)(factor < 1 ? factor : factor != factor ? factor : 1); /* NaN stays NaN */
}

/* AdamW (Loshchilov & Hutter, arXiv 1711.05101) in PyTorch's order of operations. */
void R(cpu_ADAMW)(const cpu_call *c) {
    const op_attr *a = &c->o->attr;
    int64_t n = elements(c, 0);
    real *p = c->arg[0], *m = c->arg[1], *v = c->arg[2] /* [n] */;
    const real *g = c->arg[3] /* [n] */, clip = ((const real *)c->arg[4] /* [2] */)[1];
    double t = (double)c->step->step + 1;
    const real keep = (real)(1 - c->step->lr * a->weight_decay);
    const real b1 = (real)(1 - a->beta1), beta2 = (real)a->beta2, b2 = (real)(1 - a->beta2);
    const real size = (real)(c->step->lr / (1 - pow(a->beta1, t))), root = (real)sqrt(1 - pow(a->beta2, t));
    const real epsilon = (real)a->epsilon;
#pragma omp parallel for schedule(static) if (n > ALONE)
    for (int64_t i = 0; i < n; i++) {
        real gi = g[i] * clip, mi = m[i] + (gi - m[i]) * b1, vi = v[i] * beta2 + gi * gi * b2;
        m[i] = mi;
        v[i] = vi;
#if REAL_BYTES == 8
        p[i] = p[i] * keep - size * (mi / (sqrt(vi) / root + epsilon));
#else
        p[i] = p[i] * keep - size * (mi / (sqrtf(vi) / root + epsilon));
#endif
    }
}
