/* device.c: see device.h. The only file that knows whether OpenCL was built in. */
#include "base/processes.h"
#include "base/terminal.h"
#include "run/device.h"
#include <stdlib.h>
#include <string.h>
#ifdef OPENCL
#include "opencl/opencl.h"
#endif

/* Prints the cap, and the memory of which it is a part. */
static void print_cap(const config *c, const backend *b, FILE *f) {
    char cap[32], all[32], left[32], is_free[32];
    uint64_t memory = b->memory;
    fprintf(f, "memory: %s of the device's %s", bytes_print(b->limits.cap, cap, sizeof cap),
            bytes_print(memory, all, sizeof all));
    if (b->memory_free) fprintf(f, " (%s free)", bytes_print(b->memory_free, is_free, sizeof is_free));
    if (!c->vram_cap)
        fprintf(f, "; vram_cap=0 leaves %s to others", bytes_print(memory - b->limits.cap, left, sizeof left));
    else if (b->limits.cap > memory)
        fprintf(f, ": a cap that can't be reached");
    fprintf(f, "\n");
}

static bool wants_float64(const config *c) { return !strcmp(c->dtype, precision_table[PRECISION_FLOAT64].dtype); }

/* dtype=bfloat16 has its own products. Else matmul_precision decides if it asks for rounded products; else dtype. */
static compute_precision precision_of(const config *c) {
    if (!strcmp(c->dtype, precision_table[PRECISION_BFLOAT16].dtype)) return PRECISION_BFLOAT16;
    for (compute_precision p = 0; p < PRECISION_COUNT; p++)
        if (*precision_table[p].products && !strcmp(c->matmul_precision, precision_table[p].matmul)) return p;
    return wants_float64(c) ? PRECISION_FLOAT64 : PRECISION_FLOAT32;
}

static const backend_type *type_of(const config *c, bool cpu) {
    return cpu ? cpu_type(precision_of(c)) : opencl_type(precision_of(c));
}

const backend_type *backend_type_of(const config *c) {
    return type_of(c, !strcmp(c->device, "cpu") || wants_float64(c));
}

static status check_offload(const config *c, error *e) {
    if (strcmp(c->offload, offload_table[OFFLOAD_OPTIMIZER].name) != 0 || precision_of(c) == PRECISION_BFLOAT16)
        return OK;
    return fail(e, BAD_INPUT,
                "offload 'optimizer' leaves bfloat16 weights on the device, and dtype is %s: use --dtype=bfloat16, or "
                "--offload=moments",
                c->dtype);
}

status backend_check_type(const config *c, const backend_type *type, error *e) {
    TRY(check_offload(c, e));
    if (type) return OK;
    return fail(e, BAD_INPUT,
                "matmul_precision '%s' is for NVIDIA cards with matrix units, and here the CPU backend computes: use "
                "--matmul_precision=highest, or name a card with --device",
                c->matmul_precision);
}

#ifdef OPENCL
static status open_gpu(const config *c, const char *gemm, backend **b, error *e) {
    if (wants_float64(c))
        return fail(e, BAD_INPUT, "dtype float64 is for the CPU: use --device=cpu, or --dtype=float32");
    opencl_options o = {.selector = c->device,
                        .cap = c->vram_cap,
                        .gemm = gemm,
                        .precision = precision_of(c),
                        .process = processes_local(NULL)};
    return opencl_open(&o, b, e);
}
static status choose_gpu(const config *c, const graph *g, FILE *report, const char **gemm, char text[160], error *e) {
    opencl_choice choice;
    opencl_options o = {.selector = c->device, .cap = c->vram_cap};
    TRY(opencl_choose(&o, g, report, &choice, e));
    *gemm = choice.gemm;
    snprintf(text, 160, "%s", choice.text);
    return OK;
}
static status tune_gpu(const config *c, const graph *g, FILE *report, error *e) {
    opencl_options o = {.selector = c->device, .cap = c->vram_cap};
    return opencl_tune(&o, g, c->tune_minutes, report, e);
}
status backend_list(const config *c, FILE *f, error *e) { return devices_print(c->device, f, e); }
#else
status backend_list(const config *c, FILE *f, error *e) {
    if (!strcmp(c->device, "cpu")) {
        text_print(f, "cpu takes the CPU backend; this build has no OpenCL (built with OPENCL=0)\n");
        return OK;
    }
    return fail(e, BAD_INPUT,
                "device 'opencl': this build has no OpenCL (built with OPENCL=0); --device=cpu needs none");
}
static bool opencl_has_gpu(char *why, size_t size) {
    snprintf(why, size, "this build has no OpenCL");
    return false;
}
static status open_gpu(const config *c, const char *gemm, backend **b, error *e) {
    (void)gemm, (void)b;
    return fail(e, BAD_INPUT, "device '%s': this build has no OpenCL (built with OPENCL=0); use --device=cpu",
                c->device);
}
static status choose_gpu(const config *c, const graph *g, FILE *report, const char **gemm, char text[160], error *e) {
    (void)g, (void)report, (void)text, (void)gemm;
    return open_gpu(c, NULL, NULL, e);
}
static status tune_gpu(const config *c, const graph *g, FILE *report, error *e) {
    (void)g, (void)report;
    return open_gpu(c, NULL, NULL, e);
}
#endif

