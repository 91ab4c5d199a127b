/* product_steps.cl: C[m,n] = op(A) op(B), or added to C: snug's own matrix products, one family in three precisions. Row-major;
   A is [m,k], or [k,m] when ta; B is [k,n], or [n,k] when tb; any m, n and k. Comes after bf16.cl and gelu.cl, where PRECISION
   is not 0 after mma_ptx.cl too, and before product.cl, which has the kernels. Here is how a step of a tile is multiplied.

   A work-group computes TILE_M x TILE_N numbers of C, STEP of k at a time, which pass through local memory: while one step
   is multiplied, the next ones are on their way. Every number of C is one chain over k in ascending order, whatever the
   tile and the number's place in it, and what is past an edge counts as zeros: bits depend on neither (R6). k may
   be cut into pieces (sequences of a micro-batch, or fixed parts of the vocabulary): the sum of each starts at 0, so that
   the sums are the same however many pieces a launch does.

   The build line (product.c) says
     PRECISION   0: float32, in OpenCL C alone; 1: tf32; 2: bf16 (both by matrix units)
     ACT16       1: a product of a run with dtype=bfloat16: operands that are stored as float are rounded to bf16 (PRECISION
                 2 does that anyhow), and C and E may be stored as bf16
     A16 B16     1: that operand is stored as bf16 (PRECISION 2 or ACT16); else as float
     KINDS       which kernels: 1 nn, 2 nt, 4 tn, 8 tt, added up
     TILE_M TILE_N STEP STAGES PENDING (STAGES - 2), and a lane's PER_M x PER_N or a warp's WARP_M x WARP_N
     ROLLED      1: loops stay loops. For PoCL on CPUs, which compiles these kernels in a third of the time then and has a
                 step with dtype=bfloat16 a seventh faster; by Intel's runtime it is half as fast
     ODD         1: the kernels for operands whose lines don't start at multiples of 16 bytes, too
     ASM         how NVIDIA's compiler spells `asm`; not defined for others, if PRECISION is 0 */
#define UNROLL_NONE _Pragma("unroll 1")
#define RASTER 8 /* tiles of m that neighbouring groups go through before the next of n: they share lines in the cache */

#if PRECISION == 0
#define INLINE static inline __attribute__((always_inline))
#if ROLLED
#define UNROLL_ALL UNROLL_NONE
#else
#define UNROLL_ALL _Pragma("unroll")
#endif
#define MMA_MEM , __local char *mem
#define MMA_PASS , mem
#define MMA_LOCAL(bytes, lanes)                                                                                        \
    __local float4 memory[(bytes) / 16];                                                                               \
    __local char *mem = (__local char *)memory;                                                                        \
    uint base = 0
#define COPIES_WAIT(pending)
#define COPIES_COMMIT
#ifdef ASM /* NVIDIA's compiler: see mma_ptx.cl */
INLINE int opaque(int x) {
    ASM volatile("" : "+r"(x));
    return x;
}
#else
#define opaque(x) (x)
#endif
#define LANES_M (TILE_M / PER_M)
#define LANES_N (TILE_N / PER_N)
#define LANES (LANES_M * LANES_N)
#define WIDTH 4 /* neighbours along n that a lane finishes together */
#else
#define WARPS_M (TILE_M / WARP_M)
#define WARPS_N (TILE_N / WARP_N)
#define LANES (WARPS_M * WARPS_N * 32)
#define WIDTH 2
#define COPIES_COMMIT copies_commit()
#endif
#define BYTES (PRECISION == 2 ? 2 : 4)              /* of a number in local memory */
#define CHUNK (16 / BYTES)                          /* numbers that are copied together, 16 bytes there */
#define CHUNKS(side) ((side) * STEP / CHUNK / LANES) /* that a lane copies of a step */
#define ALONG(by_k, side) ((by_k) ? STEP / CHUNK : (side) / CHUNK) /* in a line */

/* ---- the tile of an operand in local memory ---- */

#if PRECISION == 0
/* [STEP][side], whichever way it comes: lanes read neighbours along the side. The padding spreads over the banks the
   four lines that a lane writes when it comes along k. */
