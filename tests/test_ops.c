/* test_ops.c: every op alone on the CPU, in float64, float32 and bfloat16 and odd shapes: against loops in float64 that
   follow the op table's formulas, element by element; and gradients against central differences of the forward loops.
 */
#include "support_one_op.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SETTING (&op_settings[_i / 3])
#define BYTES ((size_t[]){8, 4, 2}[_i % 3]) /* 2: bfloat16 */

static double *zeros(int64_t n) { return xcalloc((size_t)n, sizeof(double)); }
static double *copy(const double *x, int64_t n) { return memcpy(zeros(n), x, (size_t)n * sizeof *x); }
static int64_t rows(const one_op *k) { return (int64_t)k->step.sequences * k->step.length; }
static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* ---- embeddings ---- */

START_TEST(embed_adds_the_token_and_the_position_and_drops) {
    const op_setting *s = SETTING;
    one_op k = one_op_new(s, BYTES, OP_EMBED, (op_attr){.layer = -1, .site = SITE_EMBED});
    one_op_real(&k, 3, s->B, s->T, s->C);
    double *tokens = one_op_ids(&k, s->B, s->T, 0, s->V), *wte = one_op_real(&k, 2, s->V, s->C, 0);
    double *wpe = one_op_real(&k, 2, s->T + 3, s->C, 0);
    one_op_run(&k);
    double *want = zeros(k.n[0]);
    for (int64_t r = 0; r < rows(&k); r++)
        for (int64_t c = 0; c < s->C; c++)
            want[r * s->C + c] = (wte[(int64_t)tokens[r] * s->C + c] + wpe[r % s->T * s->C + c]) *
                                 one_op_mask(&k, (int)(r / s->T), r % s->T * s->C + c);
    one_op_expect(&k, 0, rows(&k) * s->C, want);
    one_op_free(&k);
}
END_TEST

START_TEST(embed_dw_adds_each_position_to_its_token_and_place) {
    const op_setting *s = SETTING;
    one_op k = one_op_new(s, BYTES, OP_EMBED_DW, (op_attr){.layer = -1, .site = SITE_EMBED});
    double *dwte = one_op_real(&k, 2, s->V, s->C, 0), *dwpe = one_op_real(&k, 2, s->T + 3, s->C, 0);
    double *dx = one_op_real(&k, 3, s->B, s->T, s->C), *tokens = one_op_ids(&k, s->B, s->T, 0, s->V);
    one_op_run(&k);
    double *want = copy(dwte, k.n[0]), *want_places = copy(dwpe, k.n[1]);
    for (int64_t r = 0; r < rows(&k); r++)
        for (int64_t c = 0; c < s->C; c++) {
            double d = dx[r * s->C + c] * one_op_mask(&k, (int)(r / s->T), r % s->T * s->C + c);
            want[(int64_t)tokens[r] * s->C + c] += d;
            want_places[r % s->T * s->C + c] += d;
        }
    one_op_expect(&k, 0, -1, want);
    one_op_expect(&k, 1, -1, want_places);
    one_op_free(&k);
}
END_TEST

/* ---- layer norm ---- */

static void norm_row(const double *x, int64_t n, double epsilon, double *mean, double *rstd) {
    double variance = 0;
    *mean = 0;
    for (int64_t i = 0; i < n; i++) *mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) variance += (x[i] - *mean) * (x[i] - *mean) / (double)n;
    *rstd = 1 / sqrt(variance + epsilon);
}

/* Fills stats [B,T,2] for x [B,T,C]. */
static void norm_stats(const one_op *k, const double *x, double *stats) {
    for (int64_t r = 0; r < rows(k); r++) norm_row(x + r * k->s.C, k->s.C, 1e-5, &stats[2 * r], &stats[2 * r + 1]);
}

