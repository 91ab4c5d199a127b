/* check.c: times single matrix products on a device, and compares them with OpenBLAS's. See tune.h. */
#include "base/timer.h"
#include "opencl/product.h"
#include "opencl/tune/tune.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* GUARD: floats beyond C's end that must not change. CHECK_ROOM: floats of the largest operand of a check, with offset
   and guard. Own products are tried whenever a device opens, under the user's cap, which may be a toy's. */
enum { GUARD = 64 };
enum { CHECK_ROOM = 512 * 384, CHECK_ROOM_OWN = 2 * 96 * 160 + 2 * GUARD };

/* ---- a bench ---- */

static int64_t largest_operand(const product *p) {
    int64_t a = p->m * p->k, b = p->k * p->n, c = p->m * p->n, most = a > b ? a : b;
    return (most > c ? most : c) + 2 * GUARD;
}

status gemm_bench_open(gemm_bench *t, opencl *b, const product *list, int n, error *e) {
    static const char *const names[] = {"temporary", "A", "B", "C"}; /* CLBlast's begins the block */
    *t = (gemm_bench){.b = b, .room = b->own_products ? CHECK_ROOM_OWN : CHECK_ROOM};
    uint64_t scratch = b->own_products ? 4 : scratch_gemm(512, 512, 512);
    for (int i = 0; i < n; i++) {
        int64_t room = largest_operand(&list[i]);
        uint64_t bytes = scratch_gemm(list[i].m, list[i].n, list[i].k);
        if (room > t->room) t->room = room;
        if (bytes > scratch && !b->own_products) scratch = bytes;
    }
    t->g = graph_new(GRAPH_GRADS, 1, 1, true);
    tensor_id id[4];
    for (int i = 0; i < 4; i++)
        id[i] = graph_tensor(t->g, names[i], -1, ROLE_STEP, KIND_TEMP, TYPE_REAL, 1,
                             (int64_t[]){i ? t->room : (int64_t)(scratch / 4)});
    memcpy(t->operand, id + 1, sizeof t->operand);
    for (int i = 0; i < 3 && has_act16(b); i++)
        t->stored[i] = graph_tensor(t->g, names[i + 1], -1, ROLE_STEP, KIND_TEMP, TYPE_BF16, 1, &t->room);
    t->op = (op){.code = OP_LINEAR, .scratch = id[0]};
    status s = plan_make(t->g, &b->base.limits, &t->p, e);
    if (s == OK) s = b->base.bind(&b->base, t->g, &t->p, e);
    if (s != OK) {
        gemm_bench_close(t);
        return s;
    }
    b->op = &t->op;
    b->args = (step_args){.sequences = 1, .length = t->g->length, .inv_targets = 1};
    return OK;
}

void gemm_bench_close(gemm_bench *t) {
    for (int i = 0; i < 4; i++) free(t->host[i]);
    plan_free(&t->p);
    graph_free(t->g);
    *t = (gemm_bench){0};
}

/* The first n numbers of A, B or C, to the device and back. */
static tensor_id operand_of(const gemm_bench *t, int i) { return t->is16[i] ? t->stored[i] : t->operand[i]; }
static status put(gemm_bench *t, int i, const float *x, int64_t n, error *e) {
    return floats_write(t->b, operand_of(t, i), x, n, e);
}
static status get(gemm_bench *t, int i, float *x, int64_t n, error *e) {
    return floats_read(t->b, operand_of(t, i), x, n, e);
}

/* at: the element at which each operand starts. */
static status run(gemm_bench *t, const product *p, int64_t at, error *e) {
    matrix M[3];
    for (int i = 0; i < 3; i++) M[i] = (matrix){operand_of(t, i), (uint64_t)at};
    return gemm_run(t->b, p->ta, p->tb, p->m, p->n, p->k, M[0], M[1], p->beta, M[2],
                    tensor_bytes(&t->g->tensors[t->op.scratch], 4), e);
}

static status wait(gemm_bench *t, error *e) {
    CL(&t->b->device, clFinish(t->b->device.queue));
    return OK;
}

