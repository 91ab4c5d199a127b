/* bf16.h: bfloat16: the upper half of a float, with 8 bits of exponent and 7 of mantissa. */
#ifndef SNUG_BF16_H
#define SNUG_BF16_H

#include <stdint.h>
#include <string.h>

/* The nearest bfloat16; of two that are equally near, the even one. Values from halfway beyond the largest on become
   infinite; a NaN stays one, quiet. */
static inline uint16_t bf16_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
}

/* The float of that value; exact. */
static inline float bf16_to_float(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* x rounded to the nearest bfloat16. */
static inline float bf16_round(float x) { return bf16_to_float(bf16_of_float(x)); }

#endif
