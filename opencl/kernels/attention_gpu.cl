/* attention_gpu.cl: causal self-attention on GPUs in float32, OpenCL C 1.2 and nothing else; after FlashAttention-2 (arXiv
   2307.08691): the [T,T] scores exist only as tiles in registers; tiles above the diagonal are never touched; the
   log-sum-exp of each row is kept for the backward pass, which computes the probabilities again. Every output has one
   writer and one order: no atomics.

   A group keeps RN * TY rows (of queries, or of keys) in local memory and streams tiles of FS rows of the other kind past
   them; backward BRN, BTY and BS. Of its 8 TY lanes lane (ty, tx) has the kept rows ty + TY r, of the streamed rows tx +
   8 n, and of the channels 32 j + 4 tx .. + 3: that spreads both over the banks, and takes float4 along the channels.
   Scores reach the lanes that multiply with them through p, PG (BG) streamed rows at a time. All sizes come from the build
   line (opencl/attention_shapes.c). How many rows a group keeps (TY, BTY) changes no bit: a row's sums run over the
   streamed rows, and in tiles that start at multiples of FS (BS).

   qkv [B,T,3C]: a row holds q, k, v, each with its H heads of D one after the other. */
#define J ((D + 31) / 32)   /* blocks of channels; what is past D is zeros */
#define PITCH (8 * J + 1)   /* float4 in a row of a tile: odd */
#define USED ((D + 3) / 4)  /* of them with channels in */
#define P_PITCH(n) ((n) == 8 ? 8 : (n) + 8)
#define UNROLL_2 _Pragma("unroll 2")
#define UNROLL_1 _Pragma("unroll 1")

/* Channels 4c .. 4c+3 of a row; tensors start at multiples of 16 bytes. */
INLINE float4 load_4(__global const act *row, int c) {
    float4 v = 0.0f;
#if D % 4 == 0
    if (D % 32 == 0 || c < USED) v = load_quad(row + 4 * c);
#else
    if (4 * c < D) v.x = LOAD_ACT(1, row + 4 * c);
    if (4 * c + 1 < D) v.y = LOAD_ACT(1, row + 4 * c + 1);
    if (4 * c + 2 < D) v.z = LOAD_ACT(1, row + 4 * c + 2);
    if (4 * c + 3 < D) v.w = LOAD_ACT(1, row + 4 * c + 3);
#endif
    return v;
}
INLINE void store_4(__global act *row, int c, float4 v) {
#if D % 4 == 0
    if (D % 32 == 0 || c < USED) store_quad(row + 4 * c, v);
#else
    if (4 * c < D) STORE_ACT(1, v.x, row + 4 * c);
    if (4 * c + 1 < D) STORE_ACT(1, v.y, row + 4 * c + 1);
    if (4 * c + 2 < D) STORE_ACT(1, v.z, row + 4 * c + 2);
    if (4 * c + 3 < D) STORE_ACT(1, v.w, row + 4 * c + 3);
#endif
}

/* Rows first .. first+rows-1 of a [T, stride] matrix into local memory; those past T are zeros. */
INLINE void load_rows(__local float4 *tile, __global const act *x, int rows, int stride, int first, int T, int lanes) {
    UNROLL
    for (int e = get_local_id(0); e < rows * 8 * J; e += lanes) {
        int r = e / (8 * J), c = e % (8 * J);
        float4 v = 0.0f;
        if (first + r < T) v = load_4(x + (ulong)(first + r) * stride, c);
        tile[r * PITCH + c] = v;
    }
}

/* s[r][n] = kept row r . streamed row n */
#define DOT(s, kept, tile, RN, TY, N)                                                                                  \
    UNROLL for (int r = 0; r < RN; r++) UNROLL for (int n = 0; n < N; n++) s[r][n] = 0.0f;                             \
    UNROLL_2 for (int c = 0; c < USED; c++) {                                                                          \
        float4 a[RN];                                                                                                  \
        UNROLL for (int r = 0; r < RN; r++) a[r] = kept[(ty + TY * r) * PITCH + c];                                    \
        UNROLL for (int n = 0; n < N; n++) {                                                                           \
            float4 b = tile[(tx + 8 * n) * PITCH + c];                                                                 \
            UNROLL for (int r = 0; r < RN; r++) s[r][n] =                                                              \
                fma(a[r].w, b.w, fma(a[r].z, b.z, fma(a[r].y, b.y, fma(a[r].x, b.x, s[r][n]))));                       \
        }                                                                                                              \
    }

