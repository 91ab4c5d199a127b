/* cost.h: counts an op's operations and bytes from its shapes, and predicts its seconds from a device's constants. */
#ifndef SNUG_COST_H
#define SNUG_COST_H

#include "graph/graph.h"

/* Arithmetic operations of one run of op o on `sequences` sequences. A multiply-add counts as 2; of causal attention
   only the scores that are computed count; ops that only move data have 0. */
double op_flops(const graph *g, const op *o, int sequences);
/* The bytes that the op has to read and write, if it does so only once. */
double op_traffic(const graph *g, const op *o, int sequences, size_t real_bytes);
/* The same of op o done by the launch of the op before it: without the tensor that that one has just written. */
double op_traffic_joined(const graph *g, const op *o, int sequences, size_t real_bytes);

/* What an op mostly does: each has a speed of its own. */
typedef enum { WORK_MATRIX, WORK_ATTENTION, WORK_HEAD, WORK_VECTOR, WORK_KINDS } work_kind;

/* An op takes its launches, plus its arithmetic or its traffic, whichever is slower. So sequences a second grow with
   the micro-batch, but less and less. That a GPU has many units, which few sequences leave idle, is not in it: fit
   allows for that where it chooses. */
typedef struct {
    double launch;           /* seconds a kernel costs however small it is */
    double flop[WORK_KINDS]; /* seconds per arithmetic operation */
    double byte;             /* seconds per byte moved */
    bool measured;           /* false: stated constants, from which only ratios of times may be taken */
    double transfer; /* seconds per byte between the host's memory and the device's; stated where it could not be
                        measured */
    bool busy;       /* measured while other programs kept the machine busy: rough */
    bool dw_at_once; /* weight gradients of all sequences are one launch, as snug's own products make them */
} cost_model;

work_kind cost_work(op_code code);
/* How many kernels a run of o starts: batch-invariant weight gradients one for each sequence (R6) unless the backend
   does them at once, the head several for each chunk. */
double cost_launches(const graph *g, const op *o, int sequences, const cost_model *c);
double cost_seconds(const graph *g, const op *o, int sequences, size_t real_bytes, const cost_model *c);

#endif
