/* gpt.c: the model: GPT-2 (Radford et al. 2019) as nanoGPT and Hugging Face compute it, with learned positions,
   pre-norm blocks, causal attention, a GELU MLP of 4 C channels, a final norm, and a head that is tied to the token
   embedding. Builds graphs and runs nothing. */
#include "graph/gpt.h"
#include "graph/precision.h"
#include "graph/recompute.h"
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

typedef struct {
    const gpt_shape *s;
    const gpt_run *r;
    gpt *m;
    graph *g;
    double dropout;                  /* of the pass that is being built, ... */
    int64_t sequences, positions;    /* and of its activations */
    bool next;                       /* it computes one position more, by what was kept of those before it */
    tensor_id *kept;                 /* by layer, [K,T,2C]: keys and values; NULL: none are kept */
    tensor_id (*params)[GPT_PARAMS]; /* by 1 + layer; [0]: those of no layer */
    tensor_id first_sum;             /* no gradient of a step comes after it; 0: there is one shard */
} builder;

/* A parameter's tensor; 0 for a bias that the model does not have. */
static tensor_id param(const builder *b, param_name p, int layer) { return b->params[1 + layer][p]; }
/* What micro adds the gradient to. */
static tensor_id grad(const builder *b, param_name p, int layer) { return b->m->sum[param(b, p, layer)]; }

/* An activation of [B,T,width]. */
static tensor_id act(const builder *b, const char *name, int layer, tensor_kind kind, int64_t width) {
    return graph_tensor(b->g, name, layer, ROLE_ACT, kind, TYPE_REAL, 3,
                        (int64_t[]){b->sequences, b->positions, width});
}

/* ADD_OP(b, GELU, layer, .y = ..., .x = ...) appends an op, its arguments by the names that the op table gives them;
   the others are none. Gives its attr. */
#define ADD_OP(b, name, its_layer, ...) add_op(b, OP_##name, its_layer, &(op_arguments){.name = {__VA_ARGS__}})
static op_attr *add_op(const builder *b, op_code code, int layer, const op_arguments *by) {
    op_attr *a = graph_op(b->g, code, by->arg);
    a->layer = layer;
    return a;
}

static void add_params_of(builder *b, int part, int layer) {
    for (param_name i = 0; i < GPT_PARAMS; i++) {
        const param_spec *p = &gpt_params[i];
        if ((int)p->part != part || (p->is_bias && !b->s->bias)) continue;
        int64_t dims[2] = {gpt_param_dim(b->s, p->rows), gpt_param_dim(b->s, p->columns)};
        tensor_id t = graph_tensor(b->g, p->name, layer, ROLE_PARAM, KIND_WEIGHT, TYPE_REAL, p->rank, dims);
        b->g->tensors[t].label = (int)i;
        b->params[1 + layer][i] = t;
        b->m->n_params++;
    }
}

static void add_params(builder *b) {
    b->params = xcalloc((size_t)b->s->layers + 1, sizeof *b->params);
    add_params_of(b, BEFORE, -1);
    for (int layer = 0; layer < b->s->layers; layer++) add_params_of(b, IN_LAYER, layer);
    add_params_of(b, AFTER, -1);
}

static tensor_id like_param(const builder *b, tensor_id p, const char *prefix, tensor_role role, tensor_kind kind) {
    tensor t = b->g->tensors[p];
    char name[sizeof t.name + 16];
    size_t before = strlen(prefix); /* most tensors are made here, fifty times for a choice: no snprintf */
    memcpy(name, prefix, before);
    memcpy(name + before, t.name, strlen(t.name) + 1);
    tensor_id id = graph_tensor(b->g, name, t.layer, role, kind, TYPE_REAL, t.rank, t.dim);
    b->g->tensors[id].of = p;
    return id;
}

/* What sampling keeps of each text: the keys and values of its positions, and its latest token. */
static void add_kept(builder *b) {
    int64_t room[3] = {b->r->kept, b->g->length, 2 * (int64_t)b->s->channels};
    b->m->latest = graph_tensor(b->g, "latest", -1, ROLE_INPUT, KIND_BATCH, TYPE_INT32, 2, (int64_t[]){b->r->kept, 1});
    b->kept = xcalloc((size_t)b->s->layers, sizeof *b->kept);
    for (int l = 0; l < b->s->layers; l++)
        b->kept[l] = graph_tensor(b->g, "kept", l, ROLE_STEP, KIND_QKV, TYPE_REAL, 3, room);
}

