/* test_opencl_strict.c: does preload_strict.c complain? Commits each sin once, in a process of its own, and expects the
   line and the status; and what is right, and what CLBlast may do, must pass. And does preload_late.c wait? Without the
   library (a run by hand, the sanitizers) there is nothing to test; tests/strict.sh sets SNUG_STRICT, and then it has
   to be there. */
#include <CL/cl.h>
#include <check.h>
#include <clblast_c.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 1024, KIB = 1024 };

static const char *const source = "kernel void scale(global float *x, float by, local float *t) {\n"
                                  "    t[get_local_id(0)] = x[get_global_id(0)];\n"
                                  "    x[get_global_id(0)] = by * t[get_local_id(0)];\n"
                                  "}\n"
                                  "kernel void large(global float *x) {\n"
                                  "    local float t[49 * 256];\n"
                                  "    t[get_local_id(0)] = x[get_global_id(0)];\n"
                                  "    barrier(CLK_LOCAL_MEM_FENCE);\n"
                                  "    x[get_global_id(0)] = t[0];\n"
                                  "}\n";

/* Everything a sinner needs, made in the right order: two buffers of N floats, kernels with nothing set. */
typedef struct {
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel scale, large;
    cl_mem x, y;
} world;

static void must(cl_int code, const char *what) {
    if (code == CL_SUCCESS) return;
    fprintf(stderr, "%s: %d\n", what, code);
    _exit(3);
}
#define MUST(call) must(call, #call)

static cl_mem buffer(world *w) {
    cl_int code;
    cl_mem b = clCreateBuffer(w->context, CL_MEM_READ_WRITE, N * sizeof(float), NULL, &code);
    must(code, "clCreateBuffer");
    return b;
}

static world begin(void) {
    world w;
    cl_platform_id platform;
    cl_device_id device;
    cl_int code;
    const char *text = source;
    MUST(clGetPlatformIDs(1, &platform, NULL));
    MUST(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL));
    w.context = clCreateContext(NULL, 1, &device, NULL, NULL, &code);
    must(code, "clCreateContext");
    w.queue = clCreateCommandQueue(w.context, device, 0, &code);
    must(code, "clCreateCommandQueue");
    w.program = clCreateProgramWithSource(w.context, 1, &text, NULL, &code);
    must(code, "clCreateProgramWithSource");
    MUST(clBuildProgram(w.program, 1, &device, "-cl-kernel-arg-info", NULL, NULL));
    w.scale = clCreateKernel(w.program, "scale", &code);
    must(code, "clCreateKernel");
    w.large = clCreateKernel(w.program, "large", &code);
    must(code, "clCreateKernel");
    w.x = buffer(&w);
    w.y = buffer(&w);
    return w;
}

static void end(world *w) {
    MUST(clFinish(w->queue));
    clReleaseKernel(w->scale);
    clReleaseKernel(w->large);
    clReleaseProgram(w->program);
    clReleaseMemObject(w->x);
    clReleaseMemObject(w->y);
    clReleaseCommandQueue(w->queue);
    clReleaseContext(w->context);
}

static void set(world *w, cl_mem x, size_t local) {
    float by = 2;
    MUST(clSetKernelArg(w->scale, 0, sizeof x, &x));
    MUST(clSetKernelArg(w->scale, 1, sizeof by, &by));
    MUST(clSetKernelArg(w->scale, 2, local, NULL));
}

static void launch(world *w, cl_kernel kernel, size_t lanes, cl_event *event) {
    MUST(clEnqueueNDRangeKernel(w->queue, kernel, 1, NULL, (size_t[]){N}, (size_t[]){lanes}, 0, NULL, event));
}

static void scale(world *w, cl_event *event) {
    set(w, w->x, 256);
    launch(w, w->scale, 64, event);
}

/* ---- sins ---- */

