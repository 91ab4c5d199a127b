/* cpu.h: what the function of an op is called with, the tables of these functions, and lanes. */
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
    int lanes;  /* how many lanes the arena is divided into; 1: it is not divided */
    lane *lane; /* the lane whose sequences this call works on, in one thread. NULL: it works on all sequences, and
                   threads share the op's loops */
} cpu_call;

typedef void cpu_function(const cpu_call *c);
/* Indexed by op code, for float and for double. */
extern cpu_function *const cpu_functions_f32[OP_COUNT], *const cpu_functions_f64[OP_COUNT];

/* Operations a second that OpenBLAS itself reaches in c[m,n] = a[m,k] b[k,n] with the threads it is set to; the median
   of seven runs. */
double cpu_gemm_rate_f32(int64_t m, int64_t n, int64_t k);
double cpu_gemm_rate_f64(int64_t m, int64_t n, int64_t k);

/* Several short sequences may have their logits in memory together, up to this many numbers. */
enum { HEAD_LOGITS = 1 << 18 };
/* How many sequences each lane takes through the head at once. In a small model several give every thread something to
   do; a larger model gains nothing from more than one. */
static inline int head_pieces(const graph *g, int64_t vocabulary, int lanes) {
    int64_t pieces = g->batch_invariant ? HEAD_ROWS / g->length : 1, most = HEAD_LOGITS / (g->length * vocabulary);
    if (pieces > most) pieces = most;
    if (pieces > g->micro_batch) pieces = g->micro_batch;
    return pieces < lanes ? 1 : (int)pieces / lanes;
}
/* Bytes of working space that HEAD or HEAD_LOSS needs for the logits and losses of so many sequences. */
uint64_t cpu_head_bytes(const graph *g, const op *o, size_t real_bytes, int lanes);
/* SUM_SQUARES adds up as many elements at a time, and then these sums: a constant, so that threads change no bit. */
enum { SUM_TILE = 65536 };

/* Dimension d of argument i. */
static inline int64_t dim(const cpu_call *c, int i, int d) { return c->g->tensors[c->o->arg[i]].dim[d]; }
/* The rows of this call: one for each position of each of its sequences. */
static inline int64_t rows_of(const cpu_call *c) { return (int64_t)c->step->sequences * c->step->length; }
/* A piece is what a reduction over tokens takes at once: one sequence in batch-invariant graphs (R6), else the whole
   micro-batch. How many pieces there are, and the rows of one. */
static inline int pieces(const cpu_call *c) { return c->g->batch_invariant ? c->step->sequences : 1; }
static inline int64_t piece_rows(const cpu_call *c) { return rows_of(c) / pieces(c); }

/* ---- lanes: see lanes.c ---- */

/* Into how many lanes the micro-batch is divided on `threads` threads, each lane being one thread's work; 1: lanes are
   not used. All lanes get equally many sequences, so that 12 go into 4, 6 or 12 lanes, but not into 5. */
int lanes_choose(const graph *g, const plan *p, size_t real_bytes, int threads);
/* The offset of lane l's part of a tensor that the plan puts at `offset` in a block of block_bytes. */
uint64_t lane_offset(uint64_t block_bytes, uint64_t offset, int lanes, int l);

/* The state of `lanes` lanes. lanes_start sets it to the beginning of a span; lane_of is the state of lane l. */
lane *lanes_new(int lanes);
void lanes_free(lane *all, int lanes);
void lanes_start(lane *all, int lanes);
lane *lane_of(lane *all, int l);
/* Lanes add their sequences to a gradient in order. lane_wait waits until the lane before has added its own to part
   `part` of this op's gradient; lane_pass lets the next lane go on there. Without lanes both do nothing. */
void lane_wait(const cpu_call *c, int64_t part);
void lane_pass(const cpu_call *c, int64_t part);
/* The last part of every op: waiting for it means waiting until the lane before is done with the whole op. */
enum { LANE_ALL = 1 << 20 };

#endif