/* Room for what several processes send each other. */
static void add_staging(builder *b) {
    int64_t n = gpt_staging(b->g, b->m->n_params, gpt_ranks(b->r));
    b->m->staging = graph_tensor(b->g, "staging", -1, ROLE_STEP, KIND_TEMP, TYPE_REAL, 1, &n);
    if (b->r->has_host) b->g->tensors[b->m->staging].home = HOME_HOST;
}

static bool owns(const builder *b, tensor_id p) { return gpt_ranks(b->r) == 1 || b->m->owner[p] == b->r->rank; }

/* The gradients of a step, and with several shards, behind them and in the same order, those of a shard. R4: the tied
   embedding is used twice; in a batch-invariant graph each use has a gradient of its own. */
static void add_gradients(builder *b) {
    gpt *m = b->m;
    tensor_id wte = param(b, WTE, -1);
    for (tensor_id p = 1; p <= m->n_params; p++)
        if (owns(b, p)) m->sum[p] = m->grad[p] = like_param(b, p, "d_", ROLE_GRAD, KIND_GRADIENT);
    if (b->g->batch_invariant && owns(b, wte))
        m->embedding_grad = like_param(b, wte, "d_embed_", ROLE_GRAD, KIND_GRADIENT);
    m->embedding_sum = m->embedding_grad;
    if (b->r->shards <= 1) return;
    for (tensor_id p = 1; p <= m->n_params; p++) m->sum[p] = like_param(b, p, "shard_", ROLE_GRAD, KIND_GRADIENT);
    if (b->g->batch_invariant) m->embedding_sum = like_param(b, wte, "shard_embed_", ROLE_GRAD, KIND_GRADIENT);
    b->first_sum = m->sum[1];
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
    m->sum = xcalloc((size_t)m->n_params + 1, sizeof(tensor_id));
    m->owner = xcalloc((size_t)m->n_params + 1, sizeof *m->owner);
    gpt_choose_owners(g, m->n_params, param(b, WTE, -1), gpt_ranks(b->r), m->owner);
    if (g->purpose == GRAPH_SAMPLE) add_kept(b);
    if (g->purpose == GRAPH_EVAL || g->purpose == GRAPH_SAMPLE) return;
    add_gradients(b);
    if (g->purpose != GRAPH_TRAIN) return;
    /* all m, then all v: each in the parameters' order */
    for (tensor_id p = 1; p <= m->n_params; p++)
        if (owns(b, p)) m->m[p] = like_param(b, p, "m_", ROLE_MOMENT, KIND_MOMENT);
    for (tensor_id p = 1; p <= m->n_params; p++)
        if (owns(b, p)) m->v[p] = like_param(b, p, "v_", ROLE_MOMENT, KIND_MOMENT);
    m->norm = graph_tensor(g, "norm", -1, ROLE_STEP, KIND_BATCH, TYPE_REAL, 1, (int64_t[]){2});
    if (gpt_ranks(b->r) > 1) add_staging(b);
}

/* The layer norms, the linear layers, and where the two branches of a block join the residual stream. Each bias stands
   behind its weight. */
typedef struct {
    param_name w;
    const char *output;
    tensor_kind kind;
} norm_spec;
static const norm_spec LN_1 = {LN_1_W, "n1", KIND_NORM}, LN_2 = {LN_2_W, "n2", KIND_NORM},
                       LN_F = {LN_F_W, "nf", KIND_HEAD};
typedef struct {
    param_name w;
    bool adds_bias; /* false: the op that reads the output does */
    const char *output, *input_gradient;
    tensor_kind kind;
} linear_spec;
static const linear_spec QKV = {ATTENTION_W, true, "qkv", "dn1", KIND_QKV},
                         ATTENTION_PROJ = {ATTENTION_PROJ_W, false, "p1", "datt", KIND_RESIDUAL},
                         FC = {FC_W, false, "fc", "dn2", KIND_FC},
                         MLP_PROJ = {MLP_PROJ_W, false, "p2", "dfc", KIND_RESIDUAL};
