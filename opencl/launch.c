/* launch.c: the backend's programs and kernels, and how one is enqueued. */
#include "opencl/product.h"
#include "opencl/ops.h"
#include <stdio.h>
#include <string.h>

/* ---- launching ---- */

cl_uint8 op_dropout(const opencl *b) {
    const op_attr *a = &b->op->attr;
    float scale = (float)(1 / (1 - a->dropout));
    cl_uint bits, layer = a->layer < 0 ? 0 : (cl_uint)a->layer;
    memcpy(&bits, &scale, sizeof bits);
    return (cl_uint8){.s = {(cl_uint)b->args.seed, (cl_uint)(b->args.seed >> 32), (cl_uint)b->args.step,
                            (cl_uint)b->args.first_sequence, (cl_uint)a->site, layer,
                            (cl_uint)(uint64_t)(a->dropout * 4294967296.0), bits}};
}

static const char *const kernel_function[KERNEL_COUNT] = {
#define X(program, name) #name,
    KERNELS(X)
#undef X
};
static const program_id kernel_program[KERNEL_COUNT] = {
#define X(program, name) PROGRAM_##program,
    KERNELS(X)
#undef X
};

/* A line for people, since what is too large is the micro-batch. The device itself would say CL_OUT_OF_RESOURCES, or
   nothing, at some launch. */
status kernel_fits(const opencl *b, cl_kernel kernel, const char *name, const kernel_grid *grid, error *e) {
    const device_info *d = &b->device.info;
    size_t lanes = 1, most = 0;
    cl_ulong local = 0;
    for (int i = 0; i < 3; i++) {
        size_t groups = grid->global[i] / grid->local[i];
        lanes *= grid->local[i];
        if (groups > d->groups[i])
            return fail(e, BAD_INPUT,
                        "%s needs %zu work-groups in dimension %d, and '%s' takes %zu: use a smaller "
                        "--micro_batch_size",
                        name, groups, i, d->name, d->groups[i]);
    }
    CL(&b->device, clGetKernelWorkGroupInfo(kernel, d->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL));
    CL(&b->device, clGetKernelWorkGroupInfo(kernel, d->id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL));
    if (most > d->group) most = d->group;
    if (lanes > most)
        return fail(e, BAD_INPUT, "%s needs work-groups of %zu, and '%s' takes %zu there: use --device=cpu", name,
                    lanes, d->name, most);
    if (local > d->local)
        return fail(e, BAD_INPUT, "%s needs %llu bytes of local memory, and '%s' has %llu: use --device=cpu", name,
                    (unsigned long long)local, d->name, (unsigned long long)d->local);
    return OK;
}

status kernel_run(opencl *b, kernel_id k, kernel_grid grid, int count, const kernel_arg *args, error *e) {
    cl_kernel kernel = b->kernel[k];
    if (b->listing) return OK;
    cl_uint n = 0;
    for (int i = 0; i < count; i++) {
        const kernel_arg *a = &args[i];
        if (b->dry && a->block && a->bf16 != (a->is_act && has_act16(b)))
            return fail(e, FAILED, "%s: argument %d is%s stored as bf16: a bug", kernel_function[k], i,
                        a->bf16 ? "" : " not");
        if (a->block) CL(&b->device, clSetKernelArg(kernel, n++, sizeof a->block, &a->block));
        const void *value = a->pointer ? a->pointer : &a->number;
        CL(&b->device, clSetKernelArg(kernel, n++, a->block ? sizeof a->number.u : a->size, value));
    }
    if (b->dry) return kernel_fits(b, kernel, kernel_function[k], &grid, e);
    if (b->base.products_only) return OK;
    b->base.launches++;
    int code = clEnqueueNDRangeKernel(b->device.queue, kernel, 3, NULL, grid.global, grid.local, 0, NULL, NULL);
    return device_check(&b->device, code, kernel_function[k], __FILE__, __LINE__, e);
}

/* ---- programs ---- */

void programs_drop(opencl *b) {
    for (int p = 0; p < PROGRAM_COUNT; p++) {
        if (b->program[p]) clReleaseProgram(b->program[p]);
        b->program[p] = NULL;
    }
}

#define OPTIONS_ALL "-cl-std=CL1.2 -Du32=uint -Du64=ulong"

status programs_build_common(opencl *b, error *e) {
    static const char *const sources[] = {"philox.h", "bf16.cl", "prelude.cl", "gelu.cl",
                                          "norm.cl",  "gemm.cl", "vocab.cl",   "elementwise.cl"};
    char options[128];
    snprintf(options, sizeof options, OPTIONS_ALL " -DSERIAL=%d -DACT16=%d -DPARTIAL_ROWS=%d -DBIAS_ROWS=%d", b->serial,
             has_act16(b), PARTIAL_ROWS, BIAS_ROWS);
    return device_build(&b->device, sources, 8, options, &b->program[PROGRAM_COMMON], e);
}

/* ---- kernels ---- */

status kernels_make(opencl *b, error *e) {
    for (int k = 0; k < KERNEL_COUNT; k++) {
        cl_int code;
        if (!b->program[kernel_program[k]]) continue;
        b->kernel[k] = clCreateKernel(b->program[kernel_program[k]], kernel_function[k], &code);
        TRY(device_check(&b->device, code, kernel_function[k], __FILE__, __LINE__, e));
    }
    return b->own_products ? product_make_kernels(b, e) : OK;
}

void kernels_drop(opencl *b) {
    for (int k = 0; k < KERNEL_COUNT; k++) {
        if (b->kernel[k]) clReleaseKernel(b->kernel[k]);
        b->kernel[k] = NULL;
    }
    product_drop_kernels(b);
}
