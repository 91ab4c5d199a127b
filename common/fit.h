/* fit.h: from a memory cap to (micro-batch, recompute policy) that keep the effective batch. Pure arithmetic: touches
 * no device. */
#ifndef SNUG_FIT_H
#define SNUG_FIT_H

#include "gpt.h"
#include "plan.h"
#include "recompute.h"

/* Seconds of an op = launch + operations / rate, where the rate is the slower of arithmetic and memory: so the speed of
   a micro-batch saturates as it grows. */
typedef struct {
    double launch; /* seconds an op costs however small it is */
    double flop;   /* seconds per arithmetic operation */
    double byte;   /* seconds per byte moved */
    bool measured; /* false: ratios only */
} cost_model;
extern const cost_model cost_default_cpu, cost_default_gpu;

typedef struct {
    gpt_shape shape;
    gpt_run run;          /* micro_batch and recompute are what is sought; sequences is the effective batch */
    memory_limits limits; /* with the cap; 0 = any size fits */
    scratch_rule *scratch;
    cost_model cost;
    int micro_batch;                /* 0 = to be found */
    const recompute_policy *policy; /* NULL = to be found */
} fit_request;

typedef struct {
    int micro_batch;
    const recompute_policy *policy;
    uint64_t peak;  /* the plan's total */
    double seconds; /* of a step, by the cost model */
    double flops;   /* of a step */
} fit_option;

/* The smallest peak among those within 3 % of the least predicted time of all that fit. NO_MEMORY: nothing fits; *best
   is then the smallest there is. BAD_INPUT: a tensor is larger than the device's largest allocation. */
status fit_choose(const fit_request *r, fit_option *best, error *e);
/* Peak, time and operations of one setting (best->micro_batch and best->policy are given). */
status fit_measure(const fit_request *r, fit_option *o, error *e);
/* "micro-batch 8 x 64, recompute gelu, 4.91 of 12.00 GiB" */
char *fit_print(const fit_request *r, const fit_option *o, char *text, size_t size);

#endif
