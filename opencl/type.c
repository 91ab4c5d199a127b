/* type.c: what a plan assumes of an OpenCL device that is not open, or not even there. It has no OpenCL in it and is
   compiled in every build. */
#include "opencl/scratch.h"

/* Upper bounds: no device known to us asks for more than 4 KiB of alignment, and OpenCL 1.2 promises single allocations
   of a quarter of the device's memory. The device is taken to have at least as much memory as the cap, and at
   least 2 GiB. */
static memory_limits limits_unopened(compute_precision p, uint64_t cap) {
    uint64_t memory = cap > 2ull << 30 ? cap : 2ull << 30;
    return (memory_limits){.real_bytes = precision_table[p].real_bytes,
                           .alignment = 4096,
                           .max_block = cap ? memory / 4 : 0,
                           .cap = cap,
                           .gemm_first = p == PRECISION_FLOAT32};
}

/* The costs are those of a card of 10 TFLOP/s, whose matrix units are no faster in tf32 and twice as fast in bf16, as
   GeForce's are, on a bus of 12 GB/s (PCIe 3.0 with 16 lanes). Only their ratios are ever shown. */
#define TYPE(p, rule, own, room, times)                                                                                \
    {                                                                                                                  \
        .kind = BACKEND_OPENCL, .precision = p, .name = "opencl",                                                      \
        .planned_for = "an OpenCL GPU that need not be here", .assumed = room, .memory = "VRAM", .scratch = rule,      \
        .cost = {.launch = 10e-6,                                                                                      \
                 .flop = {1 / (times * 8e12), 1 / (times * 4e12), 1 / (times * 6e12), 1 / 4e12},                       \
                 .byte = 1 / 350e9,                                                                                    \
                 .transfer = 1 / 12e9,                                                                                 \
                 .dw_at_once = own},                                                                                   \
        .has_host = true, .limits = limits_unopened, .stored = (p) == PRECISION_BFLOAT16 ? TYPE_BF16 : TYPE_REAL       \
    }

/* Before a device is open it is not known which products it will use (product.h), so that for float32 plans have room
   for CLBlast's temporaries. */
static const backend_type types[PRECISION_COUNT] = {
    [PRECISION_FLOAT32] = TYPE(PRECISION_FLOAT32, opencl_scratch, false,
                               "products may be CLBlast's, whose temporaries have room here", 1),
    [PRECISION_TF32] = TYPE(PRECISION_TF32, opencl_scratch_own, true, "", 1),
    [PRECISION_BF16] = TYPE(PRECISION_BF16, opencl_scratch_own, true, "", 2),
    [PRECISION_BFLOAT16] = TYPE(PRECISION_BFLOAT16, opencl_scratch_own, true, "", 2),
};
static const backend_type own_float32 = TYPE(PRECISION_FLOAT32, opencl_scratch_own, true, "", 1);

const backend_type *opencl_type(compute_precision p) { return types[p].scratch ? &types[p] : NULL; }
const backend_type *opencl_type_own(compute_precision p) { return p == PRECISION_FLOAT32 ? &own_float32 : &types[p]; }
