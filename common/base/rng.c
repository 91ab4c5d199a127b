/* rng.c: see rng.h. */
#include "base/rng.h"
#include <math.h>
#include <string.h>
#if defined __AVX512F__ || defined __AVX2__
#include <immintrin.h>
#endif

/* Loops inside of a draw are unrolled, since gcc does several draws at once only where there are none. */
#if defined __GNUC__ && !defined __clang__
#define UNROLLED _Pragma("GCC unroll 16")
#else
#define UNROLLED
#endif
#define PHILOX_UNROLLED UNROLLED

typedef uint32_t u32;
typedef uint64_t u64;
#include "base/philox.h"

void philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t out[4]) {
    philox4x32(seed, c0, c1, c2, c3, out);
}

/* The upper 53 of the 64 bits, over 2^53. In two exact parts, since few processors convert 64 bits to double in
 * vectors.
 */
static inline double uniform(uint32_t high, uint32_t low) {
    double above = (double)(int32_t)(high ^ 0x80000000u) + 0x1p31, below = (double)(int32_t)(low >> 11);
    return above * 0x1p-32 + below * 0x1p-53;
}

double rng_uniform(uint32_t high, uint32_t low) { return uniform(high, low); }

/* ---- normals: without calls and branches, so that the compiler does several draws at once ---- */

/* x / c for whole c below 2^9, with the bits of a division, which takes ten times as long: q is off by less than two
   units in the last place, its rest is exact, and what corrects it by less than 2^-51 units, while no quotient by such
   a c comes as near as 2^-10 to the middle between two numbers (after Markstein, IBM J. Res. Dev. 34, 1990). */
static inline double over(double x, double c) {
#ifdef FP_FAST_FMA
    double q = x * (1 / c);
    return fma(fma(-c, q, x), 1 / c, q);
#else
    return x / c;
#endif
}

/* ln x for x in (0, 1], right within 2 ulp: x = 2^e m with m within a factor of sqrt(2) of 1, and
   ln m = 2 (s + s^3 / 3 + s^5 / 5 + ...) of s = (m - 1) / (m + 1), whose rest after s^21 is below 2^-57 of it. */
static inline double natural_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint64_t root = 0x3fe6a09e667f3bcdu; /* sqrt(1/2) */
    uint64_t above = bits - root + 0x3ff0000000000000u;
    double e = (double)(int32_t)(above >> 52) - 1023, m;
    bits = (above & 0xfffffffffffffu) + root;
    memcpy(&m, &bits, sizeof m);
    double s = (m - 1) / (m + 1), q = s * s, sum = 1.0 / 21;
    UNROLLED
    for (int k = 19; k >= 3; k -= 2) sum = sum * q + 1.0 / k;
    const double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45; /* e times the first is exact */
    return e * ln2_high + (2 * s + (2 * s * q * sum + e * ln2_low));
}

/* cos and sin of 2 pi x for x in [0, 1): x less the nearest quarter is exact, and of at most an eighth of a turn the
   Taylor polynomials are right within 1 ulp. */
static inline void circle(double x, double *cosine, double *sine) {
    const double two_pi = 6.283185307179586476925286766559;
    int quarter = (int)(4 * x + 0.5);
    double a = two_pi * (x - 0.25 * quarter), q = a * a;
    double s = 1 - over(q, 16 * 17), c = 1 - over(q, 17 * 18);
    UNROLLED
    for (int k = 15; k >= 3; k -= 2) s = 1 - over(q * s, (k - 1) * k);
    UNROLLED
    for (int k = 16; k >= 2; k -= 2) c = 1 - over(q * c, (k - 1) * k);
    s *= a;
    double across = quarter & 1 ? s : c, up = quarter & 1 ? c : s;
    *cosine = (quarter + 1) & 2 ? -across : across;
    *sine = quarter & 2 ? -up : up;
}

static inline void box_muller(uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3, double out[2]) {
    double u = 1.0 - uniform(w0, w1); /* in (0, 1], so that the logarithm is finite */
    double radius = sqrt(-2.0 * natural_log(u)), cosine, sine;
    circle(uniform(w2, w3), &cosine, &sine);
    out[0] = radius * cosine;
    out[1] = radius * sine;
}

void rng_normal(const uint32_t words[4], double out[2]) { box_muller(words[0], words[1], words[2], words[3], out); }

/* ---- many draws ---- */

enum { SOME = 64 };

/* The words of SOME draws. Philox' products are of the low halves of 64 bits, for which AVX has an instruction that gcc
   does not find. */
#if defined __AVX512F__ || defined __AVX2__
#ifdef __AVX512F__
enum { LANES = 8 };
#define PRODUCT(a, b) (wide) _mm512_mul_epu32((__m512i)(a), (__m512i)(b))
#else
enum { LANES = 4 };
#define PRODUCT(a, b) (wide) _mm256_mul_epu32((__m256i)(a), (__m256i)(b))
#endif
typedef uint64_t wide __attribute__((vector_size(8 * LANES)));
typedef uint32_t half __attribute__((vector_size(4 * LANES)));

static inline void store_low(wide x, uint32_t out[LANES]) {
    half low = __builtin_convertvector(x, half);
    memcpy(out, &low, sizeof low);
}

static void philox_some(uint64_t seed, uint64_t first, uint32_t c2, uint32_t c3, uint32_t words[4][SOME]) {
    const wide zero = {0};
    for (int i = 0; i < SOME; i += LANES) {
        wide x0, x1, x2 = zero + c2, x3 = zero + c3; /* whose high halves come to hold what is of no use */
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int j = 0; j < LANES; j++) x0[j] = first + (uint64_t)(i + j);
        x1 = x0 >> 32;
        UNROLLED
        for (int round = 0; round < 10; round++) {
            wide a = PRODUCT(x0, zero + PHILOX_M0), b = PRODUCT(x2, zero + PHILOX_M1);
            x0 = b >> 32 ^ x1 ^ k0;
            x2 = a >> 32 ^ x3 ^ k1;
            x1 = b;
            x3 = a;
            k0 += PHILOX_W0;
            k1 += PHILOX_W1;
        }
        store_low(x0, words[0] + i);
        store_low(x1, words[1] + i);
        store_low(x2, words[2] + i);
        store_low(x3, words[3] + i);
    }
}
#else
static void philox_some(uint64_t seed, uint64_t first, uint32_t c2, uint32_t c3, uint32_t words[4][SOME]) {
#pragma omp simd
    for (int i = 0; i < SOME; i++) {
        uint64_t draw = first + (uint64_t)i;
        uint32_t w[4];
        philox4x32(seed, (uint32_t)draw, (uint32_t)(draw >> 32), c2, c3, w);
        for (int k = 0; k < 4; k++) words[k][i] = w[k];
    }
}
#endif

void rng_normals(uint64_t seed, uint64_t first, uint32_t c2, uint32_t c3, int64_t draws, double *out) {
    uint32_t w[4][SOME];
    for (int64_t at = 0; at < draws; at += SOME, out += 2 * SOME) {
        int n = draws - at < SOME ? (int)(draws - at) : SOME;
        philox_some(seed, first + (uint64_t)at, c2, c3, w);
#pragma omp simd
        for (int i = 0; i < n; i++) box_muller(w[0][i], w[1][i], w[2][i], w[3][i], out + 2 * i);
    }
}
