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

/* Waits for a fill, and says how it ended: a device that finds its memory only now may fail only now. */
static status wait_for(const device *d, cl_event event, error *e) {
    cl_int state = CL_COMPLETE;
    int code = clWaitForEvents(1, &event);
    if (code == CL_SUCCESS) clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    clReleaseEvent(event);
    CL(d, code);
    CL(d, state < 0 ? state : CL_SUCCESS);
    return OK;
}

/* NVIDIA's driver has been seen to hang, or to fail at the next call, after one fill of 2^31 bytes or more (by others,
   on Pascal and Volta cards, in 2020: pyopencl's issue 395; not on an H100 in 2026). */
enum { FILL_MOST = 1 << 30 };

/* PoCL writes one pattern at a time, so that a CPU gets a wide one. Cards have a way of their own to fill memory with
   words of up to 4 bytes; what is wider may take them longer. */
status memory_zero(const device *d, cl_mem buffer, uint64_t at, uint64_t bytes, bool wait, error *e) {
    static const cl_float16 zero;
    const size_t pattern = d->info.type & CL_DEVICE_TYPE_CPU ? sizeof zero : sizeof(cl_uint);
    for (uint64_t end = at + bytes, some; at < end; at += some) {
        cl_event event;
        some = end - at < FILL_MOST ? end - at : FILL_MOST;
        CL(d, clEnqueueFillBuffer(d->queue, buffer, &zero, pattern, at, some, 0, NULL, wait ? &event : NULL));
        if (wait) TRY(wait_for(d, event, e));
    }
    return OK;
}

/* Writes zeros to every byte, so that the device has to find the memory now, and not at step 300. */
static status touch(memory *m, error *e) {
    for (int i = 0; i < m->n_blocks; i++)
        if (!zero_in_place(m, i)) TRY(memory_zero(m->d, m->block[i], 0, m->plan->block_bytes[i], true, e));
    CL(m->d, clFinish(m->d->queue));
    return OK;
}

/* Mapped as what need not be fetched, since nothing was written to it. Otherwise NVIDIA's driver may fetch it from the
   device, and would have to find memory for it there first; on a GH200 that took seconds (seen by others: dbcsr's pull
   requests 846 and 853). */
static status pin(memory *m, host_block *h, uint64_t bytes, error *e) {
    cl_int code;
    TRY(create(m, HOME_HOST, bytes, &h->buffer, e));
    h->at = clEnqueueMapBuffer(m->d->queue, h->buffer, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0, bytes, 0, NULL, NULL,
                               &code);
    status s = device_check(m->d, code, "clEnqueueMapBuffer", __FILE__, __LINE__, e);
    if (s == OK) return OK;
    clReleaseMemObject(h->buffer);
    *h = (host_block){0};
    return s;
}

static void unpin(memory *m, host_block *h) {
    clEnqueueUnmapMemObject(m->d->queue, h->buffer, h->at, 0, NULL, NULL);
    clFinish(m->d->queue);
    clReleaseMemObject(h->buffer);
    *h = (host_block){0};
}

/* Is it as if the device had a copy of so many bytes, which free memory fell by? Less than LEAST may be anything of the
   driver's, and much more is somebody else's. Where free memory is not known (0), nothing is. */
static bool is_doubled(uint64_t free_before, uint64_t free_after, uint64_t bytes) {
    const uint64_t LEAST = 32 << 20, fell = free_before > free_after ? free_before - free_after : 0;
    return free_after && fell >= LEAST && fell >= bytes / 2 && fell <= 2 * bytes + LEAST;
}

/* Pinned memory, which moves at the full speed of the bus; or pageable memory, where the driver has none, or keeps as
   much of the device's beside it (so it seemed to others: tiling.c in darktable): that would pass the cap, and be in
   vain. Where the system has none either, no smaller plan of the device's memory would help: BAD_INPUT. */
static status reserve_host(memory *m, int i, error *e) {
    uint64_t bytes = m->plan->host_block_bytes[i], free_before = device_free_bytes(&m->d->info);
    host_block *h = &m->host[i];
    bool pinned = !m->host_pageable && pin(m, h, bytes, NULL) == OK;
    if (pinned) memset(h->at, 0, bytes);
    if (pinned && is_doubled(free_before, device_free_bytes(&m->d->info), bytes)) {
        unpin(m, h);
        pinned = false;
    }
    if (!pinned) {
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
        memset(h->at, 0, bytes);
    }
    m->host_live += bytes;
    return OK;
}

static void release_host(memory *m, int i) {
    host_block *h = &m->host[i];
    uint64_t bytes = m->plan->host_block_bytes[i];
    if (!h->at) return;
    m->host_live -= bytes;
    if (h->buffer)
        unpin(m, h);
    else
        munmap(h->at, bytes);
}

/* What the cap promises comes first: no driver can take that for what is the host's. */
static status reserve(memory *m, error *e) {
    for (int i = 0; i < m->n_blocks; i++) TRY(create(m, HOME_DEVICE, m->plan->block_bytes[i], &m->block[i], e));
    TRY(touch(m, e));
    for (int i = 0; i < m->host_blocks; i++) TRY(reserve_host(m, i, e));
    return OK;
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
