/* mma.c: see mma.h. */
#include "opencl/mma.h"
#include "opencl/tune/tune.h"
#include <stdio.h>
#include <string.h>

/* Sides of what a work-group and a warp compute; no more than 48 KiB of local memory and no spilled register each
   (docs/performance.md). */
static const struct { int m, n, warp_m, warp_n; } TILES[MMA_TILES] = {{128, 128, 64, 32}, {64, 64, 32, 32}};

/* ---- may this device? ---- */

#define INSTEAD "use --matmul_precision=highest, which is float32"

/* Other compilers must not see PTX at all: some end the process over it. */
static status check_device(const device_info *d, error *e) {
    enum { MAJOR = 0x4000, MINOR = 0x4001 }; /* CL_DEVICE_COMPUTE_CAPABILITY_*_NV */
    cl_uint major = 0, minor = 0;
    if (!strstr(d->extensions, "cl_nv_device_attribute_query") ||
        clGetDeviceInfo(d->id, MAJOR, sizeof major, &major, NULL) != CL_SUCCESS ||
        clGetDeviceInfo(d->id, MINOR, sizeof minor, &minor, NULL) != CL_SUCCESS)
        return fail(e, BAD_INPUT,
                    "matmul_precision 'high': '%s' has no matrix units that snug knows (NVIDIA's, by NVIDIA's "
                    "OpenCL): " INSTEAD,
                    d->name);
    if (major < 8)
        return fail(e, BAD_INPUT,
                    "matmul_precision 'high': '%s' has compute capability %u.%u, and tf32 needs 8.0 or later: " INSTEAD,
                    d->name, major, minor);
    return OK;
}

/* The line of a compiler's log that says what is wrong. */
static const char *first_error(const char *log) {
    const char *found = strstr(log, "rror");
    if (!found) return log;
    while (found > log && found[-1] != '\n') found--;
    return found;
}

/* NVIDIA's compiler has been seen to take `asm`; the C standard's spelling is the second try. */
static status build(opencl *b, bool emulate, error *e) {
    static const char *const source[] = {"mma.cl"}, *const words[] = {"asm", "__asm__"};
    error log = {""};
    for (int t = 0; t < MMA_TILES; t++) {
        status s = FAILED;
        for (int w = 0; w < 2 && s != OK; w++) {
            char options[256];
            snprintf(options, sizeof options,
                     "-cl-std=CL1.2 -DEMULATE_MMA=%d -DASM=%s -DTILE_M=%d -DTILE_N=%d -DWARP_M=%d -DWARP_N=%d", emulate,
                     words[w], TILES[t].m, TILES[t].n, TILES[t].warp_m, TILES[t].warp_n);
            s = device_build(&b->device, source, 1, options, &b->mma.program[t], &log);
        }
        if (s != OK)
            return fail(e, BAD_INPUT, "matmul_precision 'high': the kernels don't build on '%s' (%.200s): " INSTEAD,
                        b->device.info.name, first_error(log.text));
    }
    return OK;
}

static status make_kernels(opencl *b, error *e) {
    static const char *const names[2][2] = {{"mma_nn", "mma_nt"}, {"mma_tn", "mma_tt"}};
    for (int t = 0; t < MMA_TILES; t++)
        for (int i = 0; i < 4; i++) {
            cl_int code;
            cl_kernel *kernel = &b->mma.kernel[t][i / 2][i % 2];
            *kernel = clCreateKernel(b->mma.program[t], names[i / 2][i % 2], &code);
            TRY(device_check(&b->device, code, names[i / 2][i % 2], __FILE__, __LINE__, e));
        }
    return OK;
}

/* A bench of its own, gone before the plan is bound. */
static status prove(opencl *b, error *e) {
    gemm_bench t;
    char why[256];
    bool right;
    TRY(gemm_bench_open(&t, b, NULL, 0, e));
    status s = gemm_bench_check_mma(&t, &right, why, e);
    memory_release(&b->memory);
    gemm_bench_close(&t);
    b->graph = b->device.graph = NULL;
    b->op = NULL;
    b->base.allocated = b->base.launches = 0;
    if (s == OK && !right)
        return fail(e, BAD_INPUT, "matmul_precision 'high': '%s' computes wrong products (%s): " INSTEAD,
                    b->device.info.name, why);
    return s;
}

