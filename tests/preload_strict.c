/* preload_strict.c: an OpenCL that is stricter than any driver here. Preload it: at the first thing that some driver
   does not bear, or that the program's own rules forbid, the process ends with one line and status STRICT_STATUS. PoCL
   bears a lot that a card does not; this stands between, and knows nothing of the program.

   Rules of OpenCL and limits of NVIDIA's hold for every caller. Rules of the program's own (nothing is made after bind,
   nothing is left at exit, buffers are waited for before they are released) hold for all but CLBlast, which is told
   apart by the library that the call comes from. "After bind" is seen from outside: buffers of the program are alive in
   a context in which a kernel has been enqueued since the first of them was made. */
#include "strict_objects.h"
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Rule of the program: what is needed is made before the first step. */
static void check_phase(void *context, kind k, const char *name, bool ours) {
    object *c = alive(context, CONTEXT, "use");
    if (ours && c->buffers && c->launch)
        complain("a %s%s%s is made after bind: %u buffers are there and %u kernels were enqueued", kind_names[k],
                 *name ? " " : "", name, c->buffers, c->launch);
}

static void begin(void) { pthread_mutex_lock(&lock); }
static void end(void) { pthread_mutex_unlock(&lock); }

#define RETAIN(function, type, k)                                                                                      \
    cl_int function(type handle) {                                                                                     \
        NEXT(function);                                                                                                \
        begin();                                                                                                       \
        alive(handle, k, #function)->references++;                                                                     \
        end();                                                                                                         \
        return real(handle);                                                                                           \
    }
#define RELEASE(function, type, k)                                                                                     \
    cl_int function(type handle) {                                                                                     \
        NEXT(function);                                                                                                \
        begin();                                                                                                       \
        object *o = alive(handle, k, #function);                                                                       \
        if (o->references == 1) check_release(o, OURS);                                                                \
        o->references--;                                                                                               \
        end();                                                                                                         \
        return real(handle);                                                                                           \
    }

/* Before the last reference goes. */
static void check_release(object *o, bool ours) {
    if (o->kind != BUFFER) return;
    if (ours && o->queue && o->queue->references && o->used > o->queue->done)
        complain("a buffer of %zu bytes is released while enqueued work that uses it has not been waited for",
                 o->bytes);
    if (o->ours && o->context && o->context->buffers && --o->context->buffers == 0) o->context->launch = 0;
}

RETAIN(clRetainContext, cl_context, CONTEXT)
RELEASE(clReleaseContext, cl_context, CONTEXT)
RETAIN(clRetainCommandQueue, cl_command_queue, QUEUE)
RELEASE(clReleaseCommandQueue, cl_command_queue, QUEUE)
RETAIN(clRetainMemObject, cl_mem, BUFFER)
RELEASE(clReleaseMemObject, cl_mem, BUFFER)
RETAIN(clRetainProgram, cl_program, PROGRAM)
RELEASE(clReleaseProgram, cl_program, PROGRAM)
RETAIN(clRetainKernel, cl_kernel, KERNEL)
RELEASE(clReleaseKernel, cl_kernel, KERNEL)
RETAIN(clRetainEvent, cl_event, EVENT)
RELEASE(clReleaseEvent, cl_event, EVENT)

/* ---- contexts, queues, buffers, programs ---- */

cl_context clCreateContext(const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
                           void(CL_CALLBACK *told)(const char *, const void *, size_t, void *), void *user,
                           cl_int *code) {
    NEXT(clCreateContext);
    begin();
    cl_context c = real(properties, n, devices, told, user, code);
    if (c) made(c, CONTEXT, NULL, OURS);
    end();
    return c;
}

cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id device, cl_command_queue_properties properties,
                                      cl_int *code) {
    NEXT(clCreateCommandQueue);
    begin();
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) complain("a queue that is out of order");
    cl_command_queue q = real(context, device, properties, code);
    if (q) made(q, QUEUE, context, OURS);
    end();
    return q;
}

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t bytes, void *host, cl_int *code) {
    NEXT(clCreateBuffer);
    begin();
    check_phase(context, BUFFER, "", OURS);
    cl_mem buffer = real(context, flags, bytes, host, code);
    if (buffer) {
        object *o = made(buffer, BUFFER, context, OURS);
        o->bytes = bytes;
        o->host = flags & CL_MEM_ALLOC_HOST_PTR;
        if (o->ours && o->context) o->context->buffers++;
    }
    end();
    return buffer;
}

