/* norm.cl: layer norm, its gradients, and sums over tokens. Rows are [sequences * T]. */

#define ROW_LANES GROUP_LANES(64)

/* y = (x - mean) * rstd * w + b for one row. The variance takes a second pass, as E[x^2] - mean^2 loses digits. */
static inline void norm_row(__global act *y, __global float *stats, __global const float *x, __global const float *w,
                            __global const float *b, int has_bias, int C, float epsilon, __local float *space) {
    int lane = get_local_id(0);
    wide sums = 0.0f;
    float sum = 0.0f;
    EACH_WIDE(c, C, ROW_LANES) sums += LOAD(W, x + c);
    EACH_REST(c, C, ROW_LANES) sum += x[c];
    float mean = group_sum(wide_sum(sums) + sum, space, ROW_LANES) / C;
    sums = 0.0f;
    sum = 0.0f;
    EACH_WIDE(c, C, ROW_LANES) {
        wide d = LOAD(W, x + c) - mean;
        sums += d * d;
    }
    EACH_REST(c, C, ROW_LANES) {
        float d = x[c] - mean;
        sum += d * d;
    }
    float rstd = 1.0f / sqrt(group_sum(wide_sum(sums) + sum, space, ROW_LANES) / C + epsilon);
    EACH_WIDE(c, C, ROW_LANES) {
        wide v = (LOAD(W, x + c) - mean) * rstd * LOAD(W, w + c);
        if (has_bias) v += LOAD(W, b + c);
        STORE_ACT(W, v, y + c);
    }
    EACH_REST(c, C, ROW_LANES) {
        float v = (x[c] - mean) * rstd * w[c];
        STORE_ACT(1, has_bias ? v + b[c] : v, y + c);
    }
    if (lane == 0) {
        stats[0] = mean;
        stats[1] = rstd;
    }
}

/* One work-group for each row, here and below. */
__attribute__((reqd_work_group_size(ROW_LANES, 1, 1))) __kernel void
norm(ARG(act, y),          /* [rows, C] */
     ARG(float, stats),    /* [rows, 2] */
     ARG(const float, x),  /* [rows, C] */
     ARG(const float, w),  /* [C] */
     ARG(const float, b),  /* [C], not read unless has_bias */
     int has_bias, int C, float epsilon) {
    TENSOR(act, y); TENSOR(float, stats); TENSOR(const float, x); TENSOR(const float, w); TENSOR(const float, b);
    __local float space[ROW_LANES];
    ulong row = get_group_id(0);
    norm_row(y + row * C, stats + 2 * row, x + row * C, w, b, has_bias, C, epsilon, space);
}

/* y = x + dropout(p + pb) for the row that begins at element `first` of sequence s. Dropout draws for four elements at
   once where every row begins with a draw of its own. */
static inline void residual_row(__global float *y, __global const float *x, __global const act *p, __global const float *pb,
                                int has_bias, int C, dropout_args dropout, uint s, ulong first) {
    int lane = get_local_id(0);
    if (dropout.s6 == 0) {
        EACH_WIDE(c, C, ROW_LANES) {
            wide v = LOAD_ACT(W, p + c);
            if (has_bias) v += LOAD(W, pb + c);
            STORE(W, LOAD(W, x + c) + v, y + c);
        }
        EACH_REST(c, C, ROW_LANES) y[c] = x[c] + (has_bias ? LOAD_ACT(1, p + c) + pb[c] : LOAD_ACT(1, p + c));
    } else if (C % 4 == 0) {
        for (int c = 4 * lane; c < C; c += 4 * ROW_LANES) {
            float4 v = LOAD_ACT(4, p + c);
            if (has_bias) v += vload4(0, pb + c);
            vstore4(vload4(0, x + c) + dropout_factors(dropout, s, (first + c) / 4) * v, 0, y + c);
        }
    } else {
        for (int c = lane; c < C; c += ROW_LANES)
            y[c] = x[c] + dropout_factor(dropout, s, first + c) *
                              (has_bias ? LOAD_ACT(1, p + c) + pb[c] : LOAD_ACT(1, p + c));
    }
}

/* y = x + dropout(p + pb), and the norm of y while its row is still in the cache. */
__attribute__((reqd_work_group_size(ROW_LANES, 1, 1))) __kernel void
residual_norm(ARG(float, y),        /* [sequences, T, C] */
              ARG(act, normed),     /* [sequences, T, C] */
              ARG(float, stats),    /* [sequences, T, 2] */
              ARG(const float, x),  /* [sequences, T, C] */
              ARG(const act, p),    /* [sequences, T, C] */
              ARG(const float, pb), /* [C], not read unless has_pb */
              ARG(const float, w),  /* [C] */
              ARG(const float, b),  /* [C], not read unless has_bias */
              int has_pb, int has_bias, int T, int C, float epsilon, dropout_args dropout) {
    TENSOR(float, y); TENSOR(act, normed); TENSOR(float, stats); TENSOR(const float, x); TENSOR(const act, p);
    TENSOR(const float, pb); TENSOR(const float, w); TENSOR(const float, b);
    __local float space[ROW_LANES];
    ulong row = get_group_id(0);
    residual_row(y + row * C, x + row * C, p + row * C, pb, has_pb, C, dropout, row / T, row % T * C);
    BARRIER(CLK_GLOBAL_MEM_FENCE); /* with dropout, lanes take other channels than the norm's */
    norm_row(normed + row * C, stats + 2 * row, y + row * C, w, b, has_bias, C, epsilon, space);
}

