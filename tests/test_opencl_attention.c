/* test_opencl_attention.c: attention's kernels for GPUs, variant by variant, against the CPU backend in float64; that
   no bit depends on what runs beside a sequence; attention for one new position. Matrix units are emulated where the
   device has none. Whole graphs are in test_opencl.c. */
#include "base/timer.h"
#include "graph/backend.h"
#include "opencl/ops.h"
#include "opencl_device.h"
#include <math.h>
#include <string.h>

/* ---- inputs and outputs on the host ---- */

typedef struct {
    int B, T, H, D;
    double dropout;
} setting;

enum { OUT, LSE, DQKV, QKV, DOUT, TENSORS };
typedef struct {
    int64_t n[TENSORS];
    float *x[TENSORS];
} tensors;

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

/* Inputs in (-1.5, 1.5); what is to be written is NaN. */
static tensors tensors_new(const setting *s, bool stored16) {
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

static void tensors_free(tensors *t) {
    for (int i = 0; i < TENSORS; i++) free(t->x[i]);
}

/* ---- by a backend's ops ---- */

/* Writes the inputs, runs both ops on the first `sequences` sequences, reads what they wrote. The backend is closed. */
static void run_ops(backend *b, const setting *s, int sequences, int length, tensors *t) {
    error e = {""};
    plan p;
    int64_t B = s->B, T = s->T, C = (int64_t)s->H * s->D;
    const int64_t dims[TENSORS][3] = {{B, T, C}, {B, s->H, T}, {B, T, 3 * C}, {B, T, 3 * C}, {B, T, C}};
    graph *g = graph_new(GRAPH_GRADS, s->B, s->T, true);
    tensor_id id[TENSORS];
    for (int i = 0; i < TENSORS; i++)
        id[i] = graph_tensor(g, names[i], -1, ROLE_STEP, KIND_TEMP, TYPE_REAL, 3, dims[i]);
    op_attr attr = {.layer = LAYER, .heads = s->H, .site = SITE_ATTENTION, .dropout = s->dropout};
    *graph_op(g, OP_ATTENTION, (tensor_id[MAX_ARGUMENTS]){id[OUT], id[LSE], id[QKV]}) = attr;
    *graph_op(g, OP_ATTENTION_DX, (tensor_id[MAX_ARGUMENTS]){id[DQKV], id[DOUT], id[QKV], id[OUT], id[LSE]}) = attr;
    g->micro = (span){0, 2};
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

typedef struct {
    device *d;
    cl_program program;
    attention_shape shape;
    cl_mem buffer[TENSORS + 1]; /* the last: delta */
    cl_kernel kernel[5];        /* by direct_names; NULL for those that the program does not have */
} direct;
static const char *const direct_names[5] = {"attention", "attention_delta", "attention_dq", "attention_dkv",
                                            "attention_one"};

enum { AT = 136 }; /* element of its buffer where every tensor begins */

static cl_kernel kernel_of(const direct *r, const char *name) {
    int i = 0;
    while (i < 5 && strcmp(direct_names[i], name) != 0) i++;
    cl_kernel k = i < 5 ? r->kernel[i] : NULL;
    ck_assert_msg(k != NULL, "no kernel %s", name);
    return k;
}

/* args: tensors, -1 where they end; then T, H, scale and dropout. */
static void launch(direct *r, const char *name, const int *args, const setting *s, size_t groups, size_t lanes,
                   int times) {
    cl_kernel k = kernel_of(r, name);
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

/* Copies tensor i there (or back), all but LSE as bf16 where they are stored so. */
static void copy(direct *r, int i, tensors *t, bool stored16, bool there) {
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

static direct direct_new(device *d, const attention_wish *w, const tensors *t) {
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

static void direct_free(direct *r) {
    for (int i = 0; i < 5; i++)
        if (r->kernel[i]) clReleaseKernel(r->kernel[i]);
    for (int i = 0; i <= TENSORS; i++) clReleaseMemObject(r->buffer[i]);
    clReleaseProgram(r->program);
}

static attention_wish wish_for(attention_way way, const setting *s) {
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

/* Runs all four kernels; a device with matrix units of its own gets PTX. */
static void run_direct(attention_wish w, const setting *s, tensors *t) {
    backend *b = open_device_with((opencl_options){.as_gpu = true});
    device *d = &((opencl *)b)->device;
    if (strstr(d->info.extensions, "cl_nv_device_attribute_query")) w.emulate = false;
    direct r = direct_new(d, &w, t);
    size_t groups[3];
    for (int k = 0; k < 3; k++)
        groups[k] = (size_t)((s->T + r.shape.kept[k] - 1) / r.shape.kept[k]) * (size_t)s->H * (size_t)s->B;
    for (int i = 0; i < TENSORS; i++) copy(&r, i, t, w.stored16, true);
    launch(&r, "attention", (int[]){OUT, LSE, QKV, -1}, s, groups[0], (size_t)r.shape.lanes[0], 1);
    launch(&r, "attention_delta", (int[]){TENSORS, DOUT, OUT, -1}, s, ((size_t)t->n[LSE] * 8 + 255) / 256, 256, 1);
    launch(&r, "attention_dq", (int[]){DQKV, DOUT, QKV, LSE, TENSORS, -1}, s, groups[1], (size_t)r.shape.lanes[1], 1);
    launch(&r, "attention_dkv", (int[]){DQKV, DOUT, QKV, LSE, TENSORS, -1}, s, groups[2], (size_t)r.shape.lanes[2], 1);
    for (int i = 0; i < QKV; i++) copy(&r, i, t, w.stored16, false);
    direct_free(&r);
    b->close(b);
}

/* ---- comparing ---- */

/* part of `parts`: every parts-th run of C numbers, the gradient of q, k or v. All: the whole tensor's norm stands for
   a part that should be 0. */
static void expect_close(const tensors *got, const tensors *want, const setting *s, int sequences, double tolerance,
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

static void expect_same(const tensors *a, const tensors *b, int64_t share, const char *what) {
    for (int i = 0; i < QKV; i++)
        ck_assert_msg(memcmp(a->x[i], b->x[i], sizeof(float) * (size_t)(a->n[i] / share)) == 0, "%s changes bits of %s",
                      what, names[i]);
}

static tensors by_cpu(const setting *s, int sequences, int length, bool stored16) {
    tensors t = tensors_new(s, stored16);
    run_ops(cpu_open(8, 0), s, sequences, length, &t);
    return t;
}

/* ---- float32 on any device with work-groups ---- */

/* Every number of blocks of 32 channels; head sizes that are multiples of 4, and none; with and without dropout;
   positions that are multiples of 4, where rows of scores start with a draw, and others. */
static const setting portable[] = {
    {5, 1, 2, 64, 0.0},   {3, 149, 2, 64, 0.0}, {2, 150, 2, 64, 0.1}, {2, 67, 2, 80, 0.1},
    {2, 75, 2, 128, 0.1}, {2, 49, 2, 256, 0.1}, {2, 70, 2, 8, 0.2},   {2, 130, 2, 30, 0.3},
    {3, 152, 2, 32, 0.1}, {2, 90, 2, 96, 0.0},  {2, 50, 2, 160, 0.1},
};
enum { PORTABLE = sizeof portable / sizeof *portable, WITH_32_KIB = 6 }; /* so many have other shapes there */

static void expect_portable(const setting *s, uint64_t local) {
    for (int sequences = s->B; sequences >= s->B - 1; sequences--) {
        tensors got = tensors_new(s, false), want = by_cpu(s, sequences, s->T, false);
        run_ops(open_device_with((opencl_options){.as_gpu = true, .local = local}), s, sequences, s->T, &got);
        expect_close(&got, &want, s, sequences, 1e-5, local == 48 << 10 ? "48 KiB" : "32 KiB");
        tensors_free(&got);
        tensors_free(&want);
    }
}

START_TEST(float32_is_float64_with_48_kib_of_local_memory) { expect_portable(&portable[_i], 48 << 10); }
END_TEST

START_TEST(float32_is_float64_with_32_kib_of_local_memory) { expect_portable(&portable[_i], 32 << 10); }
END_TEST

/* ---- matrix units ---- */

static const struct {
    attention_way way;
    bool stored16;
    const char *name;
    double tolerance;
} units[] = {{ATTENTION_TF32, false, "tf32", 3e-3},
             {ATTENTION_BF16, false, "bf16", 2e-2},
             {ATTENTION_BF16, true, "stored bf16", 2e-2}};
static const setting by_units[] = {
    {2, 66, 2, 32, 0.2}, {2, 150, 2, 64, 0.0}, {2, 77, 2, 64, 0.1}, {1, 83, 2, 128, 0.1}};
enum { UNITS = 3, BY_UNITS = sizeof by_units / sizeof *by_units };

START_TEST(matrix_units_are_float64_but_for_the_rounding_of_inputs) {
    const setting *s = &by_units[_i % BY_UNITS];
    int u = _i / BY_UNITS;
    attention_wish w = wish_for(units[u].way, s);
    w.stored16 = units[u].stored16;
    if (emulates_wrongly(units[u].name)) return;
    tensors got = tensors_new(s, w.stored16), want = by_cpu(s, s->B, s->T, w.stored16);
    run_direct(w, s, &got);
    expect_close(&got, &want, s, s->B, units[u].tolerance, units[u].name);
    tensors_free(&got);
    tensors_free(&want);
}
END_TEST

/* ---- bits ---- */

static const setting few[] = {{3, 70, 2, 64, 0.1}, {3, 70, 2, 64, 0.1}, {3, 70, 2, 64, 0.1}, {2, 45, 2, 128, 0.1}};
static const attention_way few_way[] = {ATTENTION_FLOAT32, ATTENTION_TF32, ATTENTION_BF16, ATTENTION_FLOAT32};
enum { FEW = sizeof few / sizeof *few };

/* One sequence alone, on a device with so many units that groups become small, against all of them in the usual groups.
 */
START_TEST(no_bit_depends_on_the_other_sequences_or_on_how_many_rows_a_group_keeps) {
    setting all = few[_i], one = all;
    one.B = 1;
    if (few_way[_i] != ATTENTION_FLOAT32 && emulates_wrongly("few sequences by matrix units")) return;
    tensors many = tensors_new(&all, false), alone = tensors_new(&one, false);
    for (int i = QKV; i < TENSORS; i++) memcpy(alone.x[i], many.x[i], sizeof(float) * (size_t)alone.n[i]);
    attention_wish w = wish_for(few_way[_i], &all), small = wish_for(few_way[_i], &one);
    attention_shape usual_shape, small_shape;
    small.units = 1000;
    ck_assert(attention_shape_for(&w, &usual_shape) && attention_shape_for(&small, &small_shape));
    for (int k = 0; k < 3; k++) ck_assert_int_lt(small_shape.kept[k], usual_shape.kept[k]);
    run_direct(w, &all, &many);
    run_direct(small, &one, &alone);
    expect_same(&alone, &many, 1, "a sequence alone in small groups");
    tensors_free(&many);
    tensors_free(&alone);
}
END_TEST

/* ---- one new position ---- */

/* Of the last of s->T positions, for every sequence, from a program's attention_one; out [B,C]. */
static void run_one(device *d, cl_program program, const setting *s, const tensors *t, size_t lanes, float *out) {
    cl_int code;
    cl_kernel k = clCreateKernel(program, "attention_one", &code);
    const size_t C = (size_t)(s->H * s->D), bytes = (size_t)t->n[QKV] * sizeof(float), groups = (size_t)(s->H * s->B);
    cl_mem from = clCreateBuffer(d->context, CL_MEM_COPY_HOST_PTR, bytes, t->x[QKV], &code);
    cl_mem to = clCreateBuffer(d->context, CL_MEM_READ_WRITE, (size_t)s->B * C * sizeof(float), NULL, &code);
    const cl_ulong at[] = {0, (cl_ulong)(s->T - 1) * 3 * C, C, 2 * C}, sequence = (cl_ulong)s->T * 3 * C;
    const cl_int positions = s->T, q_row = (cl_int)sequence, kv_row = (cl_int)(3 * C);
    const cl_float scale = (float)(1 / sqrt(s->D));
    for (cl_uint i = 0; i < 4; i++) {
        clSetKernelArg(k, 2 * i, sizeof(cl_mem), i ? &from : &to);
        clSetKernelArg(k, 2 * i + 1, sizeof at[i], &at[i]);
    }
    clSetKernelArg(k, 8, sizeof positions, &positions);
    clSetKernelArg(k, 9, sizeof q_row, &q_row);
    clSetKernelArg(k, 10, sizeof kv_row, &kv_row);
    clSetKernelArg(k, 11, sizeof sequence, &sequence);
    ck_assert_int_eq(clSetKernelArg(k, 12, sizeof scale, &scale), CL_SUCCESS);
    size_t global = groups * lanes;
    ck_assert_int_eq(clEnqueueNDRangeKernel(d->queue, k, 1, NULL, &global, &lanes, 0, NULL, NULL), CL_SUCCESS);
    ck_assert_int_eq(
        clEnqueueReadBuffer(d->queue, to, CL_TRUE, 0, (size_t)s->B * C * sizeof(float), out, 0, NULL, NULL),
        CL_SUCCESS);
    clReleaseMemObject(from);
    clReleaseMemObject(to);
    clReleaseKernel(k);
}

static const setting ones[] = {
    {2, 150, 2, 64, 0}, {3, 65, 2, 20, 0}, {1, 1, 3, 32, 0}, {2, 33, 1, 128, 0}, {1, 64, 1, 160, 0}};

/* In the way of every device; in attention_gpu.cl's the bits are its last row's. */
START_TEST(one_new_position_is_the_last_row) {
    error e = {""};
    const setting *s = &ones[_i / 2];
    attention_way way = _i % 2 ? ATTENTION_FLOAT32 : ATTENTION_SERIAL;
    attention_wish w = wish_for(way, s);
    attention_shape shape;
    cl_program program;
    int64_t C = (int64_t)s->H * s->D;
    tensors want = by_cpu(s, s->B, s->T, false), rows = tensors_new(s, false);
    float *got = xcalloc((size_t)(s->B * C), sizeof *got);
    if (way == ATTENTION_FLOAT32) run_direct(w, s, &rows);
    backend *b = open_device_with((opencl_options){.as_gpu = true});
    device *d = &((opencl *)b)->device;
    ck_assert(attention_shape_for(&w, &shape));
    ck_assert_msg(attention_program(d, &shape, &program, &e) == OK, "%s", e.text);
    run_one(d, program, s, &want, way == ATTENTION_SERIAL ? 1 : 64, got);
    clReleaseProgram(program);
    for (int q = 0; q < s->B; q++) {
        const float *row = want.x[OUT] + ((int64_t)q * s->T + s->T - 1) * C;
        double off = 0, size = 0;
        for (int64_t c = 0; c < C; c++) {
            off += ((double)got[q * C + c] - row[c]) * ((double)got[q * C + c] - row[c]);
            size += (double)row[c] * row[c];
        }
        ck_assert_msg(sqrt(off) <= 1e-5 * sqrt(size), "D=%d T=%d: off by %.3g", s->D, s->T, sqrt(off / size));
        if (way == ATTENTION_FLOAT32)
            ck_assert_msg(
                memcmp(got + q * C, rows.x[OUT] + ((int64_t)q * s->T + s->T - 1) * C, sizeof(float) * (size_t)C) == 0,
                "D=%d T=%d: other bits than the row has", s->D, s->T);
    }
    b->close(b);
    tensors_free(&want);
    tensors_free(&rows);
    free(got);
}
END_TEST

/* ---- the gate ---- */

/* A device that leaves out a part is refused in one line. */
START_TEST(a_device_that_computes_wrong_attention_is_refused) {
    static const char *const says[] = {"outputs of head", "gradients of queries", "gradients of keys"};
    setting s = {2, 150, 2, 64, 0.1};
    error e = {""};
    tensors t = tensors_new(&s, false);
    backend *b = open_device_with((opencl_options){.as_gpu = true});
    opencl *o = (opencl *)b;
    graph *g = graph_new(GRAPH_GRADS, s.B, s.T, true);
    int64_t B = s.B, T = s.T, C = (int64_t)s.H * s.D;
    const int64_t dims[TENSORS][3] = {{B, T, C}, {B, s.H, T}, {B, T, 3 * C}, {B, T, 3 * C}, {B, T, C}};
    tensor_id id[TENSORS];
    for (int i = 0; i < TENSORS; i++)
        id[i] = graph_tensor(g, names[i], -1, ROLE_STEP, KIND_TEMP, TYPE_REAL, 3, dims[i]);
    op_attr attr = {.layer = LAYER, .heads = s.H, .site = SITE_ATTENTION, .dropout = s.dropout};
    *graph_op(g, OP_ATTENTION, (tensor_id[MAX_ARGUMENTS]){id[OUT], id[LSE], id[QKV]}) = attr;
    *graph_op(g, OP_ATTENTION_DX, (tensor_id[MAX_ARGUMENTS]){id[DQKV], id[DOUT], id[QKV], id[OUT], id[LSE]}) = attr;
    g->micro = (span){0, 2};
    graph_add_scratch(g, b->type->scratch, 4);
    plan p;
    product_list products; /* are asked for before bind, when no shape of attention is chosen */
    ck_assert_msg(gemm_list(o, g, g->micro, &products, &e) == OK, "%s", e.text);
    ck_assert_int_eq(products.n, 0);
    ck_assert_msg(plan_make(g, &b->limits, &p, &e) == OK && b->bind(b, g, &p, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(opencl_memory_now(b).peak, p.total); /* the gate took no more */
    ck_assert_msg(attention_prove(o, &e) == OK, "%s", e.text);
    for (int k = 0; k < 3; k++) {
        int kept = o->attention.kept[k];
        o->attention.kept[k] = 2 * kept; /* half the groups */
        ck_assert_int_eq(attention_prove(o, &e), BAD_INPUT);
        ck_assert_msg(strstr(e.text, says[k]) || strstr(e.text, "log-sum-exp"), "%s", e.text);
        ck_assert_ptr_null(strchr(e.text, '\n'));
        o->attention.kept[k] = kept;
    }
    b->close(b);
    plan_free(&p);
    graph_free(g);
    tensors_free(&t);
}
END_TEST

/* ---- shapes ---- */

START_TEST(every_head_size_up_to_256_has_a_shape_within_the_limits) {
    static const uint64_t locals[] = {48 << 10, 32 << 10};
    for (int i = 0; i < 2; i++)
        for (int D = 1; D <= 256; D++)
            for (int way = ATTENTION_FLOAT32; way <= ATTENTION_BF16; way++) {
                setting s = {1, 1024, 2, D, 0.1};
                attention_wish w = wish_for((attention_way)way, &s);
                attention_shape shape;
                w.local = locals[i];
                ck_assert_msg(attention_shape_for(&w, &shape), "head size %d has no shape", D);
                ck_assert_uint_le(shape.local, w.local);
                bool units = D == 32 || D == 64 || D == 128; /* have kernels for these alone; others take float32's */
                ck_assert_int_eq(shape.way, units ? way : ATTENTION_FLOAT32);
                for (int k = 0; k < 3; k++) ck_assert_int_le(shape.lanes[k], 256);
                for (int k = 0; k < 3; k++) ck_assert_int_eq(shape.lanes[k] % 32, 0);
            }
}
END_TEST

/* What attention_shape says of local memory is what the kernels take. */
START_TEST(local_memory_is_what_the_shape_says) {
    setting s = {1, 40, 1, _i % 2 ? 64 : 30, _i / 2 ? 0.1 : 0};
    tensors t = tensors_new(&s, false);
    backend *b = open_device_with((opencl_options){.as_gpu = true});
    device *d = &((opencl *)b)->device;
    attention_wish w = wish_for(ATTENTION_FLOAT32, &s);
    direct r = direct_new(d, &w, &t);
    static const char *const kernels[] = {"attention", "attention_dq", "attention_dkv"};
    cl_ulong most = 0;
    for (int k = 0; k < 3; k++) {
        cl_ulong bytes = 0;
        cl_kernel kernel = kernel_of(&r, kernels[k]);
        clGetKernelWorkGroupInfo(kernel, d->info.id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, NULL);
        most = bytes > most ? bytes : most;
    }
    ck_assert_msg(most <= r.shape.local + 32, "%d bytes, not %d", (int)most, (int)r.shape.local);
    direct_free(&r);
    b->close(b);
    tensors_free(&t);
}
END_TEST

/* ---- times: no test; SNUG_ATTENTION_TIMES=1 CK_RUN_CASE=times build/tests opencl_attention ---- */

/* Of the least of five turns of ten launches each, waited for. */
static double launch_time(direct *r, const char *name, const int *args, const setting *s, size_t groups, size_t lanes) {
    double least = INFINITY;
    for (int turn = 0; turn < 6; turn++) {
        double from = seconds_now();
        launch(r, name, args, s, groups, lanes, 10);
        double took = (seconds_now() - from) * 100;
        if (turn && took < least) least = took;
    }
    return least;
}

/* ms a layer of each kernel; on a device without matrix units of its own only the portable one's. */
START_TEST(milliseconds_a_layer) {
    static const struct {
        setting s;
        attention_way way;
        bool stored16;
        uint64_t local;
    } table[] = {
        {{16, 1024, 12, 64, 0}, ATTENTION_FLOAT32, false, 48 << 10},
        {{16, 1024, 12, 64, 0}, ATTENTION_FLOAT32, false, 32 << 10},
        {{16, 1024, 12, 64, 0}, ATTENTION_TF32, false, 48 << 10},
        {{16, 1024, 12, 64, 0}, ATTENTION_BF16, false, 48 << 10},
        {{16, 1024, 12, 64, 0}, ATTENTION_BF16, true, 48 << 10},
        {{16, 1024, 12, 64, 0.1}, ATTENTION_FLOAT32, false, 48 << 10},
        {{16, 1024, 12, 64, 0.1}, ATTENTION_TF32, false, 48 << 10},
        {{16, 1024, 12, 64, 0.1}, ATTENTION_BF16, false, 48 << 10},
        {{4, 2048, 16, 128, 0}, ATTENTION_FLOAT32, false, 48 << 10},
        {{4, 2048, 16, 128, 0}, ATTENTION_TF32, false, 48 << 10},
        {{4, 2048, 16, 128, 0}, ATTENTION_BF16, false, 48 << 10},
        {{4, 2048, 16, 128, 0}, ATTENTION_BF16, true, 48 << 10},
        {{16, 1024, 12, 32, 0}, ATTENTION_FLOAT32, false, 48 << 10},
        {{16, 1024, 12, 32, 0}, ATTENTION_TF32, false, 48 << 10},
        {{16, 1024, 25, 80, 0}, ATTENTION_FLOAT32, false, 48 << 10},
        {{1, 1024, 12, 64, 0}, ATTENTION_FLOAT32, false, 48 << 10},
        {{1, 256, 6, 64, 0}, ATTENTION_FLOAT32, false, 48 << 10},
        {{64, 256, 6, 64, 0}, ATTENTION_FLOAT32, false, 48 << 10},
    };
    static const char *const ways[] = {"serial", "float32", "tf32", "bf16"};
    backend *b = open_device_with((opencl_options){.as_gpu = true});
    device *d = &((opencl *)b)->device;
    bool own = strstr(d->info.extensions, "cl_nv_device_attribute_query");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const setting *s = &table[i].s;
        attention_wish w = wish_for(table[i].way, s);
        if (!own && w.way != ATTENTION_FLOAT32) continue;
        w.emulate = false;
        w.stored16 = table[i].stored16;
        w.local = table[i].local;
        w.units = d->info.units;
        tensors t = tensors_new(s, w.stored16);
        direct r = direct_new(d, &w, &t);
        double ms[4];
        size_t groups[3];
        for (int k = 0; k < 3; k++)
            groups[k] = (size_t)((s->T + r.shape.kept[k] - 1) / r.shape.kept[k]) * (size_t)s->H * (size_t)s->B;
        for (int k = QKV; k < TENSORS; k++) copy(&r, k, &t, w.stored16, true);
        ms[0] = launch_time(&r, "attention", (int[]){OUT, LSE, QKV, -1}, s, groups[0], (size_t)r.shape.lanes[0]);
        ms[1] = launch_time(&r, "attention_delta", (int[]){TENSORS, DOUT, OUT, -1}, s,
                            ((size_t)t.n[LSE] * 8 + 255) / 256, 256);
        ms[2] = launch_time(&r, "attention_dq", (int[]){DQKV, DOUT, QKV, LSE, TENSORS, -1}, s, groups[1],
                            (size_t)r.shape.lanes[1]);
        ms[3] = launch_time(&r, "attention_dkv", (int[]){DQKV, DOUT, QKV, LSE, TENSORS, -1}, s, groups[2],
                            (size_t)r.shape.lanes[2]);
        printf("%-7s%s %2d x %2d x %4d x %3d dropout %.1f, %2d KiB: forward %.3f, delta %.3f, dq %.3f, dkv %.3f, "
               "backward %.3f ms\n",
               ways[w.way], w.stored16 ? " stored" : "", s->B, s->H, s->T, s->D, s->dropout, (int)(w.local >> 10),
               ms[0], ms[1], ms[2], ms[3], ms[1] + ms[2] + ms[3]);
        fflush(stdout);
        direct_free(&r);
        tensors_free(&t);
    }
    b->close(b);
}
END_TEST

Suite *opencl_attention_suite(void) {
    Suite *suite = suite_create("opencl_attention");
    TCase *t = tcase_create("shapes");
    tcase_add_test(t, every_head_size_up_to_256_has_a_shape_within_the_limits);
    tcase_add_loop_test(t, local_memory_is_what_the_shape_says, 0, 4);
    suite_add_tcase(suite, t);
    t = tcase_create("float32");
    tcase_add_checked_fixture(t, compile_quickly, NULL);
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, float32_is_float64_with_48_kib_of_local_memory, 0, PORTABLE);
    tcase_add_loop_test(t, float32_is_float64_with_32_kib_of_local_memory, 0, WITH_32_KIB);
    suite_add_tcase(suite, t);
    t = tcase_create("units");
    tcase_add_checked_fixture(t, compile_quickly, NULL);
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, matrix_units_are_float64_but_for_the_rounding_of_inputs, 0, UNITS * BY_UNITS);
    suite_add_tcase(suite, t);
    t = tcase_create("bits");
    tcase_add_checked_fixture(t, compile_quickly, NULL);
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, no_bit_depends_on_the_other_sequences_or_on_how_many_rows_a_group_keeps, 0, FEW);
    suite_add_tcase(suite, t);
    t = tcase_create("one");
    tcase_add_checked_fixture(t, compile_quickly, NULL);
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, one_new_position_is_the_last_row, 0, 2 * (int)(sizeof ones / sizeof *ones));
    tcase_add_test(t, a_device_that_computes_wrong_attention_is_refused);
    suite_add_tcase(suite, t);
    if (!getenv("SNUG_ATTENTION_TIMES")) return suite;
    t = tcase_create("times");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, milliseconds_a_layer);
    suite_add_tcase(suite, t);
    return suite;
}
