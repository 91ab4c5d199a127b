/* mma.cl: C[m,n] = op(A) op(B) (+ C) by NVIDIA's matrix units: inputs rounded to tf32 (10 bits of fraction), products
   exact, sums in float32. Row-major and dense; A is [m,k], or [k,m] when ta; B is [k,n], or [n,k] when tb; any m, n, k.

   A work-group computes TILE_M x TILE_N numbers of C, each of its warps WARP_M x WARP_N of them: the four sizes come
   from the build line (mma.c). Every number of C is one chain of instructions over k in ascending order, whatever the
   tile and its place in it, and what is past an edge counts as zeros: a row's bits don't depend on the other rows (R6).

   PTX stands in two places, round_tf32 and mma. EMULATE_MMA=1 says the same in OpenCL C, for tests on other devices. */
#define INLINE static inline __attribute__((always_inline)) /* arrays of registers are passed by pointer */
#define STEP 16 /* numbers along k in local memory at a time */
#define WARPS_N (TILE_N / WARP_N)
#define LANES (TILE_M / WARP_M * WARPS_N * 32)
#define BLOCKS_M (WARP_M / 16)
#define BLOCKS_N (WARP_N / 8)
#define QUADS_A (TILE_M * STEP / 4 / LANES) /* float4 of a tile that a lane carries */
#define QUADS_B (TILE_N * STEP / 4 / LANES)

/* Element i along m or n, and k, of an operand's tile in local memory: neighbours along k when that is how they lie in
   global memory (by_k), else along i. Both paddings let the 32 lanes of a fragment read 32 different banks. */
#define PLACE(by_k, side, i, k) ((by_k) ? (i) * (STEP + 4) + (k) : (k) * ((side) + 8) + (i))
#define SPACE(side) ((side) * (STEP + 4)) /* numbers; as much as STEP * (side + 8) or more, from a side of 32 on */

/* ---- the two instructions ----

   Fragments of D[16,8] += A[16,8] B[8,8] as the PTX ISA has them for mma.m16n8k8 with tf32: with g = lane / 4 and
   t = lane % 4, a lane has A[g][t], A[g+8][t], A[g][t+4], A[g+8][t+4]; B[t][g], B[t+4][g]; and D[g][2t], D[g][2t+1],
   D[g+8][2t], D[g+8][2t+1]. */
#if EMULATE_MMA
#define UNROLL_MMA
#define EXCHANGE (16 * 8 + 8 * 8) /* numbers a warp: A and B */

/* To nearest, ties away from zero; infinities and NaNs stay. */
INLINE uint round_tf32(float x) {
    uint bits = as_uint(x);
    return (bits & 0x7f800000) == 0x7f800000 ? bits : (bits + 0x1000) & 0xffffe000;
}

INLINE void mma(float *d, const uint *a, const uint *b, __local float *exchange) {
    int lane = get_local_id(0) % 32, g = lane / 4, t = lane % 4;
    __local float *A = exchange + get_local_id(0) / 32 * EXCHANGE, *B = A + 16 * 8;
    for (int i = 0; i < 4; i++) A[(g + i % 2 * 8) * 8 + t + i / 2 * 4] = as_float(a[i]);
    for (int i = 0; i < 2; i++) B[(t + i * 4) * 8 + g] = as_float(b[i]);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 8; k++) d[i] = fma(A[(g + i / 2 * 8) * 8 + k], B[k * 8 + 2 * t + i % 2], d[i]);
    barrier(CLK_LOCAL_MEM_FENCE);
}
#else
#define UNROLL_MMA _Pragma("unroll")
#define EXCHANGE 0

