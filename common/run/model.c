/* model.c: see model.h. */
#include "run/model.h"
#include "base/bf16.h"
#include "base/hash.h"
#include "base/host.h"
#include "config/config.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 15 }; /* how many reals move between host and backend at once */

/* The host is asked before anything is taken, since systems promise more memory than there is, and then end whoever
   uses it. */
static status check_host(const plan *p, const gpt_run *run, error *e) {
    uint64_t have = host_memory_free();
    char need[32], has[32], what[96];
    if (p->host_total <= have) return OK;
    return fail(e, BAD_INPUT,
                "%s need %s of this machine's memory (%llu bytes), of which %s are free: end other programs%s%s%s",
                home_print(run->offload, gpt_ranks(run) > 1, what, sizeof what),
                bytes_print(p->host_total, need, sizeof need), (unsigned long long)p->host_total,
                bytes_print(have, has, sizeof has), run->offload ? ", or train without --offload=" : "",
                run->offload ? offload_table[run->offload].name : "", run->offload ? " under a larger --vram_cap" : "");
}

status model_open(model *m, backend *b, const gpt_shape *shape, const gpt_run *run, error *e) {
    *m = (model){.shape = *shape, .run = *run};
    m->run.stored = b->type->stored;
    m->run.has_host = b->type->has_host;
    if (!b->type->has_host) m->run.offload = OFFLOAD_NONE;
    TRY(gpt_build(shape, &m->run, b->type->scratch, b->limits.real_bytes, &m->gpt, e));
    status s = plan_make(m->gpt.graph, &b->limits, &m->plan, e);
    if (s == OK) s = check_host(&m->plan, &m->run, e);
    if (s == OK) s = b->bind(b, m->gpt.graph, &m->plan, e);
    if (s == OK) m->backend = b;
    if (s == OK && m->gpt.staging) m->exchange = exchange_new(&m->gpt, b);
    if (s == OK) m->losses = xcalloc((size_t)(1 + gpt_ranks(run)) * (size_t)run->sequences, sizeof *m->losses);
    if (s == OK) m->chunk = xcalloc(CHUNK, sizeof *m->chunk);
    if (s != OK) model_close(m);
    return s;
}

void model_close(model *m) {
    backend *b = m->backend;
    model_unbind(m);
    if (b) b->close(b);
}

void model_unbind(model *m) {
    if (m->backend) m->backend->unbind(m->backend);
    exchange_free(m->exchange);
    free(m->losses);
    free(m->chunk);
    plan_free(&m->plan);
    gpt_free(&m->gpt);
    *m = (model){0};
}

/* Moves `count` elements of t, from element `first` on, in chunks: from `in` to the backend, or from it to `out`. */
static status move(model *m, tensor_id t, int64_t first, int64_t count, const double *in, double *out, error *e) {
    backend *b = m->backend;
    bool bf16 = m->gpt.graph->tensors[t].type == TYPE_BF16;
    size_t each = bf16 ? 2 : 4;
    float *reals = m->chunk;
    uint16_t *halves = (uint16_t *)(void *)reals;
    status s = OK;
    for (int64_t i = 0; i < count && s == OK; i += CHUNK) {
        int64_t n = count - i < CHUNK ? count - i : CHUNK;
        size_t at = (size_t)(first + i) * each, bytes = (size_t)n * each;
        for (int64_t j = 0; j < n && in; j++)
            if (bf16)
                halves[j] = bf16_of_float((float)in[i + j]);
            else
                reals[j] = (float)in[i + j];
        s = in ? b->write(b, t, reals, at, bytes, e) : b->read(b, t, reals, at, bytes, e);
        for (int64_t j = 0; j < n && out && s == OK; j++) out[i + j] = bf16 ? bf16_to_float(halves[j]) : reals[j];
    }
    return s;
}

status model_read(model *m, tensor_id t, int64_t first, int64_t count, double *out, error *e) {
    if (m->backend->limits.real_bytes == 8)
        return m->backend->read(m->backend, t, out, (size_t)first * 8, (size_t)count * 8, e);
    return move(m, t, first, count, NULL, out, e);
}