static void check_norm(const op_setting *s, size_t bytes, bool bias) {
    one_op k = one_op_new(s, bytes, OP_NORM, (op_attr){.epsilon = 1e-5});
    one_op_real(&k, 3, s->B, s->T, s->C);
    one_op_real(&k, 3, s->B, s->T, 2);
    double *x = one_op_real(&k, 3, s->B, s->T, s->C), *w = one_op_real(&k, 1, s->C, 0, 0), *b = NULL;
    if (bias)
        b = one_op_real(&k, 1, s->C, 0, 0);
    else
        one_op_none(&k);
    one_op_run(&k);
    double *y = zeros(k.n[0]), *stats = zeros(k.n[1]);
    norm_stats(&k, x, stats);
    for (int64_t i = 0; i < rows(&k) * s->C; i++)
        y[i] = (x[i] - stats[i / s->C * 2]) * stats[i / s->C * 2 + 1] * w[i % s->C] + (b ? b[i % s->C] : 0);
    one_op_expect(&k, 0, rows(&k) * s->C, y);
    one_op_expect(&k, 1, rows(&k) * 2, stats);
    one_op_free(&k);
}

START_TEST(norm_has_mean_0_and_variance_1_before_its_weights) {
    check_norm(SETTING, BYTES, true);
    check_norm(SETTING, BYTES, false);
}
END_TEST

/* sum of dy * norm(x) for NORM_DX: dx dy x stats w dres; weights alone, without the residual part. */
static double norm_dx_loss(const one_op *k) {
    double sum = 0, mean, rstd;
    int64_t n = k->s.C;
    for (int64_t r = 0; r < rows(k); r++) {
        norm_row(k->in[2] + r * n, n, 1e-5, &mean, &rstd);
        for (int64_t i = 0; i < n; i++) sum += k->in[1][r * n + i] * (k->in[2][r * n + i] - mean) * rstd * k->in[4][i];
    }
    return sum;
}

static void check_norm_dx(const op_setting *s, size_t bytes, bool residual) {
    one_op k = one_op_new(s, bytes, OP_NORM_DX, (op_attr){0});
    one_op_real(&k, 3, s->B, s->T, s->C);
    double *dy = one_op_real(&k, 3, s->B, s->T, s->C), *x = one_op_real(&k, 3, s->B, s->T, s->C);
    double *stats = one_op_real(&k, 3, s->B, s->T, 2), *w = one_op_real(&k, 1, s->C, 0, 0), *dres = NULL;
    if (residual)
        dres = one_op_real(&k, 3, s->B, s->T, s->C);
    else
        one_op_none(&k);
    norm_stats(&k, x, stats);
    one_op_run(&k);
    double *want = zeros(k.n[0]);
    int64_t n = s->C;
    for (int64_t r = 0; r < rows(&k);
         r++) { /* by the Jacobian: d y_j / d x_i = w_j rstd (ij - 1/n - xhat_i xhat_j / n) */
        double mean = stats[2 * r], rstd = stats[2 * r + 1];
        for (int64_t i = 0; i < n; i++) {
            double hat = (x[r * n + i] - mean) * rstd;
            for (int64_t j = 0; j < n; j++)
                want[r * n + i] += dy[r * n + j] * w[j] * rstd *
                                   ((i == j) - 1.0 / (double)n - hat * (x[r * n + j] - mean) * rstd / (double)n);
            if (dres) want[r * n + i] += dres[r * n + i];
        }
    }
    if (!residual && s->sequences == s->B) one_op_differentiate(&k, 2, want, norm_dx_loss);
    one_op_expect(&k, 0, rows(&k) * n, want);
    one_op_free(&k);
}

START_TEST(norm_dx_is_the_norms_gradient_plus_what_bypasses_it) {
    check_norm_dx(SETTING, BYTES, true);
    check_norm_dx(SETTING, BYTES, false);
}
END_TEST

START_TEST(norm_dw_adds_what_its_weights_and_biases_did) {
    const op_setting *s = SETTING;
    for (int bias = 0; bias < 2; bias++) {
        one_op k = one_op_new(s, BYTES, OP_NORM_DW, (op_attr){0});
        double *dw = one_op_real(&k, 1, s->C, 0, 0), *db = NULL;
        if (bias)
            db = one_op_real(&k, 1, s->C, 0, 0);
        else
            one_op_none(&k);
        double *dy = one_op_real(&k, 3, s->B, s->T, s->C), *x = one_op_real(&k, 3, s->B, s->T, s->C);
        double *stats = one_op_real(&k, 3, s->B, s->T, 2);
        norm_stats(&k, x, stats);
        one_op_run(&k);
        double *want = copy(dw, s->C), *want_b = db ? copy(db, s->C) : NULL;
        for (int64_t i = 0; i < rows(&k) * s->C; i++) {
            int64_t r = i / s->C;
            want[i % s->C] += dy[i] * (x[i] - stats[2 * r]) * stats[2 * r + 1];
            if (want_b) want_b[i % s->C] += dy[i];
        }
        one_op_expect(&k, 0, -1, want);
        if (want_b) one_op_expect(&k, 1, -1, want_b);
        one_op_free(&k);
    }
}
END_TEST

