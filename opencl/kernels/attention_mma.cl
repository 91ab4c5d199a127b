/* attention_mma.cl: attention_gpu.cl's kernels by NVIDIA's matrix units (attention_mma_tiles.cl): products of inputs rounded
   to tf32, or to bf16 (BF16); sums, softmax, log-sum-exp and delta in float32. For head sizes 32, 64 and 128. qkv, dout
   and what is written are float32, or bf16 (ACT16, with BF16 only). A warp has its sums in the order of the streamed rows, in
   tiles that start at multiples of NS: how many warps a group has changes no bit. */

/* In emulation all warps meet at barriers inside of the products. */
#define HAS_WORK(condition) (EMULATE || (condition))
#define LANE                                                                                                           \
    const int lid = get_local_id(0), g = lid % 32 / 4, t = lid % 4, warp = lid / 32, C = HEADS * D;                    \
    const float c2 = scale * LOG2E;                                                                                    \
    const ulong stats = ((ulong)s * HEADS + h) * T;

/* ---- forward ---- */

#if BF16
#define VALUES_TILE PAIR_TILE
#define keep_values keep_pairs
#else
#define VALUES_TILE ROW_TILE
#define keep_values keep_rows
#endif

/* Scores of a tile become probabilities, as of the largest score so far; what is summed shrinks to that. */
INLINE void softmax_tile(float score[BLOCKS][4], float o[CHANNEL_BLOCKS][4], float largest[2], float sum[2],
                         float c2 MMA_MEM) {
    UNROLL_ALL
    for (int i = 0; i < 2; i++) {
        float best = largest[i];
        UNROLL_ALL
        for (int n = 0; n < BLOCKS; n++) best = fmax(best, fmax(score[n][2 * i], score[n][2 * i + 1]));
        best = quad(best, 0 MMA_PASS);
        float shrink = exp2_of((largest[i] - best) * c2), top = -best * c2, all = 0.0f;
        largest[i] = best;
        UNROLL_ALL
        for (int n = 0; n < BLOCKS; n++) {
            score[n][2 * i] = exp2_of(fma(score[n][2 * i], c2, top));
            score[n][2 * i + 1] = exp2_of(fma(score[n][2 * i + 1], c2, top));
            all += score[n][2 * i] + score[n][2 * i + 1];
        }
        sum[i] = fma(sum[i], shrink, all);
        UNROLL_ALL
        for (int n = 0; n < CHANNEL_BLOCKS; n++) o[n][2 * i] *= shrink, o[n][2 * i + 1] *= shrink;
    }
}

#if DROPOUT
/* Drops from x, whose rows are queries; kept: of the group's rows; row0: this warp's first of them, i0 its query. */
INLINE void drop_scores(float x[BLOCKS][4], __local const uchar *kept, float factor, int h, int i0, int row0, int j0, int g,
                        int t, int T) {
    UNROLL_ALL
    for (int i = 0; i < 2; i++) {
        const int row = row0 + g + 8 * i;
        UNROLL_ALL
        for (int odd = 0; odd < 2; odd++) {
            const uint at = kept_at(h, i0 + g + 8 * i, j0, 2 * t + odd, T);
            UNROLL_ALL
            for (int n = 0; n < BLOCKS; n++)
                x[n][2 * i + odd] *= kept_factor(kept + row * KEPT_ROW(NS), at, 8 * n, factor);
        }
    }
}
#endif

/* out, lse from qkv. */
__attribute__((reqd_work_group_size(LANES, 1, 1))) __kernel void
attention(ARG(act, out),          /* [B,T,C] */
          ARG(float, lse),        /* [B,H,T] */
          ARG(const act, qkv),    /* [B,T,3C] */
          int T, int H, float scale, dropout_args dropout) {
    TENSOR(act, out);
    TENSOR(float, lse);
    TENSOR(const act, qkv);
    TILE(kt, ROW_TILE);
    TILE(vt, VALUES_TILE);
    KEPT_SPACE(kept, ROWS, NS)
    EXCHANGE
    PLACE(ROWS)
    LANE
    const int first = (tiles - 1 - tile) * ROWS, mine = first + warp * 16, end = min(first + ROWS, T); /* long rows first */
    uint a[CHANNEL_STEPS][4];
    float o[CHANNEL_BLOCKS][4], largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
    four part[2 * UNITS];
    qkv += (ulong)s * T * 3 * C + h * D;
    clear(o);
    load_kept(a, qkv, 3 * C, mine + g, T, t);
    fetch(part, qkv + C, 3 * C, 0, T);
    keep_rows(part, kt);
#if DROPOUT
    draw_tile(kept, dropout, s, h, first, ROWS, 0, NS, T, LANES);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);

    for (int start = 0; start < end; start += NS) {
        const int active = HAS_WORK(start < mine + 16), more = start + NS < end;
        uint p[NS / STEP][4];
        fetch(part, qkv + 2 * C, 3 * C, start, T);
        if (active) {
            float score[BLOCKS][4];
            times_rows(score, BLOCKS, a, kt, g, t MMA_PASS);
            if (start + NS > mine) mask(score, BLOCKS, 1, mine + g, start + 2 * t);
            softmax_tile(score, o, largest, sum, c2 MMA_PASS);
#if DROPOUT
            drop_scores(score, kept, dropout_scale(dropout), h, mine, warp * 16, start, g, t, T);
#endif
            as_kept(p, score, BLOCKS);
        }
        keep_values(part, vt);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (more) fetch(part, qkv + C, 3 * C, start + NS, T);
        if (active) times_pairs(o, p, BLOCKS, vt, g, t MMA_PASS);
        if (more) keep_rows(part, kt);
#if DROPOUT
        if (more) draw_tile(kept, dropout, s, h, first, ROWS, start + NS, NS, T, LANES);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    UNROLL_ALL
    for (int i = 0; i < 2; i++) {
        int row = mine + g + 8 * i;
        float total = quad(sum[i], 1 MMA_PASS);
        if (row < T) {
            store_row(out + ((ulong)s * T + row) * C + h * D, o, i, t, 1.0f / total);
            if (t == 0) lse[stats + row] = largest[i] * scale + log(total);
        }
    }
}

