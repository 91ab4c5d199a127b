/* bf16.cl: numbers that are stored in 16 bits: the upper half of a float. Bit tricks alone, for any device.

   narrow_n rounds n floats to nearest, ties to even (NaNs stay NaNs), widen_n gives back what was stored, round_n is both:
   what a float would be if it were stored so. */
#define BF16_OF(n, floats, uints, ushorts)                                                                             \
    static inline __attribute__((always_inline)) ushorts narrow_##n(floats x) {                                        \
        uints bits = as_##uints(x);                                                                                    \
        bits = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;                                                             \
        return convert_##ushorts(select(bits, (uints)(0x7fffu), isnan(x)));                                            \
    }                                                                                                                  \
    static inline __attribute__((always_inline)) floats widen_##n(ushorts x) {                                         \
        return as_##floats(convert_##uints(x) << 16);                                                                  \
    }                                                                                                                  \
    static inline __attribute__((always_inline)) floats round_##n(floats x) { return widen_##n(narrow_##n(x)); }
BF16_OF(1, float, uint, ushort)
BF16_OF(2, float2, uint2, ushort2)
BF16_OF(4, float4, uint4, ushort4)
BF16_OF(8, float8, uint8, ushort8)
BF16_OF(16, float16, uint16, ushort16)