/* ---- linear ---- */

START_TEST(linear_multiplies_and_adds_the_bias) {
    const op_setting *s = SETTING;
    for (int bias = 0; bias < 2; bias++) {
        one_op k = one_op_new(s, BYTES, OP_LINEAR, (op_attr){0});
        one_op_real(&k, 3, s->B, s->T, s->F);
        double *x = one_op_real(&k, 3, s->B, s->T, s->C), *w = one_op_real(&k, 2, s->C, s->F, 0), *b = NULL;
        if (bias)
            b = one_op_real(&k, 1, s->F, 0, 0);
        else
            one_op_none(&k);
        one_op_run(&k);
        double *want = zeros(k.n[0]);
        for (int64_t r = 0; r < rows(&k); r++)
            for (int64_t o = 0; o < s->F; o++) {
                if (b) want[r * s->F + o] = b[o];
                for (int64_t i = 0; i < s->C; i++) want[r * s->F + o] += x[r * s->C + i] * w[i * s->F + o];
            }
        one_op_expect(&k, 0, rows(&k) * s->F, want);
        one_op_free(&k);
    }
}
END_TEST

START_TEST(linear_dx_multiplies_by_the_transpose) {
    const op_setting *s = SETTING;
    one_op k = one_op_new(s, BYTES, OP_LINEAR_DX, (op_attr){0});
    one_op_real(&k, 3, s->B, s->T, s->C);
    double *dy = one_op_real(&k, 3, s->B, s->T, s->F), *w = one_op_real(&k, 2, s->C, s->F, 0);
    one_op_run(&k);
    double *want = zeros(k.n[0]);
    for (int64_t i = 0; i < rows(&k) * s->C; i++) want[i] = dot(dy + i / s->C * s->F, w + i % s->C * s->F, s->F);
    one_op_expect(&k, 0, rows(&k) * s->C, want);
    one_op_free(&k);
}
END_TEST

START_TEST(linear_dw_adds_over_all_positions) {
    const op_setting *s = SETTING;
    for (int bias = 0; bias < 2; bias++) {
        one_op k = one_op_new(s, BYTES, OP_LINEAR_DW, (op_attr){0});
        double *dw = one_op_real(&k, 2, s->C, s->F, 0), *db = NULL;
        if (bias)
            db = one_op_real(&k, 1, s->F, 0, 0);
        else
            one_op_none(&k);
        double *dy = one_op_real(&k, 3, s->B, s->T, s->F), *x = one_op_real(&k, 3, s->B, s->T, s->C);
        one_op_run(&k);
        double *want = copy(dw, k.n[0]), *want_b = db ? copy(db, s->F) : NULL;
        for (int64_t r = 0; r < rows(&k); r++)
            for (int64_t o = 0; o < s->F; o++) {
                if (want_b) want_b[o] += dy[r * s->F + o];
                for (int64_t i = 0; i < s->C; i++) want[i * s->F + o] += x[r * s->C + i] * dy[r * s->F + o];
            }
        one_op_expect(&k, 0, -1, want);
        if (want_b) one_op_expect(&k, 1, -1, want_b);
        one_op_free(&k);
    }
}
END_TEST

/* ---- attention ---- */

/* One head of one sequence, with [T,T] scores as the textbook has them: p the probabilities, kept the same with
   dropout. qkv [B,T,3C]. */
typedef struct {
    int64_t T, hs;
    const double *q, *k, *v; /* rows 3 C apart */
    int64_t ld;
    double *p, *kept;
} head;

