/* vocab.cl: both ends of the model: token and position embedding, and the head over the vocabulary. */

#define EMBED_LANES 64
#define HEAD_LANES 256

/* x = dropout(wte[tokens] + wpe[position]); a work-item four elements of one sequence. */
__kernel void embed(__global float *x,            /* [sequences, T, C] */
                    __global const int *tokens,   /* [sequences, T] */
                    __global const float *wte,    /* [V, C] */
                    __global const float *wpe,    /* [P, C] */
                    int T, int C, dropout_args dropout) {
    ulong quad = get_global_id(0), s = get_global_id(1), n = (ulong)T * C;
    if (4 * quad < n) {
        float4 factor = dropout_factors(dropout, s, quad);
        for (uint j = 0; j < 4 && 4 * quad + j < n; j++) {
            ulong i = 4 * quad + j, t = i / C, c = i % C;
            x[s * n + i] = pick(factor, j) * (wte[(ulong)tokens[s * T + t] * C + c] + wpe[i]);
        }
    }
}

/* dwte += the gradient rows of one sequence, gathered by token: a work-group a position. The group of a token's first
   occurrence adds up all of them in the order of positions, the others do nothing, so no row has two writers. */
__attribute__((reqd_work_group_size(EMBED_LANES, 1, 1))) __kernel void
embed_dwte(__global float *dwte,       /* [V, C] */
           __global const float *dx,   /* [sequences, T, C] */
           __global const int *tokens, /* [sequences, T] */
           int s, int T, int C, dropout_args dropout) {
    __local int seen;
    int lane = get_local_id(0), first = get_group_id(0);
    tokens += (ulong)s * T;
    dx += (ulong)s * T * C;
    int token = tokens[first];
    if (lane == 0) seen = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int t = lane; t < first; t += EMBED_LANES) {
        if (tokens[t] == token) atomic_or(&seen, 1);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (!seen) {
        for (int start = lane; start < C; start += 4 * EMBED_LANES) {
            float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            for (int t = first; t < T; t++) {
                if (tokens[t] == token) {
                    for (int j = 0; j < 4; j++) {
                        int c = start + j * EMBED_LANES;
                        ulong i = (ulong)t * C + c;
                        if (c < C) sum[j] += dropout_factor(dropout, s, i) * dx[i];
                    }
                }
            }
            for (int j = 0; j < 4; j++) {
                int c = start + j * EMBED_LANES;
                if (c < C) dwte[(ulong)token * C + c] += sum[j];
            }
        }
    }
}

/* dwpe += dx, sequence by sequence; a work-item an element. n = T * C. */
__kernel void embed_dwpe(__global float *dwpe,     /* [P, C] */
                         __global const float *dx, /* [sequences, T, C] */
                         int sequences, ulong n, dropout_args dropout) {
    ulong i = get_global_id(0);
    if (i < n) {
        float total = dwpe[i];
        for (int s = 0; s < sequences; s++) total += dropout_factor(dropout, s, i) * dx[s * n + i];
        dwpe[i] = total;
    }
}

/* Softmax cross-entropy of a chunk of rows, and its gradient in place of the logits; a work-group a row. The logits lie
   tile after tile of `tile` words of the vocabulary, each tile dense: [rows, width]. */
__attribute__((reqd_work_group_size(HEAD_LANES, 1, 1))) __kernel void
head_rows(__global float *scratch,     /* logits from logits_at, losses of the rows from losses_at */
          ulong logits_at, ulong losses_at,
          __global const int *targets, /* of all rows; this chunk's from targets_at */
          ulong targets_at, int V, int tile, int gradient, float inv_targets) {
    __local float space[HEAD_LANES];
    int lane = get_local_id(0);
    ulong row = get_group_id(0), rows = get_num_groups(0);
    __global float *logits = scratch + logits_at;
    int target = targets[targets_at + row];
    float largest = -INFINITY, sum = 0.0f;
    for (int start = 0; start < V; start += tile) {
        int width = min(tile, V - start);
        __global const float *x = logits + (ulong)start * rows + row * width;
        for (int i = lane; i < width; i += HEAD_LANES) largest = fmax(largest, x[i]);
    }
    largest = group_max(largest, space, HEAD_LANES);
    for (int start = 0; start < V; start += tile) {
        int width = min(tile, V - start);
        __global const float *x = logits + (ulong)start * rows + row * width;
        for (int i = lane; i < width; i += HEAD_LANES) sum += exp(x[i] - largest);
    }
    sum = group_sum(sum, space, HEAD_LANES);
    if (lane == 0) {
        float loss = 0.0f;
        if (target >= 0) {
            int start = target / tile * tile, width = min(tile, V - start);
            loss = log(sum) - (logits[(ulong)start * rows + row * width + target - start] - largest);
        }
        scratch[losses_at + targets_at + row] = loss;
    }
    barrier(CLK_GLOBAL_MEM_FENCE); /* the target's logit is read before it is overwritten */
    if (gradient) {
        float factor = target >= 0 ? inv_targets : 0.0f;
        for (int start = 0; start < V; start += tile) {
            int width = min(tile, V - start);
            __global float *x = logits + (ulong)start * rows + row * width;
            for (int i = lane; i < width; i += HEAD_LANES)
                x[i] = factor * (exp(x[i] - largest) / sum - (start + i == target ? 1.0f : 0.0f));
        }
    }
}

/* losses[first + s] = sum of the row losses of sequence s, in the order of rows, compensated (Kahan): a plain float sum
   over a long sequence would lose digits. A work-item a sequence. */
#pragma OPENCL FP_CONTRACT OFF
__kernel void head_losses(__global float *losses, /* [N] */
                          int first,
                          __global const float *scratch, /* [sequences, T] from losses_at */
                          ulong losses_at, int sequences, int T) {
    int s = get_global_id(0);
    if (s < sequences) {
        __global const float *row = scratch + losses_at + (ulong)s * T;
        float sum = 0.0f, lost = 0.0f;
        for (int t = 0; t < T; t++) {
            float y = row[t] - lost, next = sum + y;
            lost = (next - sum) - y;
            sum = next;
        }
        losses[first + s] = sum;
    }
}

/* logits[v] = x . wte[v] for one position; a work-group a word. */
__attribute__((reqd_work_group_size(EMBED_LANES, 1, 1))) __kernel void
logits_row(__global float *logits,    /* [V] */
           __global const float *x,   /* the position's row starts at x_at */
           ulong x_at, __global const float *wte /* [V, C] */, int C) {
    __local float space[EMBED_LANES];
    ulong v = get_group_id(0);
    int lane = get_local_id(0);
    float sum = 0.0f;
    for (int c = lane; c < C; c += EMBED_LANES) sum += x[x_at + c] * wte[v * C + c];
    sum = group_sum(sum, space, EMBED_LANES);
    if (lane == 0) logits[v] = sum;
}
