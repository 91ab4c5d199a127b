/* rng.c: see rng.h. */
#include "base/rng.h"
#include <math.h>

typedef uint32_t u32;
typedef uint64_t u64;
#include "base/philox.h"

void philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t out[4]) {
    philox4x32(seed, c0, c1, c2, c3, out);
}

double rng_uniform(uint32_t high, uint32_t low) {
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return (double)bits * 0x1p-53;
}

void rng_normal(const uint32_t words[4], double out[2]) {
    const double two_pi = 6.283185307179586476925286766559;
    double u = 1.0 - rng_uniform(words[0], words[1]); /* in (0, 1], so that log is finite */
    double radius = sqrt(-2.0 * log(u)), angle = two_pi * rng_uniform(words[2], words[3]);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}
