/* opencl.h: what the rest of the program may ask of the OpenCL backend beyond backend.h. Uses no type of OpenCL's. */
#ifndef SNUG_OPENCL_H
#define SNUG_OPENCL_H

#include "graph/backend.h"
#include <stdbool.h>

/* Is there a GPU that "auto" takes? Writes a line to `why`: which one and why; or why there is none and what would
   help. */
bool opencl_has_gpu(char *why, size_t size);

/* Prints all devices with what matters of each, which one "auto" takes, and which one `selector` does, where that is
   something else. FAILED: there is none, and the selector is not "cpu". BAD_INPUT: the selector means none. */
status devices_print(const char *selector, FILE *f, error *e);

typedef struct {
    const char *selector; /* "auto", "opencl", "cuda", "opencl:1" or a part of the device's name */
    int process;  /* which of several processes of this machine asks: devices like the one chosen are shared out */
    uint64_t cap; /* as the user gave it; 0: the device's memory less a reserve */
    size_t
        min_indirect; /* m*n*k below the cube of it goes to CLBlast's direct kernel; 0: our default; 1: never direct */
    /* A backend's text of that name, to compute as it did, where this device can. NULL: what is faster here. GEMM_OWN:
       CLBlast with its own numbers, but for min_indirect. With another precision than float32 it means nothing. */
    const char *gemm;
    compute_precision precision; /* TF32, BF16: products by matrix units (product.h) */
    bool as_gpu;                 /* kernels in the shapes for GPUs, whatever the device is */
    uint64_t local; /* for tests alone: local memory of the device in bytes, where it has more; 0: as it is */
    enum { MMA_OWN, MMA_EMULATED, MMA_EMULATED_AND_PROVED } mma; /* of those, for tests alone: on any device, slowly */
    int product_tile; /* of snug's own products: 1 or 2 forces the large or the small tiles; 0: by the product's size */
} opencl_options;
#define GEMM_OWN "CLBlast"
#define PRODUCTS_OWN "own float32"
#define PRODUCTS_CLBLAST "CLBlast, tuned or not"
/* On failure e says in a line what to do: BAD_INPUT, FAILED where there is no device, NO_MEMORY under a tiny cap. */
status opencl_open(const opencl_options *o, backend **b, error *e);

/* Which float32 products a run of g's model is to use: those that are clearly faster at the shapes of its span micro,
   as measured at this model's first start on the device (seconds) and kept since; small models are not worth it. g must
   not depend on micro-batch, policy or cap. */
typedef struct {
    const char *gemm;    /* for opencl_options; NULL: as the device has it by default */
    double own, clblast; /* FLOP/s; 0: not measured */
    char text[160];      /* a line for people; "" where nothing was measured */
} opencl_choice;
status opencl_choose(const opencl_options *o, const graph *g, FILE *report, opencl_choice *c, error *e);

/* Tries for about `minutes` what makes CLBlast's products fast on this device, at the shapes that the span micro of g
   asks for. Checks each set against OpenBLAS before it counts. Keeps the best for every later run (params.h) if it is
   2 % faster than what is used without tuning, by turns; else nothing, and what was kept earlier is dropped. Says on
   `report` what it finds. Takes a few hundred MiB of device memory at most, within the cap. */
status opencl_tune(const opencl_options *o, const graph *g, double minutes, FILE *report, error *e);

/* Bytes in buffers now and at most, and how many buffers: what the allocator counted. */
typedef struct {
    uint64_t live, peak;
    int buffers;
} opencl_memory;
opencl_memory opencl_memory_now(const backend *b);

#endif
