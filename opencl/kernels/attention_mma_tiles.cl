/* attention_mma_tiles.cl: what attention_mma.cl is made of: tiles of rows on their way from global memory to fragments, and
   the two kinds of products with them. mma_ptx.cl has the instructions.

   A group has WARPS warps, each with 16 kept rows, which lie in its registers as fragments of A; tiles of NS streamed rows
   go through local memory. A word is what a register of a fragment holds: a tf32, or two bf16. The order of k is free as long as A and B agree, and
   so is the order of n as long as the store knows: every fragment is read as uint4, without bank conflicts, from
     rows    [row][D as words], pitch ROW_PITCH: lane (g, t) reads words 8t .. of row g; k are channels
     pairs   (bf16) [row / 2][D], pitch PAIR_PITCH: a word holds rows 2p and 2p+1 of a channel; k are streamed rows.
             tf32 reads rows 2t and 2t+1 of the rows instead: k = t is row 2t, t + 4 is row 2t + 1, as sums lie.
   PART: of a tile's streamed rows so many are multiplied at a time for dk and dv, where registers are short.
   PREFETCH: the next tile is on its way through registers while one is multiplied. */
#define ROWS (WARPS * 16)
#define LANES (WARPS * 32)
#if BF16
#define WORDS (D / 2)
#define ROW_PITCH (WORDS == 16 ? 16 : WORDS + 4)
#define PAIR_PITCH (D + 8)
#define PAIR_TILE (NS / 2 * PAIR_PITCH)
#define STEP 16 /* streamed rows of an instruction */
#define PAIR_ROW(row) ((row) / 2 * PAIR_PITCH)
#else
#define WORDS D
#define ROW_PITCH (D + 4)
#define STEP 8
#define PAIR_ROW(row) ((row) * ROW_PITCH)
#endif
#define ROW_TILE (NS * ROW_PITCH)
#define CHANNEL_STEPS (WORDS / 8) /* of k along the channels */
#define CHUNKS (WORDS / 16)
#define WORD(t, j) (WORDS == 16 ? 4 * (t) : 8 * (t) + 4 * ((j) & 1) + 32 * ((j) >> 1))
#define BLOCKS (NS / 8)
#define CHANNEL_BLOCKS (D / 8)
#define UNITS (NS / 2 * D / 4 / LANES) /* pairs of 4 channels that a lane carries */
#define TILE(name, words) __local uint name[words] __attribute__((aligned(16)))

/* ---- instructions that mma_ptx.cl has not ---- */

#if EMULATE
#define EXCHANGE                                                                                                       \
    __local uint exchange[LANES * 8];                                                                                  \
    __local char *mem = (__local char *)exchange;
