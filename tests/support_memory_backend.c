/* support_memory_backend.c: see support_memory_backend.h. */
#include "support_memory_backend.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    backend base; /* first, so that a backend * is a memory_backend * */
    const graph *g;
    char **data; /* by tensor_id */
    int fail_from, reads;
} memory_backend;

static char *place(const backend *b, tensor_id id, size_t offset, size_t bytes) {
    const memory_backend *m = (const memory_backend *)b;
    if (id < 1 || id >= m->g->n_tensors || !m->data[id]) abort();
    if (offset + bytes > tensor_bytes(&m->g->tensors[id], b->limits.real_bytes)) abort();
    return m->data[id] + offset;
}

static status put(backend *b, tensor_id id, const void *data, size_t offset, size_t bytes, error *e) {
    (void)e;
    memcpy(place(b, id, offset, bytes), data, bytes);
    return OK;
}

static status get(backend *b, tensor_id id, void *data, size_t offset, size_t bytes, error *e) {
    memory_backend *m = (memory_backend *)b;
    if (m->fail_from && ++m->reads >= m->fail_from) return fail(e, FAILED, "the device is gone");
    memcpy(data, place(b, id, offset, bytes), bytes);
    return OK;
}

static void keep(backend *b) { (void)b; }

static void shut(backend *b) {
    memory_backend *m = (memory_backend *)b;
    for (int i = 0; i < m->g->n_tensors; i++) free(m->data[i]);
    free(m->data);
    free(m);
}

backend *memory_backend_open(const gpt *m, size_t real_bytes) {
    memory_backend *b = xcalloc(1, sizeof *b);
    b->base = (backend){.read = get, .write = put, .unbind = keep, .close = shut};
    b->base.limits.real_bytes = real_bytes;
    b->g = m->graph;
    b->data = xcalloc((unsigned long)b->g->n_tensors, sizeof *b->data);
    for (int i = 1; i < b->g->n_tensors; i++)
        if (tensor_is_persistent(&b->g->tensors[i]))
            b->data[i] = xcalloc(tensor_bytes(&b->g->tensors[i], real_bytes), 1);
    return &b->base;
}

gpt memory_gpt(const gpt_shape *shape, graph_purpose purpose) {
    gpt_run run = {
        .purpose = purpose, .micro_batch = 1, .length = shape->positions, .sequences = 1, .batch_invariant = true};
    gpt m;
    error e;
    if (gpt_build(shape, &run, NULL, 4, &m, &e) != OK) abort();
    return m;
}

double memory_get(const backend *b, tensor_id id, int64_t i) {
    size_t real_bytes = b->limits.real_bytes;
    const void *p = place(b, id, (size_t)i * real_bytes, real_bytes);
    return real_bytes == 4 ? (double)*(const float *)p : *(const double *)p;
}

/* k: 2 for a second moment, of which none is below zero. */
static double number(uint64_t salt, tensor_id id, int64_t i, int k) {
    uint64_t x = (salt << 40 ^ (uint64_t)id << 24 ^ (uint64_t)i) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    double value = ((double)(x >> 48) - 32768) / 1024;
    return k == 2 ? fabs(value) : value;
}

static bool each(const backend *b, const gpt *m, uint64_t salt, bool write) {
    size_t real_bytes = b->limits.real_bytes;
    for (tensor_id p = 1; p <= m->n_params; p++) {
        tensor_id ids[3] = {p, m->m[p], m->v[p]};
        for (int k = 0; k < 3; k++)
            for (int64_t i = 0; ids[k] && i < tensor_elements(&m->graph->tensors[p]); i++) {
                void *at = place(b, ids[k], (size_t)i * real_bytes, real_bytes);
                if (!write && memory_get(b, ids[k], i) != number(salt, ids[k], i, k)) return false;
                if (write && real_bytes == 4) *(float *)at = (float)number(salt, ids[k], i, k);
                if (write && real_bytes == 8) *(double *)at = number(salt, ids[k], i, k);
            }
    }
    return true;
}

void memory_fill(backend *b, const gpt *m, uint64_t salt) { each(b, m, salt, true); }
bool memory_holds(const backend *b, const gpt *m, uint64_t salt) { return each(b, m, salt, false); }

void memory_fail_reads(backend *b, int k) {
    ((memory_backend *)b)->fail_from = k;
    ((memory_backend *)b)->reads = 0;
}
