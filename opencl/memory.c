/* memory.c: see memory.h. */
#include "opencl/memory.h"
#include "base/host.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The only call of clCreateBuffer (R8). The cap is the device's: it does not count what lies with the host. */
static status create(memory *m, tensor_home home, uint64_t bytes, cl_mem *buffer, error *e) {
    if (m->sealed)
        return fail(e, FAILED, "OpenCL: a buffer of %llu bytes was asked for after bind: a bug",
                    (unsigned long long)bytes);
    if (home == HOME_DEVICE && m->cap && bytes > m->cap - m->live)
        return fail(e, NO_MEMORY, "a buffer of %llu bytes on top of %llu would pass the cap of %llu bytes",
                    (unsigned long long)bytes, (unsigned long long)m->live, (unsigned long long)m->cap);
    cl_mem_flags flags = CL_MEM_READ_WRITE | (home == HOME_HOST ? CL_MEM_ALLOC_HOST_PTR : 0);
    cl_int code;
    *buffer = clCreateBuffer(m->d->context, flags, bytes, NULL, &code);
    TRY(device_check(m->d, code, "clCreateBuffer", __FILE__, __LINE__, e));
    if (home == HOME_HOST) return OK;
    m->live += bytes;
    if (m->live > m->peak) m->peak = m->live;
    return OK;
}

/* Zeros in a block of a CPU, whose memory is the host's, which can be asked for all pages at once. False: there is no
   way to it, or it can't be given back. */
static bool zero_in_place(memory *m, int i) {
    const uint64_t bytes = m->plan->block_bytes[i];
    if (!(m->d->info.type & CL_DEVICE_TYPE_CPU)) return false;
    char *at = clEnqueueMapBuffer(m->d->queue, m->block[i], CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0, bytes, 0, NULL,
                                  NULL, NULL);
    if (!at) return false;
    host_find_pages(at, bytes);
    memset(at, 0, bytes);
    return clEnqueueUnmapMemObject(m->d->queue, m->block[i], at, 0, NULL, NULL) == CL_SUCCESS;
}

/* Writes zeros to every byte, so that the device has to find the memory now, and not at step 300. */
static status touch(memory *m, error *e) {
    const cl_uint zero = 0;
    for (int i = 0; i < m->n_blocks; i++) {
        cl_event event;
        cl_int state = CL_COMPLETE;
        if (zero_in_place(m, i)) continue;
        CL(m->d, clEnqueueFillBuffer(m->d->queue, m->block[i], &zero, sizeof zero, 0, m->plan->block_bytes[i], 0, NULL,
                                     &event));
        int code = clWaitForEvents(1, &event);
        if (code == CL_SUCCESS) clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
        clReleaseEvent(event);
        CL(m->d, code);
        CL(m->d, state < 0 ? state : CL_SUCCESS);
    }
    CL(m->d, clFinish(m->d->queue));
    return OK;
}

static status pin(memory *m, host_block *h, uint64_t bytes, error *e) {
    cl_int code;
    TRY(create(m, HOME_HOST, bytes, &h->buffer, e));
    h->at =
        clEnqueueMapBuffer(m->d->queue, h->buffer, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes, 0, NULL, NULL, &code);
    status s = device_check(m->d, code, "clEnqueueMapBuffer", __FILE__, __LINE__, e);
    if (s == OK) return OK;
    clReleaseMemObject(h->buffer);
    *h = (host_block){0};
    return s;
}

/* Pinned memory, which moves at the full speed of the bus; or pageable memory, where the driver has none. Where the
   system has none either, no smaller plan of the device's memory would help: BAD_INPUT. */
static status reserve_host(memory *m, int i, error *e) {
    uint64_t bytes = m->plan->host_block_bytes[i];
    host_block *h = &m->host[i];
    if (pin(m, h, bytes, NULL) != OK) {
        m->host_pageable = true;
        h->at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (h->at == MAP_FAILED) {
            h->at = NULL;
            return fail(
                e, BAD_INPUT,
                "the system refused %llu bytes of its memory, on top of %llu, for what --offload keeps there: end "
                "other programs, or train with --offload=none under a larger --vram_cap",
                (unsigned long long)bytes, (unsigned long long)m->host_live);
        }
    }
    memset(h->at, 0, bytes);
    m->host_live += bytes;
    return OK;
}

static void release_host(memory *m, int i) {
    host_block *h = &m->host[i];
    uint64_t bytes = m->plan->host_block_bytes[i];
    if (!h->at) return;
    m->host_live -= bytes;
    if (!h->buffer) {
        munmap(h->at, bytes);
        return;
    }
    clEnqueueUnmapMemObject(m->d->queue, h->buffer, h->at, 0, NULL, NULL);
    clFinish(m->d->queue);
    clReleaseMemObject(h->buffer);
}

static status reserve(memory *m, error *e) {
    for (int i = 0; i < m->n_blocks; i++) TRY(create(m, HOME_DEVICE, m->plan->block_bytes[i], &m->block[i], e));
    for (int i = 0; i < m->host_blocks; i++) TRY(reserve_host(m, i, e));
    return touch(m, e);
}

status memory_reserve(memory *m, device *d, const graph *g, const plan *p, uint64_t cap, error *e) {
    if (m->sealed) return fail(e, FAILED, "OpenCL: bind was called twice: a bug");
    *m = (memory){.d = d, .cap = cap, .peak = m->peak, .graph = g, .plan = p};
    m->n_blocks = p->n_blocks;
    m->block = xcalloc((size_t)p->n_blocks, sizeof *m->block);
    m->host_blocks = p->host_blocks;
    m->host = xcalloc((size_t)p->host_blocks, sizeof *m->host);
    status s = reserve(m, e);
    if (s == OK) {
        m->sealed = true;
        return OK;
    }
    memory_release(m);
    return s == BAD_INPUT ? s : NO_MEMORY; /* whatever name the driver gave to it: with less memory it may work */
}

void memory_release(memory *m) {
    if (m->d && m->d->queue && m->n_blocks) clFinish(m->d->queue);
    for (int i = 0; i < m->n_blocks; i++)
        if (m->block[i]) {
            clReleaseMemObject(m->block[i]);
            m->live -= m->plan->block_bytes[i];
        }
    for (int i = 0; i < m->host_blocks; i++) release_host(m, i);
    free(m->block);
    free(m->host);
    m->block = NULL;
    m->host = NULL;
    m->n_blocks = m->host_blocks = 0;
    m->sealed = false;
}
