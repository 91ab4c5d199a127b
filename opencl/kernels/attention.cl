/* attention.cl: causal self-attention by tiles, after FlashAttention-2 (arXiv 2307.08691): the [T,T] scores exist only
   as tiles in local memory; tiles above the diagonal are never touched; the log-sum-exp of each row is kept for the
   backward pass, which computes the probabilities again. Every output has one writer and one order: no atomics.

   Built for one head size D. A work-group has 8 x 8 lanes. Lane (ty, tx) owns a small tile of the scores, rows
   ty*R .. and columns tx*R .. (consecutive: four neighbours share a Philox draw), and in products with [., D] operands
   the columns tx, tx + 8, ... The tile sizes come from the host, such that local memory stays under 32 KiB:
   FQ x FK forward, QQ x QK in the pass for dq, KQ x KK in the pass for dk and dv.

   qkv [B,T,3C]: a row holds q, k, v, each with its H heads of D one after the other. */

#define SIDE 8
#define LANES (SIDE * SIDE)
#define RD ((D + SIDE - 1) / SIDE)
#define HAS(c) (D % SIDE == 0 || (c) < D)

/* Copies rows first .. first+count-1 of a [T, stride] matrix, D wide, into local memory, channel by channel:
   tile[d * (count + 1) + i]. Rows past T read as zeros. The odd stride keeps both directions free of bank conflicts. */
inline void load_channels(__local float *tile, __global const float *x, int first, int count, int T, int stride,
                          int lane) {
    for (int e = lane; e < count * D; e += LANES) {
        int i = e / D, d = e % D;
        tile[d * (count + 1) + i] = first + i < T ? x[(ulong)(first + i) * stride + d] : 0.0f;
    }
}

/* Dropout's factor of score (i, j); neighbours in j mostly share the draw kept in *cached. */
inline float score_factor(dropout_args dropout, uint s, ulong row_start, int j, ulong *quad, float4 *cached) {
    float factor = 1.0f;
    if (dropout.s6 != 0) {
        ulong element = row_start + j;
        if (element / 4 != *quad) {
            *quad = element / 4;
            *cached = dropout_factors(dropout, s, *quad);
        }
        factor = pick(*cached, (uint)(element & 3));
    }
    return factor;
}

#define NO_QUAD (~(ulong)0)

