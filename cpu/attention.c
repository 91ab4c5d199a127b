/* attention.c: causal attention by blocks of scores, so that [T,T] never exists (FlashAttention-2: Dao, arXiv
   2307.08691). */
#include "cpu/ops.h"
#include "cpu/vmath.h"
#include "graph/cost.h"
#include <float.h>
#include <string.h>

/* Constants, so that the bits depend on the sequence alone. KEYS is a multiple of ROWS. Rows of scores lie APART
   numbers from each other, which is not a power of 2: the numbers of a column would all compete for one place in the
   cache. */
enum { ROWS = 64, KEYS = 256, APART = KEYS + 16 };

/* One head of one sequence. Rows of q, k and v are 3 C apart, rows of out C. */
typedef struct {
    const cpu_call *c;
    int sequence, head;
    int64_t length, head_size, channels, ld;
    real scale;
    const real *q, *k, *v; /* [T, head_size] with stride ld */
} head;

/* qkv [B,T,3C]; task: sequence * heads + head. */
static head head_of(const cpu_call *c, const real *qkv, int64_t task) {
    int heads = c->o->attr.heads;
    int64_t channels = c->g->tensors[c->o->arg[0]].dim[2];
    if (c->o->code == OP_ATTENTION_DX) channels /= 3;
    head h = {.c = c, .sequence = (int)(task / heads), .head = (int)(task % heads), .length = c->step->length};
    h.channels = channels;
    h.head_size = channels / heads;
    h.ld = 3 * channels;
    h.scale = 1 / (real)sqrt((double)h.head_size);
    h.q = qkv + h.sequence * h.length * h.ld + h.head * h.head_size;
    h.k = h.q + channels;
    h.v = h.k + channels;
    return h;
}

/* Multiply-adds, for share_out. */
static double attention_work(const cpu_call *c) { return op_flops(c->g, c->o, c->step->sequences) / 2; }

/* How many of a block's columns, from j0 on, the causal mask lets row i0 + r see. */
static int64_t visible(int64_t i0, int64_t r, int64_t j0, int64_t columns) {
    int64_t n = i0 + r - j0 + 1;
    return n < columns ? n : columns;
}

/* n rounded up to whole vectors, but not beyond the block's columns. */
static int64_t whole_vectors(int64_t n, int64_t columns) {
    int64_t whole = (n + LANES - 1) / LANES * LANES;
    return whole < columns ? whole : columns;
}

/* Dropout of a block's probabilities p [rows,columns], in place. */
static void drop(const head *h, real *p, int64_t i0, int64_t rows, int64_t j0, int64_t columns) {
    if (h->c->o->attr.dropout == 0) return;
    for (int64_t r = 0; r < rows; r++) {
        int64_t element = (h->head * h->length + i0 + r) * h->length + j0;
        R(dropout_add)(h->c, h->sequence, element, visible(i0, r, j0, columns), NULL, p + r * APART, p + r * APART);
    }
}

/* The largest of s[n]. */
static real row_max(const real *s, int64_t n) {
    real m = s[0];
#pragma omp simd reduction(max : m)
    for (int64_t j = 0; j < n; j++) m = s[j] > m ? s[j] : m;
    return m;
}

/* s[j] = exp(s[j] - m) for j < n; returns their sum. */
static real exp_row(real *s, real m, int64_t n) {
    real acc[LANES] = {0}, tail = 0;
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int q = 0; q < LANES; q++) {
            s[j + q] = vexp(s[j + q] - m);
            acc[q] += s[j + q];
        }
    for (; j < n; j++) {
        s[j] = vexp(s[j] - m);
        tail += s[j];
    }
    return lanes_total(acc) + tail;
}

/* Computes ROWS rows of the head's output out [T,head_size] (rows C apart) and of lse [T], the logarithms of the
   softmax's sums, from row i0 on. Goes through blocks of keys, keeping each row's maximum and sum so
   far. */
