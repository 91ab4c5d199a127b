/* test_opencl_attention.c: attention's kernels for GPUs, variant by variant, against the CPU backend in float64; that
   no bit depends on what runs beside a sequence; attention for one new position. Matrix units are emulated where the
   device has none. Whole graphs are in test_opencl.c. */
#include "base/timer.h"
#include "graph/backend.h"
#include "opencl_device.h"
#include "support_opencl_attention.h"
#include <math.h>
#include <string.h>

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
    direct_run(w, s, &got);
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
    direct_run(w, &all, &many);
    direct_run(small, &one, &alone);
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
    if (way == ATTENTION_FLOAT32) direct_run(w, s, &rows);
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
    tensor_id id[TENSORS];
    graph *g = attention_graph(&s, id);
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
        cl_kernel kernel = direct_kernel(&r, kernels[k]);
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
        direct_launch(r, name, args, s, groups, lanes, 10);
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
        for (int k = QKV; k < TENSORS; k++) direct_copy(&r, k, &t, w.stored16, true);
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
