/* gpt.c: THE model, GPT-2 (Radford et al. 2019), as nanoGPT and Hugging Face compute it: learned positions, pre-norm
   blocks, causal attention, GELU MLP of 4 C, final norm, head tied to the token embedding. Builds graphs, runs nothing.
 */
#include "graph/gpt.h"
#include "graph/recompute.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters: one table ---- */

/* Dimensions in units of C, but for V and P. Weights are [in, out]. */
enum { DIM_V = -1, DIM_P = -2 };
typedef struct {
    const char *name;    /* short, for tables */
    const char *file;    /* in a checkpoint, after "transformer." or "transformer.h.N." */
    bool layer, is_bias; /* once a layer; left out when the model has no biases */
    int rank, rows, columns;
    enum { INIT_NORMAL, INIT_SCALED, INIT_ONE, INIT_ZERO } init; /* SCALED: 0.02 / sqrt(2 L) */
} param_spec;

static const param_spec PARAMS[] = {
    {"wte", "wte.weight", false, false, 2, DIM_V, 1, INIT_NORMAL},
    {"wpe", "wpe.weight", false, false, 2, DIM_P, 1, INIT_NORMAL},
    {"ln_1.w", "ln_1.weight", true, false, 1, 1, 0, INIT_ONE},
    {"ln_1.b", "ln_1.bias", true, true, 1, 1, 0, INIT_ZERO},
    {"attn.w", "attn.c_attn.weight", true, false, 2, 1, 3, INIT_NORMAL},
    {"attn.b", "attn.c_attn.bias", true, true, 1, 3, 0, INIT_ZERO},
    {"attn_proj.w", "attn.c_proj.weight", true, false, 2, 1, 1, INIT_SCALED},
    {"attn_proj.b", "attn.c_proj.bias", true, true, 1, 1, 0, INIT_ZERO},
    {"ln_2.w", "ln_2.weight", true, false, 1, 1, 0, INIT_ONE},
    {"ln_2.b", "ln_2.bias", true, true, 1, 1, 0, INIT_ZERO},
    {"fc.w", "mlp.c_fc.weight", true, false, 2, 1, 4, INIT_NORMAL},
    {"fc.b", "mlp.c_fc.bias", true, true, 1, 4, 0, INIT_ZERO},
    {"mlp_proj.w", "mlp.c_proj.weight", true, false, 2, 4, 1, INIT_SCALED},
    {"mlp_proj.b", "mlp.c_proj.bias", true, true, 1, 1, 0, INIT_ZERO},
    {"ln_f.w", "ln_f.weight", false, false, 1, 1, 0, INIT_ONE},
    {"ln_f.b", "ln_f.bias", false, true, 1, 1, 0, INIT_ZERO},
};
enum { N_SPECS = sizeof PARAMS / sizeof *PARAMS, FIRST_LAYER_SPEC = 2, LAST_LAYER_SPEC = 13 };

static int64_t spec_dim(const gpt_shape *s, int d) {
    return d == DIM_V ? s->vocabulary : d == DIM_P ? s->positions : (int64_t)d * s->channels;
}

static const param_spec *find_spec(const tensor *t) {
    for (int i = 0; i < N_SPECS; i++)
        if (!strcmp(PARAMS[i].name, t->name)) return &PARAMS[i];
    return NULL;
}

int64_t gpt_parameters(const gpt_shape *s) {
    int64_t n = 0;
    for (int i = 0; i < N_SPECS; i++) {
        const param_spec *p = &PARAMS[i];
        if (p->is_bias && !s->bias) continue;
        int64_t size = spec_dim(s, p->rows) * (p->rank == 2 ? spec_dim(s, p->columns) : 1);
        n += size * (p->layer ? s->layers : 1);
    }
    return n;
}