static head head_new(const one_op *k, const double *qkv, int sequence, int h) {
    int64_t C = k->s.C, T = k->s.T, hs = C / k->s.H;
    head x = {T, hs, qkv + sequence * T * 3 * C + h * hs, NULL, NULL, 3 * C, zeros(T * T), zeros(T * T)};
    x.k = x.q + C;
    x.v = x.k + C;
    for (int64_t i = 0; i < T; i++) {
        double sum = 0;
        for (int64_t j = 0; j <= i; j++)
            sum += x.p[i * T + j] = exp(dot(x.q + i * x.ld, x.k + j * x.ld, hs) / sqrt((double)hs));
        for (int64_t j = 0; j <= i; j++) {
            x.p[i * T + j] /= sum;
            x.kept[i * T + j] = x.p[i * T + j] * one_op_mask(k, sequence, (h * T + i) * T + j);
        }
    }
    return x;
}

static void head_free(head *x) {
    free(x->p);
    free(x->kept);
}

/* out [B,T,C] and lse [B,H,T] (may be NULL) of qkv. */
static void attention(const one_op *k, const double *qkv, double *out, double *lse) {
    int64_t C = k->s.C, T = k->s.T;
    for (int b = 0; b < k->step.sequences; b++)
        for (int h = 0; h < k->s.H; h++) {
            head x = head_new(k, qkv, b, h);
            for (int64_t i = 0; i < T; i++) {
                for (int64_t c = 0; c < x.hs; c++) {
                    double sum = 0;
                    for (int64_t j = 0; j <= i; j++) sum += x.kept[i * T + j] * x.v[j * x.ld + c];
                    out[(b * T + i) * C + h * x.hs + c] = sum;
                }
                if (!lse) continue; /* log(sum) = score - log(p) for any j */
                lse[(b * k->s.H + h) * T + i] = dot(x.q + i * x.ld, x.k, x.hs) / sqrt((double)x.hs) - log(x.p[i * T]);
            }
            head_free(&x);
        }
}

START_TEST(attention_sees_no_later_position_and_scales) {
    const op_setting *s = SETTING;
    one_op k = one_op_new(s, BYTES, OP_ATTENTION, (op_attr){.layer = 2, .heads = s->H, .site = SITE_ATTENTION});
    one_op_real(&k, 3, s->B, s->T, s->C);
    one_op_real(&k, 3, s->B, s->H, s->T);
    double *qkv = one_op_real(&k, 3, s->B, s->T, 3 * s->C);
    for (int64_t i = 0; i < k.n[2]; i++) qkv[i] *= 3; /* so that probabilities differ */
    one_op_run(&k);
    double *out = zeros(k.n[0]), *lse = zeros(k.n[1]);
    attention(&k, qkv, out, lse);
    one_op_expect(&k, 0, rows(&k) * s->C, out);
    one_op_expect(&k, 1, rows(&k) * s->H, lse);
    one_op_free(&k);
}
END_TEST

/* ATTENTION_DX: dqkv dout qkv out lse */
static double attention_loss(const one_op *k) {
    double *out = zeros(rows(k) * k->s.C);
    attention(k, k->in[2], out, NULL);
    double sum = dot(out, k->in[1], rows(k) * k->s.C);
    free(out);
    return sum;
}

/* dqkv += one head's share: dv = kept^T dout; dp = mask (dout v^T); ds = p (dp - sum_j p dp); dq = scale ds k,
   dk = scale ds^T q. */
static void attention_head_dx(const one_op *k, const head *x, int b, int h, const double *dout, double *dqkv) {
    int64_t C = k->s.C, T = x->T, at = b * T * 3 * C + h * x->hs;
    double *dq = dqkv + at, *dk = dq + C, *dv = dk + C, *dp = zeros(T);
    for (int64_t i = 0; i < T; i++) {
        const double *g = dout + (b * T + i) * C + h * x->hs;
        double mean = 0;
        for (int64_t j = 0; j <= i; j++) {
            dp[j] = dot(g, x->v + j * x->ld, x->hs) * one_op_mask(k, b, (h * T + i) * T + j);
            mean += x->p[i * T + j] * dp[j];
        }
        for (int64_t j = 0; j <= i; j++) {
            double ds = x->p[i * T + j] * (dp[j] - mean) / sqrt((double)x->hs);
            for (int64_t c = 0; c < x->hs; c++) {
                dq[i * x->ld + c] += ds * x->k[j * x->ld + c];
                dk[j * x->ld + c] += ds * x->q[i * x->ld + c];
                dv[j * x->ld + c] += x->kept[i * T + j] * g[c];
            }
        }
    }
    free(dp);
}