cl_mem clCreateSubBuffer(cl_mem buffer, cl_mem_flags flags, cl_buffer_create_type type, const void *region,
                         cl_int *code) {
    (void)flags, (void)type, (void)region, (void)code;
    complain("a sub-buffer, of a buffer of %zu bytes", alive(buffer, BUFFER, "clCreateSubBuffer")->bytes);
}

cl_program clCreateProgramWithSource(cl_context context, cl_uint n, const char **text, const size_t *lengths,
                                     cl_int *code) {
    NEXT(clCreateProgramWithSource);
    begin();
    check_phase(context, PROGRAM, "", OURS);
    cl_program p = real(context, n, text, lengths, code);
    if (p) made(p, PROGRAM, context, OURS);
    end();
    return p;
}

cl_program clCreateProgramWithBinary(cl_context context, cl_uint n, const cl_device_id *devices, const size_t *lengths,
                                     const unsigned char **binaries, cl_int *states, cl_int *code) {
    NEXT(clCreateProgramWithBinary);
    begin();
    check_phase(context, PROGRAM, "", OURS);
    cl_program p = real(context, n, devices, lengths, binaries, states, code);
    if (p) made(p, PROGRAM, context, OURS);
    end();
    return p;
}

/* ---- kernels ---- */

/* Bytes of a type of OpenCL C as kernels here take it by value; 0: not known. */
static size_t bytes_of_type(const char *name) {
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"char", 1}, {"uchar", 1}, {"short", 2}, {"ushort", 2}, {"half", 2},  {"int", 4},
                 {"uint", 4}, {"float", 4}, {"long", 8},  {"ulong", 8},  {"double", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t length = strlen(types[i].name);
        if (strncmp(name, types[i].name, length)) continue;
        int lanes = name[length] ? atoi(name + length) : 1;
        if (lanes > 0) return types[i].bytes * (size_t)(lanes == 3 ? 4 : lanes);
    }
    return 0;
}

/* What each argument is. Drivers tell it of programs from source, NVIDIA's only with -cl-kernel-arg-info. */
static void learn_arguments(object *o, cl_kernel kernel) {
    for (cl_uint i = 0; i < o->n_args; i++) {
        cl_kernel_arg_address_qualifier where = 0;
        char type[64] = "";
        argument *a = &o->args[i];
        if (clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof where, &where, NULL) != CL_SUCCESS)
            continue;
        if (where == CL_KERNEL_ARG_ADDRESS_GLOBAL || where == CL_KERNEL_ARG_ADDRESS_CONSTANT) {
            a->takes_buffer = true;
            a->bytes = sizeof(cl_mem);
        } else if (where == CL_KERNEL_ARG_ADDRESS_PRIVATE &&
                   clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_TYPE_NAME, sizeof type, type, NULL) == CL_SUCCESS)
            a->bytes = bytes_of_type(type);
    }
}

cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *code) {
    NEXT(clCreateKernel);
    begin();
    object *p = alive(program, PROGRAM, "clCreateKernel");
    if (p->context) check_phase(p->context->handle, KERNEL, name, OURS);
    cl_kernel k = real(program, name, code);
    if (k) {
        object *o = made(k, KERNEL, p->context ? p->context->handle : NULL, OURS);
        cl_uint n = 0;
        cl_ulong local = 0;
        cl_device_id device;
        snprintf(o->name, sizeof o->name, "%s", name);
        clGetKernelInfo(k, CL_KERNEL_NUM_ARGS, sizeof n, &n, NULL);
        o->n_args = n;
        o->args = calloc(n, sizeof *o->args);
        clGetProgramInfo(program, CL_PROGRAM_DEVICES, sizeof device, &device, NULL);
        clGetKernelWorkGroupInfo(k, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
        o->local = local;
        learn_arguments(o, k);
    }
    end();
    return k;
}

static bool is_stale(const argument *a) { return a->buffer && (!a->buffer->references || a->buffer->made != a->made); }

static void check_stale(const object *k, const char *what) {
    for (unsigned i = 0; i < k->n_args; i++)
        if (is_stale(&k->args[i]))
            complain("kernel %s %s while its argument %u holds a released buffer", k->name, what, i);
}

cl_int clSetKernelArg(cl_kernel kernel, cl_uint i, size_t bytes, const void *value) {
    NEXT(clSetKernelArg);
    begin();
    object *k = alive(kernel, KERNEL, "clSetKernelArg");
    check_stale(k, "is given a new argument");
    if (i >= k->n_args) complain("kernel %s has %u arguments and is given one at %u", k->name, k->n_args, i);
    argument *a = &k->args[i];
    if (a->bytes && bytes != a->bytes)
        complain("kernel %s, argument %u: %zu bytes are given, and it takes %zu", k->name, i, bytes, a->bytes);
    a->set = true;
    a->local = value ? 0 : bytes;
    a->buffer = NULL;
    void *handle = a->takes_buffer && value ? *(void *const *)value : NULL;
    if (a->takes_buffer) a->local = 0;
    if (handle) {
        a->buffer = alive(handle, BUFFER, "clSetKernelArg");
        a->made = a->buffer->made;
    }
    end();
    return real(kernel, i, bytes, value);
}

/* ---- commands ---- */

static void uses(object *buffer, object *queue) {
    buffer->queue = queue;
    buffer->used = commands;
}

/* The buffer of the command that is being enqueued, and who used it last before. */
static struct before {
    object *buffer, *queue;
    size_t used;
} before;

/* After a command: an event stands for it; a blocking one has waited for all before it, since queues are in order. */
static void enqueued(object *queue, cl_int code, bool blocking, cl_event *event, bool ours) {
    if (code != CL_SUCCESS && before.buffer) { /* it uses nothing */
        before.buffer->queue = before.queue;
        before.buffer->used = before.used;
    }
    before.buffer = NULL;
    if (code != CL_SUCCESS) return;
    if (blocking) queue->done = commands;
    if (!event || !*event) return;
    object *o = made(*event, EVENT, NULL, ours);
    o->queue = queue;
    o->used = commands;
}

static void check_launch(const object *k, cl_uint dims, const size_t *global, const size_t *local) {
    size_t lanes = 1, memory = k->local;
    check_stale(k, "is enqueued");
    for (unsigned i = 0; i < k->n_args; i++) {
        if (!k->args[i].set) complain("kernel %s is enqueued, and its argument %u was never set", k->name, i);
        memory += k->args[i].local;
    }
    for (cl_uint d = 0; d < dims; d++) {
        size_t side = local ? local[d] : 1, groups = global[d] / (side ? side : 1);
        lanes *= side;
        if (d > 0 && groups > GROUPS_MOST)
            complain("kernel %s: %zu groups in dimension %u, and NVIDIA takes %d", k->name, groups, d, GROUPS_MOST);
    }
    if (lanes > LANES_MOST) complain("kernel %s: a group of %zu lanes, more than %d", k->name, lanes, LANES_MOST);
    int most = memory > k->local ? LOCAL_WITH_ARGUMENT_MOST : LOCAL_MOST;
    if (memory > (size_t)most) complain("kernel %s: %zu bytes of local memory, more than %d", k->name, memory, most);
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint waits, const cl_event *wait,
                              cl_event *event) {
    NEXT(clEnqueueNDRangeKernel);
    begin();
    object *q = alive(queue, QUEUE, "clEnqueueNDRangeKernel"), *k = alive(kernel, KERNEL, "clEnqueueNDRangeKernel");
    check_launch(k, dims, global, local);
    commands++;
    for (unsigned i = 0; i < k->n_args; i++)
        if (k->args[i].buffer) uses(k->args[i].buffer, q);
    if (q->context && q->context->buffers) q->context->launch++;
    cl_int code = real(queue, kernel, dims, offset, global, local, waits, wait, event);
    enqueued(q, code, false, event, OURS);
    end();
    return code;
}

/* The range of a command must lie in the buffer. Returns the queue. */
static object *command_on(cl_command_queue queue, cl_mem buffer, size_t at, size_t bytes, const char *call) {
    object *q = alive(queue, QUEUE, call), *b = alive(buffer, BUFFER, call);
    if (at > b->bytes || bytes > b->bytes - at)
        complain("%s of %zu bytes at %zu, outside of a buffer of %zu", call, bytes, at, b->bytes);
    commands++;
    before = (struct before){b, b->queue, b->used};
    uses(b, q);
    return q;
}

cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t at, size_t bytes, void *to,
                           cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueReadBuffer);
    begin();
    object *q = command_on(queue, buffer, at, bytes, "clEnqueueReadBuffer");
    cl_int code = real(queue, buffer, blocking, at, bytes, to, waits, wait, event);
    enqueued(q, code, blocking, event, OURS);
    end();
    return code;
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t at, size_t bytes,
                            const void *from, cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueWriteBuffer);
    begin();
    object *q = command_on(queue, buffer, at, bytes, "clEnqueueWriteBuffer");
    cl_int code = real(queue, buffer, blocking, at, bytes, from, waits, wait, event);
    enqueued(q, code, blocking, event, OURS);
    end();
    return code;
}

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_bytes, size_t at,
                           size_t bytes, cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueFillBuffer);
    begin();
    if (bytes >> 31) complain("a fill of %zu bytes: from 2^31 on drivers of NVIDIA's have been seen to hang", bytes);
    object *q = command_on(queue, buffer, at, bytes, "clEnqueueFillBuffer");
    cl_int code = real(queue, buffer, pattern, pattern_bytes, at, bytes, waits, wait, event);
    enqueued(q, code, false, event, OURS);
    end();
    return code;
}

cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_at, size_t to_at, size_t bytes,
                           cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueCopyBuffer);
    begin();
    command_on(queue, from, from_at, bytes, "clEnqueueCopyBuffer");
    object *q = command_on(queue, to, to_at, bytes, "clEnqueueCopyBuffer");
    cl_int code = real(queue, from, to, from_at, to_at, bytes, waits, wait, event);
    enqueued(q, code, false, event, OURS);
    end();
    return code;
}

void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, cl_map_flags flags, size_t at,
                         size_t bytes, cl_uint waits, const cl_event *wait, cl_event *event, cl_int *code) {
    NEXT(clEnqueueMapBuffer);
    begin();
    if (alive(buffer, BUFFER, "clEnqueueMapBuffer")->host && !(flags & CL_MAP_WRITE_INVALIDATE_REGION))
        complain("memory of the host is mapped with its contents, for which a driver may take the device's memory");
    object *q = command_on(queue, buffer, at, bytes, "clEnqueueMapBuffer");
    void *p = real(queue, buffer, blocking, flags, at, bytes, waits, wait, event, code);
    enqueued(q, p ? CL_SUCCESS : CL_MAP_FAILURE, blocking, event, OURS);
    end();
    return p;
}

cl_int clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem buffer, void *p, cl_uint waits, const cl_event *wait,
                               cl_event *event) {
    NEXT(clEnqueueUnmapMemObject);
    begin();
    object *q = command_on(queue, buffer, 0, 0, "clEnqueueUnmapMemObject");
    cl_int code = real(queue, buffer, p, waits, wait, event);
    enqueued(q, code, false, event, OURS);
    end();
    return code;
}

/* ---- waiting ---- */

/* In a queue that is in order, a marker ends with all before it. */
cl_int clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueMarkerWithWaitList);
    begin();
    object *q = alive(queue, QUEUE, "clEnqueueMarkerWithWaitList");
    cl_int code = real(queue, waits, wait, event);
    enqueued(q, code, false, event, OURS);
    end();
    return code;
}

cl_int clFinish(cl_command_queue queue) {
    NEXT(clFinish);
    begin();
    object *q = alive(queue, QUEUE, "clFinish");
    cl_int code = real(queue);
    if (code == CL_SUCCESS) q->done = commands;
    end();
    return code;
}

cl_int clWaitForEvents(cl_uint n, const cl_event *events) {
    NEXT(clWaitForEvents);
    begin();
    cl_int code = real(n, events);
    for (cl_uint i = 0; i < n && code == CL_SUCCESS; i++) {
        object *o = alive(events[i], EVENT, "clWaitForEvents");
        if (o->queue && o->used > o->queue->done) o->queue->done = o->used;
    }
    end();
    return code;
}

/* ---- the end ---- */

__attribute__((destructor)) static void check_leaks(void) {
    int left[EVENT + 1] = {0}, all = 0;
    const char *name = "";
    for (int i = 0; i < BUCKETS; i++)
        for (object *o = table[i]; o; o = o->next)
            if (o->references && o->ours) {
                left[o->kind]++;
                all++;
                if (o->kind == KERNEL) name = o->name;
            }
    if (!all) return;
    char text[256] = "";
    for (int k = 0; k <= EVENT; k++)
        if (left[k])
            snprintf(text + strlen(text), sizeof text - strlen(text), " %d %s%s", left[k], kind_names[k],
                     left[k] > 1 ? "s" : "");
    complain("left at exit:%s%s%s", text, *name ? ", a kernel of them " : "", name);
}
