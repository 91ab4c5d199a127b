/* test_opencl_product.c: snug's own products, in float32 and, for matmul_precision=high and =medium, in tf32 and bf16,
   with the PTX of mma_ptx.cl emulated in OpenCL C where the device has no matrix units of NVIDIA's; the gate that such
   devices meet; the plan, which has no temporaries of CLBlast's. What products end in: test_opencl_ends.c; the ops one
   by one: test_opencl.c. */
#include "run/model.h"
#include "graph/recompute.h"
#include "opencl/product.h"
#include "opencl/product_tiles.h"
#include "opencl/tune/tune.h"
#include "opencl_device.h"
#include "support_steps.h"
#include <math.h>
#include <string.h>

static const compute_precision precisions[] = {PRECISION_FLOAT32, PRECISION_TF32, PRECISION_BF16, PRECISION_BFLOAT16};

/* Sizes that are multiples of nothing, with more than a tile of rows; and sizes of whole float4. */
static const gpt_shape shapes[] = {
    {.layers = 2, .heads = 3, .channels = 27, .positions = 33, .vocabulary = 131, .bias = true, .norm_epsilon = 1e-5},
    {.layers = 1, .heads = 2, .channels = 64, .positions = 64, .vocabulary = 256, .norm_epsilon = 1e-5},
};

/* ---- single products ---- */

/* What opening asks of a device, asked of one that was opened without; and of one whose kernels get other inputs. */
START_TEST(products_are_those_of_rounded_inputs) {
    error e = {""};
    char why[256];
    bool right;
    gemm_bench t;
    backend *b = open_own(precisions[_i], false, 0);
    ck_assert_uint_eq(opencl_memory_now(b).live, 0);
    ck_assert_msg(gemm_bench_open(&t, (opencl *)b, NULL, 0, &e) == OK, "%s", e.text);
    ck_assert_msg(gemm_bench_check_own(&t, &right, why, &e) == OK, "%s", e.text);
    ck_assert_msg(right, "%s", why);
    for (int64_t i = 0; i < t.room; i++) t.host[0][i] *= 1 + ldexpf(1, -11);
    ck_assert_msg(gemm_bench_check_own(&t, &right, why, &e) == OK, "%s", e.text);
    ck_assert_msg(!right, "inputs that differ in their last bit pass");
    b->close(b);
    gemm_bench_close(&t);
}
END_TEST

/* The proof looks at the kernels of every variant, that is of every way in which A and B are stored: one that reads
   them as another variant does is found, with each pair of transpositions. */
START_TEST(each_way_of_storing_is_proved) {
    error e = {""};
    char why[256];
    bool right;
    gemm_bench t;
    backend *base = open_device_with((opencl_options){.precision = PRECISION_BFLOAT16});
    opencl *b = (opencl *)base;
    ck_assert_msg(gemm_bench_open(&t, b, NULL, 0, &e) == OK, "%s", e.text);
    ck_assert_msg(gemm_bench_check_own(&t, &right, why, &e) == OK && right, "%s %s", e.text, why);
    for (int i = 0; i < PRODUCT_VARIANTS * 4; i++) {
        const int variant = i / 4, ta = i / 2 % 2, tb = i % 2;
        int other = variant;
        if (!product_has(b, variant & 1, variant >> 1, ta, tb)) continue;
        do other = (other + 1) % PRODUCT_VARIANTS;
        while (!product_has(b, other & 1, other >> 1, ta, tb));
        ck_assert_int_ne(other, variant);
        cl_kernel own[PRODUCT_TILES + 1];
        for (int tile = 0; tile <= PRODUCT_TILES; tile++) {
            cl_kernel *k = &b->products.variant[variant].kernel[tile][ta][tb];
            own[tile] = *k;
            *k = b->products.variant[other].kernel[tile][ta][tb];
        }
        ck_assert_msg(gemm_bench_check_own(&t, &right, why, &e) == OK, "%s", e.text);
        ck_assert_msg(!right, "variant %d passes with the kernels of %d (%d %d)", variant, other, ta, tb);
        for (int tile = 0; tile <= PRODUCT_TILES; tile++) b->products.variant[variant].kernel[tile][ta][tb] = own[tile];
    }
    base->close(base);
    gemm_bench_close(&t);
}
END_TEST

