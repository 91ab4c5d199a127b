/* vmath.h: exp, tanh and erf (verf_bell gives e^(-x^2) as well). In float they have no branches and no calls, so that
   the compiler can vectorise loops over them, and they give the same bits in a vector as alone. In double they are
   libm's. */
#ifndef SNUG_VMATH_H
#define SNUG_VMATH_H

#include "cpu/real.h"
#include <math.h>
#include <string.h>

#if REAL_BYTES == 8
static inline real vexp(real x) { return exp(x); }
static inline real vtanh(real x) { return tanh(x); }
static inline real verf(real x) { return erf(x); }
static inline real verf_bell(real x, real *bell) {
    *bell = exp(-x * x);
    return erf(x);
}
static inline double madd(double a, double b, double c) {
#ifdef FP_FAST_FMA
    return fma(a, b, c);
#else
    return a * b + c;
#endif
}
#else

/* a * b + c, rounded once on processors that have such an instruction, else twice. So bits depend on what the build is
   compiled for, which P4 allows. */
static inline float madd(float a, float b, float c) {
#ifdef FP_FAST_FMAF
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* e^x = 2^n e^r with |r| <= ln 2 / 2, where e^r is its Taylor polynomial of degree 7 (truncation 2e-9 on that range).
   Right within 2 ulp; results below 2^-126 become about 1e-38; NaN stays NaN. x may be at most 88. Callers pass 0 or
   less, except for scores behind the causal mask, whose results they discard. */
static inline float vexp(float x) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits */
    x = x < -87.0f ? -87.0f : x;
    float shifted = madd(x, 1.44269504f, rounder);
    float n = shifted - rounder;
    float r = madd(n, -0.693145752f, x); /* ln 2 in two parts, of which the first has few bits: n times it is exact */
    r = madd(n, -1.42860677e-6f, r);
    float y = madd(r, 1.0f / 5040, 1.0f / 720);
    y = madd(y, r, 1.0f / 120);
    y = madd(y, r, 1.0f / 24);
    y = madd(y, r, 1.0f / 6);
    y = madd(y, r, 0.5f);
    y = madd(y, r, 1.0f);
    y = madd(y, r, 1.0f);
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23; /* shifts rounder's own bits out at the top */
    float power;
    memcpy(&power, &bits, sizeof power);
    return y * power;
}

static inline float vtanh(float x) {
    float e = vexp(-2.0f * fabsf(x));
    return copysignf((1.0f - e) / (1.0f + e), x);
}

/* Abramowitz & Stegun 7.1.26: absolute error at most 1.5e-7. *bell = e^(-x^2), which it needs anyway. */
static inline float verf_bell(float x, float *bell) {
    float a = fabsf(x), t = 1.0f / madd(a, 0.3275911f, 1.0f);
    float p = madd(t, 1.061405429f, -1.453152027f);
    p = madd(p, t, 1.421413741f);
    p = madd(p, t, -0.284496736f);
    p = madd(p, t, 0.254829592f);
    *bell = vexp(-a * a);
    return copysignf(madd(p * t, -*bell, 1.0f), x);
}

static inline float verf(float x) {
    float unused;
    return verf_bell(x, &unused);
}
#endif

#endif
