/* elementwise.cl: ops on one element at a time, and the optimizer. Comes after gelu.cl. */

#define LANES 256

/* One work-item for four elements of a sequence, which take one Philox draw. n = T * C. */
__kernel void residual_dx(ARG(act, dp), ARG(const float, dy), int sequences, ulong n, dropout_args dropout) {
    TENSOR(act, dp); TENSOR(const float, dy);
    ulong quad = get_global_id(0), s = folded_row();
    if (4 * quad < n && s < (ulong)sequences) {
        float4 factor = dropout_factors(dropout, s, quad);
        for (uint j = 0; j < 4 && 4 * quad + j < n; j++) {
            ulong i = s * n + 4 * quad + j;
            STORE_ACT(1, pick(factor, j) * dy[i], dp + i);
        }
    }
}

/* The keys and values of T positions of each sequence, into `copies` rows of what is kept, from position `before` of row
   `first` on; one work-item for each number of each row to write. */
__kernel void keep(ARG(act, kept),      /* [K, room, 2C] */
                   ARG(const act, qkv), /* [sequences, T, 3C] */
                   int room, int first, int copies, int before, int T, ulong rows, int C) {
    TENSOR(act, kept); TENSOR(const act, qkv);
    int c = get_global_id(0);
    ulong row = folded_row(), t = row % T, s = row / T / copies, to = first + s + row / T % copies;
    if (c < 2 * C && row < rows) kept[(to * room + before + t) * 2 * C + c] = qkv[(s * T + t) * 3 * C + C + c];
}

/* y = gelu of x + b (gelu.cl); one work-item for each channel of each row. */
__kernel void gelu(ARG(act, y),         /* [rows, C] */
                   ARG(const act, x),   /* [rows, C] */
                   ARG(const float, b), /* [C], not read unless has_bias */
                   int has_bias, ulong rows, int C, int tanh_form) {
    TENSOR(act, y); TENSOR(const act, x); TENSOR(const float, b);
    int c = get_global_id(0);
    ulong row = folded_row();
    if (c < C && row < rows) {
        ulong i = row * C + c;
        float v = LOAD_ACT(1, x + i);
        if (has_bias) v += b[c];
        STORE_ACT(1, gelu_of(v, tanh_form), y + i);
    }
}

/* d *= the slope of gelu at x + b. */
__kernel void gelu_dx(ARG(act, d), ARG(const act, x), ARG(const float, b), int has_bias, ulong rows,
                      int C, int tanh_form) {
    TENSOR(act, d); TENSOR(const act, x); TENSOR(const float, b);
    int c = get_global_id(0);
    ulong row = folded_row();
    if (c < C && row < rows) {
        ulong i = row * C + c;
        float v = LOAD_ACT(1, x + i);
        if (has_bias) v += b[c];
        STORE_ACT(1, LOAD_ACT(1, d + i) * gelu_slope(v, tanh_form), d + i);
    }
}

__kernel void add(ARG(float, y), ARG(const float, x), ulong n) {
    TENSOR(float, y); TENSOR(const float, x);
    ulong i = get_global_id(0);
    if (i < n) y[i] += x[i];
}

/* Sums of squares keep 48 bits in pairs (high, low) of floats: the same code and bits with or without cl_khr_fp64, and
   faster than doubles on most cards. Knuth's two-sum; the low halves only ever need a plain sum. */
#pragma OPENCL FP_CONTRACT OFF
static inline float2 pair_add(float2 a, float2 b) {
    float sum = a.x + b.x;
    float part = sum - a.x;
    float lost = (a.x - (sum - part)) + (b.x - part);
    float low = a.y + b.y + lost;
    float high = sum + low;
    return (float2)(high, low - (high - sum));
}

#define SQUARE_LANES GROUP_LANES(LANES)
#if SERIAL
#define SQUARE_WIDTH 16
#else
#define SQUARE_WIDTH 4
#endif
typedef FLOATS(SQUARE_WIDTH) squares;

static inline float2 group_pair_sum(float2 v, __local float2 *space) {
    uint lane = get_local_id(0);
    space[lane] = v;
    BARRIER(CLK_LOCAL_MEM_FENCE);
    for (uint half_size = SQUARE_LANES / 2; half_size > 0; half_size /= 2) {
        if (lane < half_size) space[lane] = pair_add(space[lane], space[lane + half_size]);
        BARRIER(CLK_LOCAL_MEM_FENCE);
    }
    return space[0];
}