/* product_round against the definition: 10 bits of fraction, the nearest, of two equally near ones the larger; and 7
   bits, the even one. */
START_TEST(rounding_is_to_the_nearest) {
    static const float table[][3] = {{0, 0, 0},
                                     {1, 1, 1},
                                     {1 + 0x1p-10f, 1 + 0x1p-10f, 1},
                                     {1 + 0x1p-11f, 1 + 0x1p-10f, 1},
                                     {1 + 0x1.8p-12f, 1, 1},
                                     {-1 - 0x1p-11f, -1 - 0x1p-10f, -1},
                                     {1 + 3 * 0x1p-11f, 1 + 0x1p-9f, 1},
                                     {1 + 0x1p-8f, 1 + 0x1p-8f, 1},
                                     {1 + 3 * 0x1p-8f, 1 + 3 * 0x1p-8f, 1 + 0x1p-6f},
                                     {-1 - 0x1.1p-8f, -1 - 0x1p-8f, -1 - 0x1p-7f},
                                     {0x1.fffp3f, 0x1p4f, 0x1p4f},
                                     {INFINITY, INFINITY, INFINITY},
                                     {-INFINITY, -INFINITY, -INFINITY}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int p = 0; p < 3; p++) {
            float got = product_round(precisions[p], table[i][0]), want = table[i][p];
            ck_assert_msg(got == want, "%a becomes %a, not %a", table[i][0], got, want);
        }
    ck_assert(isnan(product_round(PRECISION_TF32, NAN)) && isnan(product_round(PRECISION_BF16, NAN)));
}
END_TEST

/* The tiles take turns, the first launch by each is not timed, and then the fastest stays, by 2 % at least: below
   that the rule's. */
START_TEST(a_shapes_first_launches_find_its_tile) {
    static const struct {
        double seconds[PRODUCT_TILES];
        int rule, best;
    } table[] = {{{1, 0.9}, 0, 1}, {{1, 0.9}, 1, 1}, {{0.9, 1}, 1, 0}, {{1, 0.99}, 0, 0}, {{0.99, 1}, 1, 1}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tile_trial t = {.least = {INFINITY, INFINITY}};
        for (int n = 0; n < TILE_LAUNCHES; n++) {
            ck_assert(tile_trial_is_open(&t));
            int tile = tile_trial_next(&t, table[i].rule);
            ck_assert_int_eq(tile, n % PRODUCT_TILES);
            double loading = n < PRODUCT_TILES ? 0.01 : table[i].seconds[tile];
            tile_trial_note(&t, tile, n == 4 ? 9 : loading); /* one of them disturbed */
        }
        ck_assert(!tile_trial_is_open(&t));
        ck_assert_int_eq(tile_trial_next(&t, table[i].rule), table[i].best);
    }
}
END_TEST

/* Each shape once; and where shapes change from run to run, as with every token of a sample, nothing is tried. */
START_TEST(shapes_are_tried_where_they_come_again) {
    error e = {""};
    gemm_bench t;
    double seconds;
    opencl *b = (opencl *)open_own(PRECISION_FLOAT32, false, 0);
    const product p = {.m = 64, .n = 64, .k = 64}, q = {.tb = true, .m = 64, .n = 64, .k = 64};
    ck_assert_msg(gemm_bench_open(&t, b, NULL, 0, &e) == OK, "%s", e.text);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(gemm_bench_time(&t, &p, 5, &seconds, &e), OK);
    ck_assert_int_eq(gemm_bench_time(&t, &q, 1, &seconds, &e), OK);
    ck_assert_int_eq(b->products.n_trials, 2);
    ck_assert_int_eq(b->products.trials[0].launches, TILE_LAUNCHES);
    ck_assert_int_eq(b->products.trials[1].launches, 1);
    for (int i = 0; i < PRODUCT_TILES; i++) ck_assert(b->products.trials[0].least[i] < INFINITY);
    b->args.length++;
    const product r = {.m = 32, .n = 64, .k = 64};
    ck_assert_int_eq(gemm_bench_time(&t, &r, 1, &seconds, &e), OK);
    ck_assert_int_eq(b->products.n_trials, 2);
    b->base.close(&b->base);
    gemm_bench_close(&t);
}
END_TEST

