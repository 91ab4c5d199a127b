/* product.cl: what becomes of a tile's sums, and the kernels. Comes after product_steps.cl, which says what is computed
   and how. */

/* ---- what becomes of the sums ---- */

/* A lane's numbers of C: WIDTH neighbours at each of OWN_M rows and OWN_N columns, DOWN and RIGHT from its own_place. */
#if PRECISION == 0
#define OWN_M PER_M
#define OWN_N QUADS_N
typedef float4 numbers;
#define OWN(acc, x, y) (acc)[x][y]
#define own_place lane_place
#define DOWN(x) ((x) / 4 * 4 * LANES_M + (x) % 4)
#define RIGHT(y) ((y) * 4 * LANES_N)
INLINE void clear(sums acc) {
    UNROLL_ALL
    for (int x = 0; x < PER_M; x++) {
        UNROLL_ALL
        for (int y = 0; y < QUADS_N; y++) acc[x][y] = 0.0f;
    }
}
#else
#define OWN_M (2 * BLOCKS_M)
#define OWN_N BLOCKS_N
typedef float2 numbers;
#define OWN(acc, x, y) ((float2)((acc)[(x) / 2][y][(x) % 2 * 2], (acc)[(x) / 2][y][(x) % 2 * 2 + 1]))
INLINE int2 own_place(void) {
    int lane = get_local_id(0) % 32;
    return warp_place() + (int2)(lane / 4, lane % 4 * 2);
}
#define DOWN(x) ((x) * 8)
#define RIGHT(y) ((y) * 8)
INLINE void clear(sums acc) {
    UNROLL_ALL
    for (int x = 0; x < BLOCKS_M; x++) {
        UNROLL_ALL
        for (int y = 0; y < BLOCKS_N; y++) acc[x][y][0] = acc[x][y][1] = acc[x][y][2] = acc[x][y][3] = 0.0f;
    }
}
#endif

#if PRECISION == 0
typedef ushort4 stored;
#define NARROW narrow_4
#define WIDEN widen_4
#else
typedef ushort2 stored;
#define NARROW(v) as_ushort2(pack_bf16((v).x, (v).y))
#define WIDEN widen_2
#endif

/* WIDTH neighbours from number `at` of p on, as many as there are. wide: there are all or none, at a multiple of their
   size. is16: they are stored as bf16. */
INLINE numbers load_some(__global const float *p, ulong at, int n, int wide, int is16) {
    numbers v = 0.0f;
    if (is16) {
        __global const ushort *q = (__global const ushort *)p + at;
        stored w = 0;
        if (wide && n > 0) w = *(__global const stored *)q;
        if (!wide && n > 0) w.x = q[0];
        if (!wide && n > 1) w.y = q[1];
#if WIDTH == 4
        if (!wide && n > 2) w.z = q[2];
        if (!wide && n > 3) w.w = q[3];
#endif
        return WIDEN(w);
    }
    p += at;
    if (wide && n > 0) v = *(__global const numbers *)p;
    if (!wide && n > 0) v.x = p[0];
    if (!wide && n > 1) v.y = p[1];
#if WIDTH == 4
    if (!wide && n > 2) v.z = p[2];
    if (!wide && n > 3) v.w = p[3];
#endif
    return v;
}
INLINE void store_some(__global float *p, ulong at, numbers v, int n, int wide, int is16) {
    if (is16) {
        __global ushort *q = (__global ushort *)p + at;
        const stored w = NARROW(v);
        if (wide && n > 0) *(__global stored *)q = w;
        if (!wide && n > 0) q[0] = w.x;
        if (!wide && n > 1) q[1] = w.y;
#if WIDTH == 4
        if (!wide && n > 2) q[2] = w.z;
        if (!wide && n > 3) q[3] = w.w;
#endif
        return;
    }
    p += at;
    if (wide && n > 0) *(__global numbers *)p = v;
    if (!wide && n > 0) p[0] = v.x;
    if (!wide && n > 1) p[1] = v.y;
#if WIDTH == 4
    if (!wide && n > 2) p[2] = v.z;
    if (!wide && n > 3) p[3] = v.w;
#endif
}

/* C, its rows `ld` apart, and what the ends read and write beside it; E lies and is stored as C is. */
enum { END_NONE, END_BIAS, END_GELU, END_GELU_DX };
typedef struct {
    __global float *C, *E;
    __global const float *bias;
    int m, n, ld, wide; /* wide: see load_some */
    int has_bias, tanh_form, is16;
    int row0, column0; /* of the tile */
} output;

