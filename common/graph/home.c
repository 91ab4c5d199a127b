/* home.c: see home.h. */
#include "graph/home.h"
#include <string.h>

const offload_info offload_table[OFFLOAD_COUNT] = {{"none", "nothing"}, {"moments", "AdamW's moments"}};

offload_policy offload_find(const char *name) {
    int i = 0;
    while (i < OFFLOAD_COUNT && strcmp(offload_table[i].name, name) != 0) i++;
    return (offload_policy)i;
}

void home_apply(graph *g, offload_policy policy) {
    if (policy == OFFLOAD_NONE) return;
    for (tensor_id t = graph_next(g, ROLE_MOMENT, 0); t; t = graph_next(g, ROLE_MOMENT, t))
        g->tensors[t].home = HOME_HOST;
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