char *gpt_param_name(const graph *g, tensor_id param, char *text, size_t size) {
    const tensor *t = &g->tensors[param];
    const param_spec *p = find_spec(t);
    if (t->layer < 0)
        snprintf(text, size, "transformer.%s", p ? p->file : t->name);
    else
        snprintf(text, size, "transformer.h.%d.%s", t->layer, p ? p->file : t->name);
    return text;
}

void gpt_init(const gpt_shape *shape, const graph *g, tensor_id param, uint64_t seed, int64_t first, int64_t count,
              double *out) {
    const param_spec *p = find_spec(&g->tensors[param]);
    if (p->init == INIT_ONE || p->init == INIT_ZERO) {
        for (int64_t i = 0; i < count; i++) out[i] = p->init == INIT_ONE;
        return;
    }
    double scale = p->init == INIT_SCALED ? 0.02 / sqrt(2.0 * shape->layers) : 0.02;
    for (int64_t i = first; i < first + count; i++) { /* two normals a draw: element i is normal i % 2 of draw i / 2 */
        uint64_t draw = (uint64_t)i / 2;
        uint32_t words[4];
        double pair[2];
        philox(seed, (uint32_t)draw, (uint32_t)(draw >> 32), (uint32_t)SITE_INIT << 16, (uint32_t)param, words);
        rng_normal(words, pair);
        out[i - first] = scale * pair[i % 2];
    }
}

/* ---- building ---- */

typedef struct {
    const gpt_shape *s;
    const gpt_run *r;
    gpt *m;
    graph *g;
    double dropout; /* of the pass being built */
    tensor_id wte_embedding_grad;
} builder;

/* What the backward pass of a layer reads. */
typedef struct {
    tensor_id x, n1, n1_stats, qkv, att, lse, middle, n2, n2_stats, fc, gelu;
} layer_acts;

static tensor_id param(const builder *b, const char *name, int layer) {
    for (tensor_id t = 1; t <= b->m->n_params; t++)
        if (b->g->tensors[t].layer == layer && !strcmp(b->g->tensors[t].name, name)) return t;
    return 0;
}

static tensor_id grad(const builder *b, const char *name, int layer) {
    tensor_id p = param(b, name, layer);
    return p ? b->m->grad[p] : 0;
}

/* An activation of [B,T,width]. */
static tensor_id act(const builder *b, const char *name, int layer, tensor_kind kind, int64_t width) {
    return graph_tensor(b->g, name, layer, ROLE_ACT, kind, TYPE_REAL, 3,
                        (int64_t[]){b->g->micro_batch, b->g->length, width});
}

#define ARGS(...) ((tensor_id[MAX_ARGUMENTS]){__VA_ARGS__})

static void add_params(builder *b) {
    for (int phase = 0; phase < 3; phase++) /* before, in and after the layers */
        for (int layer = phase == 1 ? 0 : -1; layer < (phase == 1 ? b->s->layers : 0); layer++)
            for (int i = 0; i < N_SPECS; i++) {
                const param_spec *p = &PARAMS[i];
                int its_phase = i < FIRST_LAYER_SPEC ? 0 : i <= LAST_LAYER_SPEC ? 1 : 2;
                if (its_phase != phase || (p->is_bias && !b->s->bias)) continue;
                int64_t dims[2] = {spec_dim(b->s, p->rows), spec_dim(b->s, p->columns)};
                graph_tensor(b->g, p->name, layer, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, p->rank, dims);
                b->m->n_params++;
            }
}

static tensor_id like_param(const builder *b, tensor_id p, const char *prefix, tensor_role role, tensor_kind kind) {
    tensor t = b->g->tensors[p];
    char name[sizeof t.name + 8];
    snprintf(name, sizeof name, "%s%s", prefix, t.name);
    tensor_id id = graph_tensor(b->g, name, t.layer, role, kind, TYPE_REAL, t.rank, t.dim);
    b->g->tensors[id].of = p;
    return id;
}

