/* support_plan.h: small graphs and their plans, for tests that look into them. */
#ifndef SNUG_SUPPORT_PLAN_H
#define SNUG_SUPPORT_PLAN_H

#include "graph/gpt.h"
#include "graph/plan.h"
#include "graph/recompute.h"
#include <check.h>

static const gpt_shape SMALL = {
    .layers = 3, .heads = 2, .channels = 16, .positions = 8, .vocabulary = 40, .bias = true, .norm_epsilon = 1e-5};

static inline gpt_run run_of(graph_purpose purpose, int micro_batch, int length, bool invariant, double dropout,
                             int policy) {
    return (gpt_run){.purpose = purpose,
                     .micro_batch = micro_batch,
                     .length = length,
                     .sequences = 512,
                     .batch_invariant = invariant,
                     .dropout = dropout,
                     .weight_decay = 0.1,
                     .beta1 = 0.9,
                     .beta2 = 0.95,
                     .grad_clip = 1,
                     .recompute = recompute_policies[policy].dropped};
}

static inline gpt build(const gpt_shape *shape, gpt_run run, scratch_rule *scratch) {
    gpt m;
    error e;
    ck_assert_msg(gpt_build(shape, &run, scratch, 4, &m, &e) == OK, "%s", e.text);
    return m;
}

static inline plan make(const graph *g, const memory_limits *limits) {
    plan p;
    error e;
    ck_assert_msg(plan_make(g, limits, &p, &e) == OK, "%s", e.text);
    return p;
}

/* The first op of this code from FROM on. */
static inline int find_op(const graph *g, op_code code, int from) {
    for (int i = from; i < g->n_ops; i++)
        if (g->ops[i].code == code) return i;
    ck_abort_msg("no such op");
    return -1;
}

#endif
