/* prelude.cl: what all kernels share. Comes after philox.h and bf16.cl; u32 and u64 are defined on the build line.

   OpenCL C 1.2 and no more: work-groups of at most 256, at most 32 KiB of local memory, no float atomics. A barrier is
   always reached by the whole group, and no kernel returns early (PoCL wants both).

   SERIAL is 1 on CPUs, which run the lanes of a group one after the other: there a group that shares a sum has one lane,
   with vectors of W floats. On GPUs W is 1, so that neighbouring lanes read neighbouring floats. */
#if SERIAL
#define GROUP_LANES(lanes) 1
#define BARRIER(fence) /* one lane waits for nobody; and PoCL 6.0 takes kernels apart at barriers, and some wrongly */
#define W 16
#else
#define GROUP_LANES(lanes) (lanes)
#define BARRIER(fence) barrier(fence)
#define W 1
#endif
#define UNROLL _Pragma("unroll") /* PoCL unrolls nothing by itself ... */
#define ROLLED _Pragma("nounroll") /* ... and Intel's compiler everything */

/* A tensor among a kernel's parameters: its block, and the element of it where it begins (R8). TENSOR, in the body,
   makes it a pointer. */
#define ARG(type, name) __global type *name##_block, ulong name##_at
#define TENSOR(type, name) __global type *name = name##_block + name##_at

/* A vector of n floats or ints, a load and a store of it, its sum, and 0 .. n-1; also for n = 1, where OpenCL C has
   none. */
#define CAT(a, b) CAT_(a, b)
#define CAT_(a, b) a##b
typedef float float1;
typedef int int1;
#define LOAD1(p) (*(p))
#define LOAD2(p) vload2(0, p)
#define LOAD4(p) vload4(0, p)
#define LOAD8(p) vload8(0, p)
#define LOAD16(p) vload16(0, p)
#define STORE1(v, p) (*(p) = (v))
#define STORE2(v, p) vstore2(v, 0, p)
#define STORE4(v, p) vstore4(v, 0, p)
#define STORE8(v, p) vstore8(v, 0, p)
#define STORE16(v, p) vstore16(v, 0, p)
#define COUNT1 0
#define COUNT2 (int2)(0, 1)
#define COUNT4 (int4)(0, 1, 2, 3)
#define COUNT8 (int8)(0, 1, 2, 3, 4, 5, 6, 7)
#define COUNT16 (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define FLOATS(n) CAT(float, n)
#define INTS(n) CAT(int, n)
#define LOAD(n, p) CAT(LOAD, n)(p)
#define STORE(n, v, p) CAT(STORE, n)(v, p)
#define COUNT(n) CAT(COUNT, n)
typedef FLOATS(W) wide;
typedef INTS(W) wide_int;

/* How activations are stored: as floats, or in a run with dtype=bfloat16 (ACT16) as bf16; computed with as floats always.
   The residual stream and its gradient, statistics and losses are floats in either (R10). LOAD_ACT and STORE_ACT move n
   neighbours of an activation, LOAD_EITHER those from x's element i on of what is an activation in one launch and a
   float in another; LOAD_WEIGHT reads those from x's element i on of a parameter of rank 2, which counts as bf16: of its copy,
   or of floats that are rounded here. */
#if ACT16
typedef ushort act;
#define LOAD_ACT(n, p) CAT(widen_, n)(LOAD(n, p))
#define STORE_ACT(n, v, p) STORE(n, CAT(narrow_, n)(v), p)
#define LOAD_EITHER(n, is_act, x, i) ((is_act) ? LOAD_ACT(n, (__global const act *)(x) + (i)) : LOAD(n, (x) + (i)))
#define LOAD_WEIGHT(n, is_copy, x, i)                                                                                  \
    ((is_copy) ? LOAD_ACT(n, (__global const act *)(x) + (i)) : CAT(round_, n)(LOAD(n, (x) + (i))))
#else
typedef float act;
#define LOAD_ACT(n, p) LOAD(n, p)
#define STORE_ACT(n, v, p) STORE(n, v, p)
#define LOAD_EITHER(n, is_act, x, i) LOAD(n, (x) + (i))
#define LOAD_WEIGHT(n, is_copy, x, i) LOAD(n, (x) + (i))
#endif