/* C[m,n] = op(A) op(B) + beta C by gemm_run, with what the host has in a, b and c. */
static void multiply(gemm_bench *t, product p, const float *a, const float *b, float *c) {
    error e = {""};
    backend *base = &t->b->base;
    matrix M[3] = {{t->operand[0], 0}, {t->operand[1], 0}, {t->operand[2], 0}};
    size_t bytes = sizeof *c * (size_t)(p.m * p.n);
    ck_assert_int_eq(base->write(base, t->operand[0], a, 0, sizeof *a * (size_t)(p.m * p.k), &e), OK);
    ck_assert_int_eq(base->write(base, t->operand[1], b, 0, sizeof *b * (size_t)(p.k * p.n), &e), OK);
    ck_assert_int_eq(base->write(base, t->operand[2], c, 0, bytes, &e), OK);
    ck_assert_msg(gemm_run(t->b, p.ta, p.tb, p.m, p.n, p.k, M[0], M[1], p.beta, M[2], 0, &e) == OK, "%s", e.text);
    ck_assert_int_eq(base->read(base, t->operand[2], c, 0, bytes, &e), OK);
}

/* Whole numbers add up exactly in any order: each place of C, and each pair of places of A and B, by itself. */
static void expect_exact(compute_precision precision, product p, int tile) {
    error e = {""};
    gemm_bench t;
    int64_t m = p.m, n = p.n, k = p.k;
    float *a = xcalloc((size_t)(m * k), sizeof *a), *b = xcalloc((size_t)(k * n), sizeof *b);
    float *c = xcalloc((size_t)(m * n), sizeof *c);
    backend *base = open_own(precision, false, tile);
    ck_assert_msg(gemm_bench_open(&t, (opencl *)base, NULL, 0, &e) == OK, "%s", e.text);
    for (int64_t i = 0; i < m * k; i++) a[i] = (float)(i * 7919 % 512 - 256); /* bf16 has these all */
    for (int64_t i = 0; i < k * n; i++) b[i] = (float)(i * 104729 % 256 - 128);
    for (int64_t i = 0; i < m * n; i++) c[i] = (float)(i % 9);
    multiply(&t, p, a, b, c);
    for (int64_t i = 0; i < m * n; i++) {
        float want = p.beta != 0 ? (float)(i % 9) : 0;
        for (int64_t x = 0; x < k; x++)
            want += a[p.ta ? x * m + i / n : i / n * k + x] * b[p.tb ? i % n * k + x : x * n + i % n];
        ck_assert_msg(c[i] == want, "C[%d,%d] is %g, not %g", (int)(i / n), (int)(i % n), c[i], want);
    }
    base->close(base);
    gemm_bench_close(&t);
    free(a);
    free(b);
    free(c);
}

START_TEST(whole_numbers_come_out_exactly) {
    compute_precision p = precisions[_i / 2];
    expect_exact(p, (product){.m = 70, .n = 67, .k = 19}, 1 + _i % 2);
    expect_exact(p, (product){.ta = true, .tb = true, .m = 130, .n = 132, .k = 40, .beta = 1}, 1 + _i % 2);
}
END_TEST

/* Small enough for a simulator (oclgrind.sh), with three steps along k: each kernel with small tiles, one with large
   ones. */
START_TEST(a_toy_product_comes_out_exactly) {
    int i = _i % 5;
    expect_exact(precisions[_i / 5],
                 (product){.ta = i & 1, .tb = i & 2, .m = 20, .n = 18, .k = 37, .beta = (float)(i & 1)}, i < 4 ? 2 : 1);
}
END_TEST

/* What is no number spoils its row and its column, and nothing else: zeros past the edges meet zeros only. */
START_TEST(nan_and_infinity_stay_in_their_rows) {
    enum { M = 20, N = 9, K = 5 };
    error e = {""};
    static const uint32_t nans[] = {0x7fc00000u, 0x7fffffffu}; /* the host's, and NVIDIA's */
    float a[M * K], b[K * N], c[M * N] = {0};
    gemm_bench t;
    backend *base = open_own(precisions[_i / 2], false, 0);
    ck_assert_msg(gemm_bench_open(&t, (opencl *)base, NULL, 0, &e) == OK, "%s", e.text);
    for (int i = 0; i < M * K; i++) a[i] = 1;
    for (int i = 0; i < K * N; i++) b[i] = 1;
    memcpy(&a[3 * K + 4], &nans[_i % 2], sizeof *a);
    a[11 * K + 2] = INFINITY;
    multiply(&t, (product){.m = M, .n = N, .k = K}, a, b, c);
    for (int i = 0; i < M * N; i++)
        ck_assert_msg(i / N == 3    ? isnan(c[i])
                      : i / N == 11 ? isinf(c[i])
                                    : c[i] == K,
                      "C[%d,%d] is %g", i / N, i % N, c[i]);
    base->close(base);
    gemm_bench_close(&t);
}
END_TEST

