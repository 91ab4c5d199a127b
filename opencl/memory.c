/* memory.c: see memory.h. */
#include "opencl/memory.h"
#include <stdlib.h>
#include <string.h>

/* The only call of clCreateBuffer (R8). */
static status create(memory *m, uint64_t bytes, cl_mem *buffer, error *e) {
    if (m->sealed)
        return fail(e, FAILED, "OpenCL: a buffer of %llu bytes was asked for after bind: a bug",
                    (unsigned long long)bytes);
    if (m->cap && bytes > m->cap - m->live)
        return fail(e, NO_MEMORY, "a buffer of %llu bytes on top of %llu would pass the cap of %llu bytes",
                    (unsigned long long)bytes, (unsigned long long)m->live, (unsigned long long)m->cap);
    cl_int code;
    *buffer = clCreateBuffer(m->d->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    TRY(device_check(m->d, code, "clCreateBuffer", __FILE__, __LINE__, e));
    m->live += bytes;
    if (m->live > m->peak) m->peak = m->live;
    return OK;
}

/* Writes zeros to every byte, so that the device has to find the memory now, and not at step 300. */
static status touch(memory *m, error *e) {
    const cl_uint zero = 0;
    for (int i = 0; i < m->n_blocks; i++) {
        cl_event event;
        cl_int state = CL_COMPLETE;
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

static status reserve(memory *m, error *e) {
    for (int i = 0; i < m->n_blocks; i++) TRY(create(m, m->plan->block_bytes[i], &m->block[i], e));
    return touch(m, e);
}

status memory_reserve(memory *m, device *d, const plan *p, uint64_t cap, error *e) {
    if (m->sealed) return fail(e, FAILED, "OpenCL: bind was called twice: a bug");
    *m = (memory){.d = d, .cap = cap, .peak = m->peak, .plan = p};
    m->n_blocks = p->n_blocks;
    m->block = xcalloc((size_t)p->n_blocks, sizeof *m->block);
    status s = reserve(m, e);
    if (s == OK) {
        m->sealed = true;
        return OK;
    }
    memory_release(m);
    return NO_MEMORY; /* whatever name the driver gave to it: with less memory it may work */
}

void memory_release(memory *m) {
    if (m->d && m->d->queue && m->n_blocks) clFinish(m->d->queue);
    for (int i = 0; i < m->n_blocks; i++)
        if (m->block[i]) {
            clReleaseMemObject(m->block[i]);
            m->live -= m->plan->block_bytes[i];
        }
    free(m->block);
    m->block = NULL;
    m->n_blocks = 0;
    m->sealed = false;
}