status model_write(model *m, tensor_id t, int64_t first, int64_t count, const double *in, error *e) {
    if (m->backend->limits.real_bytes == 8)
        return m->backend->write(m->backend, t, in, (size_t)first * 8, (size_t)count * 8, e);
    return move(m, t, first, count, in, NULL, e);
}

/* All threads draw, and store as the backend does: an element's number goes by its place alone. Large pieces, since an
   OpenCL driver takes its time for each. */
status model_init(model *m, uint64_t seed, error *e) {
    enum { PIECE = 1024, DRAWN = 1 << 19 };
    const size_t real = m->backend->limits.real_bytes;
    char *drawn = xcalloc(DRAWN, real);
    status s = OK;
    for (tensor_id p = 1; p <= m->gpt.n_params && s == OK; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        for (int64_t i = 0; i < n && s == OK; i += DRAWN) {
            int64_t some = n - i < DRAWN ? n - i : DRAWN;
#pragma omp parallel for schedule(static)
            for (int64_t k = 0; k < some; k += PIECE) {
                double x[PIECE];
                int64_t count = some - k < PIECE ? some - k : PIECE;
                gpt_init(&m->shape, m->gpt.graph, p, seed, i + k, count, x);
                for (int64_t j = 0; j < count; j++)
                    if (real == 8)
                        ((double *)(void *)drawn)[k + j] = x[j];
                    else
                        ((float *)(void *)drawn)[k + j] = (float)x[j];
            }
            s = m->backend->write(m->backend, p, drawn, (size_t)i * real, (size_t)some * real, e);
        }
    }
    free(drawn);
    return s;
}

status model_hash(model *m, char sha256[65], error *e) {
    size_t real = m->backend->limits.real_bytes;
    char *part = xcalloc(CHUNK, real);
    hash *h = hash_new();
    status s = OK;
    for (tensor_id p = 1; p <= m->gpt.n_params && s == OK; p++) {
        size_t n = tensor_bytes(&m->gpt.graph->tensors[p], real), step = CHUNK * real;
        for (size_t at = 0; at < n && s == OK; at += step) {
            size_t some = n - at < step ? n - at : step;
            s = m->backend->read(m->backend, p, part, at, some, e);
            if (s == OK) hash_add(h, part, some);
        }
    }
    hash_end(h, sha256);
    free(part);
    return s;
}

/* ---- batches ---- */

batch batch_new(int64_t sequences, int64_t length) {
    size_t n = (size_t)(sequences * length);
    return (batch){sequences, length, xcalloc(n, sizeof(int32_t)), xcalloc(n, sizeof(int32_t))};
}

void batch_free(batch *b) {
    free(b->x);
    free(b->y);
    *b = (batch){0};
}

int64_t batch_targets(const batch *b) {
    int64_t n = 0;
    for (int64_t i = 0; i < b->sequences * b->length; i++) n += b->y[i] >= 0;
    return n;
}

status batch_draw(batch *b, const token_file *f, const data_order *order, batch_stream stream, int64_t step,
                  int64_t first, error *e) {
    for (int64_t i = 0; i < b->sequences; i++)
        TRY(data_sequence(f, order, stream, step, first + i, b->x + i * b->length, b->y + i * b->length, e));
    return OK;
}

/* ---- steps ---- */

/* Hands over n sequences of b, from `first` on. */
static status upload(model *m, const batch *b, int64_t first, int64_t n, error *e) {
    size_t at = (size_t)(first * b->length), bytes = (size_t)(n * b->length) * sizeof *b->x;
    TRY(m->backend->write(m->backend, m->gpt.tokens, b->x + at, 0, bytes, e));
    return m->backend->write(m->backend, m->gpt.targets, b->y + at, 0, bytes, e);
}

status model_upload(model *m, const batch *b, error *e) {
    return graph_holds_step(m->gpt.graph, m->gpt.tokens) ? upload(m, b, 0, b->sequences, e) : OK;
}