typedef struct {
    const linear_spec *proj;
    const char *output;
    tensor_kind kind;
    random_site site;
} branch_spec;
static const branch_spec ATTENTION_BRANCH = {&ATTENTION_PROJ, "middle", KIND_RESIDUAL, SITE_ATTENTION_RESIDUAL},
                         MLP_BRANCH = {&MLP_PROJ, "x", KIND_BLOCK, SITE_MLP_RESIDUAL};

/* ---- the forward pass ---- */

/* The residual stream x [B,T,C] with the norm of it that comes next [B,T,C], and that norm's statistics [B,T,2]. */
typedef struct {
    tensor_id x, norm, stats;
} stream;

/* What the backward pass of a layer reads. */
typedef struct {
    stream in;                         /* what the attention branch leaves, ... */
    stream middle;                     /* and what the MLP's does */
    tensor_id qkv, att, lse, fc, gelu; /* [B,T,3C], [B,T,C], [B,H,T], [B,T,4C], [B,T,4C] */
} layer_acts;

/* Room for the norm of x in layer `layer` (-1: the last). */
static stream stream_of(const builder *b, tensor_id x, const norm_spec *n, int layer) {
    tensor_id norm = act(b, n->output, layer, n->kind, b->s->channels);
    return (stream){x, norm, act(b, "stats", layer, KIND_BLOCK, 2)}; /* a BLOCK: small enough to be kept always */
}

static tensor_id linear(const builder *b, int l, const linear_spec *s, tensor_id x /* [B,T,I] */) {
    tensor_id w = param(b, s->w, l), y = act(b, s->output, l, s->kind, b->g->tensors[w].dim[1]);
    ADD_OP(b, LINEAR, l, .y = y, .x = x, .w = w, .b = s->adds_bias ? param(b, s->w + 1, l) : 0);
    return y;
}

static void attention(const builder *b, int l, layer_acts *k) {
    k->att = act(b, "att", l, KIND_ATTENTION, b->s->channels);
    if (b->kept) ADD_OP(b, KEEP, l, .kept = b->kept[l], .qkv = k->qkv);
    if (b->next) {
        ADD_OP(b, ATTENTION_ONE, l, .out = k->att, .qkv = k->qkv, .kept = b->kept[l])->heads = b->s->heads;
        return;
    }
    k->lse = graph_tensor(b->g, "lse", l, ROLE_ACT, KIND_ATTENTION, TYPE_REAL, 3,
                          (int64_t[]){b->sequences, b->s->heads, b->positions});
    op_attr *a = ADD_OP(b, ATTENTION, l, .out = k->att, .lse = k->lse, .qkv = k->qkv);
    a->heads = b->s->heads;
    a->site = SITE_ATTENTION;
    a->dropout = b->dropout;
}

static tensor_id gelu(const builder *b, int l, tensor_id x /* [B,T,4C] */) {
    tensor_id y = act(b, "gelu", l, KIND_GELU, 4 * (int64_t)b->s->channels);
    ADD_OP(b, GELU, l, .y = y, .x = x, .b = param(b, FC_B, l))->tanh_gelu = b->s->tanh_gelu;
    return y;
}

/* Adds the end of a branch: its last linear layer, which reads y, and what joins its output to the stream x. The next
   to read the stream is norm n of layer n_layer. */
static stream join(const builder *b, int l, const branch_spec *s, tensor_id x, tensor_id y, const norm_spec *n,
                   int n_layer) {
    tensor_id p = linear(b, l, s->proj, y);
    stream out = stream_of(b, act(b, s->output, l, s->kind, b->s->channels), n, n_layer);
    op_attr *a =
        ADD_OP(b, RESIDUAL_NORM, l, .y = out.x, .n = out.norm, .stats = out.stats, .x = x, .p = p,
               .pb = param(b, s->proj->w + 1, l), .w = param(b, n->w, n_layer), .b = param(b, n->w + 1, n_layer));
    a->site = s->site;
    a->dropout = b->dropout;
    a->epsilon = b->s->norm_epsilon;
    return out;
}

