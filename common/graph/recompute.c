/* recompute.c: the graph pass that trades time for memory (R2), after Chen et al., "Training deep nets with sublinear
   memory cost", arXiv 1604.06174. */
#include "graph/recompute.h"
#include <stdlib.h>
#include <string.h>

#define BIT(kind) (1u << KIND_##kind)
const recompute_policy recompute_policies[RECOMPUTE_POLICIES] = {
    {"none", 0, "keep everything"},
    {"gelu", BIT(GELU), "GELU outputs again from their inputs"},
    {"norm", BIT(GELU) | BIT(NORM), "and layer norms"},
    {"attention", BIT(GELU) | BIT(NORM) | BIT(QKV) | BIT(ATTENTION), "and queries, keys, values and attention"},
    {"block", BIT(GELU) | BIT(NORM) | BIT(QKV) | BIT(ATTENTION) | BIT(RESIDUAL) | BIT(FC),
     "all but each block's input"},
};

/* Kinds that are cheap to compute, and whose clones would live long: they are computed again for each reader. */
static const unsigned CHEAP = BIT(GELU) | BIT(NORM);

const recompute_policy *recompute_find(const char *name) {
    for (int i = 0; i < RECOMPUTE_POLICIES; i++)
        if (!strcmp(recompute_policies[i].name, name)) return &recompute_policies[i];
    return NULL;
}

const recompute_policy *recompute_read(const char *setting, int *layers) {
    char name[16];
    const char *colon = strchr(setting, ':');
    snprintf(name, sizeof name, "%.*s", (int)strcspn(setting, ":"), setting);
    *layers = colon ? atoi(colon + 1) : 0;
    return recompute_find(name);
}

/* The policy's name, and behind it `some`, a format for layers and of, unless it is for all of them. */
static char *print_as(const char *some, const recompute_policy *policy, int layers, int of, char *text, size_t size) {
    size_t n = strlen(policy->name);
    snprintf(text, size, "%s", policy->name);
    if (layers && layers < of && n < size) snprintf(text + n, size - n, some, layers, of);
    return text;
}

char *recompute_print(const recompute_policy *policy, int layers, int of, char *text, size_t size) {
    return print_as(":%d", policy, layers, of, text, size);
}

char *recompute_say(const recompute_policy *policy, int layers, int of, char *text, size_t size) {
    return print_as(" for %d of %d layers", policy, layers, of, text, size);
}

status recompute_check(const recompute_policy *policy, int layers, int of, error *e) {
    if (!policy || layers <= of) return OK;
    return fail(e, BAD_INPUT, "recompute=%s:%d: the model has %d layer%s: %s alone means all of them", policy->name,
                layers, of, of == 1 ? "" : "s", policy->name);
}

typedef struct {
    graph *g;
    unsigned dropped;
    int layers;       /* of this layer and those behind it nothing is dropped; 0: of all layers */
    int *producer;    /* by tensor: the forward op that writes it; -1: none */
    tensor_id *clone; /* by original tensor: the clone that backward readers use; 0: none yet */
    tensor_id *cheap; /* originals whose clones serve one reader alone */
    int n_cheap;
} pass;

static bool is_dropped(const pass *p, tensor_id t) {
    const tensor *x = &p->g->tensors[t];
    return p->producer[t] >= 0 && (p->dropped >> x->kind & 1) && (!p->layers || x->layer < p->layers);
}

/* What remains of RESIDUAL_NORM when its y is there already: NORM. */
static op norm_alone(const graph *g, const op *joined) {
    const tensor_id *arg = joined->arg;
    return (op){.code = OP_NORM,
                .arg = {arg[1], arg[2], arg[0], arg[6], arg[7]},
                .attr = {.layer = g->tensors[arg[1]].layer, .epsilon = joined->attr.epsilon}};
}

/* Returns the tensor that takes t's place in the backward pass, and appends the ops that compute it. Recursion ends at
   tensors that are kept. Since every policy keeps block inputs, it is never deeper than one block. */
static tensor_id remake(pass *p, tensor_id t) {
    if (!is_dropped(p, t)) return t;
    if (p->clone[t]) return p->clone[t];
    op o = p->g->ops[p->producer[t]];
    if (o.code == OP_RESIDUAL_NORM && (!is_dropped(p, o.arg[0]) || p->clone[o.arg[0]])) o = norm_alone(p->g, &o);
    const op_info *info = op_describe(o.code);
    for (int i = 0; i < info->arguments; i++)
        if (info->access[i] == 'R' && o.arg[i]) o.arg[i] = remake(p, o.arg[i]);
    for (int i = 0; i < info->arguments; i++) {
        if (info->access[i] != 'W') continue;
        tensor original = p->g->tensors[o.arg[i]];
        tensor_id copy = graph_tensor(p->g, original.name, original.layer, original.role, original.kind, original.type,
                                      original.rank, original.dim);
        p->g->tensors[copy].of = o.arg[i];
        p->clone[o.arg[i]] = copy;
        if (CHEAP >> original.kind & 1) p->cheap[p->n_cheap++] = o.arg[i];
        o.arg[i] = copy;
    }
    *graph_op(p->g, o.code, o.arg) = o.attr;
    return p->clone[t];
}

void recompute_apply(graph *g, unsigned dropped, int layers) {
    int n = g->n_ops - g->first_backward, n_tensors = g->n_tensors;
    if (!dropped || n <= 0) return;
    pass p = {.g = g, .dropped = dropped, .layers = layers};
    p.producer = xcalloc((size_t)n_tensors, sizeof *p.producer);
    p.clone = xcalloc((size_t)n_tensors, sizeof *p.clone);
    p.cheap = xcalloc((size_t)n_tensors, sizeof *p.cheap);
    for (int t = 0; t < n_tensors; t++) p.producer[t] = -1;
    for (int i = g->micro.first; i < g->first_backward; i++) {
        const op_info *info = op_describe(g->ops[i].code);
        for (int a = 0; a < info->arguments; a++)
            if (info->access[a] == 'W') p.producer[g->ops[i].arg[a]] = i;
    }
    op *backward = xcalloc((size_t)n, sizeof *backward);
    memcpy(backward, g->ops + g->first_backward, (size_t)n * sizeof *backward);
    g->n_ops = g->first_backward;
    for (int i = 0; i < n; i++) {
        op *o = &backward[i];
        const op_info *info = op_describe(o->code);
        for (int a = 0; a < info->arguments; a++)
            if (info->access[a] == 'R' && o->arg[a] && o->arg[a] < n_tensors) o->arg[a] = remake(&p, o->arg[a]);
        *graph_op(g, o->code, o->arg) = o->attr;
        while (p.n_cheap) p.clone[p.cheap[--p.n_cheap]] = 0;
    }
    g->micro.end = g->n_ops;
    free(backward);
    free(p.producer);
    free(p.clone);
    free(p.cheap);
}
