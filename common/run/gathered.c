/* gathered.c: see gathered.h. A moment that another process keeps has an id that no tensor of the graph has. */
#include "run/gathered.h"
#include "base/processes.h"
#include <stdlib.h>
#include <string.h>

/* What the first process asks an owner for. bytes of 0: nothing any more. */
typedef struct {
    tensor_id p;
    bool square; /* the second moment, not the first */
    size_t offset, bytes;
} request;

static status read_any(backend *b, tensor_id t, void *data, size_t offset, size_t bytes, error *e) {
    gathered *g = (gathered *)b;
    int n = g->own->n_params, away = t - g->own->graph->n_tensors;
    if (away < 0) return g->under->read(g->under, t, data, offset, bytes, e);
    request q = {.p = 1 + away % n, .square = away >= n, .offset = offset, .bytes = bytes};
    processes_send(g->own->owner[q.p], &q, sizeof q);
    processes_receive(g->own->owner[q.p], data, bytes);
    return OK;
}

/* Its owner loads it. */
static status write_any(backend *b, tensor_id t, const void *data, size_t offset, size_t bytes, error *e) {
    gathered *g = (gathered *)b;
    return t < g->own->graph->n_tensors ? g->under->write(g->under, t, data, offset, bytes, e) : OK;
}

/* ids [n_params + 1], with new ones, from `next` on, for those that are kept elsewhere. */
static tensor_id *fill_in(const tensor_id *ids, int n, tensor_id next) {
    tensor_id *all = xcalloc((size_t)n + 1, sizeof *all);
    for (int p = 1; p <= n; p++) all[p] = ids[p] ? ids[p] : next + p - 1;
    return all;
}

gathered gathered_new(const gpt *own, backend *under) {
    gathered g = {.b = *under, .all = *own, .under = under, .own = own};
    int n = own->n_params, next = own->graph->n_tensors;
    g.b.read = read_any;
    g.b.write = write_any;
    g.all.m = fill_in(own->m, n, next);
    g.all.v = fill_in(own->v, n, next + n);
    return g;
}

void gathered_free(gathered *g) {
    free(g->all.m);
    free(g->all.v);
}

status gathered_serve(gathered *g, error *e) {
    request q;
    for (;;) {
        processes_receive(0, &q, sizeof q);
        if (!q.bytes) return OK;
        void *data = xmalloc(q.bytes);
        tensor_id t = q.square ? g->own->v[q.p] : g->own->m[q.p];
        status s = g->under->read(g->under, t, data, q.offset, q.bytes, e);
        if (s == OK) processes_send(0, data, q.bytes);
        free(data);
        TRY(s);
    }
}

void gathered_end(void) {
    request none;
    memset(&none, 0, sizeof none);
    for (int r = 1; r < processes_count(); r++) processes_send(r, &none, sizeof none);
}