status model_load(model *m, const batch *b, const step_settings *s, int64_t first, int64_t end, double inv_targets,
                  step_args *a, error *e) {
    int64_t n = end - first < m->run.micro_batch ? end - first : m->run.micro_batch;
    *a = (step_args){.sequences = (int)n,
                     .first_sequence = (int)first,
                     .length = (int)b->length,
                     .step = s->step,
                     .lr = s->lr,
                     .inv_targets = inv_targets,
                     .seed = s->seed};
    return graph_holds_step(m->gpt.graph, m->gpt.tokens) ? OK : upload(m, b, first, n, e);
}

/* Into how many pieces a span is cut for reporting progress. A piece has LEAST_PIECE operations at least, since on the
   CPU all threads wait for each other at its end. */
enum { PIECES = 16 };
static const double LEAST_PIECE = 1e10;

/* Runs a span in pieces of about a sixteenth of its arithmetic, and reports progress after each, since a micro-batch
   may take a minute. from, to: which part of the batch it is, from 0 to 1. x: it is the last micro-batch of a shard,
   whose gradients are sent when they are ready; else NULL. */
static status run_reporting(model *m, span what, const step_args *a, double from, double to, exchange *x, error *e) {
    backend *be = m->backend;
    const graph *g = m->gpt.graph;
    double all = 0, done = 0;
    if (!m->progress && !x) return be->run(be, what, a, e);
    for (int i = what.first; i < what.end; i++) all += op_flops(g, &g->ops[i], a->sequences);
    for (span piece = {what.first, what.first}; piece.end < what.end; piece.first = piece.end) {
        double part = 0;
        do part += op_flops(g, &g->ops[piece.end++], a->sequences);
        while (piece.end < what.end && !(x && exchange_cut(x, piece.end - 1)) &&
               (part * PIECES < all || part < LEAST_PIECE));
        TRY(be->run(be, piece, a, e));
        done += part;
        if (x) TRY(exchange_reach(x, piece.end, e));
        if (m->progress) m->progress(m->context, from + (to - from) * (done < all ? done / all : 1));
    }
    return OK;
}

/* Runs `what` for each micro-batch of b's sequences from `first` to before `end`. x: as above, of the last one. */
static status run_part(model *m, span what, const batch *b, const step_settings *s, int64_t first, int64_t end,
                       double inv_targets, exchange *x, error *e) {
    for (step_args a; first < end; first += a.sequences) {
        TRY(model_load(m, b, s, first, end, inv_targets, &a, e));
        TRY(run_reporting(m, what, &a, (double)first / (double)b->sequences,
                          (double)(first + a.sequences) / (double)b->sequences, first + a.sequences == end ? x : NULL,
                          e));
    }
    return OK;
}

/* Adds up the losses of all sequences of b, in order, whichever process has computed a shard. */
static status add_losses(model *m, const batch *b, int shards, double *sum, error *e) {
    double *losses = m->losses;
    TRY(model_read(m, m->gpt.losses, 0, b->sequences, losses, e));
    exchange_losses(losses, losses + b->sequences, b->sequences, shards);
    *sum = 0;
    for (int64_t i = 0; i < b->sequences; i++) *sum += losses[i];
    return OK;
}

/* Runs `what` for each micro-batch of b, and adds up the losses. Each process takes a block of the sequences. */
static status run_batch(model *m, span what, const batch *b, const step_settings *s, double *sum, error *e) {
    int ranks = gpt_ranks(&m->run);
    int64_t first = gpt_shard(b->sequences, ranks, m->run.rank), end = gpt_shard(b->sequences, ranks, m->run.rank + 1);
    TRY(model_upload(m, b, e));
    TRY(run_part(m, what, b, s, first, end, 0, NULL, e));
    return add_losses(m, b, ranks, sum, e);
}

double model_inverse(const batch *b) {
    int64_t targets = batch_targets(b);
    return targets ? 1.0 / (double)targets : 0; /* R5: divided once, by the targets of the whole step */
}