#if SERIAL
static inline float wide_sum(float16 v) {
    float8 a = v.lo + v.hi;
    float4 b = a.lo + a.hi;
    float2 c = b.lo + b.hi;
    return c.x + c.y;
}
static inline float wide_max(float16 v) {
    float8 a = fmax(v.lo, v.hi);
    float4 b = fmax(a.lo, a.hi);
    float2 c = fmax(b.lo, b.hi);
    return fmax(c.x, c.y);
}
#else
static inline float wide_sum(float v) { return v; }
static inline float wide_max(float v) { return v; }
#endif

/* The channels c of a row of C, shared out among a group's lanes: whole vectors from c on, then single ones. */
#define EACH_WIDE(c, C, lanes) for (int c = W * lane; c + W <= (C); c += W * (lanes))
#define EACH_REST(c, C, lanes) for (int c = (C) / W * W + lane; c < (C); c += (lanes))

/* The row of a work-item in a grid of grid_rows (ops.h): a kernel's rows go over dimensions 1 and 2, whose ends may lie
   past the last row. */
static inline ulong folded_row(void) { return get_global_id(2) * get_global_size(1) + get_global_id(1); }

/* Dropout in one argument: seed's low and high half, step, number of the first sequence, site, layer, threshold
   (0: off), bits of 1 / (1 - p). */
typedef uint8 dropout_args;

static inline float dropout_scale(dropout_args a) { return as_float(a.s7); }

/* Draws for elements 4*quad .. 4*quad+3 of sequence s of the micro-batch: one is kept where its word is at least a.s6. */
static inline void dropout_draw(dropout_args a, uint s, ulong quad, u32 word[4]) {
    dropout_words(((u64)a.s1 << 32) | a.s0, a.s2, a.s3 + s, a.s4, a.s5, (u32)quad, word);
}

/* The factors of these elements: 0, or 1 / (1 - p). */
static inline float4 dropout_factors(dropout_args a, uint s, ulong quad) {
    float4 factor = 1.0f;
    if (a.s6 != 0) {
        u32 word[4];
        dropout_draw(a, s, quad, word);
        float scale = dropout_scale(a);
        factor.x = word[0] >= a.s6 ? scale : 0.0f;
        factor.y = word[1] >= a.s6 ? scale : 0.0f;
        factor.z = word[2] >= a.s6 ? scale : 0.0f;
        factor.w = word[3] >= a.s6 ? scale : 0.0f;
    }
    return factor;
}

static inline float pick(float4 v, uint i) { return i < 2 ? (i == 0 ? v.x : v.y) : (i == 2 ? v.z : v.w); }

static inline float dropout_factor(dropout_args a, uint s, ulong element) {
    return a.s6 == 0 ? 1.0f : pick(dropout_factors(a, s, element / 4), (uint)(element & 3));
}

/* Sum over a work-group of `lanes` (a power of two) in a fixed tree; every lane gets it. */
static inline float group_sum(float v, __local float *space, uint lanes) {
    uint lane = get_local_id(0);
    space[lane] = v;
    BARRIER(CLK_LOCAL_MEM_FENCE);
    for (uint half_size = lanes / 2; half_size > 0; half_size /= 2) {
        if (lane < half_size) space[lane] += space[lane + half_size];
        BARRIER(CLK_LOCAL_MEM_FENCE);
    }
    float sum = space[0];
    BARRIER(CLK_LOCAL_MEM_FENCE);
    return sum;
}

static inline float group_max(float v, __local float *space, uint lanes) {
    uint lane = get_local_id(0);
    space[lane] = v;
    BARRIER(CLK_LOCAL_MEM_FENCE);
    for (uint half_size = lanes / 2; half_size > 0; half_size /= 2) {
        if (lane < half_size) space[lane] = fmax(space[lane], space[lane + half_size]);
        BARRIER(CLK_LOCAL_MEM_FENCE);
    }
    float largest = space[0];
    BARRIER(CLK_LOCAL_MEM_FENCE);
    return largest;
}
