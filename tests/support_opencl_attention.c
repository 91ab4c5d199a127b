/* support_opencl_attention.c: see support_opencl_attention.h. */
#include "support_opencl_attention.h"
#include "graph/backend.h"
#include "opencl_device.h"
#include <math.h>
#include <string.h>

/* ---- inputs and outputs on the host ---- */

static const char *const names[TENSORS] = {"out", "lse", "dqkv", "qkv", "dout"};
static const step_args usual = {.first_sequence = 3, .step = 4, .seed = 0x123456789abcdefu};
enum { LAYER = 2 };

static float to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}

tensors tensors_new(const setting *s, bool stored16) {
    int64_t rows = (int64_t)s->B * s->T, C = (int64_t)s->H * s->D;
    tensors t = {.n = {rows * C, rows * s->H, rows * 3 * C, rows * 3 * C, rows * C}};
    uint32_t state = 7;
    for (int i = 0; i < TENSORS; i++) {
        t.x[i] = xcalloc((size_t)t.n[i], sizeof(float));
        for (int64_t j = 0; j < t.n[i]; j++) {
            state = state * 1664525u + 1013904223u;
            float v = ((float)(state >> 8) / (float)(1 << 23) - 1) * 1.5f;
            t.x[i][j] = i < QKV ? NAN : stored16 ? to_bf16(v) : v;
        }
    }
    return t;
}

void tensors_free(tensors *t) {
    for (int i = 0; i < TENSORS; i++) free(t->x[i]);
}

/* ---- by a backend's ops ---- */

graph *attention_graph(const setting *s, tensor_id id[TENSORS]) {
    int64_t B = s->B, T = s->T, C = (int64_t)s->H * s->D;
    const int64_t dims[TENSORS][3] = {{B, T, C}, {B, s->H, T}, {B, T, 3 * C}, {B, T, 3 * C}, {B, T, C}};
    graph *g = graph_new(GRAPH_GRADS, s->B, s->T, true);
    for (int i = 0; i < TENSORS; i++)
        id[i] = graph_tensor(g, names[i], -1, ROLE_STEP, KIND_TEMP, TYPE_REAL, 3, dims[i]);
    op_attr attr = {.layer = LAYER, .heads = s->H, .site = SITE_ATTENTION, .dropout = s->dropout};
    *graph_op(g, OP_ATTENTION, (tensor_id[MAX_ARGUMENTS]){id[OUT], id[LSE], id[QKV]}) = attr;
    *graph_op(g, OP_ATTENTION_DX, (tensor_id[MAX_ARGUMENTS]){id[DQKV], id[DOUT], id[QKV], id[OUT], id[LSE]}) = attr;
    g->micro = (span){0, 2};
    return g;
}

void run_ops(backend *b, const setting *s, int sequences, int length, tensors *t) {
    error e = {""};
    plan p;
    tensor_id id[TENSORS];
    graph *g = attention_graph(s, id);
    graph_add_scratch(g, b->type->scratch, b->limits.real_bytes);
    ck_assert_msg(plan_make(g, &b->limits, &p, &e) == OK && b->bind(b, g, &p, &e) == OK, "%s", e.text);
    step_args args = usual;
    args.sequences = sequences;
    args.length = length;
    for (int write = 1; write >= 0; write--) {
        for (int i = 0; i < TENSORS; i++) {
            size_t n = (size_t)t->n[i], size = b->limits.real_bytes;
            double *wide = xcalloc(n, sizeof *wide);
            for (size_t j = 0; j < n && write; j++) wide[j] = t->x[i][j];
            void *raw = size == 8 ? (void *)wide : (void *)t->x[i];
            status done = write ? b->write(b, id[i], raw, 0, n * size, &e) : b->read(b, id[i], raw, 0, n * size, &e);
            ck_assert_msg(done == OK, "%s", e.text);
            for (size_t j = 0; j < n && !write && size == 8; j++) t->x[i][j] = (float)wide[j];
            free(wide);
        }
        if (write) ck_assert_msg(b->run(b, g->micro, &args, &e) == OK, "%s", e.text);
    }
    b->close(b);
    plan_free(&p);
    graph_free(g);
}

/* ---- by kernels that are built for it ---- */

static const char *const direct_names[5] = {"attention", "attention_delta", "attention_dq", "attention_dkv",
                                            "attention_one"};

