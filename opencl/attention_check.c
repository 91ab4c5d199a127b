/* attention_check.c: tries attention's kernels on the device that they were built for, before anything relies on them
   (R13). */
#include "base/bf16.h"
#include "base/rng.h"
#include "opencl/ops.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POSITIONS = 150 }; /* more than two groups keep, and a multiple of nothing */

/* One ATTENTION of the bound graph, and the ATTENTION_DX of its layer where there is one, run on their own tensors:
   these live together in the plan, so a trial takes no memory. */
typedef struct {
    int forward, backward; /* ops of the graph; backward -1: there is none */
    int B, T, H, D;
    op_attr attr;
    step_args args;
    float *out, *lse, *qkv, *dqkv, *dout; /* [B,T,C], [B,H,T], [B,T,3C], [B,T,3C], [B,T,C] on the host */
} trial;

/* false: g has no attention. */
static bool trial_make(trial *t, const graph *g) {
    *t = (trial){.forward = -1,
                 .backward = -1,
                 .B = g->micro_batch > 1 ? 2 : 1,
                 .T = g->length < POSITIONS ? g->length : POSITIONS};
    for (int i = 0; i < g->n_ops && t->forward < 0; i++)
        if (g->ops[i].code == OP_ATTENTION) t->forward = i;
    if (t->forward < 0) return false;
    t->attr = g->ops[t->forward].attr;
    for (int i = 0; i < g->n_ops && t->backward < 0; i++)
        if (g->ops[i].code == OP_ATTENTION_DX && g->ops[i].attr.layer == t->attr.layer) t->backward = i;
    int64_t C = g->tensors[g->ops[t->forward].arg[0]].dim[2], rows = (int64_t)t->B * t->T;
    t->H = t->attr.heads;
    t->D = (int)(C / t->H);
    t->args = (step_args){.sequences = t->B, .first_sequence = 5, .length = t->T, .step = 3, .seed = 0x123456789u};
    t->out = xcalloc((size_t)(rows * C), sizeof(float));
    t->lse = xcalloc((size_t)(rows * t->H), sizeof(float));
    t->qkv = xcalloc((size_t)(rows * 3 * C), sizeof(float));
    t->dqkv = xcalloc((size_t)(rows * 3 * C), sizeof(float));
    t->dout = xcalloc((size_t)(rows * C), sizeof(float));
    return true;
}

static void trial_free(trial *t) {
    free(t->out);
    free(t->lse);
    free(t->qkv);
    free(t->dqkv);
    free(t->dout);
}

/* Numbers in (-2, 2), as they are stored. */
static void fill(float *x, int64_t n, bool as_bf16, uint32_t state) {
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)((int)(state >> 8) - (1 << 23)) / (float)(1 << 22);
        if (as_bf16) x[i] = bf16_round(x[i]);
    }
}
static void spoil(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = NAN;
}

/* Runs the op at `index` on what the host has: its arguments are written before, the first `outputs` of them, NaN until
   the op writes them, read after it. x: the host's arrays by argument, `widths` floats a position. */
static status run_one(const trial *t, opencl *b, int index, int outputs, int arguments, float *const *x,
                      const int64_t *widths, error *e) {
    const op *o = &b->graph->ops[index];
    const int64_t rows = (int64_t)t->B * t->T;
    for (int i = 0; i < arguments; i++) {
        if (i < outputs) spoil(x[i], rows * widths[i]);
        TRY(floats_write(b, o->arg[i], x[i], rows * widths[i], e));
    }
    TRY(b->base.run(&b->base, (span){index, index + 1}, &t->args, e));
    for (int i = 0; i < outputs; i++) TRY(floats_read(b, o->arg[i], x[i], rows * widths[i], e));
    return OK;
}

