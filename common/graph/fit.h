/* fit.h: from a memory cap to (micro-batch, recompute policy) that keep the effective batch. Pure arithmetic: touches
 * no device. */
#ifndef SNUG_FIT_H
#define SNUG_FIT_H

#include "graph/backend_type.h"
#include "graph/gpt.h"
#include "graph/recompute.h"

typedef struct {
    gpt_shape shape;
    gpt_run run;          /* micro_batch, recompute and one_upload are what is sought; sequences: the effective batch */
    memory_limits limits; /* with the cap; 0 = any size fits */
    const backend_type *type; /* whose working space counts */
    cost_model cost;
    int micro_batch;                /* 0 = to be found */
    const recompute_policy *policy; /* NULL = to be found */
} fit_request;

typedef struct {
    int micro_batch;
    const recompute_policy *policy;
    bool one_upload;     /* tokens and targets of the whole step lie on the device */
    bool parts_are_even; /* the micro-batch divides the effective batch */
    uint64_t peak;       /* the plan's total */
    double seconds;      /* of a step, by the cost model */
    double flops;        /* of a step */
} fit_option;

/* Per cent above the least predicted time that the choice may take to save memory: a full card buys nothing. */
#define FIT_SLACK 3

/* The smallest peak among those within FIT_SLACK of the least predicted time of all that fit, even splits before uneven
   ones, and then those with room for a whole step's tokens before the others. NO_MEMORY: nothing fits; *best is then
   the smallest there is. BAD_INPUT: a tensor is larger than the device's largest allocation. */
status fit_choose(const fit_request *r, fit_option *best, error *e);
/* Peak, time and operations of one setting (o->micro_batch and o->policy are given): with the whole step's tokens where
   that fits, else with a micro-batch's. fit_measure_as: o->one_upload is given too. */
status fit_measure(const fit_request *r, fit_option *o, error *e);
status fit_measure_as(const fit_request *r, fit_option *o, error *e);
/* True only where no plan of the setting can fit: far quicker to say than what the plan needs. */
bool fit_is_hopeless(const fit_request *r, int micro_batch, const recompute_policy *policy);
/* r->run as o has it: what gpt_build and model_open take. */
gpt_run fit_run(const fit_request *r, const fit_option *o);
/* The graph and plan of one setting, for whoever draws or dumps it; plan_free and gpt_free by the caller. */
status fit_plan(const fit_request *r, const fit_option *o, gpt *m, plan *p, error *e);
/* "micro-batch 8 x 64, recompute gelu, 4.91 of 12.00 GiB" */
char *fit_print(const fit_request *r, const fit_option *o, char *text, size_t size);

#endif
