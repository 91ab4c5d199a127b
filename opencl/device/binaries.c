/* binaries.c: what stands between CLBlast and PoCL. CLBlast asks for the binary of each program that it builds, to
   build it from that in other contexts. PoCL has none: it compiles all kernels of the program for that, those that
   nobody runs among them, and in another form than it runs them: nine seconds, when a set of parameters is first used.
   So for a CPU a program's binary is its source. CLBlast knows nothing of it: the two functions here have the names of
   OpenCL's, and the dynamic linker takes the program's before a library's. snug itself asks for no binary there
   (program.c). */
#include "opencl/device/cl.h"
#include <dlfcn.h>
#include <string.h>

static const char mark[] = "snug's own binary: a source\n";
enum { MARK = sizeof mark - 1 };

/* `behind`: OpenCL's function of that name, or that of a library that stands between as well. */
#define BEHIND(function)                                                                                               \
    static __typeof__(&function) behind;                                                                               \
    if (!behind) *(void **)&behind = dlsym(RTLD_NEXT, #function)

static bool is_for_a_cpu(cl_program program) {
    cl_uint n = 0;
    cl_device_id device;
    cl_device_type type = 0;
    return clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL) == CL_SUCCESS && n == 1 &&
           clGetProgramInfo(program, CL_PROGRAM_DEVICES, sizeof device, &device, NULL) == CL_SUCCESS &&
           clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL) == CL_SUCCESS && type & CL_DEVICE_TYPE_CPU;
}

cl_int clGetProgramInfo(cl_program program, cl_program_info what, size_t room, void *value, size_t *size) {
    BEHIND(clGetProgramInfo);
    size_t source = 0; /* with a 0 at its end */
    if ((what != CL_PROGRAM_BINARY_SIZES && what != CL_PROGRAM_BINARIES) || !is_for_a_cpu(program) ||
        behind(program, CL_PROGRAM_SOURCE, 0, NULL, &source) != CL_SUCCESS || source <= 1)
        return behind(program, what, room, value, size);
    const size_t bytes = MARK + source;
    unsigned char *to = NULL;
    size_t needed = what == CL_PROGRAM_BINARIES ? sizeof to : sizeof bytes;
    if (size) *size = needed;
    if (!value) return CL_SUCCESS;
    if (room < needed) return CL_INVALID_VALUE;
    if (what == CL_PROGRAM_BINARY_SIZES) {
        memcpy(value, &bytes, sizeof bytes);
        return CL_SUCCESS;
    }
    memcpy(&to, value, sizeof to);
    if (!to) return CL_SUCCESS;
    memcpy(to, mark, MARK);
    return behind(program, CL_PROGRAM_SOURCE, source, to + MARK, NULL);
}

cl_program clCreateProgramWithBinary(cl_context context, cl_uint n, const cl_device_id *devices, const size_t *bytes,
                                     const unsigned char **binaries, cl_int *states, cl_int *code) {
    BEHIND(clCreateProgramWithBinary);
    if (n != 1 || !bytes || !binaries || bytes[0] <= MARK || memcmp(binaries[0], mark, MARK) != 0)
        return behind(context, n, devices, bytes, binaries, states, code);
    const char *source = (const char *)binaries[0] + MARK;
    const size_t length = bytes[0] - MARK - 1;
    if (states) states[0] = CL_SUCCESS;
    return clCreateProgramWithSource(context, 1, (const char **)&source, &length, code);
}