/* By the op table: out lse qkv, and dqkv dout qkv out lse. */
static status run(trial *t, opencl *b, error *e) {
    const int64_t C = (int64_t)t->H * t->D, rows = (int64_t)t->B * t->T;
    fill(t->qkv, rows * 3 * C, has_act16(b), 1);
    fill(t->dout, rows * C, has_act16(b), 2);
    TRY(run_one(t, b, t->forward, 2, 3, (float *[]){t->out, t->lse, t->qkv}, (int64_t[]){C, t->H, 3 * C}, e));
    if (t->backward < 0) return OK;
    return run_one(t, b, t->backward, 1, 5, (float *[]){t->dqkv, t->dout, t->qkv, t->out, t->lse},
                   (int64_t[]){3 * C, C, 3 * C, C, t->H}, e);
}

/* ---- the same in float64, one head of one sequence ---- */

typedef struct {
    const trial *t;
    int s, h;
    double *p, *dp;      /* [T,T]: probabilities and their gradients, dropout left out and put in */
    double *factor;      /* [T,T] */
    double off[4], size; /* squares of differences of out, dq, dk and dv; of all numbers of out or dqkv */
} reference;

static double at(const float *x, const reference *r, int i, int width, int part, int d) {
    int64_t C = (int64_t)r->t->H * r->t->D;
    return x[((int64_t)r->s * r->t->T + i) * width * C + part * C + r->h * r->t->D + d];
}
static double dot(const reference *r, const float *x, int i, int xw, int xp, const float *y, int j, int yw, int yp) {
    double sum = 0;
    for (int d = 0; d < r->t->D; d++) sum += at(x, r, i, xw, xp, d) * at(y, r, j, yw, yp, d);
    return sum;
}

static double mask(const reference *r, int i, int j) {
    const trial *t = r->t;
    uint32_t word[4];
    uint64_t element = ((uint64_t)r->h * (uint64_t)t->T + (uint64_t)i) * (uint64_t)t->T + (uint64_t)j;
    if (t->attr.dropout == 0) return 1;
    philox(t->args.seed, (uint32_t)t->args.step, (uint32_t)(t->args.first_sequence + r->s),
           (uint32_t)t->attr.site << 16 | (uint32_t)(t->attr.layer < 0 ? 0 : t->attr.layer), (uint32_t)(element / 4),
           word);
    return word[element % 4] >= t->attr.dropout * 4294967296.0 ? 1 / (1 - t->attr.dropout) : 0;
}

/* p, dp and factor; *off: how far the worst log-sum-exp is off. */
static void probabilities(reference *r, double *off) {
    const trial *t = r->t;
    const float *qkv = t->qkv;
    for (int i = 0; i < t->T; i++) {
        double *p = r->p + i * t->T, largest = -INFINITY, sum = 0;
        for (int j = 0; j <= i; j++) {
            p[j] = dot(r, qkv, i, 3, 0, qkv, j, 3, 1) / sqrt(t->D);
            largest = fmax(largest, p[j]);
        }
        for (int j = 0; j <= i; j++) sum += p[j] = exp(p[j] - largest);
        for (int j = 0; j <= i; j++) {
            p[j] /= sum;
            r->factor[i * t->T + j] = mask(r, i, j);
            if (t->backward >= 0)
                r->dp[i * t->T + j] = dot(r, t->dout, i, 1, 0, qkv, j, 3, 2) * r->factor[i * t->T + j];
        }
        double lse = largest + log(fmax(sum, 1)); /* the sum is 1 at least: the largest counts so much */
        double d = fabs(t->lse[((int64_t)r->s * t->H + r->h) * t->T + i] - lse);
        *off = d <= *off ? *off : d;
    }
}

static void add_up(double *off, double *size, double got, double want) {
    *off += (got - want) * (got - want);
    *size += want * want;
}

static void compare_out(reference *r) {
    const trial *t = r->t;
    for (int i = 0; i < t->T; i++)
        for (int d = 0; d < t->D; d++) {
            double want = 0;
            for (int j = 0; j <= i; j++)
                want += r->p[i * t->T + j] * r->factor[i * t->T + j] * at(t->qkv, r, j, 3, 2, d);
            add_up(&r->off[0], &r->size, at(t->out, r, i, 1, 0, d), want);
        }
}