status gemm_bench_time(gemm_bench *t, const product *p, int runs, double *seconds, error *e) {
    *seconds = INFINITY;
    for (int i = 0; i < runs; i++) {
        TRY(wait(t, e));
        double from = seconds_now();
        TRY(run(t, p, 0, e));
        TRY(wait(t, e));
        double took = seconds_now() - from;
        if (took < *seconds) *seconds = took;
    }
    return OK;
}

/* ---- right or wrong ---- */

/* Fills A and B with numbers in (-1, 1), on the host and on the device. They stay as they are. */
static status fill(gemm_bench *t, error *e) {
    uint32_t state = 1;
    if (t->host[0]) return OK;
    for (int i = 0; i < 4; i++) t->host[i] = xcalloc((unsigned long)t->room, sizeof(float));
    for (int i = 0; i < 2; i++) {
        for (int64_t j = 0; j < t->room; j++) {
            state = state * 1664525u + 1013904223u;
            t->host[i][j] = (float)((int)(state >> 8) - (1 << 23)) / (float)(1 << 23);
        }
        if (t->stored[i]) TRY(floats_write(t->b, t->stored[i], t->host[i], t->room, e));
        TRY(floats_write(t->b, t->operand[i], t->host[i], t->room, e));
        compute_precision p = t->b->base.type->precision;
        for (int64_t j = 0; j < t->room; j++) t->host[i][j] = product_round(p, t->host[i][j]);
    }
    return OK;
}

/* C before a product: NaN, which a product with beta 0 must not read, or numbers, to which one with beta 1 must add. */
static float before(int64_t i, float beta) { return beta != 0 ? (float)(i % 7) * 0.25f : NAN; }

/* Fills C, runs p, and reads C and its guard back. */
static status compute(gemm_bench *t, const product *p, int64_t at, error *e) {
    int64_t all = at + p->m * p->n + GUARD;
    float *c = t->host[2];
    for (int64_t i = 0; i < all; i++) c[i] = before(i, p->beta);
    TRY(put(t, 2, c, all, e));
    TRY(run(t, p, at, e));
    return get(t, 2, c, all, e);
}

static bool is_same(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

/* Compares C with OpenBLAS's: norm-wise, and each number by how much a float32 sum of k products can be off. Matrix
   units may cut off where float32 rounds. Inputs not rounded to tf32 would make a difference of about 3e-4. What is
   stored as bf16 is off by up to 2^-8 of itself more. */
static bool is_right(gemm_bench *t, const product *p, int64_t at, char why[256]) {
    int64_t n = p->m * p->n;
    const float *got = t->host[2];
    float *want = t->host[3];
    for (int64_t i = 0; i < n; i++) want[i] = p->beta != 0 ? before(at + i, p->beta) : 0;
    cblas_sgemm(CblasRowMajor, p->ta ? CblasTrans : CblasNoTrans, p->tb ? CblasTrans : CblasNoTrans, (int)p->m,
                (int)p->n, (int)p->k, 1, t->host[0] + at, (int)(p->ta ? p->m : p->k), t->host[1] + at,
                (int)(p->tb ? p->k : p->n), p->beta, want, (int)p->n);
    double difference = 0, size = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[at + i] - want[i];
        difference += d * d;
        size += (double)want[i] * want[i];
        d = fabs(d) - (t->is16[2] ? ldexp(fabs(want[i]), -8) : 0);
        worst = d > worst || isnan(d) ? d : worst;
    }
    bool outside = true;
    for (int64_t i = 0; i < at; i++) outside = outside && is_same(got[i], before(i, p->beta));
    for (int64_t i = at + n; i < at + n + GUARD; i++) outside = outside && is_same(got[i], before(i, p->beta));
    bool units = *precision_table[t->b->base.type->precision].products;
    double allowed = t->is16[2] ? 5e-6 : units ? 1e-10 : 1e-12, allowed_worst = units ? 5e-4 : 1e-4;
    bool close = difference <= allowed * size && worst <= allowed_worst;
    snprintf(why, 256, "a product of %lld x %lld x %lld%s%s%s: %s", (long long)p->m, (long long)p->n, (long long)p->k,
             p->ta ? ", A transposed" : "", p->tb ? ", B transposed" : "", p->beta != 0 ? ", added" : "",
             close ? "writes past its end" : "is not OpenBLAS's");
    return close && outside;
}

