/* backend.c: the OpenCL backend behind backend.h: open, bind, run, write, read, close. The ops are in files of their
   own. One in-order queue; run only enqueues, read waits. */
#include "opencl/opencl.h"
#include "opencl/product.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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

status kernel_run(opencl *b, kernel_id k, kernel_grid grid, int count, const kernel_arg *args, error *e) {
    cl_kernel kernel = b->kernel[k];
    if (b->listing) return OK;
    cl_uint n = 0;
    for (int i = 0; i < count; i++) {
        const kernel_arg *a = &args[i];
        if (a->block) CL(&b->device, clSetKernelArg(kernel, n++, sizeof a->block, &a->block));
        const void *value = a->pointer ? a->pointer : &a->number;
        CL(&b->device, clSetKernelArg(kernel, n++, a->block ? sizeof a->number.u : a->size, value));
    }
    if (b->dry || b->base.products_only) return OK;
    b->base.launches++;
    int code = clEnqueueNDRangeKernel(b->device.queue, kernel, 3, NULL, grid.global, grid.local, 0, NULL, NULL);
    return device_check(&b->device, code, kernel_function[k], __FILE__, __LINE__, e);
}

/* ---- programs ---- */

static status make_kernels(opencl *b, program_id program, error *e) {
    for (int k = 0; k < KERNEL_COUNT; k++) {
        cl_int code;
        if (kernel_program[k] != program) continue;
        b->kernel[k] = clCreateKernel(b->program[program], kernel_function[k], &code);
        TRY(device_check(&b->device, code, kernel_function[k], __FILE__, __LINE__, e));
    }
    return OK;
}

#define OPTIONS_ALL "-cl-std=CL1.2 -Du32=uint -Du64=ulong"

static status build_common(opencl *b, error *e) {
    static const char *const sources[] = {"philox.h", "prelude.cl", "gelu.cl",       "norm.cl",
                                          "gemm.cl",  "vocab.cl",   "elementwise.cl"};
    char options[128];
    snprintf(options, sizeof options, OPTIONS_ALL " -DSERIAL=%d -DPARTIAL_ROWS=%d -DBIAS_ROWS=%d", b->serial,
             PARTIAL_ROWS, BIAS_ROWS);
    TRY(device_build(&b->device, sources, 7, options, &b->program[PROGRAM_COMMON], e));
    return make_kernels(b, PROGRAM_COMMON, e);
}

static void drop_program(opencl *b, program_id program) {
    for (int k = 0; k < KERNEL_COUNT; k++)
        if (kernel_program[k] == program && b->kernel[k]) {
            clReleaseKernel(b->kernel[k]);
            b->kernel[k] = NULL;
        }
    if (b->program[program]) clReleaseProgram(b->program[program]);
    b->program[program] = NULL;
}

/* attention.cl is built for the graph's head size; a graph has one. */
static status build_attention(opencl *b, const graph *g, error *e) {
    const char *const sources[] = {"philox.h", "prelude.cl", b->serial ? "attention.cl" : "attention_lanes.cl"};
    int D = 0;
    for (int i = 0; i < g->n_ops; i++) {
        const op *o = &g->ops[i];
        if (o->code != OP_ATTENTION && o->code != OP_ATTENTION_DX) continue;
        int64_t C = g->tensors[o->arg[o->code == OP_ATTENTION ? 0 : 1]].dim[2];
        int size = (int)(C / o->attr.heads);
        if (D && size != D) return fail(e, FAILED, "OpenCL: a graph with head sizes %d and %d", D, size);
        D = size;
    }
    if (!D) return OK;
    attention_tiles t;
    if (!attention_tiles_for(D, b->serial, &t))
        return fail(e, BAD_INPUT,
                    "heads of %d channels are too large for the OpenCL backend; use more heads or --device=cpu", D);
    char options[256];
    snprintf(options, sizeof options,
             OPTIONS_ALL " -DSERIAL=%d -DD=%d -DSIDE=%d -DFR=%d -DFS=%d -DQR=%d -DQS=%d -DKR=%d -DKS=%d", b->serial, D,
             t.side, t.FA / t.side, t.FS, t.QA / t.side, t.QS, t.KA / t.side, t.KS);
    drop_program(b, PROGRAM_ATTENTION); /* of a plan that was refused */
    TRY(device_build(&b->device, sources, 3, options, &b->program[PROGRAM_ATTENTION], e));
    return make_kernels(b, PROGRAM_ATTENTION, e);
}