/* dp becomes the scores' gradient. */
static void compare_gradients(reference *r) {
    const trial *t = r->t;
    int T = t->T;
    for (int i = 0; i < T; i++) {
        double delta = 0;
        for (int j = 0; j <= i; j++) delta += r->p[i * T + j] * r->dp[i * T + j];
        for (int j = 0; j <= i; j++) r->dp[i * T + j] = r->p[i * T + j] * (r->dp[i * T + j] - delta) / sqrt(t->D);
    }
    for (int i = 0; i < T; i++)
        for (int d = 0; d < t->D; d++) {
            double dq = 0, dk = 0, dv = 0;
            for (int j = 0; j <= i; j++) dq += r->dp[i * T + j] * at(t->qkv, r, j, 3, 1, d);
            for (int j = i; j < T; j++) {
                dk += r->dp[j * T + i] * at(t->qkv, r, j, 3, 0, d);
                dv += r->p[j * T + i] * r->factor[j * T + i] * at(t->dout, r, j, 1, 0, d);
            }
            add_up(&r->off[1], &r->size, at(t->dqkv, r, i, 3, 0, d), dq);
            add_up(&r->off[2], &r->size, at(t->dqkv, r, i, 3, 1, d), dk);
            add_up(&r->off[3], &r->size, at(t->dqkv, r, i, 3, 2, d), dv);
        }
}

/* "" when all is right. Differences are measured against the whole of what is computed: of one position dq and dk are
 * 0. */
static void compare(const trial *t, int s, int h, double tolerance, char why[128]) {
    static const char *const names[] = {"outputs", "gradients of queries", "gradients of keys", "gradients of values"};
    size_t n = (size_t)t->T * (size_t)t->T;
    reference r = {.t = t, .s = s, .h = h};
    double lse = 0;
    r.p = xcalloc(n, sizeof(double)), r.dp = xcalloc(n, sizeof(double)), r.factor = xcalloc(n, sizeof(double));
    probabilities(&r, &lse);
    if (!(lse <= 2 * tolerance)) snprintf(why, 128, "log-sum-exp of head %d is off by %.2g", h, lse);
    for (int part = 0; part < (t->backward >= 0 ? 2 : 1) && !why[0]; part++) {
        r.size = 0;
        if (part)
            compare_gradients(&r);
        else
            compare_out(&r);
        for (int k = part; k <= 3 * part && !why[0]; k++)
            if (!(sqrt(r.off[k]) <= tolerance * sqrt(r.size)))
                snprintf(why, 128, "%s of head %d are off by %.2g", names[k], h, sqrt(r.off[k] / r.size));
    }
    free(r.p);
    free(r.dp);
    free(r.factor);
}

/* ---- one new position ---- */

/* How far `out` [C] is from float64's for the last position of sequence s, all heads, relative to its norm. */
static double last_row_off(const trial *t, int s, const float *out) {
    double off = 0, size = 0;
    for (int h = 0; h < t->H; h++) {
        const reference r = {.t = t, .s = s, .h = h};
        double p[POSITIONS], largest = -INFINITY, sum = 0;
        for (int j = 0; j < t->T; j++) {
            p[j] = dot(&r, t->qkv, t->T - 1, 3, 0, t->qkv, j, 3, 1) / sqrt(t->D);
            largest = fmax(largest, p[j]);
        }
        for (int j = 0; j < t->T; j++) sum += p[j] = exp(p[j] - largest);
        for (int d = 0; d < t->D; d++) {
            double want = 0;
            for (int j = 0; j < t->T; j++) want += p[j] / sum * at(t->qkv, &r, j, 3, 2, d);
            add_up(&off, &size, out[h * t->D + d], want);
        }
    }
    return sqrt(off / size);
}

/* Runs ATTENTION_ONE, op `index`, for the last position of up to two texts, each a sequence of the trial whose keys and
   values have been kept; what lies behind those is no number. */
