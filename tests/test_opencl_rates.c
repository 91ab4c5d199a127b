/* test_opencl_rates.c: how fast matrix products are, each way that there is, at the shapes of GPT-2 124M's step of
   16 x 1024: SNUG_RATES=1 build/tests opencl_rates, on a card (half a minute). Without SNUG_RATES the shapes are tiny,
   and all that is promised is that there are numbers. */
#include "base/bf16.h"
#include "base/timer.h"
#include "opencl/product.h"
#include "opencl/tune/tune.h"
#include "opencl_device.h"
#include <math.h>

typedef struct {
    const char *name;
    bool ta, tb;
    int64_t m, n, k, piece;
    float beta;
    bool stored[3]; /* with dtype=bfloat16: is A, B or C bf16? */
} rated;
#define LAYER                                                                                                          \
    { true, false, true }
#define STREAM                                                                                                         \
    { false, false, true }
#define WEIGHT                                                                                                         \
    { true, true, false }
static const rated SHAPES[] = {
    {"qkv", false, false, 16384, 2304, 768, 0, 0, LAYER},
    {"attn_proj", false, false, 16384, 768, 768, 0, 0, LAYER},
    {"fc", false, false, 16384, 3072, 768, 0, 0, LAYER},
    {"mlp_proj", false, false, 16384, 768, 3072, 0, 0, LAYER},
    {"qkv dx", false, true, 16384, 768, 2304, 0, 0, LAYER},
    {"fc dx", false, true, 16384, 768, 3072, 0, 0, LAYER},
    {"mlp_proj dx", false, true, 16384, 3072, 768, 0, 0, STREAM},
    {"qkv dw 16", true, false, 768, 2304, 16384, 1024, 1, WEIGHT},
    {"proj dw 16", true, false, 768, 768, 16384, 1024, 1, {true, false, false}},
    {"fc dw 16", true, false, 768, 3072, 16384, 1024, 1, WEIGHT},
    {"fc dw 1", true, false, 768, 3072, 1024, 0, 1, WEIGHT},
    {"head logits", false, true, 256, 50304, 768, 0, 0, {true, false, false}},
    {"head dx", false, false, 256, 768, 50304, 4096, 0, {false, false, false}},
    {"head dwte", true, false, 50304, 768, 256, 0, 1, {false, true, false}},
};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES };

static const struct {
    const char *name;
    compute_precision precision;
    bool own;
} WAYS[] = {{"CLBlast float32", PRECISION_FLOAT32, false},
            {"own float32", PRECISION_FLOAT32, true},
            {"tf32", PRECISION_TF32, true},
            {"bf16 of float", PRECISION_BF16, true},
            {"dtype=bfloat16", PRECISION_BFLOAT16, true}};

static bool at_full_size(void) { return getenv("SNUG_RATES") != NULL; }
static int64_t cut(int64_t n) { return at_full_size() ? n : (n + 511) / 512 + 3; }

static product_call call_of(gemm_bench *t, const rated *r) {
    product_call p = {.ta = r->ta,
                      .tb = r->tb,
                      .m = cut(r->m),
                      .n = cut(r->n),
                      .k = cut(r->k),
                      .piece = r->piece ? cut(r->piece) : 0,
                      .beta = r->beta};
    memory_place *places[] = {&p.A, &p.B, &p.C};
    for (int i = 0; i < 3; i++)
        *places[i] = memory_find(&t->b->memory, r->stored[i] && t->stored[i] ? t->stored[i] : t->operand[i], 0);
    return p;
}

static status launch(gemm_bench *t, const rated *r, bool own, error *e) {
    if (own) {
        product_call p = call_of(t, r);
        return product_run(t->b, &p, e);
    }
    matrix M[3] = {{t->operand[0], 0}, {t->operand[1], 0}, {t->operand[2], 0}};
    int64_t k = r->piece && r->ta ? cut(r->piece) : cut(r->k); /* one sequence at a time is all that CLBlast has */
    return gemm_run(t->b, r->ta, r->tb, cut(r->m), cut(r->n), k, M[0], M[1], r->beta, M[2],
                    tensor_bytes(&t->g->tensors[t->op.scratch], 4), e);
}

