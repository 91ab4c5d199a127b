/* nonfinite.c: see nonfinite.h. */
#include "run/nonfinite.h"
#include "base/processes.h"
#include <math.h>
#include <stdlib.h>

enum { CHUNK = 1 << 16 }; /* how many reals are read back at once */

/* Is any of `count` elements of t, from `first` on, infinite or NaN? */
static status look_at(model *m, tensor_id t, int64_t first, int64_t count, bool *bad, error *e) {
    double *part = xcalloc(CHUNK, sizeof *part);
    status s = OK;
    *bad = false;
    for (int64_t at = 0; at < count && s == OK && !*bad; at += CHUNK) {
        int64_t n = count - at < CHUNK ? count - at : CHUNK;
        s = model_read(m, t, first + at, n, part, e);
        for (int64_t i = 0; i < n && s == OK && !*bad; i++) *bad = !isfinite(part[i]);
    }
    free(part);
    return s;
}

/* Looks at the part of t that op o has just written. The rest is of an earlier step or micro-batch. */
static status look_at_written(model *m, const op *o, tensor_id id, const step_args *a, bool *bad, error *e) {
    const graph *g = m->gpt.graph;
    const tensor *t = &g->tensors[id];
    int64_t all = tensor_elements(t);
    if (o->code == OP_SUM_SQUARES) return look_at(m, id, o->attr.index, 1, bad, e);
    if (id == m->gpt.losses) return look_at(m, id, a->first_sequence, a->sequences, bad, e);
    if (t->role == ROLE_ACT && t->dim[0] == g->micro_batch) all = all / g->micro_batch * a->sequences;
    return look_at(m, id, 0, all, bad, e);
}

/* "the gradient of transformer.h.0.ln_1.weight", "qkv[3]" */
static void name_tensor(const graph *g, tensor_id id, char *text, size_t size) {
    const tensor *t = &g->tensors[id];
    char name[128];
    if (t->role == ROLE_GRAD && t->of)
        snprintf(text, size, "the gradient of %s", gpt_param_name(g, t->of, name, sizeof name));
    else
        snprintf(text, size, "%s", tensor_print(t, name, sizeof name));
}

static status look_at_outputs(model *m, const op *o, const step_args *a, char *text, size_t size, bool *bad, error *e) {
    const graph *g = m->gpt.graph;
    const op_info *info = op_describe(o->code);
    char name[200];
    for (int i = 0; i < info->arguments && !*bad; i++) {
        if (!o->arg[i] || info->access[i] == 'R' || g->tensors[o->arg[i]].type == TYPE_INT32) continue;
        TRY(look_at_written(m, o, o->arg[i], a, bad, e));
        if (!*bad) continue;
        name_tensor(g, o->arg[o->code == OP_SUM_SQUARES ? 1 : i], name, sizeof name);
        if (o->code == OP_SUM_SQUARES)
            snprintf(text, size, "the sum of squares of %s", name);
        else {
            int layer = g->tensors[o->arg[i]].layer < 0 ? o->attr.layer : -1; /* -1: the tensor's name has it already */
            char where[32] = "";
            if (layer >= 0) snprintf(where, sizeof where, " in layer %d", layer);
            snprintf(text, size, "%s (made by %s%s, sequences %d to %d of the step)", name, info->name, where,
                     a->first_sequence, a->first_sequence + a->sequences - 1);
        }
    }
    return OK;
}

static status run_ops(model *m, span ops, const step_args *a, char *text, size_t size, bool *bad, error *e) {
    const graph *g = m->gpt.graph;
    for (int i = ops.first; i < ops.end && !*bad; i++) {
        if (g->ops[i].code == OP_ADAMW) break; /* the weights are not to be changed */
        TRY(m->backend->run(m->backend, (span){i, i + 1}, a, e));
        TRY(look_at_outputs(m, &g->ops[i], a, text, size, bad, e));
    }
    return OK;
}

static status run_again(model *m, span what, const batch *b, const step_settings *s, char *text, size_t size, bool *bad,
                        error *e) {
    const graph *g = m->gpt.graph;
    bool training = what.first == g->micro.first;
    step_args a = {.length = m->run.length, .step = s->step, .seed = s->seed};
    int shards = training ? gpt_shards(&m->run) : 1;
    if (training) TRY(m->backend->run(m->backend, g->begin, &a, e));
    TRY(model_upload(m, b, e));
    for (int k = 0; k < shards && !*bad; k++) {
        int64_t first = gpt_shard(b->sequences, shards, k), end = gpt_shard(b->sequences, shards, k + 1);
        if (training) TRY(m->backend->run(m->backend, g->shard_begin, &a, e));
        for (; first < end && !*bad; first += a.sequences) {
            TRY(model_load(m, b, s, first, end, model_inverse(b), &a, e));
            TRY(run_ops(m, what, &a, text, size, bad, e));
        }
        if (training) TRY(run_ops(m, g->shard_end, &a, text, size, bad, e));
    }
    return training ? run_ops(m, g->finish, &a, text, size, bad, e) : OK;
}

status nonfinite_find(model *m, span what, const batch *b, const step_settings *s, char *text, size_t size, error *e) {
    bool bad = false;
    char name[128];
    for (tensor_id p = 1; p <= m->gpt.n_params && !bad; p++) {
        TRY(look_at(m, p, 0, tensor_elements(&m->gpt.graph->tensors[p]), &bad, e));
        if (bad) snprintf(text, size, "the weight %s", gpt_param_name(m->gpt.graph, p, name, sizeof name));
    }
    if (!bad) TRY(run_again(m, what, b, s, text, size, &bad, e));
    if (!bad)
        snprintf(text, size, "%s",
                 processes_count() > 1 ? "what another process computed, or in the sum of all"
                                       : "none when the step was run again (is the device reliable?)");
    return OK;
}
