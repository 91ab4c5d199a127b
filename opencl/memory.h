/* memory.h: the cap. The only place that creates buffers: it counts them, refuses past the cap, and refuses everything
   once bind is over. Knows tensors only as slots of a plan. */
#ifndef SNUG_MEMORY_H
#define SNUG_MEMORY_H

#include "opencl/device/cl.h"
#include "graph/plan.h"

typedef struct {
    device *d;
    uint64_t cap;        /* 0: none */
    uint64_t live, peak; /* bytes in buffers, now and at most */
    bool sealed;
    cl_mem *block; /* plan->n_blocks */
    int n_blocks;
    cl_mem *tensor; /* by tensor_id: a sub-buffer of its block; NULL for those that no op uses */
    int n_tensors;
    const graph *graph;
    const plan *plan;
} memory;

/* Takes the plan's blocks, fills every byte with zeros, waits for it (lazy drivers refuse only then), makes the
   tensors' sub-buffers, and seals. NO_MEMORY: past the cap, or the device refuses; nothing is held then. */
status memory_reserve(memory *m, device *d, const graph *g, const plan *p, uint64_t cap, error *e);
void memory_release(memory *m);

/* A range of a tensor as CLBlast likes it: at offset 0 of a buffer of its own. */
typedef struct {
    cl_mem buffer;
    size_t offset; /* in elements of 4 bytes; 0 unless the range starts at no multiple of the alignment */
    bool owned;    /* released by memory_drop */
} memory_range;
/* bytes from `at`, which is a multiple of 4, in tensor t; or more than it has, where its neighbours in the block are
   meant too. Takes no device memory. */
status memory_slice(memory *m, tensor_id t, uint64_t at, uint64_t bytes, memory_range *r, error *e);
/* May follow right after the enqueue: OpenCL keeps what queued commands use. */
void memory_drop(memory_range *r);

#endif