/* ---- backward: p = exp(score - lse), ds = p (dp - delta) ---- */

/* dq: a group keeps its queries and walks the keys up to the diagonal. */
__attribute__((reqd_work_group_size(LANES, 1, 1))) __kernel void
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
    TILE(kt, ROW_TILE);
    TILE(vt, ROW_TILE);
#if BF16
    TILE(kp, PAIR_TILE);
#else
#define kp kt
#endif
    KEPT_SPACE(kept, ROWS, NS)
    EXCHANGE
    PLACE(ROWS)
    LANE
    const int first = (tiles - 1 - tile) * ROWS, mine = first + warp * 16, end = min(first + ROWS, T);
    uint a[CHANNEL_STEPS][4], b[CHANNEL_STEPS][4];
    float dq[CHANNEL_BLOCKS][4], row_lse[2], row_delta[2];
    four rk[2 * UNITS], rv[2 * UNITS];
    qkv += (ulong)s * T * 3 * C + h * D;
    dout += (ulong)s * T * C + h * D;
    clear(dq);
    load_kept(a, qkv, 3 * C, mine + g, T, t);
    load_kept(b, dout, C, mine + g, T, t);
    UNROLL_ALL
    for (int i = 0; i < 2; i++) {
        int row = mine + g + 8 * i;
        row_lse[i] = row < T ? lse[stats + row] * -LOG2E : 0.0f;
        row_delta[i] = row < T ? delta[stats + row] : 0.0f;
    }
    if (PREFETCH) fetch(rk, qkv + C, 3 * C, 0, T), fetch(rv, qkv + 2 * C, 3 * C, 0, T);

    for (int start = 0; start < end; start += NS) {
        if (!PREFETCH) fetch(rk, qkv + C, 3 * C, start, T), fetch(rv, qkv + 2 * C, 3 * C, start, T);
        barrier(CLK_LOCAL_MEM_FENCE);
        keep_rows(rk, kt);
#if BF16
        keep_pairs(rk, kp);
#endif
        keep_rows(rv, vt);
#if DROPOUT
        draw_tile(kept, dropout, s, h, first, ROWS, start, NS, T, LANES);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        if (PREFETCH && start + NS < end)
            fetch(rk, qkv + C, 3 * C, start + NS, T), fetch(rv, qkv + 2 * C, 3 * C, start + NS, T);
        if (HAS_WORK(start < mine + 16)) {
            float score[BLOCKS][4], dp[BLOCKS][4];
            uint ds[NS / STEP][4];
            times_rows(score, BLOCKS, a, kt, g, t MMA_PASS);
            times_rows(dp, BLOCKS, b, vt, g, t MMA_PASS);
            if (start + NS > mine) mask(score, BLOCKS, 1, mine + g, start + 2 * t);
#if DROPOUT
            drop_scores(dp, kept, dropout_scale(dropout), h, mine, warp * 16, start, g, t, T);
#endif
            UNROLL_ALL
            for (int n = 0; n < BLOCKS; n++) {
                UNROLL_ALL
                for (int e = 0; e < 4; e++)
                    score[n][e] = exp2_of(fma(score[n][e], c2, row_lse[e >> 1])) * (dp[n][e] - row_delta[e >> 1]);
            }
            as_kept(ds, score, BLOCKS);
            times_pairs(dq, ds, BLOCKS, kp, g, t MMA_PASS);
        }
    }
    UNROLL_ALL
    for (int i = 0; i < 2; i++) {
        int row = mine + g + 8 * i;
        if (row < T) store_row(dqkv + ((ulong)s * T + row) * 3 * C + h * D, dq, i, t, scale);
    }
}

