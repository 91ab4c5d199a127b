/* step_time.h: predicts a step's seconds from its graph. Pure arithmetic. */
#ifndef SNUG_STEP_TIME_H
#define SNUG_STEP_TIME_H

#include "graph/cost.h"
#include "graph/gpt.h"

/* The ops of a step, those that cost the same once: layers repeat, so there are few. */
typedef struct {
    const op *example;
    int in_step, in_shard, in_micro; /* how often the like of it runs once a step, a shard, and a micro-batch */
} op_class;
typedef struct {
    const graph *g;
    op_class *classes;
    int n, room;
} step_ops;

/* Of g, which has to outlive it; free(classes) by the caller. */
step_ops step_ops_of(const graph *g);
/* The seconds of run's step in micro-batches of k, of which the last of each shard may be short; and its operations.
   The graph may be of any micro-batch: operations and traffic are functions of sequences. */
double step_seconds(const step_ops *ops, const gpt_run *run, int k, const cost_model *c, size_t real_bytes,
                    double *flops);

#endif