/* o[r][j] += s[r][.] tile[.][j]. Before: all lanes see the tile. After: p and the tile are free. */
#define ADD(o, s, p, tile, RN, TY, N, PG)                                                                              \
    UNROLL for (int part = 0; part < N; part += PG / 8) {                                                              \
        UNROLL for (int r = 0; r < RN; r++) UNROLL for (int n = 0; n < PG / 8; n++)                                    \
            p[(ty + TY * r) * P_PITCH(PG) + tx + 8 * n] = s[r][part + n];                                              \
        barrier(CLK_LOCAL_MEM_FENCE);                                                                                  \
        UNROLL_1 for (int k = 0; k < PG; k += 4) {                                                                     \
            float4 a[RN];                                                                                              \
            UNROLL for (int r = 0; r < RN; r++) a[r] = *(__local float4 *)(p + (ty + TY * r) * P_PITCH(PG) + k);       \
            UNROLL for (int j = 0; j < J; j++) {                                                                       \
                __local const float4 *b = tile + (part * 8 + k) * PITCH + tx + 8 * j;                                  \
                float4 b0 = b[0], b1 = b[PITCH], b2 = b[2 * PITCH], b3 = b[3 * PITCH];                                 \
                UNROLL for (int r = 0; r < RN; r++)                                                                    \
                    o[r][j] = fma((float4)(a[r].w), b3, fma((float4)(a[r].z), b2,                                      \
                              fma((float4)(a[r].y), b1, fma((float4)(a[r].x), b0, o[r][j]))));                         \
            }                                                                                                          \
        }                                                                                                              \
        barrier(CLK_LOCAL_MEM_FENCE);                                                                                  \
    }

#define LANE(TY)                                                                                                       \
    const int tx = get_local_id(0) % 8, ty = get_local_id(0) / 8, C = HEADS * D;                                       \
    const float c2 = scale * LOG2E;                                                                                    \
    const ulong stats = ((ulong)s * HEADS + h) * T;

/* ---- forward ---- */

#define FA (RN * TY)
#define FN (FS / 8)
#define FL (8 * TY)