/* One block. Returns its output, and writes to *k what its backward pass needs. */
static stream layer_forward(const builder *b, int l, stream in, layer_acts *k) {
    bool last = l == b->s->layers - 1;
    k->in = in;
    k->qkv = linear(b, l, &QKV, in.norm);
    attention(b, l, k);
    k->middle = join(b, l, &ATTENTION_BRANCH, in.x, k->att, &LN_2, l);
    k->fc = linear(b, l, &FC, k->middle.norm);
    k->gelu = gelu(b, l, k->fc);
    return join(b, l, &MLP_BRANCH, k->middle.x, k->gelu, last ? &LN_F : &LN_1, last ? -1 : l + 1);
}

static stream embed(const builder *b) {
    tensor_id tokens = b->next ? b->m->latest : b->m->tokens;
    stream s = stream_of(b, act(b, "x", -1, KIND_BLOCK, b->s->channels), &LN_1, 0);
    op_attr *a = ADD_OP(b, EMBED, -1, .x = s.x, .tokens = tokens, .wte = param(b, WTE, -1), .wpe = param(b, WPE, -1));
    a->site = SITE_EMBED;
    a->dropout = b->dropout;
    a = ADD_OP(b, NORM, 0, .y = s.norm, .stats = s.stats, .x = s.x, .w = param(b, LN_1.w, 0),
               .b = param(b, LN_1.w + 1, 0));
    a->epsilon = b->s->norm_epsilon;
    return s;
}

/* Embedding, blocks, final norm. Returns the last stream, whose norm the head reads; acts (by layer) may be NULL. */
static stream forward(const builder *b, layer_acts *acts) {
    layer_acts unused;
    stream s = embed(b);
    for (int l = 0; l < b->s->layers; l++) s = layer_forward(b, l, s, acts ? &acts[l] : &unused);
    return s;
}

/* ---- the backward pass: weight gradients first, so that what they read is free before more is written ---- */

/* From dy [B,T,O] and the x [B,T,I] of the forward pass to dx. */
static tensor_id linear_backward(const builder *b, int l, const linear_spec *s, tensor_id dy, tensor_id x) {
    tensor_id w = param(b, s->w, l), dx = act(b, s->input_gradient, l, KIND_DACT, b->g->tensors[w].dim[0]);
    ADD_OP(b, LINEAR_DW, l, .dw = grad(b, s->w, l), .db = grad(b, s->w + 1, l), .dy = dy, .x = x);
    ADD_OP(b, LINEAR_DX, l, .dx = dx, .dy = dy, .w = w);
    return dx;
}

/* The norm of s; dres [B,T,C] is the gradient that bypasses it, or none. */
static tensor_id norm_backward(const builder *b, int l, const norm_spec *n, tensor_id dy, stream s, tensor_id dres) {
    tensor_id dx = act(b, "dx", l, KIND_DACT, b->s->channels);
    ADD_OP(b, NORM_DW, l, .dw = grad(b, n->w, l), .db = grad(b, n->w + 1, l), .dy = dy, .x = s.x, .stats = s.stats);
    ADD_OP(b, NORM_DX, l, .dx = dx, .dy = dy, .x = s.x, .stats = s.stats, .w = param(b, n->w, l), .dres = dres);
    return dx;
}

/* Through the dropout of a branch; without dropout the gradient is the stream's own. */
static tensor_id dropout_backward(const builder *b, int l, const branch_spec *s, tensor_id dx) {
    if (b->dropout == 0) return dx;
    tensor_id dp = act(b, "dp", l, KIND_DACT, b->s->channels);
    op_attr *a = ADD_OP(b, RESIDUAL_DX, l, .dp = dp, .dy = dx);
    a->site = s->site;
    a->dropout = b->dropout;
    return dp;
}

static tensor_id gelu_backward(const builder *b, int l, tensor_id d /* [B,T,4C], in place */, tensor_id x) {
    ADD_OP(b, GELU_DX, l, .d = d, .x = x, .b = param(b, FC_B, l))->tanh_gelu = b->s->tanh_gelu;
    return d;
}

