/* preload_late.c: an OpenCL that is later than any driver here. PoCL begins a command as soon as it is enqueued, and
   has often ended it before the host does its next thing; a card begins when its driver sees fit. With this preloaded
   nothing of a queue begins before the program waits for the queue or asks how far it is: host memory that is read,
   written or given back too early for a command has the wrong bits then, each time. clFlush asks for nothing, so it
   starts nothing.

   A queue is in order, so one command at its head that waits for an event of ours, its gate, holds back all after it.
 */
#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include "preload_next.h"
#include <CL/cl.h>
#include <pthread.h>

enum { QUEUES = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    cl_command_queue queue;
    cl_event gate;
} gates[QUEUES]; /* of the queues that are held back now */

/* The function in the loader of drivers itself, not in the next library: what is ours, no library below is to watch or
 * to count. */
#define LOADER(function)                                                                                               \
    static __typeof__(&function) loader_##function;                                                                    \
    if (!loader_##function) *(void **)&loader_##function = in_loader(#function)

static void give_up(const char *what) {
    fprintf(stderr, "late OpenCL: %s\n", what);
    _Exit(87);
}

static void *in_loader(const char *name) {
    void *library = dlopen("libOpenCL.so.1", RTLD_LAZY | RTLD_NOLOAD), *f = library ? dlsym(library, name) : NULL;
    if (!f) give_up("no libOpenCL.so.1");
    return f;
}

/* For the tests: is this library in front? */
int late_opencl_is_here(void);
int late_opencl_is_here(void) { return 1; }

/* Before a command that nobody waits for at once. */
static void hold(cl_command_queue queue) {
    LOADER(clGetCommandQueueInfo);
    LOADER(clCreateUserEvent);
    LOADER(clEnqueueMarkerWithWaitList);
    cl_context context;
    cl_int code;
    int free_place = -1;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < QUEUES; i++) {
        if (gates[i].queue == queue) goto held;
        if (!gates[i].queue) free_place = i;
    }
    if (free_place < 0) give_up("too many queues");
    if (loader_clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL) != CL_SUCCESS) goto held;
    cl_event gate = loader_clCreateUserEvent(context, &code);
    if (code != CL_SUCCESS || loader_clEnqueueMarkerWithWaitList(queue, 1, &gate, NULL) != CL_SUCCESS)
        give_up("no gate");
    gates[free_place].queue = queue;
    gates[free_place].gate = gate;
held:
    pthread_mutex_unlock(&lock);
}

/* Opens the gates of a queue, or (NULL) all. */
static void start(cl_command_queue queue) {
    LOADER(clSetUserEventStatus);
    LOADER(clReleaseEvent);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < QUEUES; i++)
        if (gates[i].queue && (!queue || gates[i].queue == queue)) {
            loader_clSetUserEventStatus(gates[i].gate, CL_COMPLETE);
            loader_clReleaseEvent(gates[i].gate);
            gates[i].queue = NULL;
        }
    pthread_mutex_unlock(&lock);
}

/* ---- commands ---- */

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint waits, const cl_event *wait,
                              cl_event *event) {
    NEXT(clEnqueueNDRangeKernel);
    hold(queue);
    return real(queue, kernel, dims, offset, global, local, waits, wait, event);
}

cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t at, size_t bytes, void *to,
                           cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueReadBuffer);
    blocking ? start(NULL) : hold(queue);
    return real(queue, buffer, blocking, at, bytes, to, waits, wait, event);
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t at, size_t bytes,
                            const void *from, cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueWriteBuffer);
    blocking ? start(NULL) : hold(queue);
    return real(queue, buffer, blocking, at, bytes, from, waits, wait, event);
}

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_bytes, size_t at,
                           size_t bytes, cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueFillBuffer);
    hold(queue);
    return real(queue, buffer, pattern, pattern_bytes, at, bytes, waits, wait, event);
}

cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_at, size_t to_at, size_t bytes,
                           cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueCopyBuffer);
    hold(queue);
    return real(queue, from, to, from_at, to_at, bytes, waits, wait, event);
}

void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, cl_map_flags flags, size_t at,
                         size_t bytes, cl_uint waits, const cl_event *wait, cl_event *event, cl_int *code) {
    NEXT(clEnqueueMapBuffer);
    blocking ? start(NULL) : hold(queue);
    return real(queue, buffer, blocking, flags, at, bytes, waits, wait, event, code);
}

cl_int clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem buffer, void *p, cl_uint waits, const cl_event *wait,
                               cl_event *event) {
    NEXT(clEnqueueUnmapMemObject);
    hold(queue);
    return real(queue, buffer, p, waits, wait, event);
}

/* ---- waiting and asking ---- */

cl_int clFinish(cl_command_queue queue) {
    NEXT(clFinish);
    start(NULL);
    return real(queue);
}

cl_int clWaitForEvents(cl_uint n, const cl_event *events) {
    NEXT(clWaitForEvents);
    start(NULL);
    return real(n, events);
}

cl_int clGetEventInfo(cl_event event, cl_event_info what, size_t size, void *value, size_t *size_out) {
    NEXT(clGetEventInfo);
    if (what == CL_EVENT_COMMAND_EXECUTION_STATUS) start(NULL);
    return real(event, what, size, value, size_out);
}

/* Its end is an implicit clFlush, and what nobody has waited for may run afterwards. */
cl_int clReleaseCommandQueue(cl_command_queue queue) {
    NEXT(clReleaseCommandQueue);
    start(queue);
    return real(queue);
}