/* C = sums (+ C) (+ bias). Two rows of old numbers are read before the first of them is written. */
INLINE void finish(sums acc, const output *o, int add, int add_bias) {
    int row0 = opaque(o->row0 + own_place().x), column0 = opaque(o->column0 + own_place().y);
    UNROLL_ALL
    for (int x = 0; x < OWN_M; x += 2) {
        numbers old[2][OWN_N];
        UNROLL_ALL
        for (int i = 0; i < 2 * OWN_N; i++) {
            int row = row0 + DOWN(x + i / OWN_N), column = column0 + RIGHT(i % OWN_N);
            int n = row < o->m ? o->n - column : 0;
            old[i / OWN_N][i % OWN_N] = 0.0f;
            if (add) old[i / OWN_N][i % OWN_N] = load_some(o->C, (ulong)row * o->ld + column, n, o->wide, o->is16);
            if (add_bias) old[i / OWN_N][i % OWN_N] += load_some(o->bias, column, n, o->wide, 0);
        }
        UNROLL_ALL
        for (int i = 0; i < 2 * OWN_N; i++) {
            int row = row0 + DOWN(x + i / OWN_N), column = column0 + RIGHT(i % OWN_N);
            int n = row < o->m ? o->n - column : 0;
            store_some(o->C, (ulong)row * o->ld + column,
                       OWN(acc, x + i / OWN_N, i % OWN_N) + old[i / OWN_N][i % OWN_N], n, o->wide, o->is16);
        }
    }
}

/* What an op of its own would do next, to the numbers that this lane has just written, while they are near:
   END_GELU: E = gelu(C + bias); END_GELU_DX: C *= gelu's slope at E + bias (not where A is transposed). The same bits as gelu and gelu_dx give. Two
   rows at a time are read before anything is computed; more would be much code, one number at a time much waiting. */
INLINE float end_of(float x, int end, int tanh_form) {
    return end == END_GELU ? gelu_of(x, tanh_form) : gelu_slope(x, tanh_form);
}
INLINE void finish_gelu(const output *o, int end) {
    int row0 = o->row0 + own_place().x, column0 = o->column0 + own_place().y;
    UNROLL_NONE
    for (int x = 0; x < OWN_M; x += 2) {
        numbers c[2 * OWN_N], e[2 * OWN_N];
        UNROLL_ALL
        for (int i = 0; i < 2 * OWN_N; i++) {
            int row = row0 + DOWN(x + i / OWN_N), column = column0 + RIGHT(i % OWN_N);
            int n = row < o->m ? o->n - column : 0;
            ulong at = (ulong)row * o->ld + column;
            c[i] = load_some(o->C, at, n, o->wide, o->is16);
            e[i] = end == END_GELU ? c[i] : load_some(o->E, at, n, o->wide, o->is16);
            if (o->has_bias) e[i] += load_some(o->bias, column, n, o->wide, 0);
        }
        UNROLL_ALL
        for (int i = 0; i < 2 * OWN_N; i++) {
            int row = row0 + DOWN(x + i / OWN_N), column = column0 + RIGHT(i % OWN_N);
            int n = row < o->m ? o->n - column : 0;
            numbers v = e[i];
            v.x = end_of(v.x, end, o->tanh_form);
            v.y = end_of(v.y, end, o->tanh_form);
#if WIDTH == 4
            v.z = end_of(v.z, end, o->tanh_form);
            v.w = end_of(v.w, end, o->tanh_form);
#endif
            if (end == END_GELU_DX) v = c[i] * v;
            store_some(end == END_GELU ? o->E : o->C, (ulong)row * o->ld + column, v, n, o->wide, o->is16);
        }
    }
}

/* ---- the kernels: one for each transposition ---- */

/* A step of one operand is asked for: copied, or loaded into registers for keep_step. */
INLINE void start_step(uint4 *v, const part *x, int by_k, int side, int bytes, int whole, int copied, int ld, int left,
                       uint to MMA_MEM) {
#if PRECISION
    if (copied)
        copy_step(x, by_k, side, ld, left, to MMA_PASS);
    else
#endif
        fetch_step(v, x, by_k, side, bytes, whole, ld, left);
}

/* acc = the tile's sums over k. Through the loop a stage is multiplied that was asked for STAGES - 1 rounds ago, while the
   one that was multiplied last is filled. */
INLINE void sum_up(sums acc, int ta, int tb, int whole, __global const void *A, ulong A_at, __global const void *B,
                   ulong B_at, const output *o, int k, int lda, int ldb, uint base MMA_MEM) {
    const int a_by_k = !ta, b_by_k = tb, a_bytes = A16 ? 2 : 4, b_bytes = B16 ? 2 : 4;
    const int a_copied = PRECISION && whole && a_bytes == BYTES, b_copied = PRECISION && whole && b_bytes == BYTES;
    part a = part_of(a_by_k, TILE_M, a_bytes, A, A_at, lda, o->row0, o->m);
    part b = part_of(b_by_k, TILE_N, b_bytes, B, B_at, ldb, o->column0, o->n);
    uint4 va[2 * CHUNKS(TILE_M)], vb[2 * CHUNKS(TILE_N)];
    uint to = base, from = base, last = base + STAGES * STAGE_BYTES;
    int ahead = k; /* of k, not asked for yet */
#define START                                                                                                          \
    if (ahead > 0) {                                                                                                   \
        start_step(va, &a, a_by_k, TILE_M, a_bytes, whole, a_copied, lda, ahead, to MMA_PASS);                         \
        start_step(vb, &b, b_by_k, TILE_N, b_bytes, whole, b_copied, ldb, ahead, to + TILE_BYTES(TILE_M) MMA_PASS);    \
    }                                                                                                                  \
    COPIES_COMMIT
#define KEEP                                                                                                           \
    if (ahead > 0 && !a_copied) keep_step(va, &a, a_by_k, TILE_M, a_bytes, to MMA_PASS);                               \
    if (ahead > 0 && !b_copied) keep_step(vb, &b, b_by_k, TILE_N, b_bytes, to + TILE_BYTES(TILE_M) MMA_PASS);          \
    a.p += (ulong)STEP * a_bytes * (a_by_k ? 1 : lda);                                                                 \
    b.p += (ulong)STEP * b_bytes * (b_by_k ? 1 : ldb);                                                                 \
    ahead -= STEP;                                                                                                     \
    to += STAGE_BYTES;                                                                                                 \
    if (to == last) to = base
    for (int s = 0; s < STAGES - 1; s++) {
        START;
        KEEP;
    }
    for (int left = k; left > 0; left -= STEP) {
        COPIES_WAIT(PENDING);
        barrier(CLK_LOCAL_MEM_FENCE);
        START;
        multiply(acc, a_by_k, b_by_k, from, from + TILE_BYTES(TILE_M) MMA_PASS);
        KEEP;
        from += STAGE_BYTES;
        if (from == last) from = base;
    }
}