static tensor_id attention_backward(const builder *b, int l, tensor_id dout /* [B,T,C] */, const layer_acts *k) {
    tensor_id dqkv = act(b, "dqkv", l, KIND_DACT, 3 * (int64_t)b->s->channels);
    op_attr *a = ADD_OP(b, ATTENTION_DX, l, .dqkv = dqkv, .dout = dout, .qkv = k->qkv, .out = k->att, .lse = k->lse);
    a->heads = b->s->heads;
    a->site = SITE_ATTENTION;
    a->dropout = b->dropout;
    return dqkv;
}

static tensor_id layer_backward(const builder *b, int l, tensor_id dx, const layer_acts *k) {
    tensor_id d = dropout_backward(b, l, &MLP_BRANCH, dx);
    d = linear_backward(b, l, &MLP_PROJ, d, k->gelu);
    d = gelu_backward(b, l, d, k->fc);
    d = linear_backward(b, l, &FC, d, k->middle.norm);
    dx = norm_backward(b, l, &LN_2, d, k->middle, dx);
    d = dropout_backward(b, l, &ATTENTION_BRANCH, dx);
    d = linear_backward(b, l, &ATTENTION_PROJ, d, k->att);
    d = attention_backward(b, l, d, k);
    d = linear_backward(b, l, &QKV, d, k->in.norm);
    return norm_backward(b, l, &LN_1, d, k->in, dx);
}

static void build_micro(builder *b) {
    graph *g = b->g;
    gpt *m = b->m;
    layer_acts *acts = xcalloc((size_t)b->s->layers, sizeof *acts);
    g->micro.first = g->n_ops;
    b->dropout = b->r->dropout;
    stream last = forward(b, acts);
    tensor_id dnf = act(b, "dnf", -1, KIND_DACT, b->s->channels);
    tensor_id wte = param(b, WTE, -1);
    ADD_OP(b, HEAD, -1, .losses = m->losses, .dx = dnf, .dwte = m->sum[wte], .x = last.norm, .wte = wte,
           .targets = m->targets);
    g->first_backward = g->n_ops;
    tensor_id dx = norm_backward(b, -1, &LN_F, dnf, last, 0);
    for (int l = b->s->layers - 1; l >= 0; l--) dx = layer_backward(b, l, dx, &acts[l]);
    op_attr *a = ADD_OP(b, EMBED_DW, -1, .dwte = m->embedding_sum ? m->embedding_sum : m->sum[wte],
                        .dwpe = grad(b, WPE, -1), .dx = dx, .tokens = m->tokens);
    a->site = SITE_EMBED;
    a->dropout = b->dropout;
    g->micro.end = g->n_ops;
    free(acts);
    recompute_apply(g, b->r->recompute, b->r->recompute_layers);
}

/* ---- once a step or a shard: tensor by tensor as they lie in memory, so that a backend can take many at once ---- */

/* Zeroes the gradients of the step, or those of a shard. */
static span build_zero(builder *b, bool of_shard) {
    graph *g = b->g;
    int first = g->n_ops;
    for (tensor_id t = graph_next(g, ROLE_GRAD, 0); t; t = graph_next(g, ROLE_GRAD, t))
        if ((b->first_sum && t >= b->first_sum) == of_shard) ADD_OP(b, ZERO, -1, .x = t);
    return (span){first, g->n_ops};
}

/* Adds a shard's gradients to the step's. */
static void build_shard_end(builder *b) {
    graph *g = b->g;
    const gpt *m = b->m;
    g->shard_end.first = g->n_ops;
    for (tensor_id p = graph_next(g, ROLE_PARAM, 0); p && b->first_sum; p = graph_next(g, ROLE_PARAM, p)) {
        if (!owns(b, p)) continue;
        ADD_OP(b, ADD, -1, .y = m->grad[p], .x = m->sum[p]);
        if (p == param(b, WTE, -1) && m->embedding_sum)
            ADD_OP(b, ADD, -1, .y = m->embedding_grad, .x = m->embedding_sum);
    }
    g->shard_end.end = g->n_ops;
}