/* Each work-item keeps a vector of sums over elements of x. The number of groups is a function of n, so that the order
   of the sum depends on n alone. If there is only one group, it writes the total. */
__attribute__((reqd_work_group_size(SQUARE_LANES, 1, 1))) __kernel void
squares_partial(ARG(float, partial), /* [groups] pairs */
                ARG(float, sums), int index, ARG(const float, x), ulong n) {
    TENSOR(float, partial); TENSOR(float, sums); TENSOR(const float, x);
    __local float2 space[SQUARE_LANES];
    squares high = 0.0f, low = 0.0f;
    ulong vectors = n / SQUARE_WIDTH, rest = vectors * SQUARE_WIDTH + get_global_id(0);
    for (ulong i = get_global_id(0); i < vectors; i += get_global_size(0)) {
        squares v = LOAD(SQUARE_WIDTH, x + i * SQUARE_WIDTH), square = v * v, sum = high + square;
        squares part = sum - high;
        low += (high - (sum - part)) + (square - part) + fma(v, v, -square);
        high = sum;
    }
    float2 sum = (float2)(0.0f, 0.0f);
    float highs[SQUARE_WIDTH], lows[SQUARE_WIDTH];
    STORE(SQUARE_WIDTH, high, highs);
    STORE(SQUARE_WIDTH, low, lows);
    for (int j = 0; j < SQUARE_WIDTH; j++) sum = pair_add(sum, (float2)(highs[j], lows[j]));
    for (; rest < n; rest += get_global_size(0)) {
        float v = x[rest], square = v * v;
        sum = pair_add(sum, (float2)(square, fma(v, v, -square)));
    }
    sum = group_pair_sum(sum, space);
    if (get_local_id(0) == 0) {
        if (get_num_groups(0) == 1)
            sums[index] = sum.x;
        else
            vstore2(sum, get_group_id(0), partial);
    }
}

/* One group. */
__attribute__((reqd_work_group_size(SQUARE_LANES, 1, 1))) __kernel void
squares_total(ARG(float, sums), int index, ARG(const float, partial), int groups) {
    TENSOR(float, sums); TENSOR(const float, partial);
    __local float2 space[SQUARE_LANES];
    float2 sum = (float2)(0.0f, 0.0f);
    for (int i = get_local_id(0); i < groups; i += SQUARE_LANES) sum = pair_add(sum, vload2(i, partial));
    sum = group_pair_sum(sum, space);
    if (get_local_id(0) == 0) sums[index] = sum.x;
}

/* A single work-item, since there is only one sum for each parameter tensor. */
__kernel void grad_norm(ARG(float, norm), ARG(const float, sums), int count, float clip) {
    TENSOR(float, norm); TENSOR(const float, sums);
    if (get_global_id(0) == 0) {
        float2 total = (float2)(0.0f, 0.0f);
        for (int i = 0; i < count; i++) total = pair_add(total, (float2)(sums[i], 0.0f));
        float length = sqrt(total.x);
        norm[0] = length;
        norm[1] = clip > 0.0f ? fmin(1.0f, clip / (length + 1e-6f)) : 1.0f;
    }
}

/* What the device keeps of a parameter whose home is the host. */
__kernel void round_copy(ARG(const float, p), ARG(act, copy), ulong n) {
    TENSOR(const float, p); TENSOR(act, copy);
    ulong i = get_global_id(0);
    if (i < n) STORE_ACT(1, p[i], copy + i);
}

/* AdamW (arXiv 1711.05101) in PyTorch's order: clip, decay, moments, step.
   keep = 1 - lr * decay; step_size = lr / (1 - beta1^t); root2 = sqrt(1 - beta2^t). */
__kernel void adamw(ARG(float, p), ARG(float, m), ARG(float, v), ARG(const float, g), ARG(const float, norm), ulong n,
                    float keep, float beta1, float beta1_rest, float beta2, float beta2_rest, float step_size,
                    float root2, float epsilon) {
    TENSOR(float, p); TENSOR(float, m); TENSOR(float, v); TENSOR(const float, g); TENSOR(const float, norm);
    ulong i = get_global_id(0);
    if (i < n) {
        float grad = g[i] * norm[1];
        float weight = p[i] * keep;
        float mean = beta1 * m[i] + beta1_rest * grad;
        float square = beta2 * v[i] + beta2_rest * grad * grad;
        m[i] = mean;
        v[i] = square;
        p[i] = weight - step_size * mean / (sqrt(square) / root2 + epsilon);
    }
}