static bool wants_cpu(const config *c, FILE *report) {
    char why[256];
    if (!strcmp(c->device, "cpu")) return true;
    if (strcmp(c->device, "auto")) return false;
    if (wants_float64(c)) return true;
    if (opencl_has_gpu(why, sizeof why)) return false;
    if (report) text_print(report, "device: the CPU backend, since %s\n", why);
    return true;
}

char *backend_print(const backend *b, char text[DEVICE_TEXT]) {
    int n = snprintf(text, DEVICE_TEXT, "%s", b->device);
    if (b->threads)
        snprintf(text + n, (size_t)(DEVICE_TEXT - n), ", %d thread%s", b->threads, b->threads == 1 ? "" : "s");
    return text;
}

status backend_open_as(const config *c, const char *gemm, backend **b, FILE *report, error *e) {
    char text[DEVICE_TEXT];
    TRY(check_offload(c, e));
    if (!wants_cpu(c, report)) {
        TRY(open_gpu(c, gemm, b, e));
    } else {
        TRY(backend_check_type(c, type_of(c, true), e));
        TRY(cpu_check_room(e));
        *b = cpu_open_as(precision_of(c), c->vram_cap);
    }
    const char *why = (*b)->chosen;
    if (report) text_print(report, "device: %s%s%s\n", backend_print(*b, text), why[0] ? ": " : "", why);
    if (report) print_cap(c, *b, report);
    if (report && (*b)->advice[0]) text_print(report, "%s\n", (*b)->advice);
    return OK;
}

/* The graph goes by the model alone: a micro-batch of 4, nothing computed again. */
static status choose_products(const config *c, const gpt_shape *shape, int length, FILE *report, const char **gemm,
                              char text[160], error *e) {
    gpt m;
    gpt_run run = {.purpose = GRAPH_GRADS, .micro_batch = 4, .length = length, .sequences = 4, .batch_invariant = true};
    TRY(gpt_build(shape, &run, NULL, 4, &m, e));
    status s = choose_gpu(c, m.graph, report, gemm, text, e);
    gpt_free(&m);
    return s;
}

status backend_open_for(const config *c, const gpt_shape *shape, int length, const char *gemm, backend **b,
                        FILE *report, error *e) {
    char text[160] = "";
    if (!gemm && precision_of(c) == PRECISION_FLOAT32 && !wants_cpu(c, NULL))
        TRY(choose_products(c, shape, length, report, &gemm, text, e));
    TRY(backend_open_as(c, gemm, b, report, e));
    if (report && *text) text_print(report, "%s\n", text);
    return OK;
}

status backend_open(const config *c, backend **b, FILE *report, error *e) {
    return backend_open_as(c, NULL, b, report, e);
}

status backend_tune(const config *c, const graph *g, FILE *report, error *e) {
    if (wants_cpu(c, NULL))
        return fail(e, BAD_INPUT, "tune is for OpenCL devices; the CPU backend needs none: --device=opencl takes one");
    if (precision_of(c) == PRECISION_BFLOAT16)
        return fail(
            e, BAD_INPUT,
            "dtype bfloat16 computes with snug's own matrix products, and what is tuned are CLBlast's: there is "
            "nothing to tune; for float32 runs, --dtype=float32");
    if (*precision_table[precision_of(c)].products)
        fprintf(report,
                "tune: matmul_precision=%s has nothing to tune; what is tuned are the float32 products of "
                "matmul_precision=highest\n",
                c->matmul_precision);
    return tune_gpu(c, g, report, e);
}
