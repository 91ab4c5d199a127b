/* preload_count_buffers.c: an outside count of the buffers that a process makes, CLBlast's and the program's alike.
   Preload it. Buffers in the host's memory (CL_MEM_ALLOC_HOST_PTR) are counted apart. SNUG_REFUSE_ABOVE=bytes refuses
   what would pass that many on the device, SNUG_REFUSE_PINNED=1 all others, 2 only to map them; SNUG_REFUSE_PAGEABLE=1
   what the program itself maps of memory. A line goes to SNUG_COUNT_FILE, or stderr, at exit. A test inside the process
   may also look up count_buffers_reset and its like by name. */
#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include "preload_next.h"
#include <CL/cl.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ROOM = 65536 };
static struct {
    cl_mem buffer;
    uint64_t bytes;
    bool on_host;
    int references;
} known[ROOM];
static int n_known;
static uint64_t live, peak, refuse_above, created, late; /* late: made after the first kernel was enqueued */
static uint64_t host_live, host_peak;
enum { NOTHING, BUFFERS, MAPPING, DOUBLED };
static int launched, refuse_pinned, refuse_pageable;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int find(cl_mem buffer) {
    for (int i = 0; i < n_known; i++)
        if (known[i].buffer == buffer) return i;
    return -1;
}

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *code) {
    NEXT(clCreateBuffer);
    pthread_mutex_lock(&lock);
    cl_mem buffer = NULL;
    bool on_host = flags & CL_MEM_ALLOC_HOST_PTR;
    uint64_t *now = on_host ? &host_live : &live, *most = on_host ? &host_peak : &peak;
    if (on_host ? refuse_pinned == BUFFERS : refuse_above && live + size > refuse_above) {
        if (code) *code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    } else if ((buffer = real(context, flags, size, host, code))) {
        if (n_known == ROOM) abort();
        known[n_known].buffer = buffer;
        known[n_known].bytes = size;
        known[n_known].on_host = on_host;
        known[n_known++].references = 1;
        *now += size;
        if (*now > *most) *most = *now;
        created++;
        late += (uint64_t)launched;
    }
    pthread_mutex_unlock(&lock);
    return buffer;
}

void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, cl_map_flags flags, size_t offset,
                         size_t size, cl_uint waits, const cl_event *wait, cl_event *event, cl_int *code) {
    NEXT(clEnqueueMapBuffer);
    if (refuse_pinned != MAPPING) return real(queue, buffer, blocking, flags, offset, size, waits, wait, event, code);
    if (code) *code = CL_MAP_FAILURE;
    return NULL;
}

/* Free memory, as AMD's extension tells it in KiB: a TiB less what there is; where pinned memory is DOUBLED, also less
   as much of the device's, and 32 MiB for its tables. */
cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t room, void *value, size_t *size) {
    NEXT(clGetDeviceInfo);
    if (what != 0x4039 || room < sizeof(size_t)) return real(device, what, room, value, size);
    uint64_t doubled = refuse_pinned == DOUBLED && host_live ? host_live + (32 << 20) : 0;
    *(size_t *)value = (size_t)(((uint64_t)1 << 40) - live - doubled) / 1024;
    return CL_SUCCESS;
}

/* The program's only; compilers inside of drivers map memory, too. */
void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
    Dl_info caller;
    if (refuse_pageable && file < 0 && dladdr(__builtin_return_address(0), &caller) &&
        !strstr(caller.dli_fname, ".so")) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    NEXT(mmap);
    return real(address, size, protection, flags, file, offset);
}

cl_int clRetainMemObject(cl_mem buffer) {
    NEXT(clRetainMemObject);
    pthread_mutex_lock(&lock);
    int i = find(buffer);
    if (i >= 0) known[i].references++;
    pthread_mutex_unlock(&lock);
    return real(buffer);
}

cl_int clReleaseMemObject(cl_mem buffer) {
    NEXT(clReleaseMemObject);
    pthread_mutex_lock(&lock);
    int i = find(buffer);
    if (i >= 0 && --known[i].references == 0) {
        *(known[i].on_host ? &host_live : &live) -= known[i].bytes;
        known[i] = known[--n_known];
        if (!n_known)
            launched = 0; /* products are tried, and nothing is left of that, before a plan gets its buffers */
    }
    pthread_mutex_unlock(&lock);
    return real(buffer);
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint waits, const cl_event *wait,
                              cl_event *event) {
    NEXT(clEnqueueNDRangeKernel);
    launched = 1;
    return real(queue, kernel, dims, offset, global, local, waits, wait, event);
}

/* For tests in the process. */
void count_buffers_refuse_pinned(int refuse) { refuse_pinned = refuse; }
void count_buffers_refuse_pageable(int refuse) { refuse_pageable = refuse; }
/* Starts over. Bytes that are live stay counted. */
void count_buffers_reset(uint64_t refuse) {
    refuse_above = refuse;
    peak = live;
    host_peak = host_live;
    created = late = 0;
    launched = 0;
}
/* which: 0 live bytes, 1 peak bytes, 2 buffers created, 3 of them after the first kernel, 4 and 5 live and peak bytes
   of the host's memory. */
uint64_t count_buffers(int which) {
    const uint64_t value[] = {live, peak, created, late, host_live, host_peak};
    return value[which];
}

__attribute__((constructor)) static void start(void) {
    const char *limit = getenv("SNUG_REFUSE_ABOVE");
    refuse_above = limit ? strtoull(limit, NULL, 10) : 0;
    const char *pinned = getenv("SNUG_REFUSE_PINNED");
    refuse_pinned = pinned ? atoi(pinned) : NOTHING;
    refuse_pageable = getenv("SNUG_REFUSE_PAGEABLE") != NULL;
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("SNUG_COUNT_FILE");
    FILE *f = path ? fopen(path, "a") : stderr;
    if (!f) return;
    fprintf(f,
            "buffers: peak %llu bytes, %llu live at exit, %llu created, %llu of them after the first kernel; host: "
            "peak %llu "
            "bytes, %llu live at exit\n",
            (unsigned long long)peak, (unsigned long long)live, (unsigned long long)created, (unsigned long long)late,
            (unsigned long long)host_peak, (unsigned long long)host_live);
    if (path) fclose(f);
}