enum { AT = 136 }; /* element of its buffer where every tensor begins */

cl_kernel direct_kernel(const direct *r, const char *name) {
    int i = 0;
    while (i < 5 && strcmp(direct_names[i], name) != 0) i++;
    cl_kernel k = i < 5 ? r->kernel[i] : NULL;
    ck_assert_msg(k != NULL, "no kernel %s", name);
    return k;
}

void direct_launch(direct *r, const char *name, const int *args, const setting *s, size_t groups, size_t lanes,
                   int times) {
    cl_kernel k = direct_kernel(r, name);
    cl_uint n = 0;
    const cl_ulong at = AT, rows = (cl_ulong)s->B * (cl_ulong)s->T * (cl_ulong)s->H;
    const cl_int T = s->T, H = s->H;
    const cl_float scale = (float)(1 / sqrt(s->D)), kept = (float)(1 / (1 - s->dropout));
    cl_uint8 dropout = {.s = {(cl_uint)usual.seed, (cl_uint)(usual.seed >> 32), (cl_uint)usual.step,
                              (cl_uint)usual.first_sequence, SITE_ATTENTION, LAYER,
                              (cl_uint)(s->dropout * 4294967296.0)}};
    memcpy(&dropout.s[7], &kept, sizeof kept);
    for (; *args >= 0; args++) {
        ck_assert_int_eq(clSetKernelArg(k, n++, sizeof(cl_mem), &r->buffer[*args]), CL_SUCCESS);
        ck_assert_int_eq(clSetKernelArg(k, n++, sizeof at, &at), CL_SUCCESS);
    }
    clSetKernelArg(k, n++, sizeof T, &T);
    clSetKernelArg(k, n++, sizeof H, &H);
    if (strcmp(name, "attention_delta") == 0)
        clSetKernelArg(k, n++, sizeof rows, &rows);
    else {
        clSetKernelArg(k, n++, sizeof scale, &scale);
        clSetKernelArg(k, n++, sizeof dropout, &dropout);
    }
    size_t global = groups * lanes;
    for (int i = 0; i < times; i++)
        ck_assert_int_eq(clEnqueueNDRangeKernel(r->d->queue, k, 1, NULL, &global, &lanes, 0, NULL, NULL), CL_SUCCESS);
    ck_assert_int_eq(clFinish(r->d->queue), CL_SUCCESS);
}

void direct_copy(direct *r, int i, tensors *t, bool stored16, bool there) {
    size_t n = (size_t)t->n[i], size = stored16 && i != LSE ? 2 : 4;
    uint16_t *narrow = xcalloc(n, sizeof *narrow);
    for (size_t j = 0; j < n && size == 2; j++) memcpy(&narrow[j], (char *)&t->x[i][j] + 2, 2);
    void *raw = size == 2 ? (void *)narrow : (void *)t->x[i];
    cl_int code =
        there ? clEnqueueWriteBuffer(r->d->queue, r->buffer[i], CL_TRUE, AT * size, n * size, raw, 0, NULL, NULL)
              : clEnqueueReadBuffer(r->d->queue, r->buffer[i], CL_TRUE, AT * size, n * size, raw, 0, NULL, NULL);
    ck_assert_int_eq(code, CL_SUCCESS);
    for (size_t j = 0; j < n && size == 2 && !there; j++) {
        uint32_t bits = (uint32_t)narrow[j] << 16;
        memcpy(&t->x[i][j], &bits, sizeof bits);
    }
    free(narrow);
}

direct direct_new(device *d, const attention_wish *w, const tensors *t) {
    error e = {""};
    direct r = {.d = d};
    ck_assert(attention_shape_for(w, &r.shape));
    ck_assert_msg(r.shape.way == w->way, "another way was chosen");
    ck_assert_msg(attention_program(d, &r.shape, &r.program, &e) == OK, "%s", e.text);
    for (int i = 0; i < 5; i++) r.kernel[i] = clCreateKernel(r.program, direct_names[i], NULL);
    for (int i = 0; i <= TENSORS; i++) {
        size_t bytes = (AT + (size_t)t->n[i < TENSORS ? i : LSE]) * sizeof(float);
        r.buffer[i] = clCreateBuffer(d->context, CL_MEM_READ_WRITE, bytes, NULL, NULL);
    }
    return r;
}

