/* attention.cl: causal self-attention by tiles, after FlashAttention-2 (arXiv 2307.08691): the [T,T] scores exist only
   as tiles in local memory; tiles above the diagonal are never touched; the log-sum-exp of each row is kept for the
   backward pass, which computes the probabilities again. Every output has one writer and one order: no atomics.

   Built for one head size D. A work-group has SIDE x SIDE lanes; it keeps A rows (of queries, or of keys) and streams
   tiles of S rows of the other kind past them. Lane (ty, tx) owns the R = A / SIDE kept rows from ty * R on, as one
   vector, and of a score tile the N = S / SIDE streamed rows from tx * N on; in products with [., D] operands the
   channels tx, tx + SIDE, ... SIDE is 8 on GPUs; CPUs, which turn a group into loops, get fewer lanes with longer
   vectors. The tile sizes come from the host, such that local memory stays under 32 KiB: FA x FS forward, QA x QS in the
   pass for dq, KA x KS in the pass for dk and dv.

   qkv [B,T,3C]: a row holds q, k, v, each with its H heads of D one after the other. */

#define LANES (SIDE * SIDE)
#define RD ((D + SIDE - 1) / SIDE)
#define HAS(c) (D % SIDE == 0 || (c) < D)

/* A vector of n floats or ints, a load and a store of it, and 0 .. n-1; also for n = 1, where OpenCL C has none. */
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
    ulong element = row_start + j;
    if (element / 4 != *quad) {
        *quad = element / 4;
        *cached = dropout_factors(dropout, s, *quad);
    }
    return pick(*cached, (uint)(element & 3));
}

#define NO_QUAD (~(ulong)0)

#define FA (FR * SIDE)
#define FN (FS / SIDE)
typedef FLOATS(FR) f_rows;
typedef INTS(FR) f_ints;