status mma_open(opencl *b, const opencl_options *o, error *e) {
    bool emulate = o->mma != MMA_OWN;
    if (!emulate) TRY(check_device(&b->device.info, e));
    TRY(build(b, emulate, e));
    TRY(make_kernels(b, e));
    b->tf32 = true;
    b->mma.tile = o->mma_tile;
    snprintf(b->base.gemm, sizeof b->base.gemm, "tf32 by mma.sync.m16n8k8%s", emulate ? ", emulated" : "");
    snprintf(b->base.advice, sizeof b->base.advice,
             "matrix products: inputs rounded to tf32, sums in float32, by the matrix units (matmul_precision=high)");
    return o->mma == MMA_EMULATED ? OK : prove(b, e);
}

void mma_close(opencl *b) {
    for (int t = 0; t < MMA_TILES; t++) {
        for (int i = 0; i < 4; i++)
            if (b->mma.kernel[t][i / 2][i % 2]) clReleaseKernel(b->mma.kernel[t][i / 2][i % 2]);
        if (b->mma.program[t]) clReleaseProgram(b->mma.program[t]);
    }
    b->mma = (mma){0};
}

/* ---- running ---- */

static int64_t tiles_of(int t, int64_t m, int64_t n) {
    return ((m + TILES[t].m - 1) / TILES[t].m) * ((n + TILES[t].n - 1) / TILES[t].n);
}

/* Large tiles where they keep every unit busy. No bit depends on it (mma.cl), which gemm_bench_check_mma proves. */
static int choose_tile(const opencl *b, int64_t m, int64_t n) {
    if (b->mma.tile) return b->mma.tile - 1;
    return tiles_of(0, m, n) >= (int64_t)b->device.info.units ? 0 : 1;
}

/* Whole float4 in each line of A and B, whole float2 in C's: mma.cl's `whole`. */
static int whole_of(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const memory_place *r) {
    bool a = (ta ? m : k) % 4 == 0 && r[0].at % 4 == 0, b = (tb ? k : n) % 4 == 0 && r[1].at % 4 == 0;
    return a + 2 * b + 4 * (n % 2 == 0 && r[2].at % 2 == 0);
}

status mma_run(opencl *b, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const memory_place *place, float beta,
               error *e) {
    if (m > MMA_ROWS || n > INT32_MAX / 2 || k > INT32_MAX / 2)
        return fail(e, FAILED, "a product of %lld x %lld x %lld is too large for mma.cl: a bug", (long long)m,
                    (long long)n, (long long)k);
    if (b->dry) return OK;
    int t = choose_tile(b, m, n), arg = 0, whole = whole_of(ta, tb, m, n, k, place);
    cl_kernel kernel = b->mma.kernel[t][ta][tb];
    for (int i = 0; i < 3; i++) {
        cl_ulong at = place[i].at;
        CL(&b->device, clSetKernelArg(kernel, (cl_uint)arg++, sizeof(cl_mem), &place[i].block));
        CL(&b->device, clSetKernelArg(kernel, (cl_uint)arg++, sizeof at, &at));
    }
    const cl_int numbers[] = {(cl_int)m, (cl_int)n, (cl_int)k, whole, beta != 0};
    for (int i = 0; i < 5; i++) CL(&b->device, clSetKernelArg(kernel, (cl_uint)arg++, sizeof numbers[i], &numbers[i]));
    size_t lanes = 32 * (size_t)(TILES[t].m / TILES[t].warp_m * (TILES[t].n / TILES[t].warp_n));
    size_t local[2] = {lanes, 1}, global[2] = {lanes * (size_t)((n + TILES[t].n - 1) / TILES[t].n),
                                               (size_t)((m + TILES[t].m - 1) / TILES[t].m)};
    b->base.launches++;
    CL(&b->device, clEnqueueNDRangeKernel(b->device.queue, kernel, 2, NULL, global, local, 0, NULL, NULL));
    return OK;
}

float mma_round(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & 0xffffe000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}