static void add_persistent(builder *b) {
    gpt *m = b->m;
    graph *g = b->g;
    int64_t most = b->r->one_upload ? b->r->sequences : 0;
    int64_t ut[2] = {most > g->micro_batch ? most : g->micro_batch, g->length};
    m->tokens = graph_tensor(g, "tokens", -1, ROLE_INPUT, KIND_BATCH, TYPE_INT32, 2, ut);
    m->targets = graph_tensor(g, "targets", -1, ROLE_INPUT, KIND_BATCH, TYPE_INT32, 2, ut);
    m->losses = graph_tensor(g, "losses", -1, ROLE_STEP, KIND_BATCH, TYPE_REAL, 1, &b->r->sequences);
    m->grad = xcalloc((size_t)m->n_params + 1, sizeof(tensor_id));
    m->m = xcalloc((size_t)m->n_params + 1, sizeof(tensor_id));
    m->v = xcalloc((size_t)m->n_params + 1, sizeof(tensor_id));
    if (g->purpose == GRAPH_EVAL) return;
    for (tensor_id p = 1; p <= m->n_params; p++) m->grad[p] = like_param(b, p, "d_", ROLE_GRAD, KIND_GRADIENT);
    /* R4: the tied embedding has two uses; in a batch-invariant graph each sums on its own over the whole step */
    b->wte_embedding_grad = m->grad[1];
    if (g->batch_invariant) b->wte_embedding_grad = like_param(b, 1, "d_embed_", ROLE_GRAD, KIND_GRADIENT);
    if (g->purpose != GRAPH_TRAIN) return;
    /* all m, then all v: each in the parameters' order */
    for (tensor_id p = 1; p <= m->n_params; p++) m->m[p] = like_param(b, p, "m_", ROLE_MOMENT, KIND_MOMENT);
    for (tensor_id p = 1; p <= m->n_params; p++) m->v[p] = like_param(b, p, "v_", ROLE_MOMENT, KIND_MOMENT);
    m->norm = graph_tensor(g, "norm", -1, ROLE_STEP, KIND_BATCH, TYPE_REAL, 1, (int64_t[]){2});
}

/* The norms, and where the two branches of a block join the residual stream. */
typedef struct {
    const char *w, *bias, *output;
    tensor_kind kind;
} norm_spec;
static const norm_spec LN_1 = {"ln_1.w", "ln_1.b", "n1", KIND_NORM}, LN_2 = {"ln_2.w", "ln_2.b", "n2", KIND_NORM},
                       LN_F = {"ln_f.w", "ln_f.b", "nf", KIND_HEAD};
typedef struct {
    const char *w, *bias, *product, *output;
    tensor_kind kind;
    random_site site;
} branch_spec;
static const branch_spec ATTENTION_BRANCH = {"attn_proj.w", "attn_proj.b", "p1",
                                             "middle",      KIND_RESIDUAL, SITE_ATTENTION_RESIDUAL},
                         MLP_BRANCH = {"mlp_proj.w", "mlp_proj.b", "p2", "x", KIND_BLOCK, SITE_MLP_RESIDUAL};

/* The residual stream with the norm of it that comes next. */
typedef struct {
    tensor_id x, norm, stats;
} stream;

/* Room for the norm of x in layer `layer` (-1: the last). */
static stream stream_of(const builder *b, tensor_id x, const norm_spec *n, int layer) {
    tensor_id norm = act(b, n->output, layer, n->kind, b->s->channels);
    return (stream){x, norm, act(b, "stats", layer, KIND_BLOCK, 2)}; /* stats are small enough to be always kept */
}

/* bias: its name, or NULL where the op that reads y adds it. */
static tensor_id linear_forward(const builder *b, const char *w, const char *bias, int layer, tensor_kind kind,
                                const char *name, tensor_id x) {
    tensor_id p = param(b, w, layer), y = act(b, name, layer, kind, b->g->tensors[p].dim[1]);
    graph_op(b->g, OP_LINEAR, ARGS(y, x, p, bias ? param(b, bias, layer) : 0))->layer = layer;
    return y;
}