START_TEST(attention_dx_is_the_gradient_of_attention) {
    const op_setting *s = SETTING;
    one_op k = one_op_new(s, BYTES, OP_ATTENTION_DX, (op_attr){.layer = 2, .heads = s->H, .site = SITE_ATTENTION});
    one_op_real(&k, 3, s->B, s->T, 3 * s->C);
    double *dout = one_op_real(&k, 3, s->B, s->T, s->C), *qkv = one_op_real(&k, 3, s->B, s->T, 3 * s->C);
    double *out = one_op_real(&k, 3, s->B, s->T, s->C), *lse = one_op_real(&k, 3, s->B, s->H, s->T);
    attention(&k, qkv, out, lse);
    one_op_run(&k);
    double *want = zeros(k.n[0]);
    for (int b = 0; b < s->sequences; b++)
        for (int h = 0; h < s->H; h++) {
            head x = head_new(&k, qkv, b, h);
            attention_head_dx(&k, &x, b, h, dout, want);
            head_free(&x);
        }
    if (s->sequences == s->B) one_op_differentiate(&k, 2, want, attention_loss);
    one_op_expect(&k, 0, rows(&k) * 3 * s->C, want);
    one_op_free(&k);
}
END_TEST

/* ---- residuals, GELU ---- */

START_TEST(residual_norm_adds_what_dropout_left_and_normalises_it) {
    const op_setting *s = SETTING;
    for (int bias = 0; bias < 2; bias++) {
        one_op k = one_op_new(s, BYTES, OP_RESIDUAL_NORM,
                              (op_attr){.layer = 1, .site = SITE_ATTENTION_RESIDUAL, .epsilon = 1e-5});
        for (int i = 0; i < 3; i++) one_op_real(&k, 3, s->B, s->T, i < 2 ? s->C : 2);
        double *x = one_op_real(&k, 3, s->B, s->T, s->C), *p = one_op_real(&k, 3, s->B, s->T, s->C);
        double *pb = bias ? one_op_real(&k, 1, s->C, 0, 0) : (one_op_none(&k), NULL);
        double *w = one_op_real(&k, 1, s->C, 0, 0),
               *b = bias ? one_op_real(&k, 1, s->C, 0, 0) : (one_op_none(&k), NULL);
        one_op_run(&k);
        double *sum = zeros(k.n[0]), *normed = zeros(k.n[1]), *stats = zeros(k.n[2]);
        int64_t each = (int64_t)s->T * s->C, n = rows(&k) * s->C;
        for (int64_t i = 0; i < n; i++)
            sum[i] = x[i] + (p[i] + (pb ? pb[i % s->C] : 0)) * one_op_mask(&k, (int)(i / each), i % each);
        norm_stats(&k, sum, stats);
        for (int64_t i = 0; i < n; i++)
            normed[i] = (sum[i] - stats[i / s->C * 2]) * stats[i / s->C * 2 + 1] * w[i % s->C] + (b ? b[i % s->C] : 0);
        one_op_expect(&k, 0, n, sum);
        one_op_expect(&k, 1, n, normed);
        one_op_expect(&k, 2, rows(&k) * 2, stats);
        one_op_free(&k);
    }
}
END_TEST

START_TEST(residual_dx_drops_the_same_elements) {
    const op_setting *s = SETTING;
    one_op k = one_op_new(s, BYTES, OP_RESIDUAL_DX, (op_attr){.layer = 1, .site = SITE_ATTENTION_RESIDUAL});
    one_op_real(&k, 3, s->B, s->T, s->C);
    double *dy = one_op_real(&k, 3, s->B, s->T, s->C);
    one_op_run(&k);
    double *want = zeros(k.n[0]);
    int64_t each = (int64_t)s->T * s->C;
    for (int64_t i = 0; i < rows(&k) * s->C; i++) want[i] = dy[i] * one_op_mask(&k, (int)(i / each), i % each);
    one_op_expect(&k, 0, rows(&k) * s->C, want);
    one_op_free(&k);
}
END_TEST

