/* cpu.h: what an op's function gets, and the tables of functions. */
#ifndef SNUG_CPU_H
#define SNUG_CPU_H

#include "../common/graph.h"

typedef struct {
    const graph *g;
    const op *o;
    void *arg[MAX_ARGUMENTS]; /* NULL: none */
    void *scratch;
    const step_args *step;
} cpu_call;

typedef void cpu_function(const cpu_call *c);
/* By op code. */
extern cpu_function *const cpu_functions_f32[OP_COUNT], *const cpu_functions_f64[OP_COUNT];

/* Operations a second of OpenBLAS's own c[m,n] = a[m,k] b[k,n], with the threads it is set to: the median of seven. */
double cpu_gemm_rate_f32(int64_t m, int64_t n, int64_t k);
double cpu_gemm_rate_f64(int64_t m, int64_t n, int64_t k);

/* Rows of the head's chunk: a constant, so that fitting cannot change bits (R7). */
enum { HEAD_ROWS = 256 };
/* Elements that one partial sum of SUM_SQUARES covers. */
enum { SUM_TILE = 65536 };

/* The dimension d of argument i. */
static inline int64_t dim(const cpu_call *c, int i, int d) { return c->g->tensors[c->o->arg[i]].dim[d]; }
/* All rows of this run: sequences * length. */
static inline int64_t rows_of(const cpu_call *c) { return (int64_t)c->step->sequences * c->step->length; }
/* What a reduction over tokens runs over in one go, and how many such pieces there are: a sequence in batch-invariant
   graphs (R6), else the whole micro-batch. */
static inline int pieces(const cpu_call *c) { return c->g->batch_invariant ? c->step->sequences : 1; }
static inline int64_t piece_rows(const cpu_call *c) { return rows_of(c) / pieces(c); }

#endif