/* The branch's last linear layer reads y; its product joins the stream x, which norm n of layer n_layer reads next. */
static stream join_forward(const builder *b, int layer, const branch_spec *s, tensor_id x, tensor_id y,
                           const norm_spec *n, int n_layer) {
    tensor_id p = linear_forward(b, s->w, NULL, layer, KIND_RESIDUAL, s->product, y);
    stream out = stream_of(b, act(b, s->output, layer, s->kind, b->s->channels), n, n_layer);
    op_attr *a = graph_op(b->g, OP_RESIDUAL_NORM,
                          ARGS(out.x, out.norm, out.stats, x, p, param(b, s->bias, layer), param(b, n->w, n_layer),
                               param(b, n->bias, n_layer)));
    *a = (op_attr){.layer = layer, .site = s->site, .dropout = b->dropout, .epsilon = b->s->norm_epsilon};
    return out;
}

/* One block; returns its output and notes in *k what its backward pass needs. */
static stream layer_forward(const builder *b, int l, stream in, layer_acts *k) {
    bool last = l == b->s->layers - 1;
    k->x = in.x, k->n1 = in.norm, k->n1_stats = in.stats;
    k->qkv = linear_forward(b, "attn.w", "attn.b", l, KIND_QKV, "qkv", k->n1);
    k->att = act(b, "att", l, KIND_ATTENTION, b->s->channels);
    k->lse = graph_tensor(b->g, "lse", l, ROLE_ACT, KIND_ATTENTION, TYPE_REAL, 3,
                          (int64_t[]){b->g->micro_batch, b->s->heads, b->g->length});
    op_attr *a = graph_op(b->g, OP_ATTENTION, ARGS(k->att, k->lse, k->qkv));
    *a = (op_attr){.layer = l, .heads = b->s->heads, .site = SITE_ATTENTION, .dropout = b->dropout};
    stream middle = join_forward(b, l, &ATTENTION_BRANCH, in.x, k->att, &LN_2, l);
    k->middle = middle.x, k->n2 = middle.norm, k->n2_stats = middle.stats;
    k->fc = linear_forward(b, "fc.w", NULL, l, KIND_FC, "fc", k->n2);
    k->gelu = act(b, "gelu", l, KIND_GELU, 4 * (int64_t)b->s->channels);
    a = graph_op(b->g, OP_GELU, ARGS(k->gelu, k->fc, param(b, "fc.b", l)));
    a->layer = l;
    a->tanh_gelu = b->s->tanh_gelu;
    return join_forward(b, l, &MLP_BRANCH, middle.x, k->gelu, last ? &LN_F : &LN_1, last ? -1 : l + 1);
}

/* Embedding, blocks, final norm. Returns the last stream, whose norm the head reads; acts (by layer) may be NULL. */
static stream forward(const builder *b, layer_acts *acts) {
    layer_acts unused;
    stream s = stream_of(b, act(b, "x", -1, KIND_BLOCK, b->s->channels), &LN_1, 0);
    op_attr *a = graph_op(b->g, OP_EMBED, ARGS(s.x, b->m->tokens, 1, 2));
    a->site = SITE_EMBED;
    a->dropout = b->dropout;
    a = graph_op(b->g, OP_NORM, ARGS(s.norm, s.stats, s.x, param(b, LN_1.w, 0), param(b, LN_1.bias, 0)));
    a->layer = 0;
    a->epsilon = b->s->norm_epsilon;
    for (int l = 0; l < b->s->layers; l++) s = layer_forward(b, l, s, acts ? &acts[l] : &unused);
    return s;
}

/* ---- the backward pass: weight gradients first, so that what they read can die before more is written ---- */