/* Rows of activations keep their bits in any company (R6): the lower half alone against the lower half of the whole. */
static status check_company(gemm_bench *t, bool tb, bool *right, char why[256], error *e) {
    enum { ROWS = 96 };
    product whole = {.tb = tb, .m = 2 * ROWS, .n = 160, .k = 129}, half = whole;
    half.m = ROWS;
    TRY(compute(t, &whole, 0, e));
    memcpy(t->host[3], t->host[2], sizeof(float) * ROWS * 160);
    TRY(compute(t, &half, 0, e));
    *right = memcmp(t->host[3], t->host[2], sizeof(float) * ROWS * 160) == 0;
    if (!*right) snprintf(why, 256, "a row's bits depend on the rows below it");
    return OK;
}

/* The three transpositions of snug's products: forward, activation gradients, weight gradients; and the fourth, which
   product.cl has too. */
static status check_shapes(gemm_bench *t, bool *right, char why[256], error *e) {
    enum { SHAPES = 5 };
    static const int64_t clblast[SHAPES][3] = {
        {256, 384, 128}, {512, 128, 256}, {33, 131, 80}, {1, 65, 300}, {200, 7, 1}};
    static const int64_t own[SHAPES][3] = {{144, 192, 128}, {200, 128, 144}, {33, 131, 80}, {1, 65, 300}, {200, 7, 1}};
    int kinds = t->b->own_products ? 4 : 3;
    for (int i = 0; i < SHAPES * kinds * 2; i++) {
        const int64_t *s = (t->b->own_products ? own : clblast)[i / (2 * kinds)];
        int kind = i / 2 % kinds;
        if (t->b->own_products && !product_has(t->b, t->is16[0], t->is16[1], kind >= 2, kind % 2)) continue;
        if (t->is16[2] && (kind == 2 || i % 2)) continue; /* gradients of weights, and what is added to, are float */
        product p = {.ta = kind >= 2, .tb = kind % 2, .m = s[0], .n = s[1], .k = s[2], .beta = (float)(i % 2)};
        int64_t at = i % 4 == 3 ? 37 : 0;
        TRY(compute(t, &p, at, e));
        *right = is_right(t, &p, at, why);
        if (!*right) return OK;
    }
    return OK;
}

static status check_way(gemm_bench *t, gemm_params p, size_t min_indirect, bool *right, char why[256], error *e) {
    p.value[PARAM_XGEMM_MIN_INDIRECT_SIZE] = min_indirect;
    TRY(gemm_params_apply(&t->b->device, &p, e));
    TRY(check_shapes(t, right, why, e));
    if (*right && min_indirect == 1) TRY(check_company(t, false, right, why, e));
    if (*right && min_indirect == 1) TRY(check_company(t, true, right, why, e));
    return OK;
}

status gemm_bench_check(gemm_bench *t, const gemm_params *p, bool *right, char why[256], error *e) {
    error refused = {""};
    *right = false;
    why[0] = 0;
    TRY(fill(t, e));
    status s = check_way(t, *p, 1, right, why, &refused);
    if (s == OK && *right) s = check_way(t, *p, 4096, right, why, &refused);
    if (s != OK) {
        *right = false;
        snprintf(why, 256, "%.255s", refused.text);
    }
    return gemm_params_apply(&t->b->device, p, e);
}

/* ---- snug's own products ---- */

/* A product by the large tiles, and from its row FROM on by the small ones: the same numbers at other places of other
   tiles. In lines of K, whole or not. */
static status check_places(gemm_bench *t, bool tb, int64_t K, bool *right, char why[256], error *e) {
    enum { ROWS = 150, N = 144, FROM = 13 };
    product whole = {.tb = tb, .m = ROWS, .n = N, .k = K}, rest = whole;
    matrix M[3] = {{operand_of(t, 0), (uint64_t)(FROM * K)}, {operand_of(t, 1), 0}, {operand_of(t, 2), 0}};
    rest.m -= FROM;
    t->b->products.tile = product_first_tile(t->b);
    TRY(compute(t, &whole, 0, e));
    memcpy(t->host[3], t->host[2] + FROM * N, sizeof(float) * (ROWS - FROM) * N);
    t->b->products.tile = 2;
    TRY(gemm_run(t->b, false, tb, rest.m, N, K, M[0], M[1], 0, M[2], 0, e));
    TRY(get(t, 2, t->host[2], (ROWS - FROM) * N, e));
    *right = memcmp(t->host[3], t->host[2], sizeof(float) * (ROWS - FROM) * N) == 0;
    if (!*right) snprintf(why, 256, "a row's bits depend on its place");
    return OK;
}

