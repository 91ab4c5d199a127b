/* preload_count_handles.c: how many OpenCL handles of each kind a process holds: made and retained, less released.
   Preload it. A test in the process looks up count_handles by name. */
#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include "preload_next.h"
#include <CL/cl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONTEXT, QUEUE, BUFFER, PROGRAM, KERNEL, EVENT, KINDS };
static atomic_long held[KINDS];

/* A function that returns a new handle. */
#define CREATE(kind, type, name, parameters, arguments)                                                                \
    type name parameters {                                                                                             \
        NEXT(name);                                                                                                    \
        type handle = real arguments;                                                                                  \
        if (handle) held[kind]++;                                                                                      \
        return handle;                                                                                                 \
    }
typedef void(CL_CALLBACK *context_notice)(const char *, const void *, size_t, void *);
CREATE(CONTEXT, cl_context, clCreateContext,
       (const cl_context_properties *p, cl_uint n, const cl_device_id *d, context_notice f, void *u, cl_int *code),
       (p, n, d, f, u, code))
CREATE(QUEUE, cl_command_queue, clCreateCommandQueue,
       (cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *code), (c, d, p, code))
CREATE(BUFFER, cl_mem, clCreateBuffer, (cl_context c, cl_mem_flags f, size_t n, void *host, cl_int *code),
       (c, f, n, host, code))
CREATE(BUFFER, cl_mem, clCreateSubBuffer,
       (cl_mem b, cl_mem_flags f, cl_buffer_create_type t, const void *region, cl_int *code), (b, f, t, region, code))
CREATE(PROGRAM, cl_program, clCreateProgramWithSource,
       (cl_context c, cl_uint n, const char **text, const size_t *length, cl_int *code), (c, n, text, length, code))
CREATE(PROGRAM, cl_program, clCreateProgramWithBinary,
       (cl_context c, cl_uint n, const cl_device_id *d, const size_t *length, const unsigned char **binary,
        cl_int *loaded, cl_int *code),
       (c, n, d, length, binary, loaded, code))
CREATE(KERNEL, cl_kernel, clCreateKernel, (cl_program p, const char *name, cl_int *code), (p, name, code))

/* Functions that take a handle and change the count of its kind. */
#define CHANGE(kind, type, name, change)                                                                               \
    cl_int name(type handle) {                                                                                         \
        NEXT(name);                                                                                                    \
        cl_int code = real(handle);                                                                                    \
        if (code == CL_SUCCESS) held[kind] += (change);                                                                \
        return code;                                                                                                   \
    }
CHANGE(CONTEXT, cl_context, clRetainContext, 1)
CHANGE(CONTEXT, cl_context, clReleaseContext, -1)
CHANGE(QUEUE, cl_command_queue, clRetainCommandQueue, 1)
CHANGE(QUEUE, cl_command_queue, clReleaseCommandQueue, -1)
CHANGE(BUFFER, cl_mem, clRetainMemObject, 1)
CHANGE(BUFFER, cl_mem, clReleaseMemObject, -1)
CHANGE(PROGRAM, cl_program, clRetainProgram, 1)
CHANGE(PROGRAM, cl_program, clReleaseProgram, -1)
CHANGE(KERNEL, cl_kernel, clRetainKernel, 1)
CHANGE(KERNEL, cl_kernel, clReleaseKernel, -1)
CHANGE(EVENT, cl_event, clRetainEvent, 1)
CHANGE(EVENT, cl_event, clReleaseEvent, -1)

/* Enqueued commands return an event only where one is asked for. */
static cl_int count_event(cl_int code, const cl_event *event) {
    if (code == CL_SUCCESS && event) held[EVENT]++;
    return code;
}
#define ENQUEUE(name, parameters, arguments)                                                                           \
    cl_int name parameters {                                                                                           \
        NEXT(name);                                                                                                    \
        return count_event(real arguments, event);                                                                     \
    }
ENQUEUE(clEnqueueNDRangeKernel,
        (cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *o, const size_t *g, const size_t *l, cl_uint n,
         const cl_event *wait, cl_event *event),
        (q, k, dims, o, g, l, n, wait, event))
ENQUEUE(clEnqueueFillBuffer,
        (cl_command_queue q, cl_mem b, const void *pattern, size_t size, size_t at, size_t bytes, cl_uint n,
         const cl_event *wait, cl_event *event),
        (q, b, pattern, size, at, bytes, n, wait, event))
ENQUEUE(clEnqueueMarkerWithWaitList, (cl_command_queue q, cl_uint n, const cl_event *wait, cl_event *event),
        (q, n, wait, event))

/* Handles that are held now; text names those of each kind that has any. */
long count_handles(char *text, size_t size) {
    static const char *const names[KINDS] = {"contexts", "queues", "buffers", "programs", "kernels", "events"};
    long all = 0;
    size_t at = 0;
    text[0] = 0;
    for (int k = 0; k < KINDS; k++) {
        long n = held[k];
        all += n < 0 ? -n : n;
        if (n && at < size) at += (size_t)snprintf(text + at, size - at, " %ld %s", n, names[k]);
    }
    return all;
}
