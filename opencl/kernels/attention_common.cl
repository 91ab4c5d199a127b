/* attention_common.cl: what attention's kernels share, whatever multiplies (attention_gpu.cl, attention_mma.cl; of
   attention.cl only attention_one). Built for one head size D and one number of heads, HEADS, so that strides are
   constants. */
#define INLINE static inline __attribute__((always_inline)) /* also what is large: else it may stay outside, undefined */
#define LOG2E 1.4426950408889634f
#ifndef EXP2
#define EXP2 exp2
#endif

/* ---- one new position ---- */

#define ONE_LANES GROUP_LANES(64)
#define ONE_OWN ((D + ONE_LANES - 1) / ONE_LANES) /* channels of a lane */
#define ONE_CHAINS 8                              /* columns of a row that attention_gpu.cl adds up apart from each other */

/* Attention of one new position of each sequence: out from its query and the keys and values of `positions` positions,
   its own being the last. Keys and values of a position are kv_row numbers from the position's before, and kv_sequence
   from the sequence's before; queries q_row from each other. Grid: H * sequences groups. Walks the keys in tiles of
   ONE_KEYS, and has every sum in the order of attention_gpu.cl: with its tiles the bits are those of its last row. */
__attribute__((reqd_work_group_size(ONE_LANES, 1, 1))) __kernel void
attention_one(ARG(act, out),       /* [B,C] */
              ARG(const act, q),   /* [B,C], rows q_row apart */
              ARG(const act, k),   /* [B,positions,C], and so v */
              ARG(const act, v), int positions, int q_row, int kv_row, ulong kv_sequence, float scale) {
    TENSOR(act, out);
    TENSOR(const act, q);
    TENSOR(const act, k);
    TENSOR(const act, v);
    __local float query[D], score[ONE_KEYS], best_of[ONE_LANES], chain[ONE_CHAINS];
    const int lane = get_local_id(0), h = get_group_id(0) % HEADS, s = get_group_id(0) / HEADS;
    const float c2 = scale * LOG2E;
    float acc[ONE_OWN], largest = -INFINITY;
    for (int n = 0; n < ONE_OWN; n++) acc[n] = 0.0f;
    for (int d = lane; d < D; d += ONE_LANES) query[d] = LOAD_ACT(1, q + ((ulong)s * q_row + h * D + d));
    for (int n = lane; n < ONE_CHAINS; n += ONE_LANES) chain[n] = 0.0f;
    k += s * kv_sequence + h * D;
    v += s * kv_sequence + h * D;

    for (int start = 0; start < positions; start += ONE_KEYS) {
        float best = -INFINITY;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int j = lane; j < ONE_KEYS; j += ONE_LANES) {
            float dot = 0.0f;
            if (start + j < positions)
                for (int d = 0; d < D; d++) dot = fma(query[d], LOAD_ACT(1, k + ((ulong)(start + j) * kv_row + d)), dot);
            score[j] = start + j < positions ? dot : -INFINITY;
            best = fmax(best, score[j]);
        }
        best_of[lane] = best;
        barrier(CLK_LOCAL_MEM_FENCE);
        best = largest;
        for (int n = 0; n < ONE_LANES; n++) best = fmax(best, best_of[n]);
        const float shrink = EXP2((largest - best) * c2), top = -best * c2;
        largest = best;
        for (int j = lane; j < ONE_KEYS; j += ONE_LANES) score[j] = EXP2(fma(score[j], c2, top));
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int n = lane; n < ONE_CHAINS; n += ONE_LANES) {
            float all = 0.0f;
            for (int j = n; j < ONE_KEYS; j += ONE_CHAINS) all += score[j];
            chain[n] = fma(chain[n], shrink, all);
        }
        for (int n = 0; n < ONE_OWN; n++) {
            int d = lane + n * ONE_LANES;
            acc[n] *= shrink;
            for (int j = 0; d < D && j < ONE_KEYS && start + j < positions; j++)
                acc[n] = fma(score[j], LOAD_ACT(1, v + ((ulong)(start + j) * kv_row + d)), acc[n]);
        }
    }

    barrier(CLK_LOCAL_MEM_FENCE);
    float total = 0.0f;
    for (int n = 0; n < ONE_CHAINS; n++) total += chain[n];
    for (int n = 0; n < ONE_OWN; n++) {
        int d = lane + n * ONE_LANES;
        if (d < D) STORE_ACT(1, acc[n] / total, out + (((ulong)s * HEADS + h) * D + d));
    }
}

#if !SERIAL
/* ---- where a group stands ---- */

/* Groups lie in one dimension, which has no limit that matters: tile by tile, head by head, sequence by sequence. `tile`
   counts tiles of `rows` rows; s is the sequence, h the head. */
#define PLACE(rows)                                                                                                    \
    const int tiles = (T + (rows) - 1) / (rows), tile = get_group_id(0) % tiles;                                       \
    const int h = get_group_id(0) / tiles % HEADS, s = get_group_id(0) / tiles / HEADS;

