/* gemm.cl: what CLBlast's matrix products leave over: biases. */

/* y = b in every row; the product is then added to it. A work-item a channel of BIAS_ROWS rows. */
__kernel void bias_rows(ARG(float, y),       /* [rows, O] */
                        ARG(const float, b), /* [O] */
                        ulong rows, int O) {
    TENSOR(float, y); TENSOR(const float, b);
    int o = get_global_id(0);
    ulong first = get_global_id(1) * BIAS_ROWS, end = min(first + BIAS_ROWS, rows);
    if (o < O) {
        float v = b[o];
        for (ulong row = first; row < end; row++) y[row * O + o] = v;
    }
}

/* Sums of dy over PARTIAL_ROWS rows of one sequence; add_partials does the rest. A work-item W channels. */
__kernel void bias_dw(ARG(float, partial),  /* [sequences, chunks, O] */
                      ARG(const float, dy), /* [sequences, T, O] */
                      int T, int O) {
    TENSOR(float, partial); TENSOR(const float, dy);
    int o = get_global_id(0) * W;
    ulong chunk = get_global_id(1), chunks = get_global_size(1), s = get_global_id(2);
    int first = (int)chunk * PARTIAL_ROWS, end = min(first + PARTIAL_ROWS, T);
    partial += (s * chunks + chunk) * O;
    dy += s * T * O;
#define BIAS_DW(VECTOR, N)                                                                                             \
    {                                                                                                                  \
        VECTOR sum = 0.0f;                                                                                             \
        for (int t = first; t < end; t++) sum += LOAD(N, dy + (ulong)t * O + o);                                       \
        STORE(N, sum, partial + o);                                                                                    \
    }
    if (o + W <= O)
        BIAS_DW(wide, W)
    else
        for (; o < O; o++) BIAS_DW(float, 1)
}