/* ---- running ---- */

/* A marker ends when all before it has ended, so the time between two of them is the op's, CLBlast's copies included.
 */
static status profile_mark(opencl *b, int op, error *e) {
    if (!b->base.profile) return OK;
    if (b->n_events == b->event_room) {
        b->event_room = b->event_room ? 2 * b->event_room : 1024;
        b->events = xrealloc(b->events, sizeof *b->events * (size_t)b->event_room);
        b->event_op = xrealloc(b->event_op, sizeof *b->event_op * (size_t)b->event_room);
    }
    CL(&b->device, clEnqueueMarkerWithWaitList(b->device.queue, 0, NULL, &b->events[b->n_events]));
    b->event_op[b->n_events++] = op;
    return OK;
}

/* One op of a span that ends before `end`; afterwards b->did_next says that the one behind it is done as well. */
static status run_op(opencl *b, int index, int end, error *e) {
    const op *next = index + 1 < end ? &b->graph->ops[index + 1] : NULL;
    b->op = &b->graph->ops[index];
    b->next = next && linear_can_end_in(b, b->op, next) ? next : NULL;
    b->did_next = false;
    b->device.op = index;
    switch (b->op->code) {
#define X(name, access, names)                                                                                         \
    case OP_##name: return opencl_##name(b, e);
        OPS(X)
#undef X
    default: return fail(e, FAILED, "OpenCL: unknown op %d", (int)b->op->code);
    }
}

static status backend_run(backend *base, span s, const step_args *args, error *e) {
    opencl *b = (opencl *)base;
    b->args = *args;
    b->span = s;
    status result = profile_mark(b, -1, e);
    for (int i = s.first; i < s.end && result == OK; i++) {
        result = run_op(b, i, s.end, e);
        if (result == OK) result = profile_mark(b, i, e);
        if (result == OK && b->did_next) result = profile_mark(b, ++i, e);
    }
    b->device.op = -1;
    TRY(result);
    CL(&b->device, clFlush(b->device.queue));
    return OK;
}

/* Every op once with nothing enqueued: arguments, shapes and CLBlast's temporaries are right before step 0. */
static status rehearse(opencl *b, error *e) {
    b->dry = true;
    b->args = (step_args){.sequences = b->graph->micro_batch, .length = b->graph->length, .inv_targets = 1};
    status s = OK;
    for (int i = 0; i < b->graph->n_ops && s == OK; i++) s = run_op(b, i, 0, e);
    b->dry = false;
    b->device.op = -1;
    return s;
}

status gemm_list(opencl *b, const graph *g, span s, product_list *list, error *e) {
    const graph *bound = b->graph;
    *list = (product_list){0};
    b->graph = g;
    b->listing = list;
    b->dry = true;
    b->args = (step_args){.sequences = g->micro_batch, .length = g->length, .inv_targets = 1};
    status result = OK;
    for (int i = s.first; i < s.end && result == OK; i++) result = run_op(b, i, 0, e);
    b->graph = bound;
    b->listing = NULL;
    b->dry = false;
    b->device.op = -1;
    return result;
}

static status backend_bind(backend *base, const graph *g, const plan *p, error *e) {
    opencl *b = (opencl *)base;
    TRY(build_attention(b, g, e));
    if (base->profile) TRY(device_profile(&b->device, e));
    TRY(memory_reserve(&b->memory, &b->device, p, base->limits.cap, e));
    b->graph = b->device.graph = g;
    base->allocated = b->memory.live;
    status s = rehearse(b, e);
    if (s != OK) {
        memory_release(&b->memory);
        base->allocated = 0;
        return s;
    }
    return OK;
}

static status check_range(const opencl *b, tensor_id id, size_t offset, size_t bytes, error *e) {
    uint64_t all = tensor_bytes(&b->graph->tensors[id], 4);
    if (offset <= all && bytes <= all - offset) return OK;
    return fail(e, FAILED, "OpenCL: bytes %zu to %zu of a tensor of %llu: a bug", offset, offset + bytes,
                (unsigned long long)all);
}

static status backend_write(backend *base, tensor_id id, const void *data, size_t offset, size_t bytes, error *e) {
    opencl *b = (opencl *)base;
    TRY(check_range(b, id, offset, bytes, e));
    if (!bytes) return OK;
    const slot *s = &b->memory.plan->slots[id];
    CL(&b->device, clEnqueueWriteBuffer(b->device.queue, b->memory.block[s->block], CL_TRUE, s->offset + offset, bytes,
                                        data, 0, NULL, NULL));
    return OK;
}

