/* fit.h: finds the micro-batch and recompute policy that fit under a memory cap and keep the effective batch. Pure
   arithmetic: touches no device. */
#ifndef SNUG_FIT_H
#define SNUG_FIT_H

#include "graph/backend_type.h"
#include "graph/gpt.h"
#include "graph/recompute.h"

typedef struct {
    gpt_shape shape;
    gpt_run run;          /* sequences: the effective batch. micro_batch, recompute and one_upload are to be found */
    memory_limits limits; /* the cap among them; 0: any size fits */
    const backend_type *type; /* whose ops' working space is counted */
    cost_model cost;
    int micro_batch;                /* 0 = to be found */
    const recompute_policy *policy; /* NULL = to be found */
} fit_request;

typedef struct {
    int micro_batch;
    const recompute_policy *policy;
    bool one_upload;     /* tokens and targets of the whole step are on the device at once */
    bool parts_are_even; /* the micro-batch divides the effective batch */
    uint64_t peak;       /* the plan's total */
    double seconds;      /* of a step, by the cost model */
    double flops;        /* of a step */
} fit_option;

/* By how many per cent the choice may be slower than the fastest in order to save memory, since a full card is no
   better than one with room. */
#define FIT_SLACK 3

/* Chooses among all that fit and whose predicted time is within FIT_SLACK of the least: even splits before uneven ones,
   then those with room for a whole step's tokens, then the smallest peak. NO_MEMORY: nothing fits, and *best is the
   smallest that there is. BAD_INPUT: a tensor is larger than the device's largest allocation. */
status fit_choose(const fit_request *r, fit_option *best, error *e);
/* Peak, time and operations of one setting, given o->micro_batch and o->policy; with the whole step's tokens if that
   fits, else with a micro-batch's. fit_measure_as: o->one_upload is given as well. */
status fit_measure(const fit_request *r, fit_option *o, error *e);
status fit_measure_as(const fit_request *r, fit_option *o, error *e);
/* True only where no plan of the setting can fit: far quicker to say than what the plan needs. */
bool fit_is_hopeless(const fit_request *r, int micro_batch, const recompute_policy *policy);
/* r->run with what o has chosen, for gpt_build and model_open. */
gpt_run fit_run(const fit_request *r, const fit_option *o);
/* The graph and the plan of one setting, to draw or dump them; the caller frees both, by plan_free and gpt_free. */
status fit_plan(const fit_request *r, const fit_option *o, gpt *m, plan *p, error *e);
/* "micro-batch 8 x 64, recompute gelu, 4.91 of 12.00 GiB" */
char *fit_print(const fit_request *r, const fit_option *o, char *text, size_t size);

#endif
