/* attention_lanes.cl: causal self-attention for GPUs: SIDE x SIDE lanes of a work-group share the rows and the channels of
   attention.cl's tiles. A group keeps A rows; lane (ty, tx) owns R = A / SIDE of them, as one vector, and of a score tile
   the N = S / SIDE streamed rows from tx * N on. */

#define LANES (SIDE * SIDE)
#define RD ((D + SIDE - 1) / SIDE)              /* channels of a lane ... */
#define BLOCK (SERIAL && RD > 8 ? 8 : RD)       /* ... so many at a time: their sums stay in registers ... */
#define SUMS ((RD + BLOCK - 1) / BLOCK * BLOCK) /* ... and RD in whole blocks */
#define HAS(c) (SUMS * SIDE == D || (c) < D)
#define PITCH(n) (SERIAL ? (n) : (n) + 1) /* of a tile's lines of n: odd where there are banks, aligned where not */

/* Copies rows first .. first+count-1 of a [T, stride] matrix, D wide, into local memory, channel by channel:
   tile[d * PITCH(count) + i]. Rows past T read as zeros. The odd pitch keeps both directions free of bank conflicts. */
inline void load_channels(__local float *tile, __global const float *x, int first, int count, int T, int stride,
                          int lane) {
    int e = lane, here = min(count, T - first) * D;
    for (; e < here; e += LANES) tile[e % D * PITCH(count) + e / D] = x[(ulong)(first + e / D) * stride + e % D];
    for (; e < count * D; e += LANES) tile[e % D * PITCH(count) + e / D] = 0.0f;
}

/* The same for the streamed rows. Lanes want one of their channels at a time and never a vector of rows, so on CPUs they
   are copied as they are. STREAMED: channel d of row i. */
#if SERIAL
#define STREAMED(tile, count, i, d) (tile)[(i) * D + (d)]
#if D % 16 == 0
#define WIDTH 16
#elif D % 4 == 0
#define WIDTH 4
#else
#define WIDTH 1
#endif
inline void load_streamed(__local float *tile, __global const float *x, int first, int count, int T, int stride,
                          int lane) {
    for (int i = lane; i < count; i += LANES) {
        for (int d = 0; d < D; d += WIDTH) {
            FLOATS(WIDTH) v = 0.0f;
            if (first + i < T) v = LOAD(WIDTH, x + (ulong)(first + i) * stride + d);
            STORE(WIDTH, v, tile + i * D + d);
        }
    }
}
#else
#define STREAMED(tile, count, i, d) (tile)[(d) * PITCH(count) + (i)]
#define load_streamed load_channels
#endif

/* Dropout's factor of score (i, j); neighbours in j mostly share the draw kept in *cached. */
inline float score_factor(dropout_args dropout, uint s, ulong row_start, int j, ulong *quad, float4 *cached) {
    ulong element = row_start + j;
    if (element / 4 != *quad) {
        *quad = element / 4;
        *cached = dropout_factors(dropout, s, *quad);
    }
    return pick(*cached, (uint)(element & 3));
}

/* sum[n], channel tx + n SIDE of the kept rows, += weights [S, A] times that channel of the S streamed rows (tile). */
#define ADD_PRODUCT(VECTOR, R, A, S, sum, weights, tile)                                                               \
    for (int block = 0; block < SUMS; block += BLOCK) {                                                                \
        VECTOR held[BLOCK];                                                                                            \
        UNROLL for (int n = 0; n < BLOCK; n++) held[n] = sum[block + n];                                               \
        for (int j = 0; j < S; j++) {                                                                                  \
            VECTOR a = LOAD(R, weights + j * PITCH(A) + row);                                                          \
            UNROLL for (int n = 0; n < BLOCK; n++) {                                                                   \
                int c = tx + (block + n) * SIDE;                                                                       \
                if (HAS(c)) held[n] += a * STREAMED(tile, S, j, c);                                                    \
            }                                                                                                          \
        }                                                                                                              \
        UNROLL for (int n = 0; n < BLOCK; n++) sum[block + n] = held[n];                                               \
    }

#define NO_QUAD (~(ulong)0)

#define FA (FR * SIDE)
#define FN (FS / SIDE)
typedef FLOATS(FR) f_rows;
typedef INTS(FR) f_ints;

