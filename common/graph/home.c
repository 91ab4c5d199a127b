/* home.c: see home.h. */
#include "graph/home.h"
#include <string.h>

const offload_info offload_table[OFFLOAD_COUNT] = {
    {"none", "nothing"}, {"moments", "AdamW's moments"}, {"optimizer", "AdamW's moments and the float32 weights"}};

offload_policy offload_find(const char *name) {
    int i = 0;
    while (i < OFFLOAD_COUNT && strcmp(offload_table[i].name, name) != 0) i++;
    return (offload_policy)i;
}

offload_policy offload_most(tensor_type stored) { return stored == TYPE_REAL ? OFFLOAD_MOMENTS : OFFLOAD_OPTIMIZER; }

/* Biases and norms stay: they are read in float32, and are small. */
static void leave_copies(graph *g) {
    for (tensor_id p = g->of_role[ROLE_PARAM].first; p && p <= g->of_role[ROLE_PARAM].last; p++) {
        tensor t = g->tensors[p];
        if (t.role != ROLE_PARAM || t.rank < 2) continue;
        tensor_id copy = graph_tensor(g, t.name, t.layer, ROLE_COPY, KIND_WEIGHT, TYPE_BF16, t.rank, t.dim);
        g->tensors[copy].of = p;
        g->tensors[p].copy = copy;
        g->tensors[p].home = HOME_HOST;
    }
    for (int i = 0; i < g->n_ops; i++) {
        op *o = &g->ops[i];
        if (o->code == OP_ADAMW) o->by.ADAMW.copy = g->tensors[o->by.ADAMW.p].copy;
        for (int a = 0; a < MAX_ARGUMENTS && o->code != OP_ADAMW; a++)
            if (g->tensors[o->arg[a]].copy) o->arg[a] = g->tensors[o->arg[a]].copy;
    }
}

void home_apply(graph *g, offload_policy policy) {
    if (policy == OFFLOAD_NONE) return;
    if (policy == OFFLOAD_OPTIMIZER && g->bf16_weights) leave_copies(g);
    for (tensor_id t = graph_next(g, ROLE_MOMENT, 0); t; t = graph_next(g, ROLE_MOMENT, t))
        g->tensors[t].home = HOME_HOST;
}

char *home_print(offload_policy policy, bool several, char *text, size_t size) {
    snprintf(text, size, "%s%s%s", policy ? offload_table[policy].text : "", policy && several ? " and " : "",
             several ? "what processes send" : "");
    return text;
}

double home_traffic(const graph *g, const op *o, size_t real_bytes) {
    const op_info *info = op_describe(o->code);
    double bytes = 0;
    for (int a = 0; a < info->arguments; a++) {
        const tensor *t = &g->tensors[o->arg[a]];
        if (o->arg[a] && t->home == HOME_HOST)
            bytes += (info->access[a] == 'A' ? 2 : 1) * (double)tensor_bytes(t, real_bytes);
    }
    return bytes;
}
