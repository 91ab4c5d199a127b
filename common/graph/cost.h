/* cost.h: operations, bytes and seconds of an op, from shapes and a device's constants alone. */
#ifndef SNUG_COST_H
#define SNUG_COST_H

#include "graph/graph.h"

/* Arithmetic operations of one run of op o on `sequences` sequences (a multiply-add counts 2), causal attention at its
   triangle; 0 for ops that only move data. */
double op_flops(const graph *g, const op *o, int sequences);
/* Bytes that the op must read and write at least. */
double op_traffic(const graph *g, const op *o, int sequences, size_t real_bytes);

/* What an op mostly does: each has a speed of its own. */
typedef enum { WORK_MATRIX, WORK_ATTENTION, WORK_HEAD, WORK_VECTOR, WORK_KINDS } work_kind;

/* Seconds of an op = launches + the slower of its arithmetic and its traffic: so the speed of a micro-batch saturates
   as it grows. */
typedef struct {
    double launch;           /* seconds a kernel costs however small it is */
    double flop[WORK_KINDS]; /* seconds per arithmetic operation */
    double byte;             /* seconds per byte moved */
    bool measured;           /* false: stated constants, good for ratios only */
} cost_model;

work_kind cost_work(op_code code);
/* Kernels that a run of o starts: batch-invariant weight gradients take one a sequence (R6), the head some a chunk. */
double cost_launches(const graph *g, const op *o, int sequences);
double cost_seconds(const graph *g, const op *o, int sequences, size_t real_bytes, const cost_model *c);

#endif
