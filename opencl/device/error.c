/* error.c: the names of OpenCL's and CLBlast's codes, and the one line that a failed call becomes. */
#include "opencl/device/cl.h"
#include <stdio.h>
#include <string.h>

#define CODES(X)                                                                                                       \
    X(-1, "CL_DEVICE_NOT_FOUND")                                                                                       \
    X(-2, "CL_DEVICE_NOT_AVAILABLE")                                                                                   \
    X(-3, "CL_COMPILER_NOT_AVAILABLE")                                                                                 \
    X(-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE")                                                                          \
    X(-5, "CL_OUT_OF_RESOURCES")                                                                                       \
    X(-6, "CL_OUT_OF_HOST_MEMORY")                                                                                     \
    X(-7, "CL_PROFILING_INFO_NOT_AVAILABLE")                                                                           \
    X(-8, "CL_MEM_COPY_OVERLAP")                                                                                       \
    X(-11, "CL_BUILD_PROGRAM_FAILURE")                                                                                 \
    X(-13, "CL_MISALIGNED_SUB_BUFFER_OFFSET")                                                                          \
    X(-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST")                                                             \
    X(-15, "CL_COMPILE_PROGRAM_FAILURE")                                                                               \
    X(-30, "CL_INVALID_VALUE")                                                                                         \
    X(-31, "CL_INVALID_DEVICE_TYPE")                                                                                   \
    X(-32, "CL_INVALID_PLATFORM")                                                                                      \
    X(-33, "CL_INVALID_DEVICE")                                                                                        \
    X(-34, "CL_INVALID_CONTEXT")                                                                                       \
    X(-36, "CL_INVALID_COMMAND_QUEUE")                                                                                 \
    X(-38, "CL_INVALID_MEM_OBJECT")                                                                                    \
    X(-42, "CL_INVALID_BINARY")                                                                                        \
    X(-43, "CL_INVALID_BUILD_OPTIONS")                                                                                 \
    X(-44, "CL_INVALID_PROGRAM")                                                                                       \
    X(-45, "CL_INVALID_PROGRAM_EXECUTABLE")                                                                            \
    X(-46, "CL_INVALID_KERNEL_NAME")                                                                                   \
    X(-47, "CL_INVALID_KERNEL_DEFINITION")                                                                             \
    X(-48, "CL_INVALID_KERNEL")                                                                                        \
    X(-49, "CL_INVALID_ARG_INDEX")                                                                                     \
    X(-50, "CL_INVALID_ARG_VALUE")                                                                                     \
    X(-51, "CL_INVALID_ARG_SIZE")                                                                                      \
    X(-52, "CL_INVALID_KERNEL_ARGS")                                                                                   \
    X(-53, "CL_INVALID_WORK_DIMENSION")                                                                                \
    X(-54, "CL_INVALID_WORK_GROUP_SIZE")                                                                               \
    X(-55, "CL_INVALID_WORK_ITEM_SIZE")                                                                                \
    X(-56, "CL_INVALID_GLOBAL_OFFSET")                                                                                 \
    X(-57, "CL_INVALID_EVENT_WAIT_LIST")                                                                               \
    X(-58, "CL_INVALID_EVENT")                                                                                         \
    X(-59, "CL_INVALID_OPERATION")                                                                                     \
    X(-61, "CL_INVALID_BUFFER_SIZE")                                                                                   \
    X(-63, "CL_INVALID_GLOBAL_WORK_SIZE")                                                                              \
    X(-1001, "CL_PLATFORM_NOT_FOUND_KHR")                                                                              \
    X(-1022, "CLBlast: matrix A is not a valid buffer")                                                                \
    X(-1021, "CLBlast: matrix B is not a valid buffer")                                                                \
    X(-1020, "CLBlast: matrix C is not a valid buffer")                                                                \
    X(-1017, "CLBlast: a dimension is zero")                                                                           \
    X(-1016, "CLBlast: leading dimension of A too small")                                                              \
    X(-1015, "CLBlast: leading dimension of B too small")                                                              \
    X(-1014, "CLBlast: leading dimension of C too small")                                                              \
    X(-1011, "CLBlast: buffer of A too small")                                                                         \
    X(-1010, "CLBlast: buffer of B too small")                                                                         \
    X(-1009, "CLBlast: buffer of C too small")                                                                         \
    X(-2039, "CLBlast: unexpected error")                                                                              \
    X(-2040, "CLBlast: unspecified error")                                                                             \
    X(-2041, "CLBlast: no entry in its database")                                                                      \
    X(-2046, "CLBlast: too little local memory on this device")                                                        \
    X(-2047, "CLBlast: missing override parameter")                                                                    \
    X(-2048, "CLBlast: invalid override kernel")                                                                       \
    X(-2050, "CLBlast: temporary buffer too small")

const char *device_error_name(int code) {
    switch (code) {
#define X(number, name)                                                                                                \
    case number: return name;
        CODES(X)
#undef X
    default: return "error";
    }
}

/* " in op 17 LINEAR qkv[3] ln1[3] ...", with the arguments in the op table's order; nothing if no op is at work. */
static void describe_work(const device *d, char *text, size_t size) {
    text[0] = 0;
    if (!d || !d->graph || d->op < 0) return;
    const op *o = &d->graph->ops[d->op];
    const op_info *info = op_describe(o->code);
    size_t n = (size_t)snprintf(text, size, " in op %d %s", d->op, info->name);
    for (int i = 0; i < info->arguments && n < size; i++) {
        char name[64];
        if (o->arg[i])
            n += (size_t)snprintf(text + n, size - n, " %s",
                                  tensor_print(&d->graph->tensors[o->arg[i]], name, sizeof name));
    }
}

status device_check(const device *d, int code, const char *call, const char *file, int line, error *e) {
    if (code == 0) return OK;
    char work[256];
    describe_work(d, work, sizeof work);
    bool memory = code == -4 || code == -6 || code == -61;
    const char *slash = strrchr(file, '/');
    return fail(e, memory ? NO_MEMORY : FAILED, "OpenCL: %s (%d)%s on %s, from %.160s at %s:%d",
                device_error_name(code), code, work, d ? d->info.name : "this machine", call, slash ? slash + 1 : file,
                line);
}