static tensor_id linear_backward(const builder *b, const char *w, const char *bias, int layer, const char *name,
                                 tensor_id dy, tensor_id x) {
    tensor_id p = param(b, w, layer), dx = act(b, name, layer, KIND_DACT, b->g->tensors[p].dim[0]);
    graph_op(b->g, OP_LINEAR_DW, ARGS(b->m->grad[p], grad(b, bias, layer), dy, x))->layer = layer;
    graph_op(b->g, OP_LINEAR_DX, ARGS(dx, dy, p))->layer = layer;
    return dx;
}

static tensor_id norm_backward(const builder *b, const char *w, const char *bias, int layer, tensor_id dy, tensor_id x,
                               tensor_id stats, tensor_id dres) {
    tensor_id dx = act(b, "dx", layer, KIND_DACT, b->s->channels);
    graph_op(b->g, OP_NORM_DW, ARGS(grad(b, w, layer), grad(b, bias, layer), dy, x, stats))->layer = layer;
    graph_op(b->g, OP_NORM_DX, ARGS(dx, dy, x, stats, param(b, w, layer), dres))->layer = layer;
    return dx;
}

/* Through the dropout of a residual branch; without dropout the gradient is the stream's own. */
static tensor_id residual_backward(const builder *b, int layer, random_site site, tensor_id dx) {
    if (b->dropout == 0) return dx;
    tensor_id dp = act(b, "dp", layer, KIND_DACT, b->s->channels);
    op_attr *a = graph_op(b->g, OP_RESIDUAL_DX, ARGS(dp, dx));
    *a = (op_attr){.layer = layer, .site = site, .dropout = b->dropout};
    return dp;
}

static tensor_id layer_backward(const builder *b, int l, tensor_id dx, const layer_acts *k) {
    tensor_id d = residual_backward(b, l, SITE_MLP_RESIDUAL, dx);
    d = linear_backward(b, "mlp_proj.w", "mlp_proj.b", l, "dfc", d, k->gelu);
    op_attr *a = graph_op(b->g, OP_GELU_DX, ARGS(d, k->fc, param(b, "fc.b", l)));
    a->layer = l;
    a->tanh_gelu = b->s->tanh_gelu;
    d = linear_backward(b, "fc.w", "fc.b", l, "dn2", d, k->n2);
    dx = norm_backward(b, "ln_2.w", "ln_2.b", l, d, k->middle, k->n2_stats, dx);
    d = residual_backward(b, l, SITE_ATTENTION_RESIDUAL, dx);
    d = linear_backward(b, "attn_proj.w", "attn_proj.b", l, "datt", d, k->att);
    tensor_id dqkv = act(b, "dqkv", l, KIND_DACT, 3 * (int64_t)b->s->channels);
    a = graph_op(b->g, OP_ATTENTION_DX, ARGS(dqkv, d, k->qkv, k->att, k->lse));
    *a = (op_attr){.layer = l, .heads = b->s->heads, .site = SITE_ATTENTION, .dropout = b->dropout};
    d = linear_backward(b, "attn.w", "attn.b", l, "dn1", dqkv, k->n1);
    return norm_backward(b, "ln_1.w", "ln_1.b", l, d, k->x, k->n1_stats, dx);
}

static void build_micro(builder *b) {
    graph *g = b->g;
    gpt *m = b->m;
    layer_acts *acts = xcalloc((size_t)b->s->layers, sizeof *acts);
    g->micro.first = g->n_ops;
    b->dropout = b->r->dropout;
    stream last = forward(b, acts);
    tensor_id dnf = act(b, "dnf", -1, KIND_DACT, b->s->channels);
    graph_op(g, OP_HEAD, ARGS(m->losses, dnf, m->grad[1], last.norm, 1, m->targets));
    g->first_backward = g->n_ops;
    tensor_id dx = norm_backward(b, "ln_f.w", "ln_f.b", -1, dnf, last.x, last.stats, 0);
    for (int l = b->s->layers - 1; l >= 0; l--) dx = layer_backward(b, l, dx, &acts[l]);
    op_attr *a = graph_op(g, OP_EMBED_DW, ARGS(b->wte_embedding_grad, m->grad[2], dx, m->tokens));
    a->site = SITE_EMBED;
    a->dropout = b->dropout;
    g->micro.end = g->n_ops;
    free(acts);
    recompute_apply(g, b->r->recompute);
}