/* What x is once it is stored in 16 bits: of whole numbers of 8 bits and fewer no bit is lost. */
static float as_stored(float x) {
    int exponent;
    float fraction = frexpf(x, &exponent);
    return ldexpf(rintf(ldexpf(fraction, 8)), exponent - 8); /* ties to even, as rounding is by default */
}

/* What dtype=bfloat16 asks of products: operands that are stored in 16 bits, or are floats and rounded by the kernel;
   every transposition of theirs that some op asks for; C kept, or stored in 16 bits. */
static const struct {
    bool a16, b16, c16, ta, tb;
} calls[] = {
    {false, false, false, false, false}, {false, false, true, false, true}, {true, false, true, false, false},
    {true, false, false, false, true},   {true, false, false, true, false}, {false, true, false, true, false},
    {true, true, false, true, false},
};

static void expect_stored_exact(gemm_bench *t, int call, int64_t k) {
    enum { M = 136, N = 72 };
    error e = {""};
    bool ta = calls[call].ta, tb = calls[call].tb;
    float *a = xcalloc((size_t)(M * k), sizeof *a), *b = xcalloc((size_t)(k * N), sizeof *b), c[M * N];
    tensor_id A = calls[call].a16 ? t->stored[0] : t->operand[0], B = calls[call].b16 ? t->stored[1] : t->operand[1],
              C = calls[call].c16 ? t->stored[2] : t->operand[2];
    for (int64_t i = 0; i < M * k; i++) a[i] = (float)(i * 7919 % 256 - 128);
    for (int64_t i = 0; i < k * N; i++) b[i] = (float)(i * 104729 % 128 - 64);
    for (int i = 0; i < M * N; i++) c[i] = (float)(i % 9);
    a[0] = 64.75f; /* as far from 64.5 as from 65, whose last bit is 0 */
    ck_assert_int_eq(floats_write(t->b, A, a, M * k, &e), OK);
    a[0] = as_stored(a[0]);
    ck_assert_int_eq(floats_write(t->b, B, b, k * N, &e), OK);
    ck_assert_int_eq(floats_write(t->b, C, c, M * N, &e), OK);
    product_call p = {.ta = ta, .tb = tb, .m = M, .n = N, .k = k, .beta = ta ? 1 : 0};
    p.A = memory_find(&t->b->memory, A, 0);
    p.B = memory_find(&t->b->memory, B, 0);
    p.C = memory_find(&t->b->memory, C, 0);
    ck_assert_msg(product_run(t->b, &p, &e) == OK, "%s", e.text);
    ck_assert_msg(floats_read(t->b, C, c, M * N, &e) == OK, "%s", e.text);
    for (int64_t i = 0; i < M * N; i++) {
        float want = p.beta != 0 ? (float)(i % 9) : 0;
        for (int64_t x = 0; x < k; x++)
            want += a[ta ? x * M + i / N : i / N * k + x] * b[tb ? i % N * k + x : x * N + i % N];
        if (calls[call].c16) want = as_stored(want);
        ck_assert_msg(c[i] == want, "call %d: C[%d,%d] is %g, not %g", call, (int)(i / N), (int)(i % N), c[i], want);
    }
    free(a);
    free(b);
}

/* By matrix units, and by the portable kernels; either tile; whole and odd lines. */
START_TEST(operands_stored_as_bf16_come_out_exactly) {
    error e = {""};
    gemm_bench t;
    int tile = 1 + _i % 2;
    backend *base = _i / 2 ? open_own(PRECISION_BFLOAT16, false, tile)
                           : open_device_with((opencl_options){
                                 .precision = PRECISION_BFLOAT16, .product_tile = tile, .mma = MMA_EMULATED});
    ck_assert_msg(gemm_bench_open(&t, (opencl *)base, NULL, 0, &e) == OK, "%s", e.text);
    for (int call = 0; call < (int)(sizeof calls / sizeof *calls); call++) {
        if (tile == 1) expect_stored_exact(&t, call, 40);
        if (tile == 2) expect_stored_exact(&t, call, call % 2 ? 39 : 40);
    }
    base->close(base);
    gemm_bench_close(&t);
}
END_TEST