INLINE float exp2_of(float x) { return exp2(x); }
/* Over the 4 lanes of a row, in a fixed tree. */
INLINE float quad(float x, int sum MMA_MEM) {
    int lid = get_local_id(0);
    exchange[lid] = as_uint(x);
    barrier(CLK_LOCAL_MEM_FENCE);
    float a = as_float(exchange[lid & ~3]), b = as_float(exchange[lid & ~3 | 1]), c = as_float(exchange[lid & ~3 | 2]);
    float d = as_float(exchange[lid | 3]);
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum ? (a + b) + (c + d) : fmax(fmax(a, b), fmax(c, d));
}
INLINE int opaque_zero(void) { return 0; }
#else
#define EXCHANGE
INLINE float exp2_of(float x) { /* off by 2 in the last place at most; what is no normal number becomes 0 */
    float r;
    ASM volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
INLINE float quad(float x, int sum) {
    uint r;
    ASM volatile("shfl.sync.bfly.b32 %0, %1, 1, 31, -1;" : "=r"(r) : "r"(as_uint(x)));
    x = sum ? x + as_float(r) : fmax(x, as_float(r));
    ASM volatile("shfl.sync.bfly.b32 %0, %1, 2, 31, -1;" : "=r"(r) : "r"(as_uint(x)));
    return sum ? x + as_float(r) : fmax(x, as_float(r));
}
/* What the compiler can't know: a branch around much that depends on it stays a branch. */
INLINE int opaque_zero(void) {
    int zero;
    ASM volatile("mov.u32 %0, 0;" : "=r"(zero));
    return zero;
}
#endif

INLINE void mma(float *d, const uint *a, uint b0, uint b1 MMA_MEM) {
    const uint b[2] = {b0, b1};
#if BF16
    mma_bf16(d, a, b MMA_PASS);
#else
    mma_tf32(d, a, b MMA_PASS);
#endif
}

/* ---- stored numbers -> words ---- */

#if ACT16
typedef uint2 four; /* channels of a row */
INLINE four no_four(void) { return (uint2)(0u, 0u); }
INLINE uint2 row_words(four x) { return x; }
INLINE uint4 pair_words(four a, four b) {
    return (uint4)(a.x & 0xffff | b.x << 16, a.x >> 16 | b.x & 0xffff0000, a.y & 0xffff | b.y << 16,
                   a.y >> 16 | b.y & 0xffff0000);
}
INLINE uint4 four_words(__global const act *p, int w) { return *(__global const uint4 *)(p + 2 * w); }
#else
typedef float4 four;
INLINE four no_four(void) { return (float4)(0.0f, 0.0f, 0.0f, 0.0f); }
#if BF16
INLINE uint2 row_words(four x) { return (uint2)(pack_bf16(x.x, x.y), pack_bf16(x.z, x.w)); }
INLINE uint4 pair_words(four a, four b) {
    return (uint4)(pack_bf16(a.x, b.x), pack_bf16(a.y, b.y), pack_bf16(a.z, b.z), pack_bf16(a.w, b.w));
}
INLINE uint4 four_words(__global const act *p, int w) {
    float4 x = *(__global const float4 *)(p + 2 * w), y = *(__global const float4 *)(p + 2 * w + 4);
    return (uint4)(pack_bf16(x.x, x.y), pack_bf16(x.z, x.w), pack_bf16(y.x, y.y), pack_bf16(y.z, y.w));
}
#else
INLINE uint tf32(float x) { return round_tf32(as_uint(x)); }
INLINE uint4 row_words(four x) { return (uint4)(tf32(x.x), tf32(x.y), tf32(x.z), tf32(x.w)); }
INLINE uint4 four_words(__global const act *p, int w) { return row_words(*(__global const float4 *)(p + w)); }
#endif
#endif

/* ---- global memory -> registers -> local memory ---- */

/* This lane's part of NS rows from `start` on: UNITS times 4 channels of 2 neighbouring rows. Rows past T are zeros. */
INLINE void fetch(four *part, __global const act *x, int stride, int start, int T) {
    const int row = start + get_local_id(0) / (D / 4) * 2, gap = LANES / (D / 4) * 2;
    x += (ulong)row * stride + get_local_id(0) % (D / 4) * 4;
    UNROLL_ALL
    for (int u = 0; u < UNITS; u++) {
        part[2 * u] = part[2 * u + 1] = no_four();
        if (row + u * gap < T) part[2 * u] = *(__global const four *)(x + u * gap * stride);
        if (row + u * gap + 1 < T) part[2 * u + 1] = *(__global const four *)(x + (u * gap + 1) * stride);
    }
}
INLINE void keep_rows(const four *part, __local uint *tile) {
    UNROLL_ALL
    for (int u = 0; u < UNITS; u++) {
        int id = get_local_id(0) + u * LANES, row = id / (D / 4) * 2, d = id % (D / 4) * 4;
#if BF16
        *(__local uint2 *)(tile + row * ROW_PITCH + d / 2) = row_words(part[2 * u]);
        *(__local uint2 *)(tile + (row + 1) * ROW_PITCH + d / 2) = row_words(part[2 * u + 1]);
#else
        *(__local uint4 *)(tile + row * ROW_PITCH + d) = row_words(part[2 * u]);
        *(__local uint4 *)(tile + (row + 1) * ROW_PITCH + d) = row_words(part[2 * u + 1]);
#endif
    }
}
#if BF16
INLINE void keep_pairs(const four *part, __local uint *tile) {
    UNROLL_ALL
    for (int u = 0; u < UNITS; u++) {
        int id = get_local_id(0) + u * LANES;
        *(__local uint4 *)(tile + id / (D / 4) * PAIR_PITCH + id % (D / 4) * 4) =
            pair_words(part[2 * u], part[2 * u + 1]);
    }
}
#endif

/* A's fragments of rows `row` and row + 8; k are channels. */
INLINE void load_kept(uint a[CHANNEL_STEPS][4], __global const act *x, int stride, int row, int T, int t) {
    UNROLL_ALL
    for (int j = 0; j < CHUNKS; j++) {
        uint4 u = 0, v = 0;
        if (row < T) u = four_words(x + (ulong)row * stride, WORD(t, j));
        if (row + 8 < T) v = four_words(x + (ulong)(row + 8) * stride, WORD(t, j));
        a[2 * j][0] = u.x, a[2 * j][1] = v.x, a[2 * j][2] = u.y, a[2 * j][3] = v.y;
        a[2 * j + 1][0] = u.z, a[2 * j + 1][1] = v.z, a[2 * j + 1][2] = u.w, a[2 * j + 1][3] = v.w;
    }
}

/* ---- products ---- */

/* score[kept row][streamed row], for so many blocks of 8 streamed rows */
INLINE void times_rows(float score[][4], int blocks, uint a[CHANNEL_STEPS][4], __local const uint *tile, int g,
                       int t MMA_MEM) {
    UNROLL_ALL
    for (int n = 0; n < blocks; n++) {
        score[n][0] = score[n][1] = score[n][2] = score[n][3] = 0.0f;
        UNROLL_ALL
        for (int j = 0; j < CHUNKS; j++) {
            uint4 u = *(__local const uint4 *)(tile + (8 * n + g) * ROW_PITCH + WORD(t, j));
            mma(score[n], a[2 * j], u.x, u.y MMA_PASS);
            mma(score[n], a[2 * j + 1], u.z, u.w MMA_PASS);
        }
    }
}
/* Sums become the A of the next product. */
INLINE void as_kept(uint p[][4], float s[][4], int blocks) {
    UNROLL_ALL
    for (int k = 0; k < blocks * 8 / STEP; k++) {
#if BF16
        p[k][0] = pack_bf16(s[2 * k][0], s[2 * k][1]);
        p[k][1] = pack_bf16(s[2 * k][2], s[2 * k][3]);
        p[k][2] = pack_bf16(s[2 * k + 1][0], s[2 * k + 1][1]);
        p[k][3] = pack_bf16(s[2 * k + 1][2], s[2 * k + 1][3]);
#else
        p[k][0] = tf32(s[k][0]), p[k][1] = tf32(s[k][2]), p[k][2] = tf32(s[k][1]), p[k][3] = tf32(s[k][3]);
#endif
    }
}
/* o[kept row][channel] += p[kept row][streamed row] x[streamed row][channel]; tile: pairs of bf16, rows of tf32.
   o[4c + i][e] is channel 32c + 8t + 4(e & 1) + i of row g + 8(e / 2). */
INLINE void times_pairs(float o[CHANNEL_BLOCKS][4], uint p[][4], int blocks, __local const uint *tile, int g,
                        int t MMA_MEM) {
    UNROLL_ALL
    for (int k = 0; k < blocks * 8 / STEP; k++) {
        UNROLL_ALL
        for (int c = 0; c < D / 32; c++) {
#if BF16
            uint4 u = *(__local const uint4 *)(tile + (8 * k + t) * PAIR_PITCH + 32 * c + 4 * g);
            uint4 v = *(__local const uint4 *)(tile + (8 * k + 4 + t) * PAIR_PITCH + 32 * c + 4 * g);
#else
            uint4 u = *(__local const uint4 *)(tile + (8 * k + 2 * t) * ROW_PITCH + 32 * c + 4 * g);
            uint4 v = *(__local const uint4 *)(tile + (8 * k + 2 * t + 1) * ROW_PITCH + 32 * c + 4 * g);
#endif
            mma(o[4 * c], p[k], u.x, v.x MMA_PASS);
            mma(o[4 * c + 1], p[k], u.y, v.y MMA_PASS);
            mma(o[4 * c + 2], p[k], u.z, v.z MMA_PASS);
            mma(o[4 * c + 3], p[k], u.w, v.w MMA_PASS);
        }
    }
}
INLINE void clear(float o[CHANNEL_BLOCKS][4]) {
    UNROLL_ALL
    for (int n = 0; n < CHANNEL_BLOCKS; n++) o[n][0] = o[n][1] = o[n][2] = o[n][3] = 0.0f;
}
/* Row g (half 0) or g + 8 (half 1), times f. */
INLINE void store_row(__global act *to, float o[CHANNEL_BLOCKS][4], int half_, int t, float f) {
    UNROLL_ALL
    for (int c = 0; c < D / 32; c++) {
        UNROLL_ALL
        for (int odd = 0; odd < 2; odd++) {
            int e = 2 * half_ + odd;
            const float4 x = (float4)(o[4 * c][e] * f, o[4 * c + 1][e] * f, o[4 * c + 2][e] * f, o[4 * c + 3][e] * f);
            __global act *at = to + 32 * c + 8 * t + 4 * odd;
#if ACT16
            *(__global uint2 *)at = (uint2)(pack_bf16(x.x, x.y), pack_bf16(x.z, x.w));
#else
            *(__global float4 *)at = x;
#endif
        }
    }
}
/* -INFINITY above the diagonal. kept: row g; streamed: column 2t of the first block. */
INLINE void mask(float score[][4], int blocks, int kept_are_queries, int kept, int streamed) {
    UNROLL_ALL
    for (int i = 0; i < 2; i++) {
        const int limit = kept + 8 * i - streamed + opaque_zero();
        UNROLL_ALL
        for (int n = 0; n < blocks; n++) {
            UNROLL_ALL
            for (int odd = 0; odd < 2; odd++)
                if (kept_are_queries ? 8 * n + odd > limit : 8 * n + odd < limit) score[n][2 * i + odd] = -INFINITY;
        }
    }
}