static void forward_rows(const head *h, int64_t i0, real *out, real *lse) {
    real s[ROWS * APART], m[ROWS] = {0}, sum[ROWS] = {0};
    int64_t rows = i0 + ROWS > h->length ? h->length - i0 : ROWS;
    for (int64_t j0 = 0; j0 < i0 + rows; j0 += KEYS) {
        int64_t columns = i0 + rows - j0 < KEYS ? i0 + rows - j0 : KEYS;
        R(gemm_short)
        (false, true, rows, columns, h->head_size, h->scale, h->q + i0 * h->ld, h->ld, h->k + j0 * h->ld, h->ld, false,
         s, APART);
        for (int64_t r = 0; r < rows; r++) {
            real *row = s + r * APART, *o = out + (i0 + r) * h->channels;
            int64_t seen = visible(i0, r, j0, columns), n = whole_vectors(seen, columns);
            for (int64_t j = seen; j < n; j++) row[j] = -(real)FLT_MAX; /* adds nothing to the sum */
            real before = j0 ? m[r] : -(real)FLT_MAX, now = row_max(row, n);
            m[r] = now > before ? now : before;
            real p = exp_row(row, m[r], n);
            for (int64_t j = seen; j < columns; j++) row[j] = 0;
            if (j0 == 0) {
                sum[r] = p;
                continue;
            }
            real keep = vexp(before - m[r]);
            sum[r] = sum[r] * keep + p;
            for (int64_t i = 0; i < h->head_size; i++) o[i] *= keep;
        }
        drop(h, s, i0, rows, j0, columns);
        R(gemm_short)
        (false, false, rows, h->head_size, columns, 1, s, APART, h->v + j0 * h->ld, h->ld, j0 > 0,
         out + i0 * h->channels, h->channels);
    }
    for (int64_t r = 0; r < rows; r++) {
        real *o = out + (i0 + r) * h->channels;
        for (int64_t i = 0; i < h->head_size; i++) o[i] /= sum[r];
        lse[i0 + r] = m[r] + (real)log((double)sum[r]);
    }
}

void R(cpu_ATTENTION)(const cpu_call *c) {
    int64_t tasks = (int64_t)c->step->sequences * c->o->attr.heads;
    int64_t blocks = (c->step->length + ROWS - 1) / ROWS;
    share_out(attention_work(c));
#pragma omp parallel for collapse(2) schedule(runtime)
    for (int64_t t = 0; t < tasks; t++)
        for (int64_t b = 0; b < blocks; b++) {
            head h = head_of(c, c->arg[2], t);
            real *out = (real *)c->arg[0] /* [B,T,C] */ + h.sequence * h.length * h.channels + h.head * h.head_size;
            /* the longest rows first */
            forward_rows(&h, (blocks - 1 - b) * ROWS, out, (real *)c->arg[1] /* [B,H,T] */ + t * h.length);
        }
}

/* ---- one position ---- */

void R(cpu_KEEP)(const cpu_call *c) {
    const step_args *step = c->step;
    int64_t n = dim(c, 0, 2), room = dim(c, 0, 1), copies = step->copies > 1 ? step->copies : 1;
    real *kept = c->arg[0] /* [K,T,2C] */;
    const real *qkv = c->arg[1] /* [B,T,3C] */;
    for (int64_t s = 0; s < step->sequences; s++)
        for (int64_t row = step->first_sequence + s, last = row + copies; row < last; row++)
            for (int64_t t = 0; t < step->length; t++)
                memcpy(kept + (row * room + step->before + t) * n, qkv + (s * step->length + t) * (n / 2 * 3) + n / 2,
                       (size_t)n * sizeof *kept);
}

/* out[size] of one head: k and v are those of the first of `positions` positions, rows ld apart. Goes through them in
   blocks, as forward_rows does. */
static void one_head(const real *q, const real *k, const real *v, int64_t ld, int64_t positions, int64_t size,
                     real *out) {
    real s[KEYS] = {0}, most = 0, sum = 0, scale = 1 / (real)sqrt((double)size);
    for (int64_t j0 = 0; j0 < positions; j0 += KEYS) {
        int64_t n = positions - j0 < KEYS ? positions - j0 : KEYS;
        for (int64_t j = 0; j < n; j++) s[j] = dot(q, k + (j0 + j) * ld, size) * scale;
        real before = most, now = row_max(s, n);
        most = j0 && before > now ? before : now;
        real keep = j0 ? vexp(before - most) : 0;
        sum = sum * keep + exp_row(s, most, n);
        for (int64_t i = 0; i < size; i++) out[i] = j0 ? out[i] * keep : 0;
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < size; i++) out[i] += s[j] * v[(j0 + j) * ld + i];
    }
    for (int64_t i = 0; i < size; i++) out[i] /= sum;
}

void R(cpu_ATTENTION_ONE)(const cpu_call *c) {
    int64_t heads = c->o->attr.heads, channels = dim(c, 0, 2), size = channels / heads, ld = 2 * channels;
    int64_t room = dim(c, 2, 1), tasks = c->step->sequences * heads;
    real *out = c->arg[0] /* [B,1,C] */;
    const real *qkv = c->arg[1] /* [B,1,3C] */, *kept = c->arg[2] /* [K,T,2C] */;
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t s = t / heads, column = t % heads * size;
        const real *k = kept + (c->step->first_sequence + s) * room * ld + column;
        one_head(qkv + s * 3 * channels + column, k, k + channels, ld, c->step->before + 1, size,
                 out + s * channels + column);
    }
}

