/* gemm.cl: what CLBlast's matrix products leave over: biases. */

/* y = b in every row; the product is then added to it. */
__kernel void bias_rows(__global float *y,       /* [rows, O] */
                        __global const float *b, /* [O] */
                        ulong rows, int O) {
    ulong i = get_global_id(0);
    if (i < rows * O) y[i] = b[i % O];
}

/* Sums of dy over PARTIAL_ROWS rows of one sequence; add_partials does the rest. */
__kernel void bias_dw(__global float *partial,  /* [sequences, chunks, O] */
                      __global const float *dy, /* [sequences, T, O] */
                      int T, int O) {
    int o = get_global_id(0);
    ulong chunk = get_global_id(1), chunks = get_global_size(1), s = get_global_id(2);
    if (o < O) {
        int first = (int)chunk * PARTIAL_ROWS, end = min(first + PARTIAL_ROWS, T);
        float sum = 0.0f;
        for (int t = first; t < end; t++) sum += dy[(s * T + t) * O + o];
        partial[(s * chunks + chunk) * O + o] = sum;
    }
}