#define PITCH(side) ((side) + 4)
#define TILE_BYTES(side) (STEP * PITCH(side) * 4)
INLINE uint place(int by_k, int side, int line, int c) {
    return by_k ? (c * 4 * PITCH(side) + line) * 4 : (line * PITCH(side) + c * 4) * 4;
}
#else
/* Lines as they come, of m or n when by_k, else of k. Where a chunk lies in its line goes by the line's number, so that 8
   lanes that read (or write) the same chunk of 8 lines, or 8 chunks of a line, meet in no bank. */
#define ROW (STEP / CHUNK) /* chunks in a line along k: 2, 4 or 8 */
#define TILE_BYTES(side) ((side) * STEP * BYTES)
INLINE uint place(int by_k, int side, int line, int c) {
    if (by_k) return (uint)(line * ROW + (c ^ (line / (8 / ROW) % ROW))) * 16;
    return (uint)(line * (side / CHUNK) + (c ^ (PRECISION == 2 ? line & 7 : (line & 3) * 2))) * 16;
}
#endif
#define STAGE_BYTES (TILE_BYTES(TILE_M) + TILE_BYTES(TILE_N))

/* ---- global memory -> local memory ---- */

/* An operand as a lane copies it: its own chunk of every GAP-th line. */
typedef struct {
    __global const char *p; /* its first chunk of the step that comes next */
    int line, at;           /* by_k: of m or n, and of k in the step; else of k in the step, and of m or n */
    int in_tile, c;         /* line and chunk in the tile */
    int all;                /* m or n */
} part;
#define GAP(by_k, side) (LANES / ALONG(by_k, side))

INLINE part part_of(int by_k, int side, int bytes, __global const void *x, ulong at, int ld, int i0, int all) {
    part r;
    int lid = opaque(get_local_id(0));
    r.in_tile = lid / ALONG(by_k, side);
    r.c = lid % ALONG(by_k, side);
    r.line = r.in_tile + (by_k ? i0 : 0);
    r.at = r.c * CHUNK + (by_k ? 0 : i0);
    r.all = all;
    r.p = (__global const char *)x + (at + (ulong)r.line * ld + r.at) * bytes;
    return r;
}

/* How many numbers of the lane's chunk of line q there are; may be more than CHUNK, or negative. */
INLINE int there(const part *x, int by_k, int side, int q, int left) {
    int line = x->line + q * GAP(by_k, side);
    return line < (by_k ? x->all : left) ? (by_k ? left : x->all) - x->at : 0;
}

/* Whole operands have lines that start at multiples of a chunk, and are read by whole chunks. What follows a line's end
   there is multiplied with zeros, or not kept. */
#if PRECISION
/* As they are, by the copying unit. */
INLINE void copy_step(const part *x, int by_k, int side, int ld, int left, uint to MMA_MEM) {
    UNROLL_ALL
    for (int q = 0; q < CHUNKS(side); q++)
        copy16(to + place(by_k, side, x->in_tile + q * GAP(by_k, side), x->c),
               x->p + (ulong)(q * GAP(by_k, side)) * ld * BYTES, there(x, by_k, side, q, left) > 0 ? 16 : 0 MMA_PASS);
}
#endif