/* ---- backward ---- */

typedef struct {
    real *dq, *dk, *dv;     /* [T,head_size], rows 3 C apart */
    const real *out, *dout; /* [T,head_size], rows C apart */
    const real *lse;        /* [T] */
} head_gradients;

/* For a block of `rows` queries from i0 on and `columns` keys from j0 on: p and dp [rows,columns], delta [rows]. Turns
   dp into ds = p * (dp - delta) * scale; both p and dp have been through dropout as the formulas ask. */
static void score_gradients(const head *h, const head_gradients *d, int64_t i0, int64_t rows, int64_t j0,
                            int64_t columns, const real *delta, real *p, real *dp) {
    R(gemm_short)
    (false, true, rows, columns, h->head_size, h->scale, h->q + i0 * h->ld, h->ld, h->k + j0 * h->ld, h->ld, false, p,
     APART);
    R(gemm_short)
    (false, true, rows, columns, h->head_size, 1, d->dout + i0 * h->channels, h->channels, h->v + j0 * h->ld, h->ld,
     false, dp, APART);
    drop(h, dp, i0, rows, j0, columns);
    for (int64_t r = 0; r < rows; r++) {
        real *row = p + r * APART, *ds = dp + r * APART, lse = d->lse[i0 + r];
        int64_t seen = visible(i0, r, j0, columns), n = whole_vectors(seen, columns);
        for (int64_t j = 0; j < n; j++) {
            row[j] = vexp(row[j] - lse);
            ds[j] = row[j] * (ds[j] - delta[r]) * h->scale;
        }
        for (int64_t j = seen; j < columns; j++) row[j] = ds[j] = 0;
    }
    drop(h, p, i0, rows, j0, columns);
}

/* Adds to dk and dv, and computes dq, what ROWS rows of dout from row i0 on give. */
static void backward_rows(const head *h, const head_gradients *d, int64_t i0) {
    real p[ROWS * APART], ds[ROWS * APART], delta[ROWS];
    int64_t rows = i0 + ROWS > h->length ? h->length - i0 : ROWS;
    for (int64_t r = 0; r < rows; r++) {
        const real *o = d->out + (i0 + r) * h->channels, *g = d->dout + (i0 + r) * h->channels;
        delta[r] = dot(o, g, h->head_size);
    }
    for (int64_t j0 = 0; j0 < i0 + rows; j0 += KEYS) {
        int64_t columns = i0 + rows - j0 < KEYS ? i0 + rows - j0 : KEYS;
        score_gradients(h, d, i0, rows, j0, columns, delta, p, ds);
        R(gemm_short)
        (true, false, columns, h->head_size, rows, 1, p, APART, d->dout + i0 * h->channels, h->channels, true,
         d->dv + j0 * h->ld, h->ld);
        R(gemm_short)
        (true, false, columns, h->head_size, rows, 1, ds, APART, h->q + i0 * h->ld, h->ld, true, d->dk + j0 * h->ld,
         h->ld);
        R(gemm_short)
        (false, false, rows, h->head_size, columns, 1, ds, APART, h->k + j0 * h->ld, h->ld, j0 > 0, d->dq + i0 * h->ld,
         h->ld);
    }
}

void R(cpu_ATTENTION_DX)(const cpu_call *c) {
    int64_t tasks = (int64_t)c->step->sequences * c->o->attr.heads;
    share_out(attention_work(c));
#pragma omp parallel for schedule(runtime)
    for (int64_t t = 0; t < tasks; t++) {
        head h = head_of(c, c->arg[2], t);
        int64_t at = h.sequence * h.length, column = h.head * h.head_size;
        head_gradients d = {.dq = (real *)c->arg[0] /* [B,T,3C] */ + at * h.ld + column,
                            .out = (const real *)c->arg[3] /* [B,T,C] */ + at * h.channels + column,
                            .dout = (const real *)c->arg[1] /* [B,T,C] */ + at * h.channels + column,
                            .lse = (const real *)c->arg[4] /* [B,H,T] */ + t * h.length};
        d.dk = d.dq + h.channels;
        d.dv = d.dk + h.channels;
        for (int64_t i = 0; i < h.length; i++)
            for (int64_t j = 0; j < h.head_size; j++) d.dk[i * h.ld + j] = d.dv[i * h.ld + j] = 0;
        for (int64_t i0 = 0; i0 < h.length; i0 += ROWS) backward_rows(&h, &d, i0);
    }
}
