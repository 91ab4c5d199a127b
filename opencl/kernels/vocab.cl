/* vocab.cl: both ends of the model: token and position embedding, and the head over the vocabulary. */

#define EMBED_LANES GROUP_LANES(64)
#define EMBED_SUMS (256 / EMBED_LANES) /* channels that a lane adds up at once */
#define HEAD_LANES GROUP_LANES(256)

/* x = dropout(wte[tokens] + wpe[position]); one work-item for four elements of a sequence. */
__kernel void embed(ARG(float, x),          /* [sequences, T, C] */
                    ARG(const int, tokens), /* [sequences, T] */
                    ARG(const float, wte),  /* [V, C] */
                    ARG(const float, wpe),  /* [P, C] */
                    int are_copies, int sequences, int T, int C, dropout_args dropout) {
    TENSOR(float, x); TENSOR(const int, tokens);
    ulong quad = get_global_id(0), s = folded_row(), n = (ulong)T * C;
    if (4 * quad < n && s < (ulong)sequences) {
        float4 factor = dropout_factors(dropout, s, quad);
        ulong t = 4 * quad / C, c = 4 * quad % C;
        for (uint j = 0; j < 4 && 4 * quad + j < n; j++) {
            ulong i = 4 * quad + j;
            x[s * n + i] = pick(factor, j) *
                           (LOAD_WEIGHT(1, are_copies, wte_block, wte_at + (ulong)tokens[s * T + t] * C + c) +
                            LOAD_WEIGHT(1, are_copies, wpe_block, wpe_at + i));
            if (++c == (ulong)C) c = 0, t++;
        }
    }
}

/* dwte += the gradient rows of one sequence, gathered by token; one work-group for each position. The group at a
   token's first occurrence adds up all occurrences in the order of positions; the others do nothing. So no row has two
   writers. */
__attribute__((reqd_work_group_size(EMBED_LANES, 1, 1))) __kernel void
embed_dwte(ARG(float, dwte),       /* [V, C] */
           ARG(const float, dx),   /* [sequences, T, C] */
           ARG(const int, tokens), /* [sequences, T] */
           int s, int T, int C, dropout_args dropout) {
    TENSOR(float, dwte); TENSOR(const float, dx); TENSOR(const int, tokens);
    __local int earliest, latest; /* positions of the token */
    int lane = get_local_id(0), first = get_group_id(0);
    tokens += (ulong)s * T;
    dx += (ulong)s * T * C;
    int token = tokens[first], before = first, after = first;
    if (lane == 0) earliest = latest = first;
    BARRIER(CLK_LOCAL_MEM_FENCE);
    for (int t = lane; t < T; t += EMBED_LANES) {
        if (tokens[t] == token) {
            before = min(before, t);
            after = max(after, t);
        }
    }
    atomic_min(&earliest, before);
    atomic_max(&latest, after);
    BARRIER(CLK_LOCAL_MEM_FENCE);
    if (earliest == first) {
        for (int start = lane; start < C; start += EMBED_SUMS * EMBED_LANES) {
            int here = min(EMBED_SUMS, (C - start + EMBED_LANES - 1) / EMBED_LANES);
            float sum[EMBED_SUMS];
            for (int j = 0; j < here; j++) sum[j] = 0.0f;
            for (int t = first; t <= latest; t++) {
                if (tokens[t] == token) {
                    ulong i = (ulong)t * C + start;
                    for (int j = 0; j < here; j++, i += EMBED_LANES) sum[j] += dropout_factor(dropout, s, i) * dx[i];
                }
            }
            for (int j = 0; j < here; j++) dwte[(ulong)token * C + start + j * EMBED_LANES] += sum[j];
        }
    }
}

/* dwpe += dx, sequence by sequence; one work-item for each element. n = T * C. */
__kernel void embed_dwpe(ARG(float, dwpe),     /* [P, C] */
                         ARG(const float, dx), /* [sequences, T, C] */
                         int sequences, ulong n, dropout_args dropout) {
    TENSOR(float, dwpe); TENSOR(const float, dx);
    ulong i = get_global_id(0);
    if (i < n) {
        float total = dwpe[i];
        for (int s = 0; s < sequences; s++) total += dropout_factor(dropout, s, i) * dx[s * n + i];
        dwpe[i] = total;
    }
}

/* Softmax cross-entropy of a chunk of rows, and its gradient in place of the logits; one work-group for each row. The
   logits lie tile after tile of `tile` words of the vocabulary. Each tile is [rows, width]; its lines are dense where
   `line` is 0, else `line` numbers apart, and then the gradients' lines are filled up with zeros. */
