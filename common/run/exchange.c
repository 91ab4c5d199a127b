/* exchange.c: see exchange.h. */
#include "run/exchange.h"
#include "base/processes.h"
#include <stdlib.h>
#include <string.h>

/* Bytes of all gradients of a process' parameters, the second one of the tied embedding among them. */
static size_t owned_bytes(const gpt *m, int owner, size_t real_bytes) {
    size_t bytes = 0;
    for (tensor_id p = 1; p <= m->n_params; p++) {
        if (m->owner[p] != owner) continue;
        bytes += tensor_bytes(&m->graph->tensors[p], real_bytes);
        if (m->embedding_sum && m->graph->tensors[m->embedding_sum].of == p)
            bytes += tensor_bytes(&m->graph->tensors[p], real_bytes);
    }
    return bytes;
}

exchange exchange_new(const gpt *m, size_t real_bytes) {
    int n = processes_count();
    size_t own = owned_bytes(m, processes_rank(), real_bytes);
    exchange x = {.send_bytes = xcalloc((size_t)n, sizeof(size_t)),
                  .receive_bytes = xcalloc((size_t)n, sizeof(size_t)),
                  .send = xcalloc((size_t)n, sizeof(void *)),
                  .receive = xcalloc((size_t)n, sizeof(void *))};
    for (int r = 0; r < n; r++) {
        x.send_bytes[r] = owned_bytes(m, r, real_bytes);
        x.receive_bytes[r] = own;
        x.send[r] = xmalloc(x.send_bytes[r]);
        x.receive[r] = xmalloc(own);
    }
    return x;
}

void exchange_free(exchange *x) {
    for (int r = 0; x->send && r < processes_count(); r++) {
        free(x->send[r]);
        free(x->receive[r]);
    }
    free(x->send);
    free(x->receive);
    free(x->send_bytes);
    free(x->receive_bytes);
    *x = (exchange){0};
}

/* Copies a whole tensor to or from *at, and moves *at behind it. */
static status move(backend *b, const gpt *m, tensor_id t, bool write, char **at, error *e) {
    size_t bytes = tensor_bytes(&m->graph->tensors[t], b->limits.real_bytes);
    status s = write ? b->write(b, t, *at, 0, bytes, e) : b->read(b, t, *at, 0, bytes, e);
    *at += bytes;
    return s;
}

/* The shard's sums of a process' parameters, one after another. */
static status move_sums(backend *b, const gpt *m, int owner, bool write, void *data, error *e) {
    char *at = data;
    for (tensor_id p = 1; p <= m->n_params; p++) {
        if (m->owner[p] != owner) continue;
        TRY(move(b, m, m->sum[p], write, &at, e));
        if (m->embedding_sum && m->graph->tensors[m->embedding_sum].of == p)
            TRY(move(b, m, m->embedding_sum, write, &at, e));
    }
    return OK;
}

status exchange_gradients(const exchange *x, const gpt *m, backend *b, error *e) {
    for (int r = 0; r < processes_count(); r++) TRY(move_sums(b, m, r, false, x->send[r], e));
    processes_exchange((const void *const *)x->send, x->send_bytes, x->receive, x->receive_bytes);
    for (int r = 0; r < processes_count(); r++) {
        TRY(move_sums(b, m, processes_rank(), true, x->receive[r], e));
        TRY(b->run(b, m->graph->shard_end, &(step_args){.length = m->graph->length}, e));
    }
    return OK;
}

status exchange_sums(const gpt *m, backend *b, error *e) {
    size_t real = b->limits.real_bytes, bytes = (size_t)m->n_params * real;
    char *own = xmalloc(bytes), *all = xmalloc((size_t)processes_count() * bytes);
    status s = b->read(b, m->sums, own, 0, bytes, e);
    if (s == OK) {
        processes_gather(own, bytes, all);
        for (tensor_id p = 1; p <= m->n_params; p++) {
            size_t at = (size_t)(p - 1) * real;
            memcpy(own + at, all + (size_t)m->owner[p] * bytes + at, real);
        }
        s = b->write(b, m->sums, own, 0, bytes, e);
    }
    free(all);
    free(own);
    return s;
}

static status move_weights(backend *b, const gpt *m, int owner, bool write, char *data, size_t *bytes, error *e) {
    char *at = data;
    for (tensor_id p = 1; p <= m->n_params; p++)
        if (m->owner[p] == owner) TRY(move(b, m, p, write, &at, e));
    *bytes = (size_t)(at - data);
    return OK;
}

/* The buffers are those of gradients, the other way round. */
status exchange_weights(const exchange *x, const gpt *m, backend *b, error *e) {
    int n = processes_count(), me = processes_rank();
    size_t own = 0, unused, *to = xcalloc((size_t)n, sizeof *to), *from = xcalloc((size_t)n, sizeof *from);
    const void **send = xcalloc((size_t)n, sizeof *send);
    status s = move_weights(b, m, me, false, x->receive[0], &own, e);
    for (int r = 0; r < n; r++) {
        send[r] = x->receive[0];
        to[r] = own;
        for (tensor_id p = 1; p <= m->n_params; p++)
            if (m->owner[p] == r) from[r] += tensor_bytes(&m->graph->tensors[p], b->limits.real_bytes);
    }
    if (s == OK) processes_exchange(send, to, x->send, from);
    for (int r = 0; r < n && s == OK; r++)
        if (r != me) s = move_weights(b, m, r, true, x->send[r], &unused, e);
    free(send);
    free(to);
    free(from);
    return s;
}

void exchange_losses(double *losses, int64_t sequences, int shards) {
    int n = processes_count();
    if (n == 1) return;
    size_t bytes = (size_t)sequences * sizeof *losses;
    char *all = xmalloc((size_t)n * bytes);
    processes_gather(losses, bytes, all);
    for (int s = 0; s < shards; s++) {
        int64_t first = gpt_shard(sequences, shards, s), end = gpt_shard(sequences, shards, s + 1);
        memcpy(losses + first, all + (size_t)(s % n) * bytes + (size_t)first * sizeof *losses,
               (size_t)(end - first) * sizeof *losses);
    }
    free(all);
}