/* dk and dv: a group keeps its keys and walks the queries from the diagonal on. */
__attribute__((reqd_work_group_size(LANES, 1, 1))) __kernel void
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
    TILE(qt, ROW_TILE);
    TILE(gt, ROW_TILE);
#if BF16
    TILE(qp, PAIR_TILE);
    TILE(gp, PAIR_TILE);
#else
#define qp qt
#define gp gt
#endif
    __local float lses[NS] __attribute__((aligned(16))), deltas[NS] __attribute__((aligned(16)));
    KEPT_SPACE(kept, NS, ROWS)
    EXCHANGE
    PLACE(ROWS)
    LANE
    const int first = tile * ROWS, mine = first + warp * 16, begin = first / NS * NS;
    uint a[CHANNEL_STEPS][4], b[CHANNEL_STEPS][4];
    float dk[CHANNEL_BLOCKS][4], dv[CHANNEL_BLOCKS][4];
    four rq[2 * UNITS], rg[2 * UNITS];
    qkv += (ulong)s * T * 3 * C + h * D;
    dout += (ulong)s * T * C + h * D;
    lse += stats;
    delta += stats;
    clear(dk);
    clear(dv);
    load_kept(a, qkv + C, 3 * C, mine + g, T, t);
    load_kept(b, qkv + 2 * C, 3 * C, mine + g, T, t);
    if (PREFETCH) fetch(rq, qkv, 3 * C, begin, T), fetch(rg, dout, C, begin, T);

    for (int start = begin; start < T; start += NS) {
        if (!PREFETCH) fetch(rq, qkv, 3 * C, start, T), fetch(rg, dout, C, start, T);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = lid; i < NS; i += LANES) { /* both in one go: a tile waits for memory once */
            lses[i] = start + i < T ? lse[start + i] * -LOG2E : 0.0f;
            deltas[i] = start + i < T ? delta[start + i] : 0.0f;
        }
        keep_rows(rq, qt);
        keep_rows(rg, gt);
#if BF16
        keep_pairs(rq, qp);
        keep_pairs(rg, gp);
#endif
#if DROPOUT
        draw_tile(kept, dropout, s, h, start, NS, first, ROWS, T, LANES);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        if (PREFETCH && start + NS < T) fetch(rq, qkv, 3 * C, start + NS, T), fetch(rg, dout, C, start + NS, T);
        UNROLL /* also where it is emulated: PoCL 3.1 was seen to lose lses in a loop */
        for (int part = 0; part < NS; part += PART) {
            if (HAS_WORK(start + part + PART > mine)) {
                float score[PART / 8][4], dp[PART / 8][4], ds[PART / 8][4];
                uint x[PART / STEP][4];
                times_rows(score, PART / 8, a, qt + part * ROW_PITCH, g, t MMA_PASS);
                times_rows(dp, PART / 8, b, gt + part * ROW_PITCH, g, t MMA_PASS);
                if (start + part < mine + 16) mask(score, PART / 8, 0, mine + g, start + part + 2 * t);
                UNROLL_ALL
                for (int n = 0; n < PART / 8; n++) {
                    const int row = part + 8 * n + 2 * t;
                    const float2 l = *(__local const float2 *)(lses + row), d = *(__local const float2 *)(deltas + row);
                    UNROLL_ALL
                    for (int e = 0; e < 4; e++) {
                        float p = exp2_of(fma(score[n][e], c2, e & 1 ? l.y : l.x)), factor = 1.0f;
#if DROPOUT
                        factor = kept_factor(kept + (row + (e & 1)) * KEPT_ROW(ROWS),
                                             kept_at(h, start + row + (e & 1), first, warp * 16 + g + 8 * (e >> 1), T), 0,
                                             dropout_scale(dropout));
#endif
                        score[n][e] = p * factor;
                        ds[n][e] = p * (dp[n][e] * factor - (e & 1 ? d.y : d.x));
                    }
                }
                as_kept(x, score, PART / 8);
                times_pairs(dv, x, PART / 8, gp + PAIR_ROW(part), g, t MMA_PASS);
                as_kept(x, ds, PART / 8);
                times_pairs(dk, x, PART / 8, qp + PAIR_ROW(part), g, t MMA_PASS);
            }
        }
    }
    UNROLL_ALL
    for (int i = 0; i < 2; i++) {
        int row = mine + g + 8 * i;
        if (row < T) {
            __global act *to = dqkv + ((ulong)s * T + row) * 3 * C + h * D;
            store_row(to + C, dk, i, t, scale);
            store_row(to + 2 * C, dv, i, t, 1.0f);
        }
    }
}