__attribute__((reqd_work_group_size(HEAD_LANES, 1, 1))) __kernel void
head_rows(ARG(float, logits),      /* of the chunk */
          ARG(float, losses),      /* [rows] */
          ARG(const int, targets), /* [rows] */
          int V, int tile, int line, int gradient, float inv_targets) {
    TENSOR(float, logits); TENSOR(float, losses); TENSOR(const int, targets);
    __local float space[HEAD_LANES];
    int lane = get_local_id(0);
    ulong row = get_group_id(0), rows = get_num_groups(0);
    int target = targets[row];
    float largest = -INFINITY, sum = 0.0f;
    wide most = -INFINITY, sums = 0.0f;
    for (int start = 0; start < V; start += tile) {
        int width = min(tile, V - start);
        __global const float *x = logits + (ulong)start * rows + row * (line ? line : width);
        EACH_WIDE(i, width, HEAD_LANES) most = fmax(most, LOAD(W, x + i));
        EACH_REST(i, width, HEAD_LANES) largest = fmax(largest, x[i]);
    }
    largest = group_max(fmax(largest, wide_max(most)), space, HEAD_LANES);
    for (int start = 0; start < V; start += tile) {
        int width = min(tile, V - start);
        __global const float *x = logits + (ulong)start * rows + row * (line ? line : width);
        EACH_WIDE(i, width, HEAD_LANES) sums += exp(LOAD(W, x + i) - largest);
        EACH_REST(i, width, HEAD_LANES) sum += exp(x[i] - largest);
    }
    sum = group_sum(wide_sum(sums) + sum, space, HEAD_LANES);
    if (lane == 0) {
        float loss = 0.0f;
        if (target >= 0) {
            int start = target / tile * tile, width = min(tile, V - start);
            loss = log(sum) - (logits[(ulong)start * rows + row * (line ? line : width) + target - start] - largest);
        }
        losses[row] = loss;
    }
    BARRIER(CLK_GLOBAL_MEM_FENCE); /* the target's logit is read before it is overwritten */
    if (gradient) {
        float factor = target >= 0 ? inv_targets : 0.0f;
        for (int start = 0; start < V; start += tile) {
            int width = min(tile, V - start);
            __global float *x = logits + (ulong)start * rows + row * (line ? line : width);
            EACH_WIDE(i, width, HEAD_LANES) {
                wide hit = select((wide)(0.0f), (wide)(1.0f), (wide_int)(start + i) + COUNT(W) == (wide_int)(target));
                STORE(W, factor * (exp(LOAD(W, x + i) - largest) / sum - hit), x + i);
            }
            EACH_REST(i, width, HEAD_LANES)
                x[i] = factor * (exp(x[i] - largest) / sum - (start + i == target ? 1.0f : 0.0f));
            for (int i = width + lane; i < line; i += HEAD_LANES) x[i] = 0.0f;
        }
    }
}

/* dx = the sums over parts of the vocabulary, added in their order. */
__kernel void head_dx(ARG(act, dx),            /* [n] */
                      ARG(const float, parts), /* [count, n] */
                      ulong n, int count) {
    TENSOR(act, dx); TENSOR(const float, parts);
    ulong i = get_global_id(0);
    if (i < n) {
        float sum = parts[i];
        for (int p = 1; p < count; p++) sum += parts[p * n + i];
        STORE_ACT(1, sum, dx + i);
    }
}

/* losses[first + s] = sum of the row losses of sequence s, in the order of rows, compensated (Kahan): a plain float sum
   over a long sequence would lose digits. One work-item for each sequence. */
#pragma OPENCL FP_CONTRACT OFF
__kernel void head_losses(ARG(float, losses), /* [N] */
                          int first,
                          ARG(const float, row_losses), /* [sequences, T] */
                          int sequences, int T) {
    TENSOR(float, losses); TENSOR(const float, row_losses);
    int s = get_global_id(0);
    if (s < sequences) {
        __global const float *row = row_losses + (ulong)s * T;
        float sum = 0.0f, lost = 0.0f;
        for (int t = 0; t < T; t++) {
            float y = row[t] - lost, next = sum + y;
            lost = (next - sum) - y;
            sum = next;
        }
        losses[first + s] = sum;
    }
}

/* logits[r, v] = x[r] . wte[v] for one position of each of `rows` sequences; one work-group for each word. */
__attribute__((reqd_work_group_size(EMBED_LANES, 1, 1))) __kernel void
logits_row(ARG(float, logits),    /* [rows, V] */
           ARG(const act, x),     /* [C] of each position, x_row apart */
           ARG(const float, wte), /* [V, C] */
           int is_copy, int rows, ulong x_row, int V, int C) {
    TENSOR(float, logits); TENSOR(const act, x);
    __local float space[EMBED_LANES];
    ulong v = get_group_id(0);
    int lane = get_local_id(0);
    wte_at += v * C;
    for (int r = 0; r < rows; r++, x += x_row) {
        wide sums = 0.0f;
        float sum = 0.0f;
        EACH_WIDE(c, C, EMBED_LANES) sums += LOAD_ACT(W, x + c) * LOAD_WEIGHT(W, is_copy, wte_block, wte_at + c);
        EACH_REST(c, C, EMBED_LANES) sum += LOAD_ACT(1, x + c) * LOAD_WEIGHT(1, is_copy, wte_block, wte_at + c);
        sum = group_sum(wide_sum(sums) + sum, space, EMBED_LANES);
        if (lane == 0) logits[(ulong)r * V + v] = sum;
    }
}