static double gelu(double x, bool by_tanh) {
    const double pi = 3.14159265358979323846;
    return by_tanh ? 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))) : 0.5 * x * (1 + erf(x / sqrt(2)));
}

/* Setting `form` of four: exact or by tanh, with a bias or without. b: the bias or NULL. */
static double *gelu_bias(one_op *k, int form) {
    if (form & 2) return one_op_real(k, 1, k->s.F, 0, 0);
    one_op_none(k);
    return NULL;
}

START_TEST(gelu_is_exact_or_by_tanh_far_out_too) {
    const op_setting *s = SETTING;
    for (int form = 0; form < 4; form++) {
        bool by_tanh = form & 1;
        one_op k = one_op_new(s, BYTES, OP_GELU, (op_attr){.tanh_gelu = by_tanh});
        one_op_real(&k, 3, s->B, s->T, s->F);
        double *x = one_op_real(&k, 3, s->B, s->T, s->F), *b = gelu_bias(&k, form), *want = zeros(k.n[0]);
        for (int64_t i = 0; i < k.n[1]; i++) x[i] *= 6;
        one_op_run(&k);
        for (int64_t i = 0; i < rows(&k) * s->F; i++) want[i] = gelu(x[i] + (b ? b[i % s->F] : 0), by_tanh);
        one_op_expect(&k, 0, rows(&k) * s->F, want);
        one_op_free(&k);
    }
}
END_TEST

START_TEST(gelu_dx_multiplies_by_the_slope) {
    const op_setting *s = SETTING;
    for (int form = 0; form < 4; form++) {
        bool by_tanh = form & 1;
        one_op k = one_op_new(s, BYTES, OP_GELU_DX, (op_attr){.tanh_gelu = by_tanh});
        double *d = one_op_real(&k, 3, s->B, s->T, s->F), *x = one_op_real(&k, 3, s->B, s->T, s->F);
        double *b = gelu_bias(&k, form);
        for (int64_t i = 0; i < k.n[1]; i++) x[i] *= 6;
        one_op_run(&k);
        double h = 1e-3;
        for (int64_t i = 0; i < rows(&k) * s->F; i++) {
            double v = x[i] + (b ? b[i % s->F] : 0);
            double want = d[i] *
                          (gelu(v - 2 * h, by_tanh) - 8 * gelu(v - h, by_tanh) + 8 * gelu(v + h, by_tanh) -
                           gelu(v + 2 * h, by_tanh)) /
                          (12 * h);
            double bf16 = ldexp(fabs(want), -8); /* half a unit in the last place, twice over */
            ck_assert_double_le(fabs(k.got[0][i] - want), (k.real_bytes == 8 ? 1e-10 : 3e-6) + (k.bf16 ? bf16 : 0));
        }
        one_op_free(&k);
    }
}
END_TEST

Suite *ops_suite(void);
Suite *ops_suite(void) {
    Suite *s = suite_create("ops");
    TCase *c = tcase_create("model");
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, embed_adds_the_token_and_the_position_and_drops, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, embed_dw_adds_each_position_to_its_token_and_place, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, norm_has_mean_0_and_variance_1_before_its_weights, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, norm_dx_is_the_norms_gradient_plus_what_bypasses_it, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, norm_dw_adds_what_its_weights_and_biases_did, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, linear_multiplies_and_adds_the_bias, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, linear_dx_multiplies_by_the_transpose, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, linear_dw_adds_over_all_positions, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, attention_sees_no_later_position_and_scales, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, attention_dx_is_the_gradient_of_attention, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, residual_norm_adds_what_dropout_left_and_normalises_it, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, residual_dx_drops_the_same_elements, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, gelu_is_exact_or_by_tanh_far_out_too, 0, 3 * OP_SETTINGS);
    tcase_add_loop_test(c, gelu_dx_multiplies_by_the_slope, 0, 3 * OP_SETTINGS);
    suite_add_tcase(s, c);
    return s;
}