static void sub_buffer(world *w) {
    cl_buffer_region region = {0, 128};
    clCreateSubBuffer(w->x, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, NULL);
}
static void stale_launch(world *w) {
    set(w, w->x, 256);
    clReleaseMemObject(w->x);
    launch(w, w->scale, 64, NULL);
}
static void stale_argument(world *w) {
    set(w, w->x, 256);
    clReleaseMemObject(w->x);
    set(w, w->y, 256);
}
static void in_flight(world *w) {
    scale(w, NULL);
    clReleaseMemObject(w->x);
}
static void write_in_flight(world *w) {
    static float data[N];
    scale(w, NULL);
    MUST(clFinish(w->queue));
    MUST(clEnqueueWriteBuffer(w->queue, w->x, CL_FALSE, 0, sizeof data, data, 0, NULL, NULL));
    clReleaseMemObject(w->x);
}
static void many_groups(world *w) {
    set(w, w->x, 256);
    clEnqueueNDRangeKernel(w->queue, w->scale, 2, NULL, (size_t[]){4, 65536}, (size_t[]){4, 1}, 0, NULL, NULL);
}
static void many_lanes(world *w) {
    set(w, w->x, 4 * N);
    launch(w, w->scale, 512, NULL);
}
static void much_local(world *w) {
    set(w, w->x, 47 * KIB + 4);
    launch(w, w->scale, 64, NULL);
}
/* Of which PoCL 6.0 says nothing, so that nobody can complain. */
enum { NOT_TOLD = 77 };
static void much_static_local(world *w) {
    cl_ulong bytes = 0;
    cl_device_id device;
    MUST(clGetContextInfo(w->context, CL_CONTEXT_DEVICES, sizeof device, &device, NULL));
    MUST(clGetKernelWorkGroupInfo(w->large, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, NULL));
    if (!bytes) _exit(NOT_TOLD);
    MUST(clSetKernelArg(w->large, 0, sizeof w->x, &w->x));
    launch(w, w->large, 64, NULL);
}
static void wrong_size(world *w) {
    double by = 2;
    clSetKernelArg(w->scale, 1, sizeof by, &by);
}
static void wrong_size_of_buffer(world *w) { clSetKernelArg(w->scale, 0, 4, &w->x); }
static void never_set(world *w) {
    float by = 2;
    MUST(clSetKernelArg(w->scale, 1, sizeof by, &by));
    MUST(clSetKernelArg(w->scale, 0, sizeof w->x, &w->x));
    launch(w, w->scale, 64, NULL);
}
static void fill_outside(world *w) {
    clEnqueueFillBuffer(w->queue, w->x, &(float){0}, sizeof(float), 4, N * sizeof(float), 0, NULL, NULL);
}
static void fill_much(world *w) {
    clEnqueueFillBuffer(w->queue, w->x, &(float){0}, sizeof(float), 0, (size_t)1 << 31, 0, NULL, NULL);
}
static void map_contents(world *w) {
    cl_mem b = clCreateBuffer(w->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, N, NULL, NULL);
    clEnqueueMapBuffer(w->queue, b, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, N, 0, NULL, NULL, NULL);
}
static void read_outside(world *w) {
    static float data[2 * N];
    clEnqueueReadBuffer(w->queue, w->x, CL_TRUE, 0, N * sizeof(float) + 1, data, 0, NULL, NULL);
}
static void write_outside(world *w) {
    static float data[2 * N];
    clEnqueueWriteBuffer(w->queue, w->x, CL_TRUE, (size_t)-4, 8, data, 0, NULL, NULL);
}
static void late_buffer(world *w) {
    scale(w, NULL);
    buffer(w);
}
static void late_program(world *w) {
    const char *text = source;
    scale(w, NULL);
    clCreateProgramWithSource(w->context, 1, &text, NULL, NULL);
}
static void late_kernel(world *w) {
    scale(w, NULL);
    clCreateKernel(w->program, "scale", NULL);
}
static void kernel_left(world *w) {
    clRetainKernel(w->scale);
    end(w);
    exit(0);
}
static void event_left(world *w) {
    cl_event event;
    scale(w, &event);
    end(w);
    exit(0);
}
static void released_twice(world *w) {
    clReleaseMemObject(w->x);
    end(w);
}
static void released_argument(world *w) {
    cl_mem x = w->x;
    clReleaseMemObject(x);
    set(w, x, 256);
}
static void out_of_order(world *w) {
    cl_device_id device;
    MUST(clGetContextInfo(w->context, CL_CONTEXT_DEVICES, sizeof device, &device, NULL));
    clCreateCommandQueue(w->context, device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, NULL);
}

/* What must pass: each way of waiting, then a release; memory given back and made anew, as calibration does. */
static void waits(world *w) {
    float one;
    cl_event event;
    for (int way = 0; way < 3; way++) {
        scale(w, way == 1 ? &event : NULL);
        if (way == 0) MUST(clFinish(w->queue));
        if (way == 1) {
            MUST(clWaitForEvents(1, &event));
            MUST(clReleaseEvent(event));
        }
        if (way == 2) MUST(clEnqueueReadBuffer(w->queue, w->y, CL_TRUE, 0, sizeof one, &one, 0, NULL, NULL));
        MUST(clReleaseKernel(w->scale));
        MUST(clReleaseMemObject(w->x));
        MUST(clReleaseMemObject(w->y));
        w->x = buffer(w);
        w->y = buffer(w);
        w->scale = clCreateKernel(w->program, "scale", NULL);
    }
    end(w);
}

/* CLBlast makes programs and kernels when it needs them, and lets go of its own temporary without waiting. */
static void clblast(world *w) {
    scale(w, NULL);
    CLBlastStatusCode s = CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, 17, 19, 23, 1,
                                       w->x, 0, 23, w->y, 0, 23, 0, w->y, 23 * 19, 19, &w->queue, NULL);
    if (s != CLBlastSuccess) exit(3);
    end(w);
}

