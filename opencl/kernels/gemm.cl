/* gemm.cl: what CLBlast's matrix products leave over: biases. */

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