INLINE uint round_tf32(float x) {
    uint bits;
    ASM volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

INLINE void mma(float *d, const uint *a, const uint *b, __local float *exchange) {
    ASM volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

/* ---- tiles: global memory -> registers -> local memory ---- */

/* This lane's part of the tile from i0 and k0 on: float4 along the direction in which x is dense. all_i, all_k: x's
   sides. whole: every float4 starts at a multiple of 16 bytes and ends within its line. */
INLINE void fetch(float4 *part, int quads, int by_k, int side, __global const float *x, int all_i, int all_k, int i0,
                  int k0, int whole) {
    int along = by_k ? STEP / 4 : side / 4; /* float4 in a line of the tile */
    int lines = by_k ? all_i : all_k, length = by_k ? all_k : all_i;
    UNROLL_MMA
    for (int q = 0; q < quads; q++) {
        int id = get_local_id(0) + q * LANES;
        int line = (by_k ? i0 : k0) + id / along, at = (by_k ? k0 : i0) + id % along * 4;
        __global const float *p = x + (ulong)line * length + at;
        float4 v = 0.0f;
        if (line < lines && whole) {
            if (at < length) v = *(__global const float4 *)p;
        } else if (line < lines) {
            if (at < length) v.x = p[0];
            if (at + 1 < length) v.y = p[1];
            if (at + 2 < length) v.z = p[2];
            if (at + 3 < length) v.w = p[3];
        }
        part[q] = v;
    }
}

INLINE void keep(const float4 *part, int quads, int by_k, int side, __local uint *tile) {
    int along = by_k ? STEP / 4 : side / 4;
    UNROLL_MMA
    for (int q = 0; q < quads; q++) {
        int id = get_local_id(0) + q * LANES, line = id / along, at = id % along * 4;
        uint4 v = (uint4)(round_tf32(part[q].x), round_tf32(part[q].y), round_tf32(part[q].z), round_tf32(part[q].w));
        *(__local uint4 *)(tile + (by_k ? PLACE(by_k, side, line, at) : PLACE(by_k, side, at, line))) = v;
    }
}

/* ---- a warp's part ---- */

/* sums += this step's A times B; i, j: where the warp's part starts in the tile. */
INLINE void multiply(float sums[BLOCKS_M][BLOCKS_N][4], int a_by_k, int b_by_k, __local const uint *A,
                     __local const uint *B, int i, int j, __local float *exchange) {
    int lane = get_local_id(0) % 32, g = lane / 4, t = lane % 4;
    UNROLL_MMA
    for (int k = 0; k < STEP; k += 8) {
        uint a[BLOCKS_M][4], b[BLOCKS_N][2];
        UNROLL_MMA
        for (int x = 0; x < BLOCKS_M; x++) {
            int row = i + 16 * x + g;
            a[x][0] = A[PLACE(a_by_k, TILE_M, row, k + t)];
            a[x][1] = A[PLACE(a_by_k, TILE_M, row + 8, k + t)];
            a[x][2] = A[PLACE(a_by_k, TILE_M, row, k + t + 4)];
            a[x][3] = A[PLACE(a_by_k, TILE_M, row + 8, k + t + 4)];
        }
        UNROLL_MMA
        for (int y = 0; y < BLOCKS_N; y++) {
            int column = j + 8 * y + g;
            b[y][0] = B[PLACE(b_by_k, TILE_N, column, k + t)];
            b[y][1] = B[PLACE(b_by_k, TILE_N, column, k + t + 4)];
        }
        UNROLL_MMA
        for (int x = 0; x < BLOCKS_M; x++) {
            UNROLL_MMA
            for (int y = 0; y < BLOCKS_N; y++) mma(sums[x][y], a[x], b[y], exchange);
        }
    }
}

/* Two neighbours of C, as many of them as there are. pairs: all rows have both, at multiples of 8 bytes. */
INLINE float2 load_pair(__global const float *p, int there, int pairs) {
    float2 v = 0.0f;
    if (pairs && there > 0) v = *(__global const float2 *)p;
    if (!pairs && there > 0) v.x = p[0];
    if (!pairs && there > 1) v.y = p[1];
    return v;
}
INLINE void store_pair(__global float *p, float2 v, int there, int pairs) {
    if (pairs && there > 0) *(__global float2 *)p = v;
    if (!pairs && there > 0) p[0] = v.x;
    if (!pairs && there > 1) p[1] = v.y;
}

/* row0, column0: of this lane's first two numbers. All of C's old numbers are read before the first is written. */
INLINE void finish(float sums[BLOCKS_M][BLOCKS_N][4], __global float *C, int m, int n, int row0, int column0, int pairs,
                   int add) {
    for (int pass = add ? 0 : 1; pass < 2; pass++) {
        UNROLL_MMA
        for (int x = 0; x < BLOCKS_M; x++) {
            UNROLL_MMA
            for (int y = 0; y < BLOCKS_N; y++) {
                UNROLL_MMA
                for (int lower = 0; lower < 2; lower++) {
                    int row = row0 + 16 * x + 8 * lower, column = column0 + 8 * y, there = row < m ? n - column : 0;
                    __global float *p = C + (ulong)row * n + column;
                    float *v = sums[x][y] + 2 * lower;
                    if (pass == 0) {
                        float2 old = load_pair(p, there, pairs);
                        v[0] += old.x;
                        v[1] += old.y;
                    } else
                        store_pair(p, (float2)(v[0], v[1]), there, pairs);
                }
            }
        }
    }
}

/* ---- the kernels: one for each transposition ---- */

/* Two tiles of each operand: while one is multiplied, the next is on its way through registers to the other. */
INLINE void product(int ta, int tb, __global const float *A, __global const float *B, __global float *C, int m, int n,
                    int k, int whole, int add, __local uint *a_tiles, __local uint *b_tiles, __local float *exchange) {
    int a_by_k = !ta, b_by_k = tb, warp = get_local_id(0) / 32, lane = get_local_id(0) % 32;
    int row0 = get_group_id(1) * TILE_M, column0 = get_group_id(0) * TILE_N;
    int i = warp / WARPS_N * WARP_M, j = warp % WARPS_N * WARP_N;
    float sums[BLOCKS_M][BLOCKS_N][4];
    float4 a[QUADS_A], b[QUADS_B];
    UNROLL_MMA
    for (int x = 0; x < BLOCKS_M; x++) {
        UNROLL_MMA
        for (int y = 0; y < BLOCKS_N; y++) sums[x][y][0] = sums[x][y][1] = sums[x][y][2] = sums[x][y][3] = 0.0f;
    }
    fetch(a, QUADS_A, a_by_k, TILE_M, A, m, k, row0, 0, whole & 1);
    fetch(b, QUADS_B, b_by_k, TILE_N, B, n, k, column0, 0, whole & 2);
    keep(a, QUADS_A, a_by_k, TILE_M, a_tiles);
    keep(b, QUADS_B, b_by_k, TILE_N, b_tiles);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int at = 0, odd = 0; at < k; at += STEP, odd = !odd) {
        int more = at + STEP < k;
        if (more) {
            fetch(a, QUADS_A, a_by_k, TILE_M, A, m, k, row0, at + STEP, whole & 1);
            fetch(b, QUADS_B, b_by_k, TILE_N, B, n, k, column0, at + STEP, whole & 2);
        }
        multiply(sums, a_by_k, b_by_k, a_tiles + odd * SPACE(TILE_M), b_tiles + odd * SPACE(TILE_N), i, j, exchange);
        if (more) {
            keep(a, QUADS_A, a_by_k, TILE_M, a_tiles + !odd * SPACE(TILE_M));
            keep(b, QUADS_B, b_by_k, TILE_N, b_tiles + !odd * SPACE(TILE_N));
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    finish(sums, C, m, n, row0 + i + lane / 4, column0 + j + lane % 4 * 2, whole & 4, add);
}

/* whole: 1, A by float4; 2, B by float4; 4, C by float2. add: C keeps what it had. _at: where a matrix starts. */
#define PRODUCT(name, ta, tb)                                                                                          \
    __kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void name(                                             \
        __global const float *A, ulong A_at, __global const float *B, ulong B_at, __global float *C, ulong C_at,       \
        int m, int n, int k, int whole, int add) {                                                                     \
        __local uint4 a_tiles[2 * SPACE(TILE_M) / 4], b_tiles[2 * SPACE(TILE_N) / 4];                                  \
        __local float exchange[EXCHANGE * LANES / 32 + 1];                                                             \
        product(ta, tb, A + A_at, B + B_at, C + C_at, m, n, k, whole, add, (__local uint *)a_tiles,                    \
                (__local uint *)b_tiles, exchange);                                                                    \
    }
PRODUCT(mma_nn, 0, 0)
PRODUCT(mma_tn, 1, 0)
PRODUCT(mma_nt, 0, 1)
PRODUCT(mma_tt, 1, 1)