/* out, lse from qkv. Grid: (tiles of FA queries of each sequence, H) groups. */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention(ARG(float, out),       /* [B,T,C] */
          ARG(float, lse),       /* [B,H,T] */
          ARG(const float, qkv), /* [B,T,3C] */
          int T, int H, float scale, dropout_args dropout) {
    TENSOR(float, out); TENSOR(float, lse); TENSOR(const float, qkv);
    __local float q[D * PITCH(FA)];
    __local float kv[D * PITCH(FS)];
    __local float p[FS * PITCH(FA)];
    __local float part[SIDE * FA];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int tiles = (T + FA - 1) / FA, s = get_group_id(0) / tiles, h = get_group_id(1);
    const int first = get_group_id(0) % tiles * FA;
    const int C = H * D, row = ty * FR;
    const f_ints query = first + row + COUNT(FR);
    qkv += (ulong)s * T * 3 * C + h * D;
    f_rows acc[SUMS], largest = -INFINITY, sum = 0.0f;
    for (int n = 0; n < SUMS; n++) acc[n] = 0.0f;
    load_channels(q, qkv, first, FA, T, 3 * C, lane);

    for (int start = 0; start < min(first + FA, T); start += FS) {
        load_streamed(kv, qkv + C, start, FS, T, 3 * C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        f_rows score[FN];
        UNROLL
        for (int n = 0; n < FN; n++) score[n] = 0.0f;
        for (int d = 0; d < D; d++) {
            f_rows a = LOAD(FR, q + d * PITCH(FA) + row);
            UNROLL
            for (int n = 0; n < FN; n++) score[n] += a * STREAMED(kv, FS, tx * FN + n, d);
        }
        /* Column 0 is open to every row, rows past T included: no row is ever all masked, so nothing becomes NaN. */
        f_rows best = -INFINITY;
        UNROLL
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
        UNROLL
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
        UNROLL
        for (int n = 0; n < FN; n++) STORE(FR, score[n], p + (tx * FN + n) * PITCH(FA) + row);
        barrier(CLK_LOCAL_MEM_FENCE);
        load_streamed(kv, qkv + 2 * C, start, FS, T, 3 * C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        ADD_PRODUCT(f_rows, FR, FA, FS, acc, p, kv)
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
__kernel void attention_delta(ARG(float, delta),      /* [B,H,T] */
                              ARG(const float, dout), /* [B,T,C] */
                              ARG(const float, out),  /* [B,T,C] */
                              int T, int H, ulong n /* sequences * T * H */) {
    TENSOR(float, delta); TENSOR(const float, dout); TENSOR(const float, out);
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
    UNROLL for (int n = 0; n < N; n++) dot[n] = dp[n] = 0.0f;                                                          \
    for (int d = 0; d < D; d++) {                                                                                      \
        VECTOR a = LOAD(R, x + d * PITCH(A) + row), b = LOAD(R, y + d * PITCH(A) + row);                               \
        UNROLL for (int n = 0; n < N; n++) {                                                                           \
            dot[n] += a * STREAMED(u, S, tx * N + n, d);                                                               \
            dp[n] += b * STREAMED(w, S, tx * N + n, d);                                                                \
        }                                                                                                              \
    }

#define QA (QR * SIDE)
#define QN (QS / SIDE)
typedef FLOATS(QR) q_rows;
typedef INTS(QR) q_ints;

/* dq: a group keeps its queries and walks the keys up to the diagonal. Grid as in attention, tiles of QA.
   p = exp(score - lse), ds = p (dp - delta). */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention_dq(ARG(float, dqkv),        /* [B,T,3C]; writes the part of q */
             ARG(const float, dout),  /* [B,T,C] */
             ARG(const float, qkv),   /* [B,T,3C] */
             ARG(const float, lse),   /* [B,H,T] */
             ARG(const float, delta), /* [B,H,T] */
             int T, int H, float scale, dropout_args dropout) {
    TENSOR(float, dqkv); TENSOR(const float, dout); TENSOR(const float, qkv); TENSOR(const float, lse);
    TENSOR(const float, delta);
    __local float q[D * PITCH(QA)];
    __local float go[D * PITCH(QA)];
    __local float k[D * PITCH(QS)];
    __local float v[D * PITCH(QS)];
    __local float ds[QS * PITCH(QA)];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int tiles = (T + QA - 1) / QA, s = get_group_id(0) / tiles, h = get_group_id(1);
    const int first = get_group_id(0) % tiles * QA;
    const int C = H * D, row = ty * QR;
    const q_ints query = first + row + COUNT(QR);
    const ulong stats = ((ulong)s * H + h) * T;
    qkv += (ulong)s * T * 3 * C + h * D;
    q_rows acc[SUMS], row_lse, row_delta;
    for (int r = 0; r < QR; r++) {
        int i = first + row + r;
        ((float *)&row_lse)[r] = i < T ? lse[stats + i] : 0.0f;
        ((float *)&row_delta)[r] = i < T ? delta[stats + i] : 0.0f;
    }
    for (int n = 0; n < SUMS; n++) acc[n] = 0.0f;
    load_channels(q, qkv, first, QA, T, 3 * C, lane);
    load_channels(go, dout + (ulong)s * T * C + h * D, first, QA, T, C, lane);

    for (int start = 0; start < min(first + QA, T); start += QS) {
        load_streamed(k, qkv + C, start, QS, T, 3 * C, lane);
        load_streamed(v, qkv + 2 * C, start, QS, T, 3 * C, lane);
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
        UNROLL
        for (int n = 0; n < QN; n++) {
            int j = start + tx * QN + n;
            q_rows p = select((q_rows)(0.0f), exp(dot[n] * scale - row_lse), (q_ints)j <= query && query < (q_ints)T);
            STORE(QR, p * (dp[n] - row_delta), ds + (tx * QN + n) * PITCH(QA) + row);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        ADD_PRODUCT(q_rows, QR, QA, QS, acc, ds, k)
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

/* dk and dv: a group keeps its keys and walks the queries from the diagonal on. Grid: (tiles of KA keys of each
   sequence, H). */
__attribute__((reqd_work_group_size(SIDE, SIDE, 1))) __kernel void
attention_dkv(ARG(float, dqkv),        /* [B,T,3C]; writes the parts of k and v */
              ARG(const float, dout),  /* [B,T,C] */
              ARG(const float, qkv),   /* [B,T,3C] */
              ARG(const float, lse),   /* [B,H,T] */
              ARG(const float, delta), /* [B,H,T] */
              int T, int H, float scale, dropout_args dropout) {
    TENSOR(float, dqkv); TENSOR(const float, dout); TENSOR(const float, qkv); TENSOR(const float, lse);
    TENSOR(const float, delta);
    __local float k[D * PITCH(KA)];
    __local float v[D * PITCH(KA)];
    __local float q[D * PITCH(KS)];
    __local float go[D * PITCH(KS)];
    __local float pd[KS * PITCH(KA)]; /* probabilities after dropout */
    __local float ds[KS * PITCH(KA)];
    const int tx = get_local_id(0), ty = get_local_id(1), lane = ty * SIDE + tx;
    const int tiles = (T + KA - 1) / KA, s = get_group_id(0) / tiles, h = get_group_id(1);
    const int first = get_group_id(0) % tiles * KA;
    const int C = H * D, row = ty * KR;
    const k_ints key = first + row + COUNT(KR);
    const ulong stats = ((ulong)s * H + h) * T;
    qkv += (ulong)s * T * 3 * C + h * D;
    dout += (ulong)s * T * C + h * D;
    k_rows dk[SUMS], dv[SUMS];
    for (int n = 0; n < SUMS; n++) dk[n] = dv[n] = 0.0f;
    load_channels(k, qkv + C, first, KA, T, 3 * C, lane);
    load_channels(v, qkv + 2 * C, first, KA, T, 3 * C, lane);

    for (int start = first / KS * KS; start < T; start += KS) {
        load_streamed(q, qkv, start, KS, T, 3 * C, lane);
        load_streamed(go, dout, start, KS, T, C, lane);
        barrier(CLK_LOCAL_MEM_FENCE);
        k_rows dot[KN], dp[KN];
        TWO_PRODUCTS(k_rows, KR, KN, KA, KS, k, v, q, go)
        UNROLL
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
            STORE(KR, kept, pd + at * PITCH(KA) + row);
            STORE(KR, p * (dp[n] - row_delta), ds + at * PITCH(KA) + row);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        ADD_PRODUCT(k_rows, KR, KA, KS, dk, ds, q)
        ADD_PRODUCT(k_rows, KR, KA, KS, dv, pd, go)
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