static void build_finish(builder *b) {
    graph *g = b->g;
    gpt *m = b->m;
    g->finish.first = g->n_ops;
    if (m->embedding_grad) ADD_OP(b, ADD, -1, .y = m->grad[param(b, WTE, -1)], .x = m->embedding_grad);
    if (g->purpose == GRAPH_TRAIN) {
        int64_t n = m->n_params;
        m->sums = graph_tensor(g, "sums", -1, ROLE_STEP, KIND_BATCH, TYPE_REAL, 1, &n);
        for (tensor_id p = graph_next(g, ROLE_PARAM, 0); p; p = graph_next(g, ROLE_PARAM, p))
            if (owns(b, p)) ADD_OP(b, SUM_SQUARES, -1, .sums = m->sums, .x = m->grad[p])->index = p - 1;
        ADD_OP(b, GRAD_NORM, -1, .norm = m->norm, .sums = m->sums)->clip = b->r->grad_clip;
        for (tensor_id p = graph_next(g, ROLE_PARAM, 0); p; p = graph_next(g, ROLE_PARAM, p)) {
            if (!owns(b, p)) continue;
            op_attr *a = ADD_OP(b, ADAMW, -1, .p = p, .m = m->m[p], .v = m->v[p], .g = m->grad[p], .norm = m->norm);
            a->weight_decay = g->tensors[p].rank >= 2 ? b->r->weight_decay : 0;
            a->beta1 = b->r->beta1;
            a->beta2 = b->r->beta2;
            a->epsilon = 1e-8;
        }
    }
    g->finish.end = g->n_ops;
}

static void build_eval(builder *b) {
    graph *g = b->g;
    b->dropout = 0;
    g->eval.first = g->n_ops;
    tensor_id wte = param(b, WTE, -1);
    ADD_OP(b, HEAD_LOSS, -1, .losses = b->m->losses, .x = forward(b, NULL).norm, .wte = wte, .targets = b->m->targets);
    g->eval.end = g->n_ops;
}

/* What a text goes on with: after all of its positions, and after one more. */
static void build_sample(builder *b) {
    graph *g = b->g;
    int64_t texts = b->kept ? b->r->kept : 1, numbers = texts * b->s->vocabulary;
    tensor_id wte = param(b, WTE, -1);
    b->dropout = 0;
    g->sample.first = g->n_ops;
    tensor_id nf = forward(b, NULL).norm;
    b->m->logits = graph_tensor(g, "logits", -1, ROLE_STEP, KIND_BATCH, TYPE_REAL, 1, &numbers);
    ADD_OP(b, LOGITS, -1, .logits = b->m->logits, .x = nf, .wte = wte);
    g->sample.end = g->next.first = g->next.end = g->n_ops;
    if (!b->kept) return;
    b->next = true;
    b->sequences = texts;
    b->positions = 1;
    ADD_OP(b, LOGITS, -1, .logits = b->m->logits, .x = forward(b, NULL).norm, .wte = wte);
    g->next.end = g->n_ops;
}

status gpt_build(const gpt_shape *shape, const gpt_run *run, scratch_rule *scratch, size_t real_bytes, gpt *m,
                 error *e) {
    *m = (gpt){.graph = graph_new(run->purpose, run->micro_batch, run->length, run->batch_invariant)};
    builder b = {.s = shape, .r = run, .m = m, .g = m->graph, .sequences = run->micro_batch, .positions = run->length};
    bool trains = run->purpose == GRAPH_TRAIN || run->purpose == GRAPH_GRADS;
    add_params(&b);
    add_persistent(&b);
    if (trains) {
        m->graph->begin = build_zero(&b, false);
        m->graph->shard_begin = build_zero(&b, true);
        build_micro(&b);
        build_shard_end(&b);
        build_finish(&b);
    }
    if (run->purpose == GRAPH_TRAIN || run->purpose == GRAPH_EVAL) build_eval(&b);
    if (run->purpose != GRAPH_GRADS) build_sample(&b);
    free(b.params);
    free(b.kept);
    precision_apply(m->graph, run->stored);
    home_apply(m->graph, run->offload);
    if (scratch) graph_add_scratch(m->graph, scratch, real_bytes);
    if (graph_check(m->graph, e)) return OK;
    gpt_free(m);
    return FAILED;
}

void gpt_free(gpt *m) {
    graph_free(m->graph);
    free(m->grad);
    free(m->sum);
    free(m->owner);
    free(m->m);
    free(m->v);
    *m = (gpt){0};
}