static status run_last(const trial *t, opencl *b, int index, int texts, float *out /* [texts,C] */, error *e) {
    const op *o = &b->graph->ops[index];
    const int64_t C = (int64_t)t->H * t->D, room = b->graph->tensors[o->arg[2]].dim[1];
    const int64_t n = ((texts - 1) * room + t->T) * 2 * C;
    const step_args args = {.sequences = texts, .length = 1, .before = t->T - 1};
    float *kept = xcalloc((size_t)n, sizeof *kept), *qkv = xcalloc((size_t)(texts * 3 * C), sizeof *qkv);
    spoil(kept, n);
    spoil(out, texts * C);
    for (int text = 0; text < texts; text++) {
        const float *from = t->qkv + (int64_t)(text % t->B) * t->T * 3 * C;
        for (int j = 0; j < t->T; j++)
            memcpy(kept + (text * room + j) * 2 * C, from + (j * 3 + 1) * C, sizeof *kept * (size_t)(2 * C));
        memcpy(qkv + text * 3 * C, from + (int64_t)(t->T - 1) * 3 * C, sizeof *qkv * (size_t)(3 * C));
    }
    status s = floats_write(b, o->arg[0], out, texts * C, e);
    if (s == OK) s = floats_write(b, o->arg[1], qkv, texts * 3 * C, e);
    if (s == OK) s = floats_write(b, o->arg[2], kept, n, e);
    if (s == OK) s = b->base.run(&b->base, (span){index, index + 1}, &args, e);
    if (s == OK) s = floats_read(b, o->arg[0], out, texts * C, e);
    memset(kept, 0, sizeof *kept * (size_t)n);
    if (s == OK) s = floats_write(b, o->arg[2], kept, n, e); /* as bind leaves what lasts */
    free(kept);
    free(qkv);
    return s;
}

static status prove_one(const trial *t, opencl *b, double tolerance, char why[128], error *e) {
    const graph *g = b->graph;
    int index = 0;
    while (index < g->n_ops && g->ops[index].code != OP_ATTENTION_ONE) index++;
    if (index == g->n_ops) return OK;
    const int64_t C = (int64_t)t->H * t->D;
    const int texts = g->tensors[g->ops[index].arg[2]].dim[0] > 1 ? 2 : 1;
    float *out = xcalloc((size_t)(texts * C), sizeof *out);
    status s = run_last(t, b, index, texts, out, e);
    for (int text = 0; text < texts && s == OK && !why[0]; text++) {
        double off = last_row_off(t, text % t->B, out + text * C);
        if (!(off <= tolerance)) snprintf(why, 128, "of one new position it is off by %.2g", off);
    }
    free(out);
    return s;
}

/* ---- the gate ---- */

status attention_prove(opencl *b, error *e) {
    static const double tolerance[] = {[ATTENTION_FLOAT32] = 2e-5, [ATTENTION_TF32] = 3e-3, [ATTENTION_BF16] = 3e-2};
    trial t;
    char why[128] = "";
    bool units = b->attention.way == ATTENTION_TF32 || b->attention.way == ATTENTION_BF16;
    const bool profile = b->base.profile, products_only = b->base.products_only;
    const uint64_t launches = b->base.launches;
    if (b->attention.way == ATTENTION_SERIAL || (units && b->unproved) || !trial_make(&t, b->graph)) return OK;
    b->base.profile = b->base.products_only = false;
    status s = run(&t, b, e);
    double allowed = tolerance[b->attention.way];
    if (has_act16(b)) allowed = fmax(allowed, 1e-2);
    if (s == OK) compare(&t, 0, 0, allowed, why);
    if (s == OK && !why[0]) compare(&t, t.B - 1, t.H - 1, allowed, why);
    if (s == OK && !why[0]) s = prove_one(&t, b, allowed, why, e);
    trial_free(&t);
    b->base.profile = profile, b->base.products_only = products_only, b->base.launches = launches;
    if (s != OK || !why[0]) return s;
    return fail(e, BAD_INPUT, "'%s' computes wrong attention (%s): use %s", b->device.info.name, why,
                has_act16(b) ? "--dtype=float32"
                : units      ? "--matmul_precision=highest, which is float32"
                             : "--device=cpu");
}
