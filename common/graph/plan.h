/* plan.h: decides where every tensor lies, before any memory is taken. Pure arithmetic: knows no device. */
#ifndef SNUG_PLAN_H
#define SNUG_PLAN_H

#include "graph/graph.h"

typedef struct {
    int first_op, last_op, block; /* block: of block_bytes, or of host_block_bytes where the tensor's home is there */
    uint64_t offset, bytes;
} slot; /* bytes: rounded up to the alignment */

typedef struct {
    size_t real_bytes;  /* 4 or 8 */
    size_t alignment;   /* of every slot's offset and size, in bytes; a power of two */
    uint64_t max_block; /* the largest single allocation; 0 = no limit */
    uint64_t cap;       /* 0 = none */
    bool cap_is_shared; /* the cap is not the user's, but what this machine has for all its programs */
    bool gemm_first;    /* working space of matrix products begins a block: CLBlast takes no offset for it */
} memory_limits;

typedef struct {
    slot *slots;           /* by tensor_id */
    uint64_t *block_bytes; /* each <= max_block; persistent blocks first, then the arena's */
    int n_blocks;
    uint64_t persistent;          /* bytes of the persistent blocks */
    uint64_t transient;           /* bytes of the arena's blocks */
    uint64_t transient_live_peak; /* the most bytes of transients that one op needs: no arrangement can be smaller */
    uint64_t total;               /* persistent + transient: what a backend allocates, to the byte */
    uint64_t *host_block_bytes;   /* of the host's memory, each <= max_block too; host_blocks of them */
    int host_blocks;
    uint64_t host_total; /* their sum, which no cap limits */
    int peak_op;         /* the op at which transient_live_peak is reached; -1 when there is none */
} plan;

/* Places all tensors of g. BAD_INPUT when one tensor alone is larger than max_block. Does not look at the cap, with
   which the caller compares plan.total. plan_free releases what p owns. */
status plan_make(const graph *g, const memory_limits *limits, plan *p, error *e);
void plan_free(plan *p);
/* The same but for the places of transients, which take most of the time: their sizes and lifetimes are there, and
   total is that of the persistent blocks alone. */
status plan_lifetimes(const graph *g, const memory_limits *limits, plan *p, error *e);
/* Bytes below which no plan of g can be: the persistent ones, and the transients of the op that needs most. Much faster
   than plan_make; fails as it does. */
status plan_bound(const graph *g, const memory_limits *limits, uint64_t *bytes, error *e);

/* The device's bytes that are in use while an op runs, by kind, with the persistent ones. */
void plan_alive(const graph *g, const plan *p, int op_index, uint64_t by_kind[KIND_COUNT]);

/* Checks a plan by brute force, for tests and `devices --check`: no two tensors that are in use at the same time
   overlap, none leaves its block, all are aligned, the totals add up. */
bool plan_check(const graph *g, const plan *p, const memory_limits *limits, error *e);

#endif