/* One tile of C. k is the length of a piece, k_all that of all pieces together. tn walks through them and adds the sum of
   each to C, so that every piece starts anew: what would have to be kept through `finish`, for the next one to be on its
   way by then, costs more registers than there are. The others do the piece of their group in dimension 1, each into
   a plane of C of its own. */
INLINE void product(int ta, int tb, int whole, __global const void *A, ulong A_at, __global const void *B, ulong B_at,
                    output *o, int k, int k_all, int lda, int ldb, int add, int end, uint base MMA_MEM) {
    const int walks = ta && !tb;
    int tiles_m = (o->m + TILE_M - 1) / TILE_M, tiles_n = (o->n + TILE_N - 1) / TILE_N, id = get_group_id(0);
    int band = id / (RASTER * tiles_n), in_band = id % (RASTER * tiles_n), high = min(tiles_m - band * RASTER, RASTER);
    o->row0 = (band * RASTER + in_band % high) * TILE_M;
    o->column0 = in_band / high * TILE_N;
    int first = walks ? 0 : get_group_id(1) * k;
    if (!walks) o->C += (ulong)get_group_id(1) * o->m * o->ld;
    for (int k0 = first; k0 < (walks ? k_all : first + 1); k0 += k) {
        sums acc;
        clear(acc);
        if (walks && k0) barrier(CLK_LOCAL_MEM_FENCE); /* the last stages have been multiplied */
        ulong at = opaque(k0);
        sum_up(acc, ta, tb, whole, A, A_at + at * (ta ? lda : 1), B, B_at + at * (tb ? 1 : ldb), o,
               min(k, k_all - (int)at), lda, ldb, base MMA_PASS);
        finish(acc, o, add || (walks && k0), end == END_BIAS);
    }
    if (!ta && end >= END_GELU) finish_gelu(o, end);
}

/* _at: numbers before the matrix in its buffer; ld: from line to line. E and bias are C where nothing reads them. is16: C
   and E are stored as bf16; gradients of weights, which are added to, never are. */
#if ACT16
#define PLACE16(p, at, is16) ((is16) ? (__global float *)((__global ushort *)(p) + (at)) : (p) + (at))
#else
#define PLACE16(p, at, is16) ((p) + (at))
#endif
#define PRODUCT(name, ta, tb, whole)                                                                                   \
    __kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void name(                                             \
        __global const void *A, ulong A_at, __global const void *B, ulong B_at, __global float *C, ulong C_at,         \
        __global float *E, ulong E_at, __global const float *bias, ulong bias_at, int m, int n, int k, int k_all,      \
        int lda, int ldb, int ldc, int add, int end, int wide, int has_bias, int tanh_form, int is16) {                \
        MMA_LOCAL(STAGES *STAGE_BYTES, LANES);                                                                         \
        is16 = ACT16 && !((ta) && !(tb)) && is16;                                                                      \
        output o = {PLACE16(C, C_at, is16), PLACE16(E, E_at, is16), bias + bias_at, m, n, ldc, wide, has_bias,         \
                    tanh_form, is16, 0, 0};                                                                            \
        product(ta, tb, whole, A, A_at, B, B_at, &o, k, k_all, lda, ldb, add, end, base MMA_PASS);                     \
    }
#if ODD
#define PRODUCTS(kind, ta, tb) PRODUCT(product_##kind, ta, tb, 1) PRODUCT(odd_##kind, ta, tb, 0)
#else
#define PRODUCTS(kind, ta, tb) PRODUCT(product_##kind, ta, tb, 1)
#endif
#if KINDS & 1
PRODUCTS(nn, 0, 0)
#endif
#if KINDS & 2
PRODUCTS(nt, 0, 1)
#endif
#if KINDS & 4
PRODUCTS(tn, 1, 0)
#endif
#if KINDS & 8
PRODUCTS(tt, 1, 1)
#endif
