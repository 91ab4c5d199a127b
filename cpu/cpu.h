/* cpu.h: what an op's function gets, and the tables of functions. */
#ifndef SNUG_CPU_H
#define SNUG_CPU_H

#include "graph/graph.h"
#include "graph/plan.h"

typedef struct lane lane;

typedef struct {
    const graph *g;
    const op *o;
    void *arg[MAX_ARGUMENTS]; /* NULL: none */
    void *scratch;
    const step_args *step;
    int lanes;  /* that the arena is divided into; 1: none */
    lane *lane; /* whose sequences these are; NULL: all that there are, and the op's loops are shared out to threads */
} cpu_call;

typedef void cpu_function(const cpu_call *c);
/* By op code. */
extern cpu_function *const cpu_functions_f32[OP_COUNT], *const cpu_functions_f64[OP_COUNT];

/* Operations a second of OpenBLAS's own c[m,n] = a[m,k] b[k,n], with the threads it is set to: the median of seven. */
double cpu_gemm_rate_f32(int64_t m, int64_t n, int64_t k);
double cpu_gemm_rate_f64(int64_t m, int64_t n, int64_t k);

/* Rows of the head's chunk: a constant, so that fitting cannot change bits (R7). */
enum { HEAD_ROWS = 256 };
/* Logits of several short sequences exist at once as long as they are no more than these. */
enum { HEAD_LOGITS = 1 << 18 };
/* How many sequences that is in all lanes, and of those a lane's: so that the head of a small model has work for every
   thread. Larger ones gain nothing from it. */
static inline int head_pieces(const graph *g, int64_t vocabulary, int lanes) {
    int64_t pieces = g->batch_invariant ? HEAD_ROWS / g->length : 1, most = HEAD_LOGITS / (g->length * vocabulary);
    if (pieces > most) pieces = most;
    if (pieces > g->micro_batch) pieces = g->micro_batch;
    return pieces < lanes ? 1 : (int)pieces / lanes;
}
/* Bytes that HEAD or HEAD_LOSS needs for the logits of head_pieces. */
uint64_t cpu_head_bytes(const graph *g, const op *o, size_t real_bytes, int lanes);
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

/* ---- lanes: see lanes.c ---- */

/* How many lanes share out the sequences of this graph on `threads` threads, each a thread of its own; 1: none. They
   have equally many sequences: 12 go to 4, 6 or 12 lanes, but not to 5. */
int lanes_choose(const graph *g, const plan *p, size_t real_bytes, int threads);
/* Where lane l of `lanes` has its part of a tensor that lies at `offset` in a block of block_bytes. */
uint64_t lane_offset(uint64_t block_bytes, uint64_t offset, int lanes, int l);

/* For `lanes` lanes; free() gives it back. lanes_start begins a run; lane_of is lane l of it. */
lane *lanes_new(int lanes);
void lanes_start(lane *all, int lanes);
lane *lane_of(lane *all, int l);
/* Gradients take the sequences in order: lane_wait waits until the lane before has added `part` of this op to its
   gradients, and lane_pass lets the next one do so. Both do nothing outside lanes. */
void lane_wait(const cpu_call *c, int64_t part);
void lane_pass(const cpu_call *c, int64_t part);
/* A part that comes after all others of its op: waiting for it is waiting for the op. */
enum { LANE_ALL = 1 << 20 };

#endif
