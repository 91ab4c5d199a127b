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
    bool may_offload;                  /* run.offload may be raised where nothing fits with it */
    int micro_batch;                   /* 0 = to be found */
    const recompute_policy *policy;    /* NULL = to be found */
    int layers;                        /* that the policy given is for, the first ones; 0 = all */
    const struct fit_option *known[2]; /* what was measured by a request that asks for the same training; or NULL */
} fit_request;

typedef struct fit_option {
    int micro_batch;
    const recompute_policy *policy;
    int layers;          /* that the policy is for, the first ones; the others keep everything. 0 = it is for all */
    bool one_upload;     /* tokens and targets of the whole step are on the device at once */
    bool parts_are_even; /* the micro-batch divides the effective batch, and each shard of it */
    offload_policy offload;
    uint64_t peak, host; /* the plan's total, and its host_total */
    double seconds;      /* of a step, by the cost model */
    double flops;        /* of a step */
} fit_option;

/* Predicted times are right to some 5 %, so that settings as close to each other as that count as equally fast. */
#define FIT_NOISE_PERCENT 5
/* A policy for some layers has to save that much of a step: its time is compared with others that differ in nothing but
   how often a layer is computed, so that it is known better than that. */
#define FIT_GAIN_PERCENT 1
/* A choice leaves one part in so many of the cap free; of memory that other programs share (limits.cap_is_shared), one
   in FIT_RESERVE_SHARED. */
#define FIT_RESERVE 5
#define FIT_RESERVE_SHARED 2

/* Chooses as people would: among all that are within the noise of the fastest that fits, the largest micro-batch with
   the least recomputation that leaves the reserve free, since few sequences use a device badly, which the cost model
   does not know: a GPU's units stay idle, and so do a CPU's threads, which share sequences where models are small. A
   divisor of the effective batch is taken before any other that is less than twice as large, and sizes that need as
   many micro-batches as a smaller one are left out. Where none of them leaves the reserve, or where there is no cap:
   the least memory. All that is with one policy for all layers. Then, at that micro-batch and with the same bytes left
   free, a policy may be for the first layers alone, as few as fit, where that saves FIT_GAIN_PERCENT of the fastest
   that fits with one for all. Nothing is taken to the host's memory (r->may_offload) unless nothing fits without, since
   transfers cost time at every step. NO_MEMORY: nothing fits, and *best is the smallest that there is. BAD_INPUT: a
   tensor is larger than the device's largest allocation. */
status fit_choose(const fit_request *r, fit_option *best, error *e);
/* Does a plan of so many bytes leave the reserve free? Never where there is no cap. */
bool fit_leaves_reserve(const fit_request *r, uint64_t bytes);
/* Peak, time and operations of one setting, given o->micro_batch, o->policy and o->layers; with the whole step's tokens
   if that fits, else with a micro-batch's. fit_measure_as: o->one_upload is given as well. */
status fit_measure(const fit_request *r, fit_option *o, error *e);
status fit_measure_as(const fit_request *r, fit_option *o, error *e);
/* How many micro-batches of that size, or smaller, a step has: none crosses a shard. */
int64_t fit_parts(const fit_request *r, int micro_batch);
/* r->run with what o has chosen, for gpt_build and model_open. */
gpt_run fit_run(const fit_request *r, const fit_option *o);
/* The graph of one setting and its plan, or of that the lifetimes alone; the caller frees both, by plan_free and
   gpt_free. */
status fit_plan(const fit_request *r, const fit_option *o, gpt *m, plan *p, error *e);
status fit_lifetimes(const fit_request *r, const fit_option *o, gpt *m, plan *p, error *e);
/* "micro-batch 8 x 64, recompute gelu, 4.91 of 12.00 GiB" */
char *fit_print(const fit_request *r, const fit_option *o, char *text, size_t size);
/* The same micro-batch and the same policy for the same layers? */
bool fit_same_setting(const fit_option *a, const fit_option *b);
/* NO_MEMORY, with a line that says how much is missing for o, the smallest that there is, and which cap would do. */
status fit_refuse(const fit_request *r, const fit_option *o, error *e);

#endif