/* out, lse from qkv. Grid: (tiles of FA queries, H, sequences) groups. */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention(__global float *out,       /* [B,T,C] */
          __global float *lse,       /* [B,H,T] */
          __global const float *qkv, /* [B,T,3C] */
          int T, int H, float scale, dropout_args dropout) {
    __local float q[D * (FA + 1)];
    __local float kv[D * (FS + 1)];
    __local float p[FS * (FA + 1)];
    __local float part[SIDE * FA];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int first = get_group_id(0) * FA, h = get_group_id(1), s = get_group_id(2);
    const int C = H * D, row = ty * FR;
    const f_ints query = first + row + COUNT(FR);
    qkv += (ulong)s * T * 3 * C + h * D;
    f_rows acc[RD], largest = -INFINITY, sum = 0.0f;
    for (int n = 0; n < RD; n++) acc[n] = 0.0f;
    load_channels(q, qkv, first, FA, T, 3 * C, lane);

    for (int start = 0; start < min(first + FA, T); start += FS) {
        load_channels(kv, qkv + C, start, FS, T, 3 * C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        f_rows score[FN];
        for (int n = 0; n < FN; n++) score[n] = 0.0f;
        for (int d = 0; d < D; d++) {
            f_rows a = LOAD(FR, q + d * (FA + 1) + row);
            for (int n = 0; n < FN; n++) score[n] += a * kv[d * (FS + 1) + tx * FN + n];
        }
        /* Column 0 is open to every row, rows past T included: no row is ever all masked, so nothing becomes NaN. */
        f_rows best = -INFINITY;
        for (int n = 0; n < FN; n++) {
            int j = start + tx * FN + n;
            score[n] = select((f_rows)(-INFINITY), score[n] * scale, (f_ints)j <= query && (f_ints)j < (f_ints)T);
            best = fmax(best, score[n]);
        }
        STORE(FR, best, part + tx * FA + row);
        barrier(CLK_LOCAL_MEM_FENCE);
        best = largest;
        for (int n = 0; n < SIDE; n++) best = fmax(best, LOAD(FR, part + n * FA + row));
        f_rows shrink = exp(largest - best);
        largest = best;
        sum *= shrink;
        for (int n = 0; n < RD; n++) acc[n] *= shrink;
        for (int n = 0; n < FN; n++) {
            score[n] = exp(score[n] - best);
            sum += score[n];
        }
        if (dropout.s6 != 0) {
            for (int r = 0; r < FR; r++) {
                ulong row_start = ((ulong)h * T + first + row + r) * T, quad = NO_QUAD;
                float4 cached = 0.0f;
                for (int n = 0; n < FN; n++)
                    ((float *)&score[n])[r] *= score_factor(dropout, s, row_start, start + tx * FN + n, &quad, &cached);
            }
        }
        for (int n = 0; n < FN; n++) STORE(FR, score[n], p + (tx * FN + n) * (FA + 1) + row);
        barrier(CLK_LOCAL_MEM_FENCE);
        load_channels(kv, qkv + 2 * C, start, FS, T, 3 * C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int j = 0; j < FS; j++) {
            f_rows a = LOAD(FR, p + j * (FA + 1) + row);
            for (int n = 0; n < RD; n++)
                if (HAS(tx + n * SIDE)) acc[n] += a * kv[(tx + n * SIDE) * (FS + 1) + j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    /* Each lane summed its own columns; the lanes of a row add up now. */
    STORE(FR, sum, part + tx * FA + row);
    barrier(CLK_LOCAL_MEM_FENCE);
    f_rows total = 0.0f;
    for (int n = 0; n < SIDE; n++) total += LOAD(FR, part + n * FA + row);
    f_rows row_lse = largest + log(total);
    for (int r = 0; r < FR; r++) {
        int i = first + row + r;
        if (i < T) {
            for (int n = 0; n < RD; n++) {
                int c = tx + n * SIDE;
                if (HAS(c)) out[((ulong)s * T + i) * C + h * D + c] = ((float *)&acc[n])[r] / ((float *)&total)[r];
            }
            if (tx == 0) lse[((ulong)s * H + h) * T + i] = ((float *)&row_lse)[r];
        }
    }
}

/* delta[i] = dout_i . out_i: the softmax gradient's row term, dropout or not. A work-item a (position, head). */
__kernel void attention_delta(__global float *delta,      /* [B,H,T] */
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

/* dot[n] and dp[n] += products of the kept rows' channels (x, y: tiles of A) with the streamed rows' (u, w: tiles of S). */
#define TWO_PRODUCTS(VECTOR, R, N, A, S, x, y, u, w)                                                                   \
    for (int n = 0; n < N; n++) dot[n] = dp[n] = 0.0f;                                                                 \
    for (int d = 0; d < D; d++) {                                                                                      \
        VECTOR a = LOAD(R, x + d * (A + 1) + row), b = LOAD(R, y + d * (A + 1) + row);                                 \
        for (int n = 0; n < N; n++) {                                                                                  \
            dot[n] += a * u[d * (S + 1) + tx * N + n];                                                                 \
            dp[n] += b * w[d * (S + 1) + tx * N + n];                                                                  \
        }                                                                                                              \
    }

#define QA (QR * SIDE)
#define QN (QS / SIDE)
typedef FLOATS(QR) q_rows;
typedef INTS(QR) q_ints;

/* dq: a group keeps its queries and walks the keys up to the diagonal. Grid as in attention, tiles of QA.
   p = exp(score - lse), ds = p (dp - delta). */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention_dq(__global float *dqkv,        /* [B,T,3C]; writes the part of q */
             __global const float *dout,  /* [B,T,C] */
             __global const float *qkv,   /* [B,T,3C] */
             __global const float *lse,   /* [B,H,T] */
             __global const float *delta, /* [B,H,T] */
             int T, int H, float scale, dropout_args dropout) {
    __local float q[D * (QA + 1)];
    __local float go[D * (QA + 1)];
    __local float k[D * (QS + 1)];
    __local float v[D * (QS + 1)];
    __local float ds[QS * (QA + 1)];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int first = get_group_id(0) * QA, h = get_group_id(1), s = get_group_id(2);
    const int C = H * D, row = ty * QR;
    const q_ints query = first + row + COUNT(QR);
    const ulong stats = ((ulong)s * H + h) * T;
    qkv += (ulong)s * T * 3 * C + h * D;
    q_rows acc[RD], row_lse, row_delta;
    for (int r = 0; r < QR; r++) {
        int i = first + row + r;
        ((float *)&row_lse)[r] = i < T ? lse[stats + i] : 0.0f;
        ((float *)&row_delta)[r] = i < T ? delta[stats + i] : 0.0f;
    }
    for (int n = 0; n < RD; n++) acc[n] = 0.0f;
    load_channels(q, qkv, first, QA, T, 3 * C, lane);
    load_channels(go, dout + (ulong)s * T * C + h * D, first, QA, T, C, lane);

    for (int start = 0; start < min(first + QA, T); start += QS) {
        load_channels(k, qkv + C, start, QS, T, 3 * C, lane);
        load_channels(v, qkv + 2 * C, start, QS, T, 3 * C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        q_rows dot[QN], dp[QN];
        TWO_PRODUCTS(q_rows, QR, QN, QA, QS, q, go, k, v)
        if (dropout.s6 != 0) {
            for (int r = 0; r < QR; r++) {
                ulong row_start = ((ulong)h * T + first + row + r) * T, quad = NO_QUAD;
                float4 cached = 0.0f;
                for (int n = 0; n < QN; n++)
                    ((float *)&dp[n])[r] *= score_factor(dropout, s, row_start, start + tx * QN + n, &quad, &cached);
            }
        }
        for (int n = 0; n < QN; n++) {
            int j = start + tx * QN + n;
            q_rows p = select((q_rows)(0.0f), exp(dot[n] * scale - row_lse), (q_ints)j <= query && query < (q_ints)T);
            STORE(QR, p * (dp[n] - row_delta), ds + (tx * QN + n) * (QA + 1) + row);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int j = 0; j < QS; j++) {
            q_rows a = LOAD(QR, ds + j * (QA + 1) + row);
            for (int n = 0; n < RD; n++)
                if (HAS(tx + n * SIDE)) acc[n] += a * k[(tx + n * SIDE) * (QS + 1) + j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    for (int r = 0; r < QR; r++) {
        int i = first + row + r;
        for (int n = 0; n < RD; n++) {
            int c = tx + n * SIDE;
            if (i < T && HAS(c)) dqkv[((ulong)s * T + i) * 3 * C + h * D + c] = scale * ((float *)&acc[n])[r];
        }
    }
}

#define KA (KR * SIDE)
#define KN (KS / SIDE)
typedef FLOATS(KR) k_rows;
typedef INTS(KR) k_ints;

/* dk and dv: a group keeps its keys and walks the queries from the diagonal on. Grid: (tiles of KA keys, H, sequences). */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention_dkv(__global float *dqkv,        /* [B,T,3C]; writes the parts of k and v */
              __global const float *dout,  /* [B,T,C] */
              __global const float *qkv,   /* [B,T,3C] */
              __global const float *lse,   /* [B,H,T] */
              __global const float *delta, /* [B,H,T] */
              int T, int H, float scale, dropout_args dropout) {
    __local float k[D * (KA + 1)];
    __local float v[D * (KA + 1)];
    __local float q[D * (KS + 1)];
    __local float go[D * (KS + 1)];
    __local float pd[KS * (KA + 1)]; /* probabilities after dropout */
    __local float ds[KS * (KA + 1)];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int first = get_group_id(0) * KA, h = get_group_id(1), s = get_group_id(2);
    const int C = H * D, row = ty * KR;
    const k_ints key = first + row + COUNT(KR);
    const ulong stats = ((ulong)s * H + h) * T;
    qkv += (ulong)s * T * 3 * C + h * D;
    dout += (ulong)s * T * C + h * D;
    k_rows dk[RD], dv[RD];
    for (int n = 0; n < RD; n++) dk[n] = dv[n] = 0.0f;
    load_channels(k, qkv + C, first, KA, T, 3 * C, lane);
    load_channels(v, qkv + 2 * C, first, KA, T, 3 * C, lane);

    for (int start = first / KS * KS; start < T; start += KS) {
        load_channels(q, qkv, start, KS, T, 3 * C, lane);
        load_channels(go, dout, start, KS, T, C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        k_rows dot[KN], dp[KN];
        TWO_PRODUCTS(k_rows, KR, KN, KA, KS, k, v, q, go)
        for (int n = 0; n < KN; n++) {
            int at = tx * KN + n, i = start + at;
            float row_lse = i < T ? lse[stats + i] : 0.0f, row_delta = i < T ? delta[stats + i] : 0.0f;
            k_rows p = select((k_rows)(0.0f), exp(dot[n] * scale - row_lse), key <= (k_ints)i && (k_ints)i < (k_ints)T);
            k_rows kept = p;
            if (dropout.s6 != 0) {
                ulong row_start = ((ulong)h * T + i) * T, quad = NO_QUAD;
                float4 cached = 0.0f;
                for (int r = 0; r < KR; r++) {
                    float factor = score_factor(dropout, s, row_start, first + row + r, &quad, &cached);
                    ((float *)&kept)[r] *= factor;
                    ((float *)&dp[n])[r] *= factor;
                }
            }
            STORE(KR, kept, pd + at * (KA + 1) + row);
            STORE(KR, p * (dp[n] - row_delta), ds + at * (KA + 1) + row);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = 0; i < KS; i++) {
            k_rows a = LOAD(KR, ds + i * (KA + 1) + row), b = LOAD(KR, pd + i * (KA + 1) + row);
            for (int n = 0; n < RD; n++) {
                int c = tx + n * SIDE;
                if (HAS(c)) {
                    dk[n] += a * q[c * (KS + 1) + i];
                    dv[n] += b * go[c * (KS + 1) + i];
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    for (int r = 0; r < KR; r++) {
        int j = first + row + r;
        for (int n = 0; n < RD; n++) {
            int c = tx + n * SIDE;
            if (j < T && HAS(c)) {
                ulong at = ((ulong)s * T + j) * 3 * C + h * D + c;
                dqkv[at + C] = scale * ((float *)&dk[n])[r];
                dqkv[at + 2 * C] = ((float *)&dv[n])[r];
            }
        }
    }
}