/* Three pieces of k in one launch, by each tile, against three launches: weight gradients of as many sequences. Either
   tile gives the same. */
static status check_pieces(gemm_bench *t, bool *right, char why[256], error *e) {
    enum { M = 72, N = 136, PIECE = 43, PIECES = 3 };
    _Static_assert(2 * M * N <= CHECK_ROOM_OWN, "the results of two tiles have room in host[3]");
    const size_t bytes = sizeof(float) * M * N;
    float *other_tile = t->host[3] + M * N;
    product_call p = {.ta = true, .m = M, .n = N, .beta = 1};
    product first = {.ta = true, .m = M, .n = N, .k = PIECE, .beta = 1};
    for (int tile = product_first_tile(t->b); tile <= PRODUCT_TILES && *right; tile++) {
        t->b->products.tile = tile;
        TRY(compute(t, &first, 0, e));
        p.k = p.piece = PIECE;
        for (int i = 1; i < PIECES; i++) {
            p.A = memory_find(&t->b->memory, operand_of(t, 0), PIECE * M * (uint64_t)i);
            p.B = memory_find(&t->b->memory, operand_of(t, 1), PIECE * N * (uint64_t)i);
            p.C = memory_find(&t->b->memory, operand_of(t, 2), 0);
            TRY(product_run(t->b, &p, e));
        }
        TRY(get(t, 2, t->host[3], M * N, e));
        for (int i = 0; i < M * N; i++) t->host[2][i] = before(i, 1);
        TRY(put(t, 2, t->host[2], M * N, e));
        p.k = PIECE * PIECES;
        p.A = memory_find(&t->b->memory, operand_of(t, 0), 0);
        p.B = memory_find(&t->b->memory, operand_of(t, 1), 0);
        TRY(product_run(t->b, &p, e));
        TRY(get(t, 2, t->host[2], M * N, e));
        *right = memcmp(t->host[3], t->host[2], bytes) == 0;
        if (!*right) snprintf(why, 256, "sequences in one launch are not those one by one");
        if (*right && tile > product_first_tile(t->b) && memcmp(other_tile, t->host[2], bytes) != 0) {
            *right = false;
            snprintf(why, 256, "a weight gradient's bits depend on its tile");
        }
        memcpy(other_tile, t->host[2], bytes);
    }
    return OK;
}

/* Operands and results as is16 says. */
static status check_variant(gemm_bench *t, bool *right, char why[256], error *e) {
    bool has[2], tn = product_has(t->b, t->is16[0], t->is16[1], true, false);
    for (int tb = 0; tb < 2; tb++) has[tb] = product_has(t->b, t->is16[0], t->is16[1], false, tb);
    for (int i = product_first_tile(t->b); i <= PRODUCT_TILES && *right; i++) {
        t->b->products.tile = i;
        TRY(check_shapes(t, right, why, e));
        for (int tb = 0; tb < 2 && *right; tb++)
            if (has[tb]) TRY(check_company(t, tb, right, why, e));
    }
    for (int i = 0; i < 4 && *right; i++)
        if (has[i % 2]) TRY(check_places(t, i % 2, i / 2 ? 80 : 77, right, why, e));
    return *right && tn && !t->is16[2] ? check_pieces(t, right, why, e) : OK;
}

status gemm_bench_check_own(gemm_bench *t, bool *right, char why[256], error *e) {
    int tile = t->b->products.tile;
    *right = true;
    why[0] = 0;
    TRY(fill(t, e));
    for (int i = 0; i < (has_act16(t->b) ? 8 : 1) && *right; i++) {
        t->is16[0] = i & 1, t->is16[1] = i & 2, t->is16[2] = i & 4;
        TRY(check_variant(t, right, why, e));
    }
    memset(t->is16, 0, sizeof t->is16);
    t->b->products.tile = tile;
    return OK;
}