void direct_free(direct *r) {
    for (int i = 0; i < 5; i++)
        if (r->kernel[i]) clReleaseKernel(r->kernel[i]);
    for (int i = 0; i <= TENSORS; i++) clReleaseMemObject(r->buffer[i]);
    clReleaseProgram(r->program);
}

attention_wish wish_for(attention_way way, const setting *s) {
    return (attention_wish){.way = way,
                            .head_size = s->D,
                            .heads = s->H,
                            .dropout = s->dropout > 0,
                            .emulate = way == ATTENTION_TF32 || way == ATTENTION_BF16,
                            .local = 48 << 10,
                            .group = 256,
                            .sequences = s->B,
                            .length = s->T};
}

void direct_run(attention_wish w, const setting *s, tensors *t) {
    backend *b = open_device_with((opencl_options){.as_gpu = true});
    device *d = &((opencl *)b)->device;
    if (strstr(d->info.extensions, "cl_nv_device_attribute_query")) w.emulate = false;
    direct r = direct_new(d, &w, t);
    size_t groups[3];
    for (int k = 0; k < 3; k++)
        groups[k] = (size_t)((s->T + r.shape.kept[k] - 1) / r.shape.kept[k]) * (size_t)s->H * (size_t)s->B;
    for (int i = 0; i < TENSORS; i++) direct_copy(&r, i, t, w.stored16, true);
    direct_launch(&r, "attention", (int[]){OUT, LSE, QKV, -1}, s, groups[0], (size_t)r.shape.lanes[0], 1);
    direct_launch(&r, "attention_delta", (int[]){TENSORS, DOUT, OUT, -1}, s, ((size_t)t->n[LSE] * 8 + 255) / 256, 256,
                  1);
    direct_launch(&r, "attention_dq", (int[]){DQKV, DOUT, QKV, LSE, TENSORS, -1}, s, groups[1],
                  (size_t)r.shape.lanes[1], 1);
    direct_launch(&r, "attention_dkv", (int[]){DQKV, DOUT, QKV, LSE, TENSORS, -1}, s, groups[2],
                  (size_t)r.shape.lanes[2], 1);
    for (int i = 0; i < QKV; i++) direct_copy(&r, i, t, w.stored16, false);
    direct_free(&r);
    b->close(b);
}

/* ---- comparing ---- */

/* part of `parts`: every parts-th run of C numbers, the gradient of q, k or v. All: the whole tensor's norm stands for
   a part that should be 0. */
void expect_close(const tensors *got, const tensors *want, const setting *s, int sequences, double tolerance,
                  const char *what) {
    for (int i = 0; i < QKV; i++) {
        int parts = i == DQKV ? 3 : 1;
        int64_t C = (int64_t)s->H * s->D, n = got->n[i] / s->B * sequences;
        double off[3] = {0}, size[3] = {0}, all = 0;
        for (int64_t j = 0; j < n; j++) {
            double d = (double)got->x[i][j] - want->x[i][j];
            off[j / C % parts] += d * d;
            size[j / C % parts] += (double)want->x[i][j] * want->x[i][j];
        }
        for (int part = 0; part < parts; part++) all += size[part];
        for (int part = 0; part < parts; part++) {
            double of = s->T == 1 ? all : size[part];
            ck_assert_msg(sqrt(off[part]) <= tolerance * sqrt(of),
                          "%s, B=%d T=%d H=%d D=%d dropout %g: %s, part %d, is off by %.3g", what, s->B, s->T, s->H,
                          s->D, s->dropout, names[i], part, sqrt(off[part] / of));
        }
        for (int64_t j = n; j < got->n[i]; j++)
            ck_assert_msg(isnan(got->x[i][j]), "%s writes past its sequences", what);
    }
}

void expect_same(const tensors *a, const tensors *b, int64_t share, const char *what) {
    for (int i = 0; i < QKV; i++)
        ck_assert_msg(memcmp(a->x[i], b->x[i], sizeof(float) * (size_t)(a->n[i] / share)) == 0, "%s changes bits of %s",
                      what, names[i]);
}

tensors by_cpu(const setting *s, int sequences, int length, bool stored16) {
    tensors t = tensors_new(s, stored16);
    run_ops(cpu_open(8, 0), s, sequences, length, &t);
    return t;
}