/* ---- whole steps ---- */

/* Does a step of shapes[SHAPE] take attention by matrix units, and is that what PoCL 6.0 compiles wrongly? Heads of 9
   channels have no such attention. */
static bool attention_is_wrong(const char *test, compute_precision p, int shape) {
    return p != PRECISION_FLOAT32 && shape == 1 && emulates_wrongly(test);
}

static backend *open_clblast(void) { return open_device_with((opencl_options){.gemm = "default"}); }

/* Loss and gradients of one step with dropout; the caller frees the list. */
static double **gradients(backend *b, const gpt_shape *shape, int *n, double *loss) {
    error e = {""};
    model m;
    gpt_run run = steps_run(4, shape->positions, 2, 0);
    step_settings s = {.step = 3, .seed = 5};
    ck_assert_msg(model_open(&m, b, shape, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(&m, 7, &e) == OK, "%s", e.text);
    batch data = batch_new(run.sequences, run.length);
    steps_batch(&data, shape->vocabulary, 0);
    ck_assert_msg(model_gradients(&m, &data, &s, loss, &e) == OK, "%s", e.text);
    *n = m.gpt.n_params;
    double **all = xcalloc((size_t)*n, sizeof *all);
    for (int p = 0; p < *n; p++) {
        tensor_id id = m.gpt.grad[p + 1];
        int64_t count = tensor_elements(&m.gpt.graph->tensors[id]);
        all[p] = xcalloc((size_t)count + 1, sizeof **all);
        all[p][0] = (double)count;
        ck_assert_msg(model_read(&m, id, 0, count, all[p] + 1, &e) == OK, "%s", e.text);
    }
    batch_free(&data);
    model_close(&m);
    return all;
}

START_TEST(a_step_is_the_float32_step_but_for_the_rounding_of_inputs) {
    int n, same;
    double exact, loss, most = 0;
    if (attention_is_wrong("a step by matrix units", precisions[_i / 2], _i % 2)) return;
    double **want = gradients(open_clblast(), &shapes[_i % 2], &n, &exact);
    double **got = gradients(open_own(precisions[_i / 2], false, 0), &shapes[_i % 2], &same, &loss);
    ck_assert_int_eq(n, same);
    bool rounds = _i / 2 > 0;
    double tolerance = precision_table[precisions[_i / 2]].tolerance;
    ck_assert_msg(fabs(loss - exact) <= 1e-3 * exact && (!rounds || loss != exact), "loss %.9g, in float32 %.9g", loss,
                  exact);
    for (int p = 0; p < n; p++) {
        double difference = 0, size = 0;
        for (int64_t i = 1; i <= (int64_t)want[p][0]; i++) {
            difference += (got[p][i] - want[p][i]) * (got[p][i] - want[p][i]);
            size += want[p][i] * want[p][i];
        }
        double off = sqrt(difference / size);
        ck_assert_msg(off <= tolerance, "gradient of parameter %d is off by %.3g", p, off);
        most = off > most ? off : most;
        free(want[p]);
        free(got[p]);
    }
    ck_assert_msg(!rounds || most >= 1e-5, "gradients differ by %.3g at most: was this float32?", most);
    free(want);
    free(got);
}
END_TEST

/* The splits of twelve sequences, with another policy and other tiles each. */
START_TEST(micro_batch_split_never_changes_bits_by_own_products) {
    static const int splits[] = {12, 5, 1, 3};
    char hash[HASH_HEX] = "", first[HASH_HEX] = "";
    if (attention_is_wrong("splits by matrix units", precisions[_i / 2], _i % 2)) return;
    for (int i = 0; i < 4; i++) {
        gpt_run run = steps_run(12, shapes[_i % 2].positions, splits[i], recompute_policies[i].dropped);
        steps_train(open_own(precisions[_i / 2], false, i % 3), &shapes[_i % 2], &run, i ? hash : first, NULL);
        ck_assert_msg(!i || !strcmp(hash, first), "micro-batches of %d change the weights", splits[i]);
    }
}
END_TEST

/* ---- plans and refusals ---- */

START_TEST(planned_bytes_are_allocated_bytes_without_temporaries) {
    error e = {""};
    model m;
    gpt_run run = steps_run(4, 64, 3, 0);
    if (attention_is_wrong("a plan for matrix units", precisions[_i], 1)) return;
    ck_assert_msg(model_open(&m, open_clblast(), &shapes[1], &run, &e) == OK, "%s", e.text);
    uint64_t with_temporaries = m.plan.total;
    model_close(&m);
    ck_assert_msg(model_open(&m, open_own(precisions[_i], true, 0), &shapes[1], &run, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(opencl_memory_now(m.backend).live, m.plan.total);
    ck_assert_uint_eq(m.backend->allocated, m.plan.total);
    ck_assert_uint_lt(m.plan.total, with_temporaries);
    for (tensor_id t = 1; t < m.gpt.graph->n_tensors; t++)
        ck_assert_msg(m.gpt.graph->tensors[t].kind != KIND_GEMM, "there are temporaries");
    model_close(&m);
}
END_TEST

/* Without emulation a device has matrix units that are proved, or is refused in one line. */
START_TEST(a_device_without_matrix_units_is_refused_in_one_line) {
    error e = {""};
    backend *b;
    status s = opencl_open(&(opencl_options){.selector = test_device(), .precision = precisions[1 + _i]}, &b, &e);
    if (s == OK) {
        ck_assert_ptr_nonnull(strstr(b->device, "NVIDIA"));
        b->close(b);
        return;
    }
    ck_assert_int_eq(s, BAD_INPUT);
    ck_assert_ptr_null(strchr(e.text, '\n'));
    ck_assert_ptr_nonnull(strstr(e.text, _i ? "matmul_precision 'medium'" : "matmul_precision 'high'"));
    ck_assert_ptr_nonnull(strstr(e.text, "--matmul_precision=highest"));
}
END_TEST

/* The proof's own memory is under the cap too. */
START_TEST(a_cap_below_the_proof_is_refused) {
    error e = {""};
    backend *b;
    opencl_options o = {
        .selector = test_device(), .cap = 1 << 14, .precision = PRECISION_TF32, .mma = MMA_EMULATED_AND_PROVED};
    ck_assert_int_eq(opencl_open(&o, &b, &e), NO_MEMORY);
    ck_assert_ptr_nonnull(strstr(e.text, "cap"));
}
END_TEST

Suite *opencl_product_suite(void) {
    Suite *suite = suite_create("opencl_product");
    TCase *t = tcase_create("products");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, products_are_those_of_rounded_inputs, 0, 3);
    tcase_add_test(t, rounding_is_to_the_nearest);
    tcase_add_test(t, a_shapes_first_launches_find_its_tile);
    tcase_add_test(t, shapes_are_tried_where_they_come_again);
    tcase_add_loop_test(t, whole_numbers_come_out_exactly, 0, 6);
    tcase_add_loop_test(t, nan_and_infinity_stay_in_their_rows, 0, 6);
    suite_add_tcase(suite, t);
    t = tcase_create("stored"); /* many kernels, each for a few products */
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, products_are_those_of_rounded_inputs, 3, 4);
    tcase_add_test(t, each_way_of_storing_is_proved);
    tcase_add_loop_test(t, operands_stored_as_bf16_come_out_exactly, 0, 4);
    suite_add_tcase(suite, t);
    t = tcase_create("toy");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, a_toy_product_comes_out_exactly, 0, 15);
    suite_add_tcase(suite, t);
    t = tcase_create("steps");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, a_step_is_the_float32_step_but_for_the_rounding_of_inputs, 0, 6);
    tcase_add_loop_test(t, micro_batch_split_never_changes_bits_by_own_products, 0, 6);
    tcase_add_loop_test(t, planned_bytes_are_allocated_bytes_without_temporaries, 0, 3);
    tcase_add_loop_test(t, a_device_without_matrix_units_is_refused_in_one_line, 0, 2);
    tcase_add_test(t, a_cap_below_the_proof_is_refused);
    suite_add_tcase(suite, t);
    return suite;
}
