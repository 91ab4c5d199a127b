/* prelude.cl: what all kernels share. Comes after philox.h; u32 and u64 are defined on the build line.

   OpenCL C 1.2 and no more: work-groups of at most 256, at most 32 KiB of local memory, no float atomics. A barrier is
   always reached by the whole group, and no kernel returns early (PoCL wants both). */

/* Dropout in one argument: seed's low and high half, step, number of the first sequence, site, layer, threshold
   (0: off), bits of 1 / (1 - p). */
typedef uint8 dropout_args;

inline float dropout_scale(dropout_args a) { return as_float(a.s7); }

/* The factors of elements 4*quad .. 4*quad+3 of sequence s of the micro-batch: 0, or 1 / (1 - p). */
inline float4 dropout_factors(dropout_args a, uint s, ulong quad) {
    float4 factor = 1.0f;
    if (a.s6 != 0) {
        u32 word[4];
        dropout_words(((u64)a.s1 << 32) | a.s0, a.s2, a.s3 + s, a.s4, a.s5, (u32)quad, word);
        float scale = dropout_scale(a);
        factor.x = word[0] >= a.s6 ? scale : 0.0f;
        factor.y = word[1] >= a.s6 ? scale : 0.0f;
        factor.z = word[2] >= a.s6 ? scale : 0.0f;
        factor.w = word[3] >= a.s6 ? scale : 0.0f;
    }
    return factor;
}

inline float pick(float4 v, uint i) { return i < 2 ? (i == 0 ? v.x : v.y) : (i == 2 ? v.z : v.w); }

inline float dropout_factor(dropout_args a, uint s, ulong element) {
    return a.s6 == 0 ? 1.0f : pick(dropout_factors(a, s, element / 4), (uint)(element & 3));
}

/* Sum over a work-group of `lanes` (a power of two) in a fixed tree; every lane gets it. */
inline float group_sum(float v, __local float *space, uint lanes) {
    uint lane = get_local_id(0);
    space[lane] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint half_size = lanes / 2; half_size > 0; half_size /= 2) {
        if (lane < half_size) space[lane] += space[lane + half_size];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    float sum = space[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

inline float group_max(float v, __local float *space, uint lanes) {
    uint lane = get_local_id(0);
    space[lane] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint half_size = lanes / 2; half_size > 0; half_size /= 2) {
        if (lane < half_size) space[lane] = fmax(space[lane], space[lane + half_size]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    float largest = space[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return largest;
}