/* dx = dres + rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = dy * w; one work-group for each row. */
__attribute__((reqd_work_group_size(ROW_LANES, 1, 1))) __kernel void
norm_dx(ARG(float, dx),          /* [rows, C] */
        ARG(const act, dy),      /* [rows, C] */
        ARG(const float, x),     /* [rows, C] */
        ARG(const float, stats), /* [rows, 2] */
        ARG(const float, w),     /* [C] */
        ARG(const float, dres),  /* [rows, C], not read unless has_dres */
        int has_dres, int C) {
    TENSOR(float, dx); TENSOR(const act, dy); TENSOR(const float, x); TENSOR(const float, stats);
    TENSOR(const float, w); TENSOR(const float, dres);
    __local float space[ROW_LANES];
    ulong row = get_group_id(0);
    int lane = get_local_id(0);
    float mean = stats[2 * row], rstd = stats[2 * row + 1];
    dx += row * C;
    dy += row * C;
    x += row * C;
    wide sums_g = 0.0f, sums_gx = 0.0f;
    float sum_g = 0.0f, sum_gx = 0.0f;
    EACH_WIDE(c, C, ROW_LANES) {
        wide g = LOAD_ACT(W, dy + c) * LOAD(W, w + c);
        sums_g += g;
        sums_gx += g * (LOAD(W, x + c) - mean) * rstd;
    }
    EACH_REST(c, C, ROW_LANES) {
        float g = LOAD_ACT(1, dy + c) * w[c];
        sum_g += g;
        sum_gx += g * (x[c] - mean) * rstd;
    }
    sum_g = group_sum(wide_sum(sums_g) + sum_g, space, ROW_LANES) / C;
    sum_gx = group_sum(wide_sum(sums_gx) + sum_gx, space, ROW_LANES) / C;
    EACH_WIDE(c, C, ROW_LANES) {
        wide d = rstd * (LOAD_ACT(W, dy + c) * LOAD(W, w + c) - sum_g - (LOAD(W, x + c) - mean) * rstd * sum_gx);
        if (has_dres) d += LOAD(W, dres + row * C + c);
        STORE(W, d, dx + c);
    }
    EACH_REST(c, C, ROW_LANES) {
        float d = rstd * (LOAD_ACT(1, dy + c) * w[c] - sum_g - (x[c] - mean) * rstd * sum_gx);
        dx[c] = has_dres ? dres[row * C + c] + d : d;
    }
}

/* Sums over tokens take two passes (R6). This one sums PARTIAL_ROWS rows of one sequence at a time; add_partials then
   adds these up within each sequence, and the sequences one after the other. One work-item for W channels of such a
   chunk. */
__kernel void norm_dw(ARG(float, partial),      /* [sequences, chunks, 2, C]: dw, db */
                      ARG(const act, dy),       /* [sequences, T, C] */
                      ARG(const float, x),      /* [sequences, T, C] */
                      ARG(const float, stats),  /* [sequences, T, 2] */
                      int sequences, int T, int C) {
    TENSOR(float, partial); TENSOR(const act, dy); TENSOR(const float, x); TENSOR(const float, stats);
    int c = get_global_id(0) * W;
    uint chunks = (T + PARTIAL_ROWS - 1) / PARTIAL_ROWS, chunk = folded_row(), s = chunk / chunks;
    int first = (int)(chunk % chunks) * PARTIAL_ROWS, end = min(first + PARTIAL_ROWS, T);
    partial += (ulong)chunk * 2 * C;
#define NORM_DW(VECTOR, N)                                                                                             \
    {                                                                                                                  \
        VECTOR dw = 0.0f, db = 0.0f;                                                                                   \
        for (int t = first; t < end; t++) {                                                                            \
            ulong row = (ulong)s * T + t;                                                                              \
            VECTOR g = LOAD_ACT(N, dy + row * C + c);                                                                  \
            dw += g * (LOAD(N, x + row * C + c) - stats[2 * row]) * stats[2 * row + 1];                                \
            db += g;                                                                                                   \
        }                                                                                                              \
        STORE(N, dw, partial + c);                                                                                     \
        STORE(N, db, partial + C + c);                                                                                 \
    }
    if (s < (uint)sequences) {
        if (c + W <= C)
            NORM_DW(wide, W)
        else
            for (; c < C; c++) NORM_DW(float, 1)
    }
}

/* y[c] += the partial sums of one plane. */
__kernel void add_partials(ARG(float, y),             /* [C] */
                           ARG(const float, partial), /* [sequences, chunks, planes, C] */
                           int C, int plane, int planes, int chunks, int sequences) {
    TENSOR(float, y); TENSOR(const float, partial);
    int c = get_global_id(0);
    if (c < C) {
        float total = y[c];
        for (int s = 0; s < sequences; s++) {
            float sum = 0.0f;
            for (int k = 0; k < chunks; k++) sum += partial[(((ulong)s * chunks + k) * planes + plane) * C + c];
            total += sum;
        }
        y[c] = total;
    }
}