static const struct {
    void (*commit)(world *);
    const char *line; /* NULL: none */
} sins[] = {
    {waits, NULL},
    {clblast, NULL},
    {sub_buffer, "a sub-buffer, of a buffer of 4096 bytes"},
    {stale_launch, "kernel scale is enqueued while its argument 0 holds a released buffer"},
    {stale_argument, "kernel scale is given a new argument while its argument 0 holds a released buffer"},
    {in_flight, "a buffer of 4096 bytes is released while enqueued work that uses it has not been waited for"},
    {write_in_flight, "a buffer of 4096 bytes is released while enqueued work that uses it has not been waited for"},
    {many_groups, "kernel scale: 65536 groups in dimension 1"},
    {many_lanes, "kernel scale: a group of 512 lanes, more than 256"},
    {much_local, "kernel scale: 48132 bytes of local memory, more than 48128"},
    {much_static_local, "kernel large: 50176 bytes of local memory, more than 49152"},
    {wrong_size, "kernel scale, argument 1: 8 bytes are given, and it takes 4"},
    {wrong_size_of_buffer, "kernel scale, argument 0: 4 bytes are given, and it takes 8"},
    {never_set, "kernel scale is enqueued, and its argument 2 was never set"},
    {fill_outside, "clEnqueueFillBuffer of 4096 bytes at 4, outside of a buffer of 4096"},
    {fill_much, "a fill of 2147483648 bytes"},
    {map_contents, "memory of the host is mapped with its contents"},
    {read_outside, "clEnqueueReadBuffer of 4097 bytes at 0, outside of a buffer of 4096"},
    {write_outside, "clEnqueueWriteBuffer of 8 bytes at 18446744073709551612, outside of a buffer of 4096"},
    {late_buffer, "a buffer is made after bind"},
    {late_program, "a program is made after bind"},
    {late_kernel, "a kernel scale is made after bind"},
    {kernel_left, "left at exit: 1 kernel, a kernel of them scale"},
    {event_left, "left at exit: 1 event"},
    {released_twice, "clReleaseMemObject of a released buffer"},
    {released_argument, "clSetKernelArg of a released buffer"},
    {out_of_order, "a queue that is out of order"},
};

START_TEST(each_sin_ends_the_process_with_its_line) {
    int *(*here)(void);
    *(void **)&here = dlsym(RTLD_DEFAULT, "strict_opencl_is_here");
    ck_assert_msg(here || !getenv("SNUG_STRICT"), "SNUG_STRICT is set, and the library is not loaded");
    if (!here) return;
    int ends[2], status;
    char said[2048] = "";
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        unsetenv("SNUG_STRICT_FILE"); /* this one is expected */
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        world w = begin();
        sins[_i].commit(&w);
        exit(0);
    }
    close(ends[1]);
    FILE *f = fdopen(ends[0], "r");
    size_t n = fread(said, 1, sizeof said - 1, f);
    fclose(f);
    said[n] = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (sins[_i].commit == much_static_local && WIFEXITED(status) && WEXITSTATUS(status) == NOT_TOLD) return;
    if (!sins[_i].line) {
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0 && !strstr(said, "strict"), "%d: %s", _i, said);
        return;
    }
    ck_assert_msg(strstr(said, sins[_i].line), "sin %d: '%s' instead of '%s'", _i, said, sins[_i].line);
    ck_assert_msg(strncmp(said, "strict OpenCL: ", 15) == 0 && strchr(said, '\n') == said + n - 1, "not one line: %s",
                  said);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 86, "sin %d ended with %d", _i, status);
}
END_TEST

/* Nothing begins before it is waited for: a write whose bytes are changed after it was enqueued writes the changed
   ones, and asking for nothing but clFlush changes nothing of that. */
START_TEST(a_late_command_finds_what_came_after_it) {
    void *here = dlsym(RTLD_DEFAULT, "late_opencl_is_here");
    ck_assert_msg(here || !getenv("SNUG_STRICT"), "SNUG_STRICT is set, and the library is not loaded");
    if (!here) return;
    world w = begin();
    float from[N], to[N];
    for (int i = 0; i < N; i++) from[i] = 1;
    MUST(clEnqueueWriteBuffer(w.queue, w.x, CL_FALSE, 0, sizeof from, from, 0, NULL, NULL));
    MUST(clFlush(w.queue));
    usleep(100000);
    for (int i = 0; i < N; i++) from[i] = 2;
    MUST(clEnqueueReadBuffer(w.queue, w.x, CL_TRUE, 0, sizeof to, to, 0, NULL, NULL));
    for (int i = 0; i < N; i++) ck_assert_float_eq(to[i], 2);
    end(&w);
}
END_TEST

Suite *opencl_strict_suite(void) {
    Suite *suite = suite_create("opencl_strict");
    TCase *t = tcase_create("opencl_strict");
    tcase_add_loop_test(t, each_sin_ends_the_process_with_its_line, 0, sizeof sins / sizeof *sins);
    tcase_add_test(t, a_late_command_finds_what_came_after_it);
    suite_add_tcase(suite, t);
    return suite;
}
