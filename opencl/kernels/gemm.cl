/* gemm.cl: what tiles of matrix products leave over: biases, and products of few rows. */

/* ---- few rows: one position of each text ---- */

/* What a group computes: so many columns, whose sums over k its lanes share by SLICES. */
#define SLICES GROUP_LANES(8)
#define ROW_COLUMNS (SERIAL ? 64 : 32)
#define FEW_LANES GROUP_LANES(256)

/* sum[r] += x[r, p] w[p, column ...] for R rows r and every p of this slice; N columns, neighbours. */
#define ADD_ROWS(R, N, column)                                                                                         \
    for (int p = slice; p < I; p += SLICES) {                                                                          \
        const FLOATS(N) weight = LOAD_WEIGHT(N, is_copy, w_block, w_at + (ulong)p * O + (column));                     \
        UNROLL for (int r = 0; r < R; r++) sum[r] = fma((FLOATS(N))LOAD_ACT(1, x + ((ulong)r * I + p)), weight, sum[r]); \
    }

#if SERIAL
/* y[R rows, N columns from `column` on] */
#define ROWS_OF(R, N)                                                                                                  \
    {                                                                                                                  \
        FLOATS(N) sum[R];                                                                                              \
        const int slice = 0;                                                                                           \
        UNROLL for (int r = 0; r < R; r++) sum[r] = has_bias ? LOAD(N, b + column) : (FLOATS(N))0.0f;                  \
        ADD_ROWS(R, N, column)                                                                                         \
        UNROLL for (int r = 0; r < R; r++) STORE_ACT(N, sum[r], y + ((ulong)r * O + column));                          \
    }
#endif

/* y = x w + b for a few rows, such that w is read once from memory, and for more than four rows again from the cache. Grid:
   a group for ROW_COLUMNS columns. An element's sum has one order, whatever the other rows. */
__attribute__((reqd_work_group_size(FEW_LANES, 1, 1))) __kernel void
linear_rows(ARG(act, y),         /* [rows, O] */
            ARG(const act, x),   /* [rows, I] */
            ARG(const float, w), /* [I, O] */
            ARG(const float, b), /* [O], not read unless has_bias */
            int is_copy, int has_bias, int rows, int I, int O) {
    TENSOR(act, y); TENSOR(const act, x); TENSOR(const float, b);
#if SERIAL
    const int first = get_group_id(0) * ROW_COLUMNS, end = min(first + ROW_COLUMNS, O);
    for (; rows > 0; rows -= rows < 4 ? 1 : 4) {
        int column = first;
        if (rows >= 4) {
            for (; column + 16 <= end; column += 16) ROWS_OF(4, 16)
            for (; column < end; column++) ROWS_OF(4, 1)
        } else {
            for (; column + 16 <= end; column += 16) ROWS_OF(1, 16)
            for (; column < end; column++) ROWS_OF(1, 1)
        }
        x += (ulong)I * (rows < 4 ? 1 : 4);
        y += (ulong)O * (rows < 4 ? 1 : 4);
    }
#else
    __local float parts[4][FEW_LANES];
    const int lane = get_local_id(0), slice = lane / ROW_COLUMNS, column = get_group_id(0) * ROW_COLUMNS + lane % ROW_COLUMNS;
    for (int row = 0; row < rows; row += 4) {
        const int some = min(4, rows - row);
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (column < O) {
            if (some == 4)
                ADD_ROWS(4, 1, column)
            else
                for (int q = 0; q < some; q++, x += I) {
                    float alone = sum[q];
                    for (int p = slice; p < I; p += SLICES)
                        alone = fma(LOAD_ACT(1, x + p), LOAD_WEIGHT(1, is_copy, w_block, w_at + (ulong)p * O + column), alone);
                    sum[q] = alone;
                }
        }
        if (some == 4) x += 4 * (ulong)I;
        for (int r = 0; r < 4; r++) parts[r][lane] = sum[r];
        BARRIER(CLK_LOCAL_MEM_FENCE);
        if (slice < some && column < O) {
            float total = has_bias ? b[column] : 0.0f;
            for (int n = 0; n < SLICES; n++) total += parts[slice][n * ROW_COLUMNS + lane % ROW_COLUMNS];
            STORE_ACT(1, total, y + ((ulong)(row + slice) * O + column));
        }
        BARRIER(CLK_LOCAL_MEM_FENCE);
    }
#endif
}

/* ---- biases ---- */

/* y = b in every row; the product is then added to it. A work-item a channel of BIAS_ROWS rows. */
__kernel void bias_rows(ARG(float, y),       /* [rows, O] */
                        ARG(const float, b), /* [O] */
                        ulong rows, int O) {
    TENSOR(float, y); TENSOR(const float, b);
    int o = get_global_id(0);
    ulong first = folded_row() * BIAS_ROWS, end = min(first + BIAS_ROWS, rows);
    if (o < O) {
        float v = b[o];
        for (ulong row = first; row < end; row++) y[row * O + o] = v;
    }
}

/* Sums of dy over PARTIAL_ROWS rows of one sequence; add_partials does the rest. A work-item W channels. dy is an
   activation's gradient (is_act), or the residual stream's. */
__kernel void bias_dw(ARG(float, partial),  /* [sequences, chunks, O] */
                      ARG(const float, dy), /* [sequences, T, O] */
                      int is_act, int sequences, int T, int O) {
    TENSOR(float, partial);
    int o = get_global_id(0) * W;
    uint chunks = (T + PARTIAL_ROWS - 1) / PARTIAL_ROWS, chunk = folded_row(), s = chunk / chunks;
    int first = (int)(chunk % chunks) * PARTIAL_ROWS, end = min(first + PARTIAL_ROWS, T);
    partial += (ulong)chunk * O;
    dy_at += (ulong)s * T * O;
#define BIAS_DW(VECTOR, N)                                                                                             \
    {                                                                                                                  \
        VECTOR sum = 0.0f;                                                                                             \
        for (int t = first; t < end; t++) sum += LOAD_EITHER(N, is_act, dy_block, dy_at + (ulong)t * O + o);           \
        STORE(N, sum, partial + o);                                                                                    \
    }
    if (s < (uint)sequences) {
        if (o + W <= O)
            BIAS_DW(wide, W)
        else
            for (; o < O; o++) BIAS_DW(float, 1)
    }
}
