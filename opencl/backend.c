/* backend.c: the OpenCL backend behind backend.h: open, bind, run, write, read, close. The ops are in files of their
   own. One in-order queue; run only enqueues, read waits. */
#include "base/bf16.h"
#include "opencl/opencl.h"
#include "base/bf16.h"
#include "opencl/product.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- running ---- */

/* A marker ends when all before it has ended, so the time between two of them is the op's, CLBlast's copies included.
 */
status profile_mark(opencl *b, int op, error *e) {
    if (!b->base.profile || b->dry) return OK;
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
    status result = profile_mark(b, MARK_START, e);
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

/* What op i runs with when everything is as large as it can be. */
static step_args most_args(const graph *g, int i) {
    if (i < g->next.first || i >= g->next.end)
        return (step_args){.sequences = g->micro_batch, .length = g->length, .inv_targets = 1};
    const tensor *x = &g->tensors[g->ops[g->next.first].arg[0]]; /* of EMBED: [K,1,C] */
    return (step_args){.sequences = (int)x->dim[0], .length = 1, .before = g->length - 1};
}

/* Every op once with nothing enqueued: arguments, shapes and CLBlast's temporaries are right before step 0. */
static status rehearse(opencl *b, error *e) {
    b->dry = true;
    status s = OK;
    for (int i = 0; i < b->graph->n_ops && s == OK; i++) {
        b->args = most_args(b->graph, i);
        s = run_op(b, i, 0, e);
    }
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
    for (int i = s.first; i < s.end && result == OK; i++) {
        work_kind work = cost_work(g->ops[i].code); /* attention is not even built yet */
        if (work == WORK_MATRIX || work == WORK_HEAD) result = run_op(b, i, 0, e);
    }
    b->graph = bound;
    b->listing = NULL;
    b->dry = false;
    b->device.op = -1;
    return result;
}

static void drop_events(opencl *b) {
    for (int i = 0; i < b->n_events; i++) clReleaseEvent(b->events[i]);
    b->n_events = 0;
}

/* Nothing may use what is released next. */
static void wait_for_all(opencl *b) {
    if (b->device.queue) clFinish(b->device.queue);
    drop_events(b);
}

/* Kernels go with the buffers: none may hold a buffer that is no more. */
static void backend_unbind(backend *base) {
    opencl *b = (opencl *)base;
    wait_for_all(b);
    kernels_drop(b);
    memory_release(&b->memory);
    b->graph = b->device.graph = NULL;
    b->op = NULL;
    base->allocated = base->host_allocated = 0;
}

static status backend_bind(backend *base, const graph *g, const plan *p, error *e) {
    opencl *b = (opencl *)base;
    TRY(product_prepare(b, g, e));
    TRY(attention_build(b, g, e));
    if (base->profile) TRY(device_profile(&b->device, e));
    TRY(memory_reserve(&b->memory, &b->device, g, p, base->limits.cap, e));
    b->graph = b->device.graph = g;
    base->allocated = b->memory.live;
    base->host_allocated = b->memory.host_live;
    base->host_pageable = b->memory.host_pageable;
    status s = kernels_make(b, e);
    if (s == OK) s = rehearse(b, e);
    if (s == OK) s = attention_prove(b, e);
    if (s != OK) backend_unbind(base);
    return s;
}

static status check_range(const opencl *b, tensor_id id, size_t offset, size_t bytes, error *e) {
    uint64_t all = tensor_bytes(&b->graph->tensors[id], 4);
    if (offset <= all && bytes <= all - offset) return OK;
    return fail(e, FAILED, "OpenCL: bytes %zu to %zu of a tensor of %llu: a bug", offset, offset + bytes,
                (unsigned long long)all);
}

/* The rounded values of floats of parameter p, from element `first` on, into the copy that the device has of it. */
static status write_copy(opencl *b, tensor_id p, const float *data, size_t first, size_t count, error *e) {
    enum { AT_ONCE = 4096 };
    uint16_t rounded[AT_ONCE];
    for (size_t i = 0; i < count; i += AT_ONCE) {
        size_t n = count - i < AT_ONCE ? count - i : AT_ONCE;
        for (size_t j = 0; j < n; j++) rounded[j] = bf16_of_float(data[i + j]);
        memory_place copy = memory_find(&b->memory, b->graph->tensors[p].copy, first + i);
        CL(&b->device,
           clEnqueueWriteBuffer(b->device.queue, copy.block, CL_TRUE, 2 * copy.at, 2 * n, rounded, 0, NULL, NULL));
    }
    return OK;
}

static status backend_write(backend *base, tensor_id id, const void *data, size_t offset, size_t bytes, error *e) {
    opencl *b = (opencl *)base;
    TRY(check_range(b, id, offset, bytes, e));
    if (!bytes) return OK;
    if (b->graph->tensors[id].home == HOME_HOST) {
        CL(&b->device, clFinish(b->device.queue));
        memcpy(memory_host(&b->memory, id, offset), data, bytes);
        return b->graph->tensors[id].copy ? write_copy(b, id, data, offset / 4, bytes / 4, e) : OK;
    }
    const slot *s = &b->memory.plan->slots[id];
    CL(&b->device, clEnqueueWriteBuffer(b->device.queue, b->memory.block[s->block], CL_TRUE, s->offset + offset, bytes,
                                        data, 0, NULL, NULL));
    return OK;
}

static status backend_read(backend *base, tensor_id id, void *data, size_t offset, size_t bytes, error *e) {
    opencl *b = (opencl *)base;
    TRY(check_range(b, id, offset, bytes, e));
    if (!bytes) return OK;
    if (b->graph->tensors[id].home == HOME_HOST) {
        CL(&b->device, clFinish(b->device.queue));
        memcpy(data, memory_host(&b->memory, id, offset), bytes);
        return OK;
    }
    const slot *s = &b->memory.plan->slots[id];
    CL(&b->device, clEnqueueReadBuffer(b->device.queue, b->memory.block[s->block], CL_TRUE, s->offset + offset, bytes,
                                       data, 0, NULL, NULL));
    return OK;
}

static status backend_copy(backend *base, tensor_id id, void *host, size_t offset, size_t bytes, bool write,
                           void **ticket, error *e) {
    opencl *b = (opencl *)base;
    const slot *s = &b->memory.plan->slots[id];
    if (ticket) *ticket = NULL;
    TRY(check_range(b, id, offset, bytes, e));
    if (b->graph->tensors[id].home == HOME_HOST)
        return write ? backend_write(base, id, host, offset, bytes, e) : backend_read(base, id, host, offset, bytes, e);
    cl_mem block = b->memory.block[s->block];
    cl_event event = NULL, *to = ticket ? &event : NULL;
    if (write)
        CL(&b->device,
           clEnqueueWriteBuffer(b->device.queue, block, CL_FALSE, s->offset + offset, bytes, host, 0, NULL, to));
    else
        CL(&b->device,
           clEnqueueReadBuffer(b->device.queue, block, CL_FALSE, s->offset + offset, bytes, host, 0, NULL, to));
    if (ticket) *ticket = event;
    CL(&b->device, clFlush(b->device.queue));
    return OK;
}

static status backend_copied(backend *base, void **ticket, bool *done, error *e) {
    opencl *b = (opencl *)base;
    cl_int state = CL_COMPLETE;
    if (*ticket) CL(&b->device, clGetEventInfo(*ticket, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL));
    *done = state == CL_COMPLETE;
    CL(&b->device, state < 0 ? state : CL_SUCCESS);
    if (*done && *ticket) {
        clReleaseEvent(*ticket);
        *ticket = NULL;
    }
    return OK;
}

static char *backend_host_address(const backend *base, tensor_id t) {
    const opencl *b = (const opencl *)base;
    return memory_host(&b->memory, t, 0);
}

status floats_write(opencl *b, tensor_id t, const float *x, int64_t n, error *e) {
    if (b->graph->tensors[t].type != TYPE_BF16) return backend_write(&b->base, t, x, 0, sizeof *x * (size_t)n, e);
    uint16_t *stored = xcalloc((size_t)n, sizeof *stored);
    for (int64_t i = 0; i < n; i++) stored[i] = bf16_of_float(x[i]);
    status s = backend_write(&b->base, t, stored, 0, sizeof *stored * (size_t)n, e);
    free(stored);
    return s;
}

status floats_read(opencl *b, tensor_id t, float *x, int64_t n, error *e) {
    if (b->graph->tensors[t].type != TYPE_BF16) return backend_read(&b->base, t, x, 0, sizeof *x * (size_t)n, e);
    uint16_t *stored = xcalloc((size_t)n, sizeof *stored);
    status s = backend_read(&b->base, t, stored, 0, sizeof *stored * (size_t)n, e);
    for (int64_t i = 0; i < n; i++) x[i] = bf16_to_float(stored[i]);
    free(stored);
    return s;
}

/* ---- opening and closing ---- */

/* In this order: what uses another thing goes before it. */
static void backend_close(backend *base) {
    opencl *b = (opencl *)base;
    wait_for_all(b);
    kernels_drop(b);
    programs_drop(b);
    product_close(b);
    gemm_close();
    memory_release(&b->memory);
    device_close(&b->device);
    free(b->events);
    free(b->event_op);
    free(b);
}

static bool backend_is_joined(const backend *base, int i) {
    const opencl *b = (const opencl *)base;
    return i > 0 && linear_can_end_in(b, &b->graph->ops[i - 1], &b->graph->ops[i]);
}

static status backend_op_seconds(backend *base, double *seconds, error *e) {
    opencl *b = (opencl *)base;
    CL(&b->device, clFinish(b->device.queue));
    cl_ulong before = 0;
    for (int i = 0; i < b->n_events; i++) {
        cl_ulong end = 0;
        clGetEventProfilingInfo(b->events[i], CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
        if (b->event_op[i] >= 0) seconds[b->event_op[i]] += 1e-9 * (double)(end - before);
        if (b->event_op[i] == MARK_TRANSFER) base->transfer_seconds += 1e-9 * (double)(end - before);
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
                        .copy = backend_copy,
                        .copied = backend_copied,
                        .host_address = backend_host_address,
                        .op_seconds = backend_op_seconds,
                        .is_joined = backend_is_joined,
                        .unbind = backend_unbind,
                        .close = backend_close};
    if (s == OK && devices_names_kind(o->selector))
        index = devices_share_out(list, count, index, o->process, &b->base.alike);
    if (s == OK) s = device_open(&b->device, &list[index], e);
    if (s == OK) {
        const device_info *d = &b->device.info;
        b->serial = (d->type & CL_DEVICE_TYPE_CPU) && !o->as_gpu;
        b->local = o->local && o->local < d->local ? o->local : d->local;
        b->emulate = o->mma != MMA_OWN;
        b->unproved = o->mma == MMA_EMULATED;
        bool own = wants_own_products(b, o);
        if (own) b->base.type = opencl_type_own(o->precision);
        b->base.limits = limits_of(d, o->cap, own);
        b->base.memory = d->memory;
        b->base.memory_free = d->free;
        snprintf(b->base.device, sizeof b->base.device, "%s, driver %.100s", d->name, d->driver);
        snprintf(b->base.chosen, sizeof b->base.chosen, "%s", why);
        bool any = o->gemm && !strcmp(o->gemm, PRODUCTS_CLBLAST);
        s = own ? product_open(b, o, e) : gemm_open(b, any ? NULL : o->gemm, o->min_indirect, e);
    }
    if (s == OK) s = programs_build_common(b, e);
    free(list);
    if (s != OK) {
        backend_close(&b->base);
        return s;
    }
    *out = &b->base;
    return OK;
}