/* ---- once a step: tensor by tensor as they lie in memory, so that a backend can take many at once ---- */

static void build_begin(builder *b) {
    graph *g = b->g;
    g->begin.first = g->n_ops;
    for (tensor_id t = graph_next(g, ROLE_GRAD, 0); t; t = graph_next(g, ROLE_GRAD, t)) graph_op(g, OP_ZERO, ARGS(t));
    g->begin.end = g->n_ops;
}

static void build_finish(builder *b) {
    graph *g = b->g;
    gpt *m = b->m;
    g->finish.first = g->n_ops;
    if (b->wte_embedding_grad != m->grad[1]) graph_op(g, OP_ADD, ARGS(m->grad[1], b->wte_embedding_grad));
    if (g->purpose == GRAPH_TRAIN) {
        int64_t n = m->n_params;
        tensor_id sums = graph_tensor(g, "sums", -1, ROLE_STEP, KIND_BATCH, TYPE_REAL, 1, &n);
        for (tensor_id p = graph_next(g, ROLE_PARAM, 0); p; p = graph_next(g, ROLE_PARAM, p))
            graph_op(g, OP_SUM_SQUARES, ARGS(sums, m->grad[p]))->index = p - 1;
        graph_op(g, OP_GRAD_NORM, ARGS(m->norm, sums))->clip = b->r->grad_clip;
        for (tensor_id p = graph_next(g, ROLE_PARAM, 0); p; p = graph_next(g, ROLE_PARAM, p)) {
            op_attr *a = graph_op(g, OP_ADAMW, ARGS(p, m->m[p], m->v[p], m->grad[p], m->norm));
            a->weight_decay = g->tensors[p].rank >= 2 ? b->r->weight_decay : 0;
            a->beta1 = b->r->beta1;
            a->beta2 = b->r->beta2;
            a->epsilon = 1e-8;
        }
    }
    g->finish.end = g->n_ops;
}

static void build_inference(builder *b) {
    graph *g = b->g;
    b->dropout = 0;
    g->eval.first = g->n_ops;
    graph_op(g, OP_HEAD_LOSS, ARGS(b->m->losses, forward(b, NULL).norm, 1, b->m->targets));
    g->eval.end = g->sample.first = g->n_ops;
    tensor_id nf = forward(b, NULL).norm;
    b->m->logits = graph_tensor(g, "logits", -1, ROLE_STEP, KIND_BATCH, TYPE_REAL, 1, &b->s->vocabulary);
    graph_op(g, OP_LOGITS, ARGS(b->m->logits, nf, 1));
    g->sample.end = g->n_ops;
}

status gpt_build(const gpt_shape *shape, const gpt_run *run, scratch_rule *scratch, size_t real_bytes, gpt *m,
                 error *e) {
    *m = (gpt){.graph = graph_new(run->purpose, run->micro_batch, run->length, run->batch_invariant)};
    builder b = {.s = shape, .r = run, .m = m, .g = m->graph};
    add_params(&b);
    add_persistent(&b);
    if (run->purpose != GRAPH_EVAL) {
        build_begin(&b);
        build_micro(&b);
        build_finish(&b);
    }
    if (run->purpose != GRAPH_GRADS) build_inference(&b);
    if (scratch) graph_add_scratch(m->graph, scratch, real_bytes);
    if (graph_check(m->graph, e)) return OK;
    gpt_free(m);
    return FAILED;
}

void gpt_free(gpt *m) {
    graph_free(m->graph);
    free(m->grad);
    free(m->m);
    free(m->v);
    *m = (gpt){0};
}