status model_gradients(model *m, const batch *b, const step_settings *s, double *loss, error *e) {
    int64_t targets = batch_targets(b);
    int shards = gpt_shards(&m->run), ranks = gpt_ranks(&m->run);
    exchange *x = m->exchange;
    step_args a = {.length = m->run.length, .step = s->step, .seed = s->seed};
    const graph *g = m->gpt.graph;
    TRY(m->backend->run(m->backend, g->begin, &a, e));
    TRY(model_upload(m, b, e));
    for (int k = m->run.rank; k < shards; k += ranks) {
        int64_t first = gpt_shard(b->sequences, shards, k), end = gpt_shard(b->sequences, shards, k + 1);
        TRY(m->backend->run(m->backend, g->shard_begin, &a, e));
        if (x) exchange_begin(x);
        TRY(run_part(m, g->micro, b, s, first, end, model_inverse(b), x, e));
        TRY(x ? exchange_end(x, e) : m->backend->run(m->backend, g->shard_end, &a, e));
    }
    TRY(add_losses(m, b, shards, loss, e));
    *loss = targets ? *loss / (double)targets : 0;
    return OK;
}

status model_training_loss(model *m, const batch *b, const step_settings *s, double *loss, error *e) {
    const graph *g = m->gpt.graph;
    int64_t targets = batch_targets(b);
    TRY(run_batch(m, (span){g->micro.first, g->first_backward}, b, s, loss, e));
    *loss = targets ? *loss / (double)targets : 0;
    return OK;
}

status model_finish(model *m, const step_settings *s, double *norm, error *e) {
    const graph *g = m->gpt.graph;
    step_args a = {.length = m->run.length, .step = s->step, .lr = s->lr, .seed = s->seed};
    span sums = {g->finish.first, g->finish.first}, measure = sums, update = g->finish;
    *norm = 0;
    for (int i = g->finish.first; i < g->finish.end; i++)
        if (g->ops[i].code == OP_GRAD_NORM) sums.end = measure.first = i, measure.end = update.first = i + 1;
    TRY(m->backend->run(m->backend, sums, &a, e));
    if (m->exchange) TRY(exchange_sums(m->exchange, e));
    TRY(m->backend->run(m->backend, measure, &a, e));
    if (m->gpt.norm) TRY(model_read(m, m->gpt.norm, 0, 1, norm, e));
    if (!isfinite(*norm)) return OK;
    TRY(m->backend->run(m->backend, update, &a, e));
    return m->exchange ? exchange_weights(m->exchange, e) : OK;
}

status model_loss(model *m, const batch *b, double *sum, error *e) {
    return run_batch(m, m->gpt.graph->eval, b, &(step_settings){0}, sum, e);
}

status model_text(model *m, const int32_t *ids, int n, int text, int copies, error *e) {
    backend *b = m->backend;
    step_args a = {.sequences = 1, .first_sequence = text, .length = n, .copies = copies};
    TRY(b->write(b, m->gpt.tokens, ids, 0, (size_t)n * sizeof *ids, e));
    return b->run(b, m->gpt.graph->sample, &a, e);
}

status model_next(model *m, const int32_t *latest, int texts, int before, error *e) {
    backend *b = m->backend;
    step_args a = {.sequences = texts, .length = 1, .before = before};
    TRY(b->write(b, m->gpt.latest, latest, 0, (size_t)texts * sizeof *latest, e));
    return b->run(b, m->gpt.graph->next, &a, e);
}

status model_logits_of(model *m, int text, int n, double *logits, error *e) {
    int64_t v = m->shape.vocabulary;
    TRY(model_read(m, m->gpt.logits, text * v, v, logits, e));
    for (int64_t i = 0; i < v; i++)
        if (!isfinite(logits[i]))
            return fail(
                e, FAILED,
                "the logit of token %lld after %d token%s is %s: this model's numbers have outgrown %s; take an "
                "earlier checkpoint",
                (long long)i, n, n == 1 ? "" : "s", isnan(logits[i]) ? "not a number (NaN)" : "infinite",
                m->backend->limits.real_bytes == 4 ? "float32" : "float64");
    return OK;
}

status model_logits(model *m, const int32_t *ids, int n, double *logits, error *e) {
    TRY(model_text(m, ids, n, 0, 1, e));
    return model_logits_of(m, 0, n, logits, e);
}
