/* memory.h: keeps the cap. The only place that creates buffers: it counts their bytes, refuses what would pass the cap,
   and refuses everything once bind is done. Knows tensors only as slots of a plan. */
#ifndef SNUG_MEMORY_H
#define SNUG_MEMORY_H

#include "opencl/device/cl.h"
#include "graph/plan.h"

/* Memory of the host for tensors at home there (home.h). */
typedef struct {
    cl_mem buffer; /* pinned by the driver, mapped from bind to unbind, and given to no kernel; NULL: pageable memory */
    char *at;
} host_block;

typedef struct {
    device *d;
    uint64_t cap;        /* 0: none */
    uint64_t live, peak; /* bytes in buffers, now and at most */
    bool sealed;
    cl_mem *block; /* plan->n_blocks */
    int n_blocks;
    host_block *host; /* plan->host_blocks */
    int host_blocks;
    uint64_t host_live; /* bytes in them, which no cap limits */
    bool host_pageable; /* not pinned: the driver refused, or took the device's memory for it */
    const graph *graph;
    const plan *plan;
} memory;

/* Creates the plan's blocks on the device and in the host's memory, fills every byte with zeros, and waits for that,
   since drivers that allocate lazily refuse only then. After that no more buffers can be created. NO_MEMORY: the cap or
   the device refuses; BAD_INPUT: the system, for what lies in the host's memory. Nothing is held then. */
status memory_reserve(memory *m, device *d, const graph *g, const plan *p, uint64_t cap, error *e);
void memory_release(memory *m);

/* Enqueues zeros for `bytes` of a buffer from byte `at` on, both multiples of 64. wait: until they are there, so that
   what the device refuses is told. */
status memory_zero(const device *d, cl_mem buffer, uint64_t at, uint64_t bytes, bool wait, error *e);

/* Where a tensor lies: in a block, from an element on. There are no sub-buffers, since NVIDIA's driver crashes when
   many of them are released (R8). */
typedef struct {
    cl_mem block;
    uint64_t at; /* in elements, of 4 bytes, or of 2 (bf16) */
    bool bf16;
} memory_place;
/* Byte `bytes` of tensor t, whose home is the host. */
static inline char *memory_host(const memory *m, tensor_id t, uint64_t bytes) {
    const slot *s = &m->plan->slots[t];
    return m->host[s->block].at + s->offset + bytes;
}
/* The place of an element of tensor t, which has to be used by some op, and whose home is the device. */
static inline memory_place memory_find(const memory *m, tensor_id t, uint64_t element) {
    const slot *s = &m->plan->slots[t];
    bool bf16 = m->graph->tensors[t].type == TYPE_BF16;
    return (memory_place){m->block[s->block], s->offset / (bf16 ? 2 : 4) + element, bf16};
}

#endif