/* out, lse from qkv. */
__attribute__((reqd_work_group_size(FL, 1, 1))) __kernel void
attention(ARG(act, out),         /* [B,T,C] */
          ARG(float, lse),       /* [B,H,T] */
          ARG(const act, qkv),   /* [B,T,3C] */
          int T, int H, float scale, dropout_args dropout) {
    TENSOR(act, out);
    TENSOR(float, lse);
    TENSOR(const act, qkv);
    __local float4 q[FA * PITCH], kv[FS * PITCH];
    __local float p[FA * P_PITCH(PG)] __attribute__((aligned(16)));
    KEPT_SPACE(kept, FA, FS)
    PLACE(FA)
    LANE(TY)
    const int first = (tiles - 1 - tile) * FA, end = min(first + FA, T); /* long rows first */
    qkv += (ulong)s * T * 3 * C + h * D;
    float4 o[RN][J];
    float largest[RN], sum[RN];
    UNROLL
    for (int r = 0; r < RN; r++) {
        UNROLL
        for (int j = 0; j < J; j++) o[r][j] = 0.0f;
        largest[r] = -INFINITY;
        sum[r] = 0.0f;
    }
    load_rows(q, qkv, FA, 3 * C, first, T, FL);

    for (int start = 0; start < end; start += FS) {
        float score[RN][FN];
        load_rows(kv, qkv + C, FS, 3 * C, start, T, FL);
#if DROPOUT
        draw_tile(kept, dropout, s, h, first, FA, start, FS, T, FL);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        DOT(score, q, kv, RN, TY, FN)
        /* Column 0 is open to every row, rows past T included: no row is ever all masked, so nothing becomes NaN. */
        const int diagonal = start + FS > first;
        UNROLL
        for (int r = 0; r < RN; r++) {
            float best = -INFINITY;
            UNROLL
            for (int n = 0; n < FN; n++) {
                if (diagonal && start + tx + 8 * n > first + ty + TY * r) score[r][n] = -INFINITY;
                best = fmax(best, score[r][n]);
            }
            p[(ty + TY * r) * 8 + tx] = best;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        UNROLL
        for (int r = 0; r < RN; r++) {
            float4 x = *(__local float4 *)(p + (ty + TY * r) * 8), y = *(__local float4 *)(p + (ty + TY * r) * 8 + 4);
            x = fmax(x, y);
            float best = fmax(largest[r], fmax(fmax(x.x, x.y), fmax(x.z, x.w)));
            float shrink = EXP2((largest[r] - best) * c2), top = -best * c2, all = 0.0f;
            largest[r] = best;
#if DROPOUT
            const uint at = kept_at(h, first + ty + TY * r, start, tx, T);
#endif
            UNROLL
            for (int n = 0; n < FN; n++) {
                score[r][n] = EXP2(fma(score[r][n], c2, top));
                all += score[r][n];
#if DROPOUT
                score[r][n] *= kept_factor(kept + (ty + TY * r) * KEPT_ROW(FS), at, 8 * n, dropout_scale(dropout));
#endif
            }
            sum[r] = fma(sum[r], shrink, all);
            UNROLL
            for (int j = 0; j < J; j++) o[r][j] *= shrink;
        }
        load_rows(kv, qkv + 2 * C, FS, 3 * C, start, T, FL);
        barrier(CLK_LOCAL_MEM_FENCE);
        ADD(o, score, p, kv, RN, TY, FN, PG)
    }

    /* Each lane summed its own columns; the 8 lanes of a row add up now. */
    UNROLL
    for (int r = 0; r < RN; r++) p[(ty + TY * r) * 8 + tx] = sum[r];
    barrier(CLK_LOCAL_MEM_FENCE);
    UNROLL
    for (int r = 0; r < RN; r++) {
        int i = first + ty + TY * r;
        float total = 0.0f;
        for (int n = 0; n < 8; n++) total += p[(ty + TY * r) * 8 + n];
        if (i < T) {
            UNROLL
            for (int j = 0; j < J; j++)
                store_4(out + ((ulong)s * T + i) * C + h * D, 8 * j + tx, o[r][j] / total);
            if (tx == 0) lse[stats + i] = largest[r] * scale + log(total);
        }
    }
}

/* ---- backward: p = exp(score - lse), ds = p (dp - delta) ---- */

#define BA (BRN * BTY)
#define BN (BS / 8)
#define BL (8 * BTY)

/* dq: a group keeps its queries and walks the keys up to the diagonal, one streamed tile at a time: V for dp, then K for
   the scores and dq. */
__attribute__((reqd_work_group_size(BL, 1, 1))) __kernel void
attention_dq(ARG(act, dqkv),          /* [B,T,3C]; writes the part of q */
             ARG(const act, dout),    /* [B,T,C] */
             ARG(const act, qkv),     /* [B,T,3C] */
             ARG(const float, lse),   /* [B,H,T] */
             ARG(const float, delta), /* [B,H,T] */
             int T, int H, float scale, dropout_args dropout) {
    TENSOR(act, dqkv);
    TENSOR(const act, dout);
    TENSOR(const act, qkv);
    TENSOR(const float, lse);
    TENSOR(const float, delta);
    __local float4 q[BA * PITCH], go[BA * PITCH], kv[BS * PITCH];
    __local float p[BA * P_PITCH(BG)] __attribute__((aligned(16)));
    KEPT_SPACE(kept, BA, BS)
    PLACE(BA)
    LANE(BTY)
    const int first = (tiles - 1 - tile) * BA, end = min(first + BA, T);
    qkv += (ulong)s * T * 3 * C + h * D;
    float4 dq[BRN][J];
    float row_lse[BRN], row_delta[BRN];
    UNROLL
    for (int r = 0; r < BRN; r++) {
        int i = first + ty + BTY * r;
        UNROLL
        for (int j = 0; j < J; j++) dq[r][j] = 0.0f;
        row_lse[r] = i < T ? lse[stats + i] * -LOG2E : 0.0f;
        row_delta[r] = i < T ? delta[stats + i] : 0.0f;
    }
    load_rows(q, qkv, BA, 3 * C, first, T, BL);
    load_rows(go, dout + (ulong)s * T * C + h * D, BA, C, first, T, BL);

    for (int start = 0; start < end; start += BS) {
        float dp[BRN][BN], ds[BRN][BN];
        load_rows(kv, qkv + 2 * C, BS, 3 * C, start, T, BL);
#if DROPOUT
        draw_tile(kept, dropout, s, h, first, BA, start, BS, T, BL);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        DOT(dp, go, kv, BRN, BTY, BN)
        barrier(CLK_LOCAL_MEM_FENCE);
        load_rows(kv, qkv + C, BS, 3 * C, start, T, BL);
        barrier(CLK_LOCAL_MEM_FENCE);
        DOT(ds, q, kv, BRN, BTY, BN)
        const int diagonal = start + BS > first;
        UNROLL
        for (int r = 0; r < BRN; r++) {
#if DROPOUT
            const uint at = kept_at(h, first + ty + BTY * r, start, tx, T);
#endif
            UNROLL
            for (int n = 0; n < BN; n++) {
                float x = EXP2(fma(ds[r][n], c2, row_lse[r]));
                if (diagonal && start + tx + 8 * n > first + ty + BTY * r) x = 0.0f;
#if DROPOUT
                dp[r][n] *= kept_factor(kept + (ty + BTY * r) * KEPT_ROW(BS), at, 8 * n, dropout_scale(dropout));
#endif
                ds[r][n] = x * (dp[r][n] - row_delta[r]);
            }
        }
        ADD(dq, ds, p, kv, BRN, BTY, BN, BG)
    }
    UNROLL
    for (int r = 0; r < BRN; r++) {
        int i = first + ty + BTY * r;
        UNROLL
        for (int j = 0; j < J; j++)
            if (i < T) store_4(dqkv + ((ulong)s * T + i) * 3 * C + h * D, 8 * j + tx, dq[r][j] * scale);
    }
}

/* dk and dv: a group keeps its keys and walks the queries from the diagonal on: Q for the scores, dout for dp and dv, Q
   again for dk. */
__attribute__((reqd_work_group_size(BL, 1, 1))) __kernel void
attention_dkv(ARG(act, dqkv),          /* [B,T,3C]; writes the parts of k and v */
              ARG(const act, dout),    /* [B,T,C] */
              ARG(const act, qkv),     /* [B,T,3C] */
              ARG(const float, lse),   /* [B,H,T] */
              ARG(const float, delta), /* [B,H,T] */
              int T, int H, float scale, dropout_args dropout) {
    TENSOR(act, dqkv);
    TENSOR(const act, dout);
    TENSOR(const act, qkv);
    TENSOR(const float, lse);
    TENSOR(const float, delta);
    __local float4 k[BA * PITCH], v[BA * PITCH], x[BS * PITCH];
    __local float p[BA * P_PITCH(BG)] __attribute__((aligned(16)));
    KEPT_SPACE(kept, BS, BA)
    PLACE(BA)
    LANE(BTY)
    const int first = tile * BA;
    qkv += (ulong)s * T * 3 * C + h * D;
    dout += (ulong)s * T * C + h * D;
    float4 dk[BRN][J], dv[BRN][J];
    UNROLL
    for (int r = 0; r < BRN; r++) {
        UNROLL
        for (int j = 0; j < J; j++) dk[r][j] = dv[r][j] = 0.0f;
    }
    load_rows(k, qkv + C, BA, 3 * C, first, T, BL);
    load_rows(v, qkv + 2 * C, BA, 3 * C, first, T, BL);

    for (int start = first / BS * BS; start < T; start += BS) {
        float dp[BRN][BN], pd[BRN][BN]; /* pd: scores, then probabilities after dropout */
        load_rows(x, qkv, BS, 3 * C, start, T, BL);
#if DROPOUT
        draw_tile(kept, dropout, s, h, start, BS, first, BA, T, BL);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        DOT(pd, k, x, BRN, BTY, BN)
        barrier(CLK_LOCAL_MEM_FENCE);
        load_rows(x, dout, BS, C, start, T, BL);
        barrier(CLK_LOCAL_MEM_FENCE);
        DOT(dp, v, x, BRN, BTY, BN)
        const int diagonal = start < first + BA;
        UNROLL
        for (int n = 0; n < BN; n++) {
            const int i = start + tx + 8 * n;
            const float row_lse = i < T ? lse[stats + i] * -LOG2E : 0.0f, row_delta = i < T ? delta[stats + i] : 0.0f;
            UNROLL
            for (int r = 0; r < BRN; r++) {
                float y = EXP2(fma(pd[r][n], c2, row_lse)), factor = 1.0f;
                if (diagonal && i < first + ty + BTY * r) y = 0.0f;
#if DROPOUT
                factor = kept_factor(kept + (tx + 8 * n) * KEPT_ROW(BA), kept_at(h, i, first, ty + BTY * r, T), 0,
                                     dropout_scale(dropout));
#endif
                pd[r][n] = y * factor;
                dp[r][n] = y * (dp[r][n] * factor - row_delta);
            }
        }
        ADD(dv, pd, p, x, BRN, BTY, BN, BG)
        load_rows(x, qkv, BS, 3 * C, start, T, BL);
        ADD(dk, dp, p, x, BRN, BTY, BN, BG)
    }
    UNROLL
    for (int r = 0; r < BRN; r++) {
        int i = first + ty + BTY * r;
        if (i < T) {
            __global act *to = dqkv + ((ulong)s * T + i) * 3 * C + h * D;
            UNROLL
            for (int j = 0; j < J; j++) {
                store_4(to + C, 8 * j + tx, dk[r][j] * scale);
                store_4(to + 2 * C, 8 * j + tx, dv[r][j]);
            }
        }
    }
}
