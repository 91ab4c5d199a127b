/* type.c: what a plan takes for granted about an OpenCL device that is not open, or not even there. Compiled in every
   build: no OpenCL here. */
#include "opencl/scratch.h"

/* Upper bounds: no device known to us asks for more than 4 KiB of alignment, and OpenCL 1.2 promises single
   allocations of a quarter of the device's memory. That is the cap at least, and 2 GiB on any card worth the name. */
static memory_limits limits_unopened(compute_precision p, uint64_t cap) {
    uint64_t memory = cap > 2ull << 30 ? cap : 2ull << 30;
    return (memory_limits){.real_bytes = precision_table[p].real_bytes,
                           .alignment = 4096,
                           .max_block = cap ? memory / 4 : 0,
                           .cap = cap,
                           .gemm_first = p != PRECISION_TF32};
}

/* The costs are those of a card of 10 TFLOP/s. Only their ratios are ever shown. */
#define TYPE(p, rule)                                                                                                  \
    {                                                                                                                  \
        .kind = BACKEND_OPENCL, .precision = p, .name = "opencl",                                                      \
        .planned_for = "an OpenCL GPU that need not be here", .memory = "VRAM", .scratch = rule,                       \
        .cost = {10e-6, {1 / 8e12, 1 / 4e12, 1 / 6e12, 1 / 4e12}, 1 / 350e9, false}, .limits = limits_unopened         \
    }

/* While none is open nobody knows which products it will use (product.h): for float32 a plan has room for CLBlast's
   temporaries. */
static const backend_type types[PRECISION_COUNT] = {
    [PRECISION_FLOAT32] = TYPE(PRECISION_FLOAT32, opencl_scratch),
    [PRECISION_TF32] = TYPE(PRECISION_TF32, opencl_scratch_own),
    [PRECISION_BF16] = TYPE(PRECISION_BF16, opencl_scratch_own),
};
static const backend_type own_float32 = TYPE(PRECISION_FLOAT32, opencl_scratch_own);

const backend_type *opencl_type(compute_precision p) { return types[p].scratch ? &types[p] : NULL; }
const backend_type *opencl_type_own(compute_precision p) { return p == PRECISION_FLOAT32 ? &own_float32 : &types[p]; }
