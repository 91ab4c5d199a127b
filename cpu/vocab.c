/* vocab.c: the two ends of the model: token and position embeddings, and the head with its loss, by chunks of rows so
   that [B,T,V] never exists (R7). */
#include "base/bf16.h"
#include "cpu/ops.h"
#include "cpu/vmath.h"
#include <string.h>

/* ---- embeddings ---- */

void R(cpu_EMBED)(const cpu_call *c) {
    int64_t n = dim(c, 0, 2), length = c->step->length, before = c->step->before;
    real *x = c->arg[0] /* [B,T,C] */;
    const int32_t *tokens = c->arg[1] /* [B,T] */;
    const real *wte = c->arg[2] /* [V,C] */, *wpe = c->arg[3] /* [P,C] */;
    bool rounded = graph_reads_rounded(c->g, c->o->arg[2]) && graph_reads_rounded(c->g, c->o->arg[3]);
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows_of(c); r++) {
        const real *e = wte + tokens[r] * n, *p = wpe + (before + r % length) * n;
        for (int64_t i = 0; i < n; i++)
            x[r * n + i] = rounded ? (real)(bf16_round((float)e[i]) + bf16_round((float)p[i])) : e[i] + p[i];
        if (c->o->attr.dropout > 0) R(dropout_add)(c, (int)(r / length), r % length * n, n, NULL, x + r * n, x + r * n);
    }
}

/* Each thread has a range of columns, for which it goes through all positions in order. So no two threads add to the
   same element, and an element's sum has one order. */
void R(cpu_EMBED_DW)(const cpu_call *c) {
    enum { COLUMNS = 64 };
    int64_t n = dim(c, 2, 2), length = c->step->length;
    real *dwte = c->arg[0] /* [V,C] */, *dwpe = c->arg[1] /* [P,C] */;
    const real *dx = c->arg[2] /* [B,T,C] */;
    const int32_t *tokens = c->arg[3] /* [B,T] */;
    lane_wait(c, LANE_ALL);
#pragma omp parallel for schedule(dynamic)
    for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
        int64_t nc = c0 + COLUMNS > n ? n - c0 : COLUMNS;
        for (int64_t r = 0; r < rows_of(c); r++) {
            real d[COLUMNS], *e = dwte + tokens[r] * n + c0, *p = dwpe + r % length * n + c0;
            R(dropout_add)(c, (int)(r / length), r % length * n + c0, nc, NULL, dx + r * n + c0, d);
            for (int64_t j = 0; j < nc; j++) e[j] += d[j];
            for (int64_t j = 0; j < nc; j++) p[j] += d[j];
        }
    }
}

/* ---- the head ---- */

/* From one position's logits row[V]: returns the loss; with scale != 0 also turns the row into the loss's gradient by
   the logits, times scale. */
static real row_loss(real *row, int64_t v, int32_t target, real scale) {
    if (target < 0) { /* ignored: no loss, no gradient */
        if (scale != 0) memset(row, 0, (size_t)v * sizeof *row);
        return 0;
    }
    real m = row[0], right = row[target], acc[LANES] = {0}, tail = 0;
#pragma omp simd reduction(max : m)
    for (int64_t j = 0; j < v; j++) m = row[j] > m ? row[j] : m;
    int64_t j = 0;
    for (; j + LANES <= v; j += LANES)
        for (int q = 0; q < LANES; q++) {
            row[j + q] = vexp(row[j + q] - m);
            acc[q] += row[j + q];
        }
    for (; j < v; j++) tail += row[j] = vexp(row[j] - m);
    real sum = lanes_total(acc) + tail;
    if (scale != 0) {
        real by = scale / sum;
        for (j = 0; j < v; j++) row[j] *= by;
        row[target] -= scale;
    }
    return (real)log((double)sum) + (m - right);
}

/* The arguments of HEAD and HEAD_LOSS by name; the latter has no dx and no dwte (NULL). */
typedef struct {
    real *losses;           /* [N] */
    real *dx, *dwte;        /* [B,T,C] and [V,C] */
    const real *x, *wte;    /* [B,T,C] and [V,C] */
    const int32_t *targets; /* [B,T] */
    int64_t channels, vocabulary;
} head_args;

/* The head for some rows: logits = x wte^T, losses, and for HEAD the gradients. It takes `rows` rows of each of
   `pieces` sequences, from row `first` on. */
static void head_chunk(const cpu_call *c, const head_args *h, int64_t first, int pieces, int64_t rows) {
    int64_t n = h->channels, v = h->vocabulary, all = pieces * rows;
    real *logits = c->scratch /* [all,V] */, *row_losses = logits + all * v /* [all] */;
    const real *x = h->x + first * n /* [all,C] */;
    R(matmul)(x, h->wte, true, n, NULL, logits, v, pieces, rows, v, n);
#pragma omp parallel for schedule(dynamic)
    for (int64_t r = 0; r < all; r++)
        row_losses[r] = row_loss(logits + r * v, v, h->targets[first + r], h->dx ? (real)c->step->inv_targets : 0);
    for (int64_t r = 0; r < all; r++)
        h->losses[c->step->first_sequence + (first + r) / c->step->length] += row_losses[r];
    if (!h->dx) return;
    R(matmul)(logits, h->wte, false, n, NULL, h->dx + first * n, n, pieces, rows, n, v);
    lane_wait(c, LANE_ALL);
    R(matmul_add)(NULL, h->dwte, logits, v, x, n, pieces, rows, v, n);
}

static void head_run(const cpu_call *c, const head_args *h) {
    for (int s = 0; s < c->step->sequences; s++) h->losses[c->step->first_sequence + s] = 0;
    int64_t length = piece_rows(c);
    int at_once = head_pieces(c->g, h->vocabulary, c->lanes);
    for (int p = 0; p < pieces(c); p += at_once) {
        int some = pieces(c) - p < at_once ? pieces(c) - p : at_once;
        for (int64_t r = 0; r < length; r += HEAD_ROWS)
            head_chunk(c, h, p * length + r, some, r + HEAD_ROWS > length ? length - r : HEAD_ROWS);
    }
}

void R(cpu_HEAD)(const cpu_call *c) {
    head_run(
        c, &(head_args){c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5], dim(c, 4, 1), dim(c, 4, 0)});
}

void R(cpu_HEAD_LOSS)(const cpu_call *c) {
    head_run(c, &(head_args){c->arg[0], NULL, NULL, c->arg[1], c->arg[2], c->arg[3], dim(c, 2, 1), dim(c, 2, 0)});
}

void R(cpu_LOGITS)(const cpu_call *c) {
    int64_t v = dim(c, 2, 0), n = dim(c, 2, 1);
    int64_t length = c->step->length;
    const real *x = (const real *)c->arg[1] /* [B,T,C] */ + (length - 1) * n, *wte = c->arg[2] /* [V,C] */;
    real *logits = (real *)c->arg[0] /* [K,V] */ + c->step->first_sequence * v;
    R(gemm_rows)(true, c->step->sequences, v, n, x, length * n, wte, n, NULL, logits, v);
}