/* out, lse from qkv. Grid: (tiles of FQ queries, H, sequences) groups. */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention(__global float *out,       /* [B,T,C] */
          __global float *lse,       /* [B,H,T] */
          __global const float *qkv, /* [B,T,3C] */
          int T, int H, float scale, dropout_args dropout) {
    __local float q[D * (FQ + 1)];
    __local float kv[D * (FK + 1)];
    __local float p[FQ * (FK + 1)];
    __local float part[FQ * SIDE];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int first = get_group_id(0) * FQ, h = get_group_id(1), s = get_group_id(2);
    const int C = H * D;
    qkv += (ulong)s * T * 3 * C + h * D;
    float acc[FQ / SIDE][RD], largest[FQ / SIDE], sum[FQ / SIDE];
    for (int r = 0; r < FQ / SIDE; r++) {
        largest[r] = -INFINITY;
        sum[r] = 0.0f;
        for (int n = 0; n < RD; n++) acc[r][n] = 0.0f;
    }
    load_channels(q, qkv, first, FQ, T, 3 * C, lane);

    for (int start = 0; start < min(first + FQ, T); start += FK) {
        load_channels(kv, qkv + C, start, FK, T, 3 * C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        float score[FQ / SIDE][FK / SIDE];
        for (int r = 0; r < FQ / SIDE; r++)
            for (int n = 0; n < FK / SIDE; n++) score[r][n] = 0.0f;
        for (int d = 0; d < D; d++) {
            float b[FK / SIDE];
            for (int n = 0; n < FK / SIDE; n++) b[n] = kv[d * (FK + 1) + tx * (FK / SIDE) + n];
            for (int r = 0; r < FQ / SIDE; r++) {
                float a = q[d * (FQ + 1) + ty * (FQ / SIDE) + r];
                for (int n = 0; n < FK / SIDE; n++) score[r][n] += a * b[n];
            }
        }
        /* Column 0 is open to every row, rows past T included: no row is ever all masked, so nothing becomes NaN. */
        for (int r = 0; r < FQ / SIDE; r++) {
            int i = first + ty * (FQ / SIDE) + r;
            float best = -INFINITY;
            for (int n = 0; n < FK / SIDE; n++) {
                int j = start + tx * (FK / SIDE) + n;
                score[r][n] = j <= i && j < T ? score[r][n] * scale : -INFINITY;
                best = fmax(best, score[r][n]);
            }
            part[(ty * (FQ / SIDE) + r) * SIDE + tx] = best;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int r = 0; r < FQ / SIDE; r++) {
            int row = ty * (FQ / SIDE) + r;
            float best = largest[r];
            for (int n = 0; n < SIDE; n++) best = fmax(best, part[row * SIDE + n]);
            float shrink = exp(largest[r] - best);
            largest[r] = best;
            sum[r] *= shrink;
            for (int n = 0; n < RD; n++) acc[r][n] *= shrink;
            ulong row_start = ((ulong)h * T + first + row) * T, quad = NO_QUAD;
            float4 cached = 0.0f;
            for (int n = 0; n < FK / SIDE; n++) {
                int col = tx * (FK / SIDE) + n;
                float e = exp(score[r][n] - best);
                sum[r] += e;
                p[row * (FK + 1) + col] = e * score_factor(dropout, s, row_start, start + col, &quad, &cached);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        load_channels(kv, qkv + 2 * C, start, FK, T, 3 * C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int j = 0; j < FK; j++) {
            float v[RD];
            for (int n = 0; n < RD; n++) v[n] = HAS(tx + n * SIDE) ? kv[(tx + n * SIDE) * (FK + 1) + j] : 0.0f;
            for (int r = 0; r < FQ / SIDE; r++) {
                float a = p[(ty * (FQ / SIDE) + r) * (FK + 1) + j];
                for (int n = 0; n < RD; n++) acc[r][n] += a * v[n];
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    /* Each lane summed its own columns; the eight lanes of a row add up now. */
    for (int r = 0; r < FQ / SIDE; r++) part[(ty * (FQ / SIDE) + r) * SIDE + tx] = sum[r];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int r = 0; r < FQ / SIDE; r++) {
        int row = ty * (FQ / SIDE) + r, i = first + row;
        float total = 0.0f;
        for (int n = 0; n < SIDE; n++) total += part[row * SIDE + n];
        if (i < T) {
            for (int n = 0; n < RD; n++) {
                int c = tx + n * SIDE;
                if (HAS(c)) out[((ulong)s * T + i) * C + h * D + c] = acc[r][n] / total;
            }
            if (tx == 0) lse[((ulong)s * H + h) * T + i] = largest[r] + log(total);
        }
    }
}

/* delta[i] = dout_i . out_i: the softmax gradient's row term, dropout or not. A work-item a (position, head). */
__kernel void attention_delta(__global float *delta,     /* [B,H,T] */
                              __global const float *dout, /* [B,T,C] */
                              __global const float *out,  /* [B,T,C] */
                              int T, int H, ulong n /* sequences * T * H */) {
    ulong i = get_global_id(0);
    if (i < n) {
        ulong row = i / H, h = i % H, s = row / T, t = row % T;
        float sum = 0.0f;
        for (int d = 0; d < D; d++) sum += dout[i * D + d] * out[i * D + d];
        delta[(s * H + h) * T + t] = sum;
    }
}

/* One tile of the backward pass: the lane's R x N scores become p = exp(s - lse) and ds = p (dp - delta), from
   channel-wise tiles of q, dout [., rows + 1] and k, v [., columns + 1]. */
#define SCORES(R, N, ROWS, COLUMNS)                                                                                    \
    float score[R][N], dp[R][N];                                                                                       \
    for (int r = 0; r < R; r++)                                                                                        \
        for (int n = 0; n < N; n++) score[r][n] = dp[r][n] = 0.0f;                                                     \
    for (int d = 0; d < D; d++) {                                                                                      \
        float bk[N], bv[N];                                                                                            \
        for (int n = 0; n < N; n++) {                                                                                  \
            bk[n] = k[d * (COLUMNS + 1) + tx * N + n];                                                                 \
            bv[n] = v[d * (COLUMNS + 1) + tx * N + n];                                                                 \
        }                                                                                                              \
        for (int r = 0; r < R; r++) {                                                                                  \
            float aq = q[d * (ROWS + 1) + ty * R + r], ao = go[d * (ROWS + 1) + ty * R + r];                           \
            for (int n = 0; n < N; n++) {                                                                              \
                score[r][n] += aq * bk[n];                                                                             \
                dp[r][n] += ao * bv[n];                                                                                \
            }                                                                                                          \
        }                                                                                                              \
    }

/* dq: a group keeps its queries and walks the keys up to the diagonal. Grid as in attention, tiles of QQ. */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention_dq(__global float *dqkv,        /* [B,T,3C]; writes the part of q */
             __global const float *dout,  /* [B,T,C] */
             __global const float *qkv,   /* [B,T,3C] */
             __global const float *lse,   /* [B,H,T] */
             __global const float *delta, /* [B,H,T] */
             int T, int H, float scale, dropout_args dropout) {
    __local float q[D * (QQ + 1)];
    __local float go[D * (QQ + 1)];
    __local float k[D * (QK + 1)];
    __local float v[D * (QK + 1)];
    __local float ds[QQ * (QK + 1)];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int first = get_group_id(0) * QQ, h = get_group_id(1), s = get_group_id(2);
    const int C = H * D;
    const ulong stats = ((ulong)s * H + h) * T;
    qkv += (ulong)s * T * 3 * C + h * D;
    float acc[QQ / SIDE][RD], row_lse[QQ / SIDE], row_delta[QQ / SIDE];
    for (int r = 0; r < QQ / SIDE; r++) {
        int i = first + ty * (QQ / SIDE) + r;
        row_lse[r] = i < T ? lse[stats + i] : 0.0f;
        row_delta[r] = i < T ? delta[stats + i] : 0.0f;
        for (int n = 0; n < RD; n++) acc[r][n] = 0.0f;
    }
    load_channels(q, qkv, first, QQ, T, 3 * C, lane);
    load_channels(go, dout + (ulong)s * T * C + h * D, first, QQ, T, C, lane);

    for (int start = 0; start < min(first + QQ, T); start += QK) {
        load_channels(k, qkv + C, start, QK, T, 3 * C, lane);
        load_channels(v, qkv + 2 * C, start, QK, T, 3 * C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        SCORES(QQ / SIDE, QK / SIDE, QQ, QK)
        for (int r = 0; r < QQ / SIDE; r++) {
            int row = ty * (QQ / SIDE) + r, i = first + row;
            ulong row_start = ((ulong)h * T + i) * T, quad = NO_QUAD;
            float4 cached = 0.0f;
            for (int n = 0; n < QK / SIDE; n++) {
                int col = tx * (QK / SIDE) + n, j = start + col;
                float p = j <= i && i < T ? exp(score[r][n] * scale - row_lse[r]) : 0.0f;
                float factor = score_factor(dropout, s, row_start, j, &quad, &cached);
                ds[row * (QK + 1) + col] = p * (factor * dp[r][n] - row_delta[r]);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int j = 0; j < QK; j++) {
            float b[RD];
            for (int n = 0; n < RD; n++) b[n] = HAS(tx + n * SIDE) ? k[(tx + n * SIDE) * (QK + 1) + j] : 0.0f;
            for (int r = 0; r < QQ / SIDE; r++) {
                float a = ds[(ty * (QQ / SIDE) + r) * (QK + 1) + j];
                for (int n = 0; n < RD; n++) acc[r][n] += a * b[n];
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    for (int r = 0; r < QQ / SIDE; r++) {
        int i = first + ty * (QQ / SIDE) + r;
        for (int n = 0; n < RD; n++) {
            int c = tx + n * SIDE;
            if (i < T && HAS(c)) dqkv[((ulong)s * T + i) * 3 * C + h * D + c] = scale * acc[r][n];
        }
    }
}

/* dk and dv: a group keeps its keys and walks the queries from the diagonal on. Grid: (tiles of KK keys, H, sequences). */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention_dkv(__global float *dqkv,        /* [B,T,3C]; writes the parts of k and v */
              __global const float *dout,  /* [B,T,C] */
              __global const float *qkv,   /* [B,T,3C] */
              __global const float *lse,   /* [B,H,T] */
              __global const float *delta, /* [B,H,T] */
              int T, int H, float scale, dropout_args dropout) {
    __local float k[D * (KK + 1)];
    __local float v[D * (KK + 1)];
    __local float q[D * (KQ + 1)];
    __local float go[D * (KQ + 1)];
    __local float pd[KQ * (KK + 1)]; /* probabilities after dropout */
    __local float ds[KQ * (KK + 1)];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int first = get_group_id(0) * KK, h = get_group_id(1), s = get_group_id(2);
    const int C = H * D;
    const ulong stats = ((ulong)s * H + h) * T;
    qkv += (ulong)s * T * 3 * C + h * D;
    dout += (ulong)s * T * C + h * D;
    float dk[KK / SIDE][RD], dv[KK / SIDE][RD];
    for (int r = 0; r < KK / SIDE; r++)
        for (int n = 0; n < RD; n++) dk[r][n] = dv[r][n] = 0.0f;
    load_channels(k, qkv + C, first, KK, T, 3 * C, lane);
    load_channels(v, qkv + 2 * C, first, KK, T, 3 * C, lane);

    for (int start = first / KQ * KQ; start < T; start += KQ) {
        load_channels(q, qkv, start, KQ, T, 3 * C, lane);
        load_channels(go, dout, start, KQ, T, C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        SCORES(KQ / SIDE, KK / SIDE, KQ, KK)
        for (int r = 0; r < KQ / SIDE; r++) {
            int row = ty * (KQ / SIDE) + r, i = start + row;
            float row_lse = i < T ? lse[stats + i] : 0.0f, row_delta = i < T ? delta[stats + i] : 0.0f;
            ulong row_start = ((ulong)h * T + i) * T, quad = NO_QUAD;
            float4 cached = 0.0f;
            for (int n = 0; n < KK / SIDE; n++) {
                int col = tx * (KK / SIDE) + n, j = first + col;
                float p = j <= i && i < T ? exp(score[r][n] * scale - row_lse) : 0.0f;
                float factor = score_factor(dropout, s, row_start, j, &quad, &cached);
                pd[row * (KK + 1) + col] = factor * p;
                ds[row * (KK + 1) + col] = p * (factor * dp[r][n] - row_delta);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = 0; i < KQ; i++) {
            float bq[RD], bo[RD];
            for (int n = 0; n < RD; n++) {
                int c = tx + n * SIDE;
                bq[n] = HAS(c) ? q[c * (KQ + 1) + i] : 0.0f;
                bo[n] = HAS(c) ? go[c * (KQ + 1) + i] : 0.0f;
            }
            for (int r = 0; r < KK / SIDE; r++) {
                float a = ds[i * (KK + 1) + ty * (KK / SIDE) + r], b = pd[i * (KK + 1) + ty * (KK / SIDE) + r];
                for (int n = 0; n < RD; n++) {
                    dk[r][n] += a * bq[n];
                    dv[r][n] += b * bo[n];
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    for (int r = 0; r < KK / SIDE; r++) {
        int j = first + ty * (KK / SIDE) + r;
        for (int n = 0; n < RD; n++) {
            int c = tx + n * SIDE;
            if (j < T && HAS(c)) {
                ulong at = ((ulong)s * T + j) * 3 * C + h * D + c;
                dqkv[at + C] = scale * dk[r][n];
                dqkv[at + 2 * C] = dv[r][n];
            }
        }
    }
}