/* TFLOP/s: enough launches for some milliseconds, the best of three times. */
static double rate_of(gemm_bench *t, const rated *r, bool own) {
    error e = {""};
    double best = INFINITY, k = (double)(r->piece && r->ta && !own ? cut(r->piece) : cut(r->k));
    double flops = 2 * (double)cut(r->m) * (double)cut(r->n) * k;
    int launches = at_full_size() ? 1 + (int)(4e11 / flops) : 1;
    for (int i = 0; i < 4; i++) {
        double began = seconds_now();
        for (int j = 0; j < (i ? launches : 1); j++)
            ck_assert_msg(launch(t, r, own, &e) == OK, "%s: %s", r->name, e.text);
        ck_assert_int_eq(clFinish(t->b->device.queue), CL_SUCCESS);
        double took = (seconds_now() - began) / launches;
        if (i && took < best) best = took;
    }
    return flops / best * 1e-12;
}

/* Random numbers in the first million, again and again. */
static void fill_random(gemm_bench *t, tensor_id id) {
    error e = {""};
    enum { PART = 1 << 20 };
    bool bf16 = t->g->tensors[id].type == TYPE_BF16;
    size_t size = bf16 ? 2 : 4;
    float *v = malloc(sizeof *v * PART);
    uint16_t *halves = (uint16_t *)(void *)v;
    uint32_t state = (uint32_t)id;
    for (int64_t i = 0; i < PART; i++) {
        state = state * 1664525u + 1013904223u;
        float x = (float)((int)(state >> 8) - (1 << 23)) / (float)(1 << 23);
        if (bf16)
            halves[i] = bf16_of_float(x);
        else
            v[i] = x;
    }
    for (int64_t at = 0; at < t->room; at += PART) {
        int64_t n = t->room - at < PART ? t->room - at : PART;
        ck_assert_int_eq(t->b->base.write(&t->b->base, id, v, size * (size_t)at, size * (size_t)n, &e), OK);
    }
    free(v);
}

START_TEST(products_have_rates) {
    error e = {""};
    gemm_bench t;
    product list[N_SHAPES];
    bool own = WAYS[_i].own;
    backend *b = own ? open_own(WAYS[_i].precision, false, 0) : open_device_with((opencl_options){.gemm = "default"});
    opencl *o = (opencl *)b;
    if (at_full_size() && (o->products.emulated || (WAYS[_i].precision == PRECISION_BFLOAT16 && !o->products.units))) {
        printf("| %s | no such units here |\n", WAYS[_i].name);
        b->close(b);
        return;
    }
    for (int i = 0; i < N_SHAPES; i++) {
        const rated *r = &SHAPES[i];
        int64_t pieces = r->piece && !r->ta ? (r->k + r->piece - 1) / r->piece : 1; /* planes of C */
        list[i] = (product){r->ta, r->tb, cut(r->m) * pieces, cut(r->n), cut(r->k), r->beta, 1};
    }
    ck_assert_msg(gemm_bench_open(&t, o, list, N_SHAPES, &e) == OK, "%s", e.text);
    for (int i = 0; i < 2; i++) {
        fill_random(&t, t.operand[i]);
        if (t.stored[i]) fill_random(&t, t.stored[i]);
    }
    for (int i = 0; i < N_SHAPES; i++) {
        const rated *r = &SHAPES[i];
        char text[128] = "|";
        int used = 1;
        for (int tile = 0; tile <= (own ? PRODUCT_TILES : 0); tile++) { /* 0: the tile that is chosen */
            o->products.tile = tile;
            double rate = rate_of(&t, r, own);
            ck_assert_msg(isfinite(rate) && rate > 0, "%s: %g TFLOP/s", r->name, rate);
            used += snprintf(text + used, sizeof text - (size_t)used, " %.1f |", rate);
        }
        if (at_full_size())
            printf("| %s | %s %lld x %lld x %lld %s\n", WAYS[_i].name, r->name, (long long)cut(r->m),
                   (long long)cut(r->n), (long long)cut(r->k), text);
    }
    fflush(stdout);
    b->close(b);
    gemm_bench_close(&t);
}
END_TEST

Suite *opencl_rates_suite(void) {
    Suite *suite = suite_create("opencl_rates");
    TCase *t = tcase_create("opencl_rates");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, products_have_rates, 0, sizeof WAYS / sizeof *WAYS);
    suite_add_tcase(suite, t);
    return suite;
}
