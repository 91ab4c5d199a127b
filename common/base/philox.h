/* philox.h: one draw of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) and the rule
   for dropout, written in what C11 and OpenCL C 1.2 have in common, so that the CPU and the kernels include the same
   file. Whoever includes it defines u32 and u64 first, and may define PHILOX_UNROLLED, which stands before the loop. */
#ifndef SNUG_PHILOX_H
#define SNUG_PHILOX_H

#ifndef PHILOX_UNROLLED
#define PHILOX_UNROLLED
#endif

/* What a round multiplies by, and what it adds to the key. */
#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

static inline void philox4x32(u64 seed, u32 c0, u32 c1, u32 c2, u32 c3, u32 *out) {
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
    PHILOX_UNROLLED
    for (int round = 0; round < 10; round++) {
        u64 a = (u64)PHILOX_M0 * c0, b = (u64)PHILOX_M1 * c2;
        u32 n0 = (u32)(b >> 32) ^ c1 ^ k0, n2 = (u32)(a >> 32) ^ c3 ^ k1;
        c1 = (u32)b;
        c3 = (u32)a;
        c0 = n0;
        c2 = n2;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* R9. The four random words for elements 4*quad .. 4*quad+3 of one sequence at one site of one layer. An element is
   kept iff its word >= dropout_threshold. */
static inline void dropout_words(u64 seed, u32 step, u32 sequence, u32 site, u32 layer, u32 quad, u32 *out) {
    philox4x32(seed, step, sequence, site << 16 | layer, quad, out);
}

#endif