static status backend_read(backend *base, tensor_id id, void *data, size_t offset, size_t bytes, error *e) {
    opencl *b = (opencl *)base;
    TRY(check_range(b, id, offset, bytes, e));
    if (!bytes) return OK;
    const slot *s = &b->memory.plan->slots[id];
    CL(&b->device, clEnqueueReadBuffer(b->device.queue, b->memory.block[s->block], CL_TRUE, s->offset + offset, bytes,
                                       data, 0, NULL, NULL));
    return OK;
}

/* ---- opening and closing ---- */

static void drop_events(opencl *b) {
    for (int i = 0; i < b->n_events; i++) clReleaseEvent(b->events[i]);
    b->n_events = 0;
}

static void backend_close(backend *base) {
    opencl *b = (opencl *)base;
    memory_release(&b->memory);
    drop_events(b);
    for (int p = 0; p < PROGRAM_COUNT; p++) drop_program(b, (program_id)p);
    product_close(b);
    gemm_close();
    device_close(&b->device);
    free(b->events);
    free(b->event_op);
    free(b);
}

static status backend_op_seconds(backend *base, double *seconds, error *e) {
    opencl *b = (opencl *)base;
    CL(&b->device, clFinish(b->device.queue));
    cl_ulong before = 0;
    for (int i = 0; i < b->n_events; i++) {
        cl_ulong end = 0;
        clGetEventProfilingInfo(b->events[i], CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
        if (b->event_op[i] >= 0) seconds[b->event_op[i]] += 1e-9 * (double)(end - before);
        before = end;
    }
    drop_events(b);
    return OK;
}

opencl_memory opencl_memory_now(const backend *base) {
    const opencl *b = (const opencl *)base;
    return (opencl_memory){b->memory.live, b->memory.peak, b->memory.n_blocks};
}

static size_t power_of_two(size_t n) {
    size_t p = 1;
    while (p < n) p *= 2;
    return p;
}

/* The limits that plans for this device must keep. */
static memory_limits limits_of(const device_info *d, uint64_t cap, bool own_products) {
    size_t alignment = power_of_two(d->alignment);
    memory_limits l = {.real_bytes = 4, .alignment = alignment > 512 ? alignment : 512};
    l.max_block = d->largest / l.alignment * l.alignment;
    l.cap = cap ? cap : device_default_cap(d);
    l.gemm_first = !own_products;
    return l;
}

/* What was asked for; else, for float32, what such a device has by default. */
static bool wants_own_products(const opencl *b, const opencl_options *o) {
    if (o->precision != PRECISION_FLOAT32) return true;
    if (o->gemm || o->min_indirect) return o->gemm && !strcmp(o->gemm, PRODUCTS_OWN);
    return opencl_defaults_to_own(&b->device.info);
}

status opencl_open(const opencl_options *o, backend **out, error *e) {
    device_info *list;
    int count, index = 0;
    char why[512];
    TRY(devices_list(&list, &count, e));
    status s = devices_choose(list, count, o->selector, &index, why, sizeof why, e);
    opencl *b = xcalloc(1, sizeof *b);
    b->base = (backend){.type = opencl_type(o->precision),
                        .bind = backend_bind,
                        .run = backend_run,
                        .write = backend_write,
                        .read = backend_read,
                        .op_seconds = backend_op_seconds,
                        .close = backend_close};
    if (s == OK) s = device_open(&b->device, &list[index], e);
    if (s == OK) {
        const device_info *d = &b->device.info;
        b->serial = (d->type & CL_DEVICE_TYPE_CPU) && !o->as_gpu;
        bool own = wants_own_products(b, o);
        if (own) b->base.type = opencl_type_own(o->precision);
        b->base.limits = limits_of(d, o->cap, own);
        b->base.memory = d->memory;
        b->base.memory_free = d->free;
        snprintf(b->base.device, sizeof b->base.device, "%.120s, driver %.60s", why, d->driver);
        bool any = o->gemm && !strcmp(o->gemm, PRODUCTS_CLBLAST);
        s = own ? product_open(b, o, e) : gemm_open(b, any ? NULL : o->gemm, o->min_indirect, e);
    }
    if (s == OK) s = build_common(b, e);
    free(list);
    if (s != OK) {
        backend_close(&b->base);
        return s;
    }
    *out = &b->base;
    return OK;
}
