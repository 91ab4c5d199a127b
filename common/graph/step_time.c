/* step_time.c: see step_time.h. */
#include "graph/step_time.h"
#include <stdlib.h>
#include <string.h>

/* Costs are told from code, roles, types, homes and shapes alone (cost.h). */
static bool costs_the_same(const graph *g, const op *a, const op *b) {
    if (a->code != b->code) return false;
    for (int i = 0; i < op_describe(a->code)->arguments; i++) {
        const tensor *x = &g->tensors[a->arg[i]], *y = &g->tensors[b->arg[i]];
        if (!a->arg[i] != !b->arg[i] || x->role != y->role || x->type != y->type || x->home != y->home ||
            x->rank != y->rank || memcmp(x->dim, y->dim, sizeof x->dim[0] * (size_t)x->rank) != 0)
            return false;
    }
    return true;
}

typedef enum { IN_STEP, IN_SHARD, IN_MICRO } how_often;

static void add_span(step_ops *ops, span s, how_often often) {
    for (int i = s.first; i < s.end; i++) {
        const op *o = &ops->g->ops[i];
        int c = 0;
        while (c < ops->n && !costs_the_same(ops->g, ops->classes[c].example, o)) c++;
        if (c == ops->room) {
            ops->room = ops->room ? 2 * ops->room : 64;
            ops->classes = xrealloc(ops->classes, sizeof *ops->classes * (size_t)ops->room);
        }
        if (c == ops->n) ops->classes[ops->n++] = (op_class){.example = o};
        op_class *its = &ops->classes[c];
        *(often == IN_MICRO ? &its->in_micro : often == IN_SHARD ? &its->in_shard : &its->in_step) += 1;
    }
}

step_ops step_ops_of(const graph *g) {
    step_ops ops = {.g = g};
    add_span(&ops, g->micro, IN_MICRO);
    add_span(&ops, g->begin, IN_STEP);
    add_span(&ops, g->finish, IN_STEP);
    add_span(&ops, g->shard_begin, IN_SHARD);
    add_span(&ops, g->shard_end, IN_SHARD);
    return ops;
}

double step_seconds(const step_ops *ops, const gpt_run *run, int k, const cost_model *c, size_t real_bytes,
                    double *flops) {
    const int shards = gpt_shards(run);
    const int ranks = gpt_ranks(run);
    const int64_t n = run->sequences, least = n / shards;
    int64_t larger = 0, own = 0; /* of this process' shards, which have `least` sequences or one more */
    for (int s = run->rank; s < shards; s += ranks, own++)
        larger += gpt_shard(n, shards, s + 1) - gpt_shard(n, shards, s) > least;
    const struct {
        int sequences;
        double times; /* that a micro-batch of so many runs */
    } parts[] = {
        {k, (double)(larger * ((least + 1) / k) + (own - larger) * (least / k))},
        {(int)((least + 1) % k), (least + 1) % k ? (double)larger : 0},
        {(int)(least % k), least % k ? (double)(own - larger) : 0},
    };
    double seconds = 0;
    *flops = 0;
    for (int i = 0; i < ops->n; i++) {
        const op *o = ops->classes[i].example;
        for (int p = 0; p < 3 && ops->classes[i].in_micro; p++) {
            double times = parts[p].times * ops->classes[i].in_micro;
            if (times == 0) continue;
            seconds += times * cost_seconds(ops->g, o, parts[p].sequences, real_bytes, c);
            *flops += times * op_flops(ops->g, o, parts[p].sequences);
        }
        double once = ops->classes[i].in_step + (double)own * ops->classes[i].in_shard;
        if (once == 0) continue;
        seconds += once * cost_seconds(ops->g, o, 0, real_bytes, c);
        *flops += once * op_flops(ops->g, o, 0);
    }
    return seconds;
}