/* ---- four neighbours of qkv, out, dout or dqkv, which start at multiples of their size ---- */

#if ACT16
INLINE float4 load_quad(__global const act *p) { return widen_4(*(__global const ushort4 *)p); }
INLINE void store_quad(__global act *p, float4 v) { *(__global ushort4 *)p = narrow_4(v); }
#else
INLINE float4 load_quad(__global const act *p) { return *(__global const float4 *)p; }
INLINE void store_quad(__global act *p, float4 v) { *(__global float4 *)p = v; }
#endif

/* ---- dropout's decisions on a tile of scores ---- */

/* Elements (i, j) of a head's scores have number (h T + i) T + j, and 4 neighbours share a draw. A tile's rows take a
   byte for each of those 4, so that each draw is made once: KEPT_ROW bytes a row, the first one for the draw that has
   element (i, j0). */
#define KEPT_ROW(columns) ((columns) / 4 + 1)
#if DROPOUT
#define KEPT_SPACE(name, rows, columns) __local uchar name[(rows) * KEPT_ROW(columns)];
#else
#define KEPT_SPACE(name, rows, columns)
#endif

INLINE uchar draw_kept(dropout_args dropout, int s, int h, int i, int j0, int nth, int T) {
    const ulong row = ((ulong)h * T + i) * T, quad = (row + j0) / 4 + nth;
    u32 word[4];
    uchar bits = 0;
    if (i < T && 4 * quad <= row + i) { /* else it is above the diagonal, and nobody asks */
        dropout_draw(dropout, s, quad, word);
        for (int e = 0; e < 4; e++) bits |= (word[e] >= dropout.s6) << e;
    }
    return bits;
}
/* For rows i0 .. and columns j0 .., by all lanes; others may read them after a barrier. */
INLINE void draw_tile(__local uchar *kept, dropout_args dropout, int s, int h, int i0, int rows, int j0, int columns, int T,
                      int lanes) {
    for (int e = get_local_id(0); e < rows * (columns / 4); e += lanes) {
        int r = e / (columns / 4), nth = e % (columns / 4);
        kept[r * KEPT_ROW(columns) + nth] = draw_kept(dropout, s, h, i0 + r, j0, nth, T);
    }
    if (T % 4 != 0) /* rows don't start at a draw's first element */
        for (int r = get_local_id(0); r < rows; r += lanes)
            kept[r * KEPT_ROW(columns) + columns / 4] = draw_kept(dropout, s, h, i0 + r, j0, columns / 4, T);
}
/* Where in the bytes of row i (of which the tile's begin at j0) column j0 + c is, in elements. */
INLINE uint kept_at(int h, int i, int j0, int c, int T) {
    return (((uint)h * (uint)T + (uint)i) * (uint)T + (uint)j0) % 4 + (uint)c;
}
/* The factor of the element at kept_at + more, more being a multiple of 4; row: the bytes of its row. */
INLINE float kept_factor(__local const uchar *row, uint at, int more, float scale) {
    return row[at / 4 + more / 4] >> at % 4 & 1 ? scale : 0.0f;
}

/* ---- delta[i] = dout_i . out_i: the softmax gradient's row term, dropout or not ---- */

/* DELTA_LANES lanes a (position, head), whose sums are added in one order. Grid: lanes, in groups of 256. */
#define DELTA_LANES 8
__attribute__((reqd_work_group_size(256, 1, 1))) __kernel void
attention_delta(ARG(float, delta),       /* [B,H,T] */
                ARG(const act, dout),    /* [B,T,C] */
                ARG(const act, out),     /* [B,T,C] */
                int T, int H, ulong n /* sequences * T * H */) {
    TENSOR(float, delta);
    TENSOR(const act, dout);
    TENSOR(const act, out);
    __local float part[256];
    const int lid = get_local_id(0), lane = lid % DELTA_LANES;
    const ulong i = get_group_id(0) * (ulong)(256 / DELTA_LANES) + lid / DELTA_LANES;
    float sum = 0.0f;
    if (i < n) {
#if D % 4 == 0
        for (int d = 4 * lane; d < D; d += 4 * DELTA_LANES) {
            float4 a = load_quad(dout + i * D + d), b = load_quad(out + i * D + d);
            sum = fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
        }
#else
        for (int d = lane; d < D; d += DELTA_LANES) sum = fma(LOAD_ACT(1, dout + (i * D + d)), LOAD_ACT(1, out + (i * D + d)), sum);
#endif
    }
    part[lid] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (i < n && lane == 0) {
        for (int k = 1; k < DELTA_LANES; k++) sum += part[lid + k];
        ulong row = i / HEADS, h = i % HEADS;
        delta[(row / T * HEADS + h) * T + row % T] = sum;
    }
}
#endif
