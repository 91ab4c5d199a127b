/* attention_shapes.h: in which shapes attention's kernels are built for a device, a head size and a precision.
   Launching them is opencl/attention.c's. */
#ifndef SNUG_OPENCL_ATTENTION_SHAPES_H
#define SNUG_OPENCL_ATTENTION_SHAPES_H

#include "opencl/device/cl.h"

/* SERIAL: kernels/attention.cl, for CPUs. FLOAT32: attention_gpu.cl, for every device with work-groups. TF32, BF16:
   attention_mma.cl, whose products are of inputs rounded so. */
typedef enum { ATTENTION_SERIAL, ATTENTION_FLOAT32, ATTENTION_TF32, ATTENTION_BF16 } attention_way;

/* What is wanted, and of what device. */
typedef struct {
    attention_way way; /* head sizes that attention_mma.cl has not get FLOAT32 */
    int head_size, heads;
    bool dropout;   /* kernels that can drop; others are smaller */
    bool stored16;  /* qkv, out, dout and dqkv are stored as bf16; not with TF32 */
    bool emulate;   /* TF32, BF16: no PTX (mma_ptx.cl) */
    uint64_t local; /* bytes of local memory that a group may have */
    uint64_t group; /* lanes that it may have */
    uint64_t units; /* compute units to keep busy with `sequences` sequences of `length`; 0: it doesn't matter */
    int sequences, length;
} attention_wish;

typedef struct {
    attention_way way;
    int kept[3];    /* rows that a group keeps: forward, for dq, for dk and dv */
    int lanes[3];   /* of a group */
    int sums[2];    /* rows of a streamed tile, forward and backward: with head_size and way all that bits depend on */
    uint64_t local; /* bytes of local memory, of the largest kernel; not counted for SERIAL */
    char options[320]; /* of the build; without the spelling of `asm` */
} attention_shape;

/* False when no shape fits the device's local memory. */
bool attention_shape_for(const attention_wish *wish, attention_shape *shape);
/* Builds the kernels. */
status attention_program(device *d, const attention_shape *shape, cl_program *program, error *e);

#endif