/* Through registers, because they change on the way, lie otherwise, or are not whole. bytes: of a number. */
INLINE void fetch_step(uint4 *v, const part *x, int by_k, int side, int bytes, int whole, int ld, int left) {
    UNROLL_ALL
    for (int q = 0; q < CHUNKS(side); q++) {
        __global const char *p = x->p + (ulong)(q * GAP(by_k, side)) * ld * bytes;
        int n = there(x, by_k, side, q, left);
        uint4 low = 0, high = 0;
        if (whole) {
            if (n > 0 && bytes * CHUNK == 8) low.xy = *(__global const uint2 *)p;
            if (n > 0 && bytes * CHUNK > 8) low = *(__global const uint4 *)p;
            if (n > 0 && bytes * CHUNK == 32) high = *(__global const uint4 *)(p + 16);
        } else {
            uint w[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            UNROLL_ALL
            for (int i = 0; i < CHUNK; i++) {
                if (bytes == 4 && i < n) w[i] = ((__global const uint *)p)[i];
                if (bytes == 2 && i < n) w[i / 2] |= (uint)((__global const ushort *)p)[i] << (i % 2 * 16);
            }
            low = (uint4)(w[0], w[1], w[2], w[3]);
            high = (uint4)(w[4], w[5], w[6], w[7]);
        }
        v[2 * q] = low;
        if (bytes * CHUNK == 32) v[2 * q + 1] = high;
    }
}

INLINE void keep_step(const uint4 *v, const part *x, int by_k, int side, int bytes, uint to MMA_MEM) {
    UNROLL_ALL
    for (int q = 0; q < CHUNKS(side); q++) {
        uint at = to + place(by_k, side, x->in_tile + q * GAP(by_k, side), x->c);
        uint4 low = v[2 * q];
#if PRECISION == 0 && ACT16
        low = as_uint4(bytes == 2 ? widen_4(as_ushort4(low.xy)) : round_4(as_float4(low)));
#endif
#if PRECISION == 0
        if (by_k) {
            __local uint *p = (__local uint *)(mem + at);
            p[0] = low.x;
            p[PITCH(side)] = low.y;
            p[2 * PITCH(side)] = low.z;
            p[3 * PITCH(side)] = low.w;
        } else
            *(__local uint4 *)(mem + at) = low;
#else
        if (bytes * CHUNK == 32) {
            float4 a = as_float4(low), b = as_float4(v[2 * q + 1]);
            low = (uint4)(pack_bf16(a.x, a.y), pack_bf16(a.z, a.w), pack_bf16(b.x, b.y), pack_bf16(b.z, b.w));
        }
        store16(at, low MMA_PASS);
#endif
    }
}

/* ---- a step is multiplied ---- */

#if PRECISION == 0
#define QUADS_M (PER_M / 4)
#define QUADS_N (PER_N / 4)
typedef float4 sums[PER_M][QUADS_N];

/* Where a lane's numbers start: 32 neighbours are 4 of m by 8 of n, every 8 of them 2 by 4, so that few different words of
   a tile are asked for at a time. */
INLINE int2 lane_place(void) {
    int warp = get_local_id(0) / 32, lane = get_local_id(0) % 32;
    return (int2)((warp / (LANES_N / 8) * 4 + lane / 16 * 2 + lane % 2) * 4,
                  (warp % (LANES_N / 8) * 8 + lane % 16 / 2) * 4);
}

INLINE void multiply(sums acc, int a_by_k, int b_by_k, uint A, uint B MMA_MEM) {
    int2 at = lane_place();
    __local const float *a_tile = (__local const float *)(mem + A) + at.x;
    __local const float *b_tile = (__local const float *)(mem + B) + at.y;
    UNROLL_ALL
    for (int k = 0; k < STEP; k++) {
        float4 a[QUADS_M], b[QUADS_N];
        UNROLL_ALL
        for (int x = 0; x < QUADS_M; x++)
            a[x] = *(__local const float4 *)(a_tile + k * PITCH(TILE_M) + x * 4 * LANES_M);
        UNROLL_ALL
        for (int y = 0; y < QUADS_N; y++)
            b[y] = *(__local const float4 *)(b_tile + k * PITCH(TILE_N) + y * 4 * LANES_N);
        UNROLL_ALL
        for (int x = 0; x < QUADS_M; x++) {
            UNROLL_ALL
            for (int y = 0; y < QUADS_N; y++) {
                acc[4 * x][y] = fma((float4)(a[x].x), b[y], acc[4 * x][y]);
                acc[4 * x + 1][y] = fma((float4)(a[x].y), b[y], acc[4 * x + 1][y]);
                acc[4 * x + 2][y] = fma((float4)(a[x].z), b[y], acc[4 * x + 2][y]);
                acc[4 * x + 3][y] = fma((float4)(a[x].w), b[y], acc[4 * x + 3][y]);
            }
        }
    }
}
#else
#define BLOCKS_M (WARP_M / 16)
#define BLOCKS_N (WARP_N / 8)
typedef float sums[BLOCKS_M][BLOCKS_N][4];

INLINE int2 warp_place(void) {
    int warp = get_local_id(0) / 32;
    return (int2)(warp / WARPS_N * WARP_M, warp % WARPS_N * WARP_N);
}

/* Fragments by matrix4 where lines run along k, or numbers have 2 bytes; else (tf32 across k) word by word. Addresses are
   place() with what goes by the lane (_row, _chunk) taken out of the loops. */
INLINE void multiply(sums acc, int a_by_k, int b_by_k, uint A, uint B MMA_MEM) {
    int lane = get_local_id(0) % 32, g = lane / 4, t = lane % 4, i = warp_place().x, j = warp_place().y;
    int low = lane % 16, high = lane / 16, line8 = lane % 8 + lane / 16 * 8, half8 = lane / 8 % 2;
    uint a_row, a_chunk, b_row, b_chunk;
    if (a_by_k)
        a_row = (i + low) * ROW * 16, a_chunk = high ^ (low / (8 / ROW) % ROW);
    else if (PRECISION == 2)
        a_row = (line8 * (TILE_M / CHUNK) + (i / CHUNK & ~7)) * 16, a_chunk = ((i / CHUNK & 7) + half8) ^ (lane & 7);
    else
        a_row = (t * (TILE_M / CHUNK) + (i / CHUNK & ~7)) * 16 + g % 4 * 4, a_chunk = ((i / CHUNK & 7) + g / 4) ^ (2 * t);
    if (b_by_k)
        b_row = (j + line8) * ROW * 16, b_chunk = half8 ^ (lane % 8 / (8 / ROW) % ROW);
    else if (PRECISION == 2)
        b_row = (low * (TILE_N / CHUNK) + (j / CHUNK & ~7)) * 16, b_chunk = ((j / CHUNK & 7) + high) ^ (lane & 7);
    else
        b_row = (t * (TILE_N / CHUNK) + (j / CHUNK & ~7)) * 16 + g % 4 * 4, b_chunk = ((j / CHUNK & 7) + g / 4) ^ (2 * t);
#define ACROSS(side, k) ((k) * ((side) / CHUNK) * 16)
#define AT_CHUNK(chunk, c) ((((chunk) ^ ((c) & 7)) + ((c) & ~7)) * 16)
    UNROLL_ALL
    for (int kk = 0; kk < STEP * BYTES / 32; kk++) { /* one instruction takes 32 bytes along k */
        uint a[BLOCKS_M][4], b[BLOCKS_N][2];
        UNROLL_ALL
        for (int x = 0; x < BLOCKS_M; x++) {
            if (a_by_k)
                matrix4(a[x], A + a_row + x * 16 * ROW * 16 + ((2 * kk) ^ a_chunk) * 16, 0 MMA_PASS);
            else if (PRECISION == 2)
                matrix4(a[x], A + a_row + ACROSS(TILE_M, kk * 16) + AT_CHUNK(a_chunk, 2 * x), 1 MMA_PASS);
            else {
                UNROLL_ALL
                for (int r = 0; r < 4; r++)
                    a[x][r] = load4(A + a_row + ACROSS(TILE_M, kk * 8 + r / 2 * 4) +
                                    AT_CHUNK(a_chunk, 4 * x + 2 * (r % 2)) MMA_PASS);
            }
        }
        UNROLL_ALL
        for (int y = 0; y < BLOCKS_N; y += 2) {
            uint r[4];
            if (b_by_k)
                matrix4(r, B + b_row + y * 8 * ROW * 16 + ((2 * kk) ^ b_chunk) * 16, 0 MMA_PASS);
            else if (PRECISION == 2)
                matrix4(r, B + b_row + ACROSS(TILE_N, kk * 16) + AT_CHUNK(b_chunk, y), 1 MMA_PASS);
            else {
                UNROLL_ALL
                for (int q = 0; q < 4; q++)
                    r[q] = load4(B + b_row + ACROSS(TILE_N, kk * 8 + q % 2 * 4) +
                                 AT_CHUNK(b_chunk, 2 * (y + q / 2)) MMA_PASS);
            }
            b[y][0] = r[0], b[y][1] = r[1], b[y + 1][0] = r[2], b[y + 1][1] = r[3];
        }
#if PRECISION == 1
        UNROLL_ALL
        for (int x = 0; x < BLOCKS_M; x++) {
            UNROLL_ALL
            for (int r = 0; r < 4; r++) a[x][r] = round_tf32(a[x][r]);
        }
        UNROLL_ALL
        for (int y = 0; y < BLOCKS_N; y++) b[y][0] = round_tf32(b[y][0]), b[y][1] = round_tf32(b[y][1]);
#define MULTIPLY mma_tf32
#else
#define MULTIPLY mma_bf16
#endif
        UNROLL_ALL
        for (int x = 0; x < BLOCKS_M; x++) {
            UNROLL_ALL
            for (int y = 0; y < BLOCKS_N; y++) MULTIPLY(acc[x][y], a[x], b[y] MMA_PASS);
        }
    }
}
#endif
