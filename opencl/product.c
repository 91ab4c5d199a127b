/* product.c: see product.h. */
#include "opencl/product.h"
#include "base/timer.h"
#include "opencl/product_tiles.h"
#include "opencl/tune/tune.h"
#include <stdio.h>
#include <string.h>

/* A tile of C and how it is shared out: large ones first, then small ones, which also take what is not whole (`ODD`).
   All tiles of a precision have the same step: a step that k does not fill is filled with zeros, and those must not
   depend on the tile. registers: no more a lane, so that as many groups fit a unit as were measured (NVIDIA only; 0:
   the compiler's choice). What they take: docs/notebook.md. */
typedef struct {
    int m, n, step, stages, part_m, part_n; /* part: a lane's (float32) or a warp's */
    int registers;
} tile;
static const tile TILES[][PRODUCT_TILES] = {
    {{128, 64, 8, 2, 8, 8, 168}, {64, 64, 8, 2, 8, 4, 0}},       /* float32 */
    {{128, 128, 16, 2, 64, 64, 0}, {64, 64, 16, 2, 32, 32, 0}},  /* tf32 */
    {{128, 128, 32, 2, 64, 32, 0}, {64, 64, 32, 2, 32, 32, 0}},  /* bf16 of operands that are stored as float */
    {{128, 64, 32, 3, 64, 32, 168}, {64, 64, 32, 3, 32, 32, 0}}, /* of operands of which one is */
    {{128, 64, 32, 3, 64, 32, 128}, {64, 64, 32, 3, 32, 32, 0}}, /* of operands that both are stored as bf16 */
};
enum { RULE_FLOAT32, RULE_TF32, RULE_BF16 }; /* PRECISION in product.cl */

static int rule_of(const opencl *b) {
    if (!b->products.units) return RULE_FLOAT32;
    return b->base.type->precision == PRECISION_TF32 ? RULE_TF32 : RULE_BF16;
}
/* A variant is how A and B are stored: 1 for A in bf16, 2 for B. */
static const tile *tiles_of(const opencl *b, int variant) {
    int rule = rule_of(b);
    return TILES[rule == RULE_BF16 ? rule + (variant + 1) / 2 : rule];
}
/* Which kernels of a variant there are, as KINDS in product.cl. With dtype=bfloat16 those that some op asks for: B is a
   weight, in float or a copy in bf16, but for weight gradients; A an activation, or in float the gradient of the
   residual stream or of logits. */
enum { NN = 1, NT = 2, TN = 4, TT = 8 };
static int kinds_of(const opencl *b, int variant) {
    static const int act16[PRODUCT_VARIANTS] = {NN | NT, NN | NT | TN, TN, TN};
    return has_act16(b) ? act16[variant] | (b->products.copies && variant > 1 ? NN | NT : 0)
           : variant    ? 0
                        : NN | NT | TN | TT;
}
int product_first_tile(const opencl *b) { return b->serial && has_act16(b) ? PRODUCT_TILES : 1; }
bool product_has(const opencl *b, bool a16, bool b16, bool ta, bool tb) {
    return kinds_of(b, a16 + 2 * b16) >> (2 * ta + tb) & 1;
}
static size_t lanes_of(const opencl *b, const tile *t) {
    return (size_t)(t->m / t->part_m * (t->n / t->part_n) * (rule_of(b) == RULE_FLOAT32 ? 1 : 32));
}

void product_tile_print(const opencl *b, int i, char text[32]) {
    const tile *t = &tiles_of(b, 0)[i];
    snprintf(text, 32, "%d x %d x %d", t->m, t->n, t->step);
}

/* ---- may this device? ---- */

/* Other compilers must not see PTX at all: some end the process over it. */
static bool is_nvidia(const device_info *d, cl_uint *major, cl_uint *minor) {
    enum { MAJOR = 0x4000, MINOR = 0x4001 }; /* CL_DEVICE_COMPUTE_CAPABILITY_*_NV */
    return strstr(d->extensions, "cl_nv_device_attribute_query") &&
           clGetDeviceInfo(d->id, MAJOR, sizeof *major, major, NULL) == CL_SUCCESS &&
           clGetDeviceInfo(d->id, MINOR, sizeof *minor, minor, NULL) == CL_SUCCESS;
}

static status check_device(const opencl *b, error *e) {
    cl_uint major = 0, minor = 0;
    const device_info *d = &b->device.info;
    if (!is_nvidia(d, &major, &minor))
        return fail(e, BAD_INPUT, "'%s' has no matrix units that snug knows (NVIDIA's, by NVIDIA's OpenCL)", d->name);
    if (major < 8)
        return fail(e, BAD_INPUT, "'%s' has compute capability %u.%u, and %s needs 8.0 or later", d->name, major, minor,
                    precision_table[b->base.type->precision].products);
    return OK;
}

/* The line of a compiler's log that says what is wrong. */
static const char *first_error(const char *log) {
    const char *found = strstr(log, "rror");
    if (!found) return log;
    while (found > log && found[-1] != '\n') found--;
    return found;
}

/* ---- building ---- */

/* PTX: NVIDIA's compiler has been seen to take `asm`; the C standard's spelling is the second try. Its way of asking
   for registers is its own too. */
static status build_tile(opencl *b, int variant, int i, error *log) {
    static const char *const sources[] = {"bf16.cl", "gelu.cl", "mma_ptx.cl", "product_steps.cl", "product.cl"},
                             *const plain[] = {"bf16.cl", "gelu.cl", "product_steps.cl", "product.cl"},
                             *const words[] = {"asm", "__asm__"};
    const tile *t = &tiles_of(b, variant)[i];
    bool own = rule_of(b) == RULE_FLOAT32;
    cl_uint major, minor;
    const device_info *d = &b->device.info;
    bool nvidia = is_nvidia(d, &major, &minor);
    bool rolled = d->type & CL_DEVICE_TYPE_CPU && strcmp(d->platform_name, "Portable Computing Language") == 0;
    status s = FAILED;
    for (int w = 0; w < 2 && s != OK; w++) {
        char options[512], word[32] = "", registers[48] = "";
        if (nvidia || !own) snprintf(word, sizeof word, " -DASM=%s", words[w]);
        if (nvidia && t->registers) snprintf(registers, sizeof registers, " -cl-nv-maxrregcount=%d", t->registers);
        snprintf(
            options, sizeof options,
            "-cl-std=CL1.2 -DPRECISION=%d -DEMULATE=%d -DACT16=%d -DA16=%d -DB16=%d -DKINDS=%d -DTILE_M=%d -DTILE_N=%d "
            "-DSTEP=%d -DSTAGES=%d -DPENDING=%d -D%s_M=%d -D%s_N=%d -DODD=%d -DROLLED=%d%s%s",
            rule_of(b), b->products.emulated, has_act16(b), variant & 1, variant >> 1, kinds_of(b, variant), t->m, t->n,
            t->step, t->stages, t->stages - 2, own ? "PER" : "WARP", t->part_m, own ? "PER" : "WARP", t->part_n, i > 0,
            rolled, word, registers);
        s = device_build(&b->device, own ? plain : sources, own ? 4 : 5, options,
                         &b->products.variant[variant].program[i], log);
        if (!*word) break;
    }
    return s;
}

static status make_kernels(opencl *b, int variant, int i, error *e) {
    static const char *const names[2] = {"product", "odd"}, letters[2] = {'n', 't'};
    product_kernels *k = &b->products.variant[variant];
    for (int j = 0; j < (i ? 8 : 4); j++) {
        cl_int code;
        if (!(kinds_of(b, variant) >> j % 4 & 1)) continue;
        char name[16];
        snprintf(name, sizeof name, "%s_%c%c", names[j / 4], letters[j / 2 % 2], letters[j % 2]);
        cl_kernel *kernel = &k->kernel[j / 4 ? PRODUCT_TILES : i][j / 2 % 2][j % 2];
        *kernel = clCreateKernel(k->program[i], name, &code);
        TRY(device_check(&b->device, code, name, __FILE__, __LINE__, e));
    }
    return OK;
}

/* All that are not built yet. */
static status build_all(opencl *b, error *e) {
    error log = {""};
    for (int i = 0; i < PRODUCT_VARIANTS * PRODUCT_TILES; i++) {
        int variant = i / PRODUCT_TILES, tile = i % PRODUCT_TILES;
        if (!kinds_of(b, variant) || b->products.variant[variant].program[tile]) continue;
        if (build_tile(b, variant, tile, &log) != OK)
            return fail(e, BAD_INPUT, "the kernels don't build on '%s' (%.200s)", b->device.info.name,
                        first_error(log.text));
    }
    return OK;
}

static void drop_programs(product_kernels *k) {
    for (int i = 0; i < PRODUCT_TILES; i++) {
        if (k->program[i]) clReleaseProgram(k->program[i]);
        k->program[i] = NULL;
    }
}

status product_make_kernels(opencl *b, error *e) {
    for (int i = 0; i < PRODUCT_VARIANTS * PRODUCT_TILES; i++)
        if (b->products.variant[i / PRODUCT_TILES].program[i % PRODUCT_TILES])
            TRY(make_kernels(b, i / PRODUCT_TILES, i % PRODUCT_TILES, e));
    return OK;
}

/* A bench of its own, gone before the plan is bound. */
static status prove(opencl *b, error *e) {
    gemm_bench t;
    char why[256];
    bool right;
    TRY(gemm_bench_open(&t, b, NULL, 0, e));
    status s = gemm_bench_check_own(&t, &right, why, e);
    b->base.unbind(&b->base);
    gemm_bench_close(&t);
    b->base.launches = 0;
    if (s == OK && !right) return fail(e, BAD_INPUT, "'%s' computes wrong products (%s)", b->device.info.name, why);
    return s;
}

/* Few runs have copies, so that the others need not wait for these kernels. Only variants that have more with copies
   are built again. */
status product_prepare(opencl *b, const graph *g, error *e) {
    int before[PRODUCT_VARIANTS];
    if (!g->of_role[ROLE_COPY].first || b->products.copies) return OK;
    product_drop_kernels(b);
    for (int i = 0; i < PRODUCT_VARIANTS; i++) before[i] = kinds_of(b, i);
    b->products.copies = true;
    for (int i = 0; i < PRODUCT_VARIANTS; i++)
        if (kinds_of(b, i) != before[i]) drop_programs(&b->products.variant[i]);
    TRY(build_all(b, e));
    return b->unproved ? OK : prove(b, e);
}

void product_name(const opencl *b, char text[64]) {
    static const char *const names[] = {PRODUCTS_OWN, "tf32 by mma.sync", "bf16 by mma.sync"};
    bool plain = has_act16(b) && !b->products.units;
    snprintf(text, 64, "%s%s", plain ? "bf16 by float32" : names[rule_of(b)], b->products.emulated ? ", emulated" : "");
}

/* By the matrix units, or not. BAD_INPUT: e says what is missing or wrong, but neither where nor what to do. */
static status open_kernels(opencl *b, const opencl_options *o, bool units, error *e) {
    product_close(b);
    b->products.units = units;
    b->products.emulated = units && o->mma != MMA_OWN;
    b->products.tile = o->product_tile ? o->product_tile : product_first_tile(b) > 1 ? PRODUCT_TILES : 0;
    b->own_products = true;
    if (units && !b->products.emulated) TRY(check_device(b, e));
    TRY(build_all(b, e));
    return o->mma == MMA_EMULATED ? OK : prove(b, e);
}

/* What was asked for is refused; or, where that was bf16 for storing, the portable way is taken (R13). */
status product_open(opencl *b, const opencl_options *o, error *e) {
    const precision_info *p = &precision_table[b->base.type->precision];
    error why = {""};
    bool units = *p->products;
    status s = open_kernels(b, o, units, &why);
    if (s == BAD_INPUT && units && has_act16(b)) {
        snprintf(b->base.advice, sizeof b->base.advice,
                 "matrix products: of bfloat16 numbers, in float32, since %.170s", why.text);
        units = false;
        s = open_kernels(b, o, units, &why);
    } else if (units)
        snprintf(b->base.advice, sizeof b->base.advice,
                 "matrix products: inputs rounded to %s, sums in float32, by the matrix units (%s=%s)", p->products,
                 has_act16(b) ? "dtype" : "matmul_precision", has_act16(b) ? p->dtype : p->matmul);
    product_name(b, b->base.gemm);
    if (s != BAD_INPUT) return s == OK ? OK : fail(e, s, "%s", why.text);
    if (has_act16(b)) return fail(e, s, "dtype '%s': %s: use --dtype=float32", p->dtype, why.text);
    return fail(e, s, "matmul_precision '%s': %s%s", p->matmul, why.text,
                units ? ": use --matmul_precision=highest, which is float32" : "");
}

void product_drop_kernels(opencl *b) {
    for (int i = 0; i < PRODUCT_VARIANTS * (PRODUCT_TILES + 1); i++)
        for (int j = 0; j < 4; j++) {
            product_kernels *p = &b->products.variant[i / (PRODUCT_TILES + 1)];
            cl_kernel *kernel = &p->kernel[i % (PRODUCT_TILES + 1)][j / 2][j % 2];
            if (*kernel) clReleaseKernel(*kernel);
            *kernel = NULL;
        }
}

void product_close(opencl *b) {
    product_drop_kernels(b);
    for (int i = 0; i < PRODUCT_VARIANTS; i++) drop_programs(&b->products.variant[i]);
    tile_trials_free(b);
    b->products = (product_family){0};
}

/* ---- running ---- */

static int64_t groups_of(const tile *t, const product_call *p) {
    return (p->m + t->m - 1) / t->m * ((p->n + t->n - 1) / t->n);
}

/* The tile that should end first, which is taken unless another one proves faster (product_tiles.h). Of a unit's
   groups, as many as `busy` (at least) keep it at the tile's rate; the unit with one group more than the others is the
   last. No bit depends on it (product.cl), which gemm_bench_check_own proves. The small tile's rate and both `busy` are
   an H100's (docs/notebook.md): three or four groups a unit. */
static int choose_tile(const opencl *b, const tile *t, const product_call *p, int64_t planes) {
    static const double rate[PRODUCT_TILES] = {1, 0.85}, busy[PRODUCT_TILES] = {3, 4};
    double least = 0;
    int best = 0;
    if (b->products.tile) return b->products.tile - 1;
    for (int i = 0; i < PRODUCT_TILES; i++) {
        int64_t groups = groups_of(&t[i], p) * planes, units = b->device.info.units,
                most = (groups + units - 1) / units;
        double share = (double)most / busy[i],
               seconds = (double)(most * t[i].m * t[i].n) / (share < 1 ? share : 1) / rate[i];
        if (i && seconds >= least) continue;
        least = seconds;
        best = i;
    }
    return best;
}

/* Elements from one line of an operand to the next: as given, or 0: its lines are dense. */
static int64_t lda_of(const product_call *p) { return p->lda ? p->lda : p->ta ? p->m : p->k; }
static int64_t ldb_of(const product_call *p) { return p->ldb ? p->ldb : p->tb ? p->k : p->n; }

/* Are an operand's lines made of whole chunks (product.cl)? */
static bool is_whole(const opencl *b, int64_t ld, memory_place p, bool cut) {
    uint64_t chunk = rule_of(b) == RULE_BF16 ? 8 : 4;
    return (uint64_t)ld % chunk == 0 && p.at % (p.bf16 ? chunk : 4) == 0 && !cut;
}

static status set_arguments(opencl *b, cl_kernel kernel, const product_call *p, int64_t piece, error *e) {
    const memory_place places[] = {p->A, p->B, p->C, p->E.block ? p->E : p->C, p->bias.block ? p->bias : p->C};
    int64_t width = rule_of(b) == RULE_FLOAT32 ? 4 : 2, ldc = p->ldc ? p->ldc : p->n, wide = p->n | ldc;
    cl_uint arg = 0;
    for (int i = 0; i < 5; i++) {
        cl_ulong at = places[i].at;
        if (i >= 2) wide |= (int64_t)at;
        CL(&b->device, clSetKernelArg(kernel, arg++, sizeof(cl_mem), &places[i].block));
        CL(&b->device, clSetKernelArg(kernel, arg++, sizeof at, &at));
    }
    const int64_t numbers[] = {p->m,
                               p->n,
                               piece,
                               p->k,
                               lda_of(p),
                               ldb_of(p),
                               ldc,
                               p->beta != 0,
                               p->end,
                               wide % width == 0,
                               p->bias.block != NULL,
                               p->tanh_form,
                               p->C.bf16};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        cl_int number = (cl_int)numbers[i];
        CL(&b->device, clSetKernelArg(kernel, arg++, sizeof number, &number));
    }
    return OK;
}

static status launch(opencl *b, cl_kernel kernel, const kernel_grid *grid, error *e) {
    b->base.launches++;
    CL(&b->device, clEnqueueNDRangeKernel(b->device.queue, kernel, 3, NULL, grid->global, grid->local, 0, NULL, NULL));
    return OK;
}

/* Alone: with a wait before and after it. */
static status launch_timed(opencl *b, cl_kernel kernel, const kernel_grid *grid, tile_trial *t, int tile, error *e) {
    CL(&b->device, clFinish(b->device.queue));
    double from = seconds_now();
    TRY(launch(b, kernel, grid, e));
    CL(&b->device, clFinish(b->device.queue));
    tile_trial_note(t, tile, seconds_now() - from);
    return OK;
}

static tile_trial *trial_of(opencl *b, int variant, const product_call *p) {
    const tile_trial shape = {.ta = p->ta,
                              .tb = p->tb,
                              .variant = variant,
                              .end = (int)p->end,
                              .m = p->m,
                              .n = p->n,
                              .k = p->k,
                              .piece = p->piece};
    return tile_trial_of(b, &shape);
}

void gemm_tiles_print(const opencl *b, FILE *f) {
    for (int i = 0; i < b->products.n_trials; i++) {
        const tile_trial *t = &b->products.trials[i];
        if (tile_trial_is_open(t)) continue;
        fprintf(f, "  %lld x %lld x %lld%s%s:", (long long)t->m, (long long)t->n, (long long)t->k,
                t->ta ? ", A transposed" : "", t->tb ? ", B transposed" : "");
        for (int k = 0; k < PRODUCT_TILES; k++) {
            char name[32];
            product_tile_print(b, k, name);
            double rate = 2e-9 * (double)t->m * (double)t->n * (double)t->k / t->least[k];
            fprintf(f, "%s tiles of %s %.1f GFLOP/s", k ? "," : "", name, rate);
        }
        fprintf(f, "\n");
    }
}

status product_run(opencl *b, const product_call *p, error *e) {
    const int64_t most = INT32_MAX / 2;
    int64_t piece = p->piece ? p->piece : p->k, pieces = (p->k + piece - 1) / piece;
    int64_t planes = p->ta && !p->tb ? 1 : pieces;
    int variant = p->A.bf16 + 2 * p->B.bf16;
    const product_kernels *kernels = &b->products.variant[variant];
    if (p->m > most || p->n > most || p->k > most || planes > 65535)
        return fail(e, FAILED, "a product of %lld x %lld x %lld is too large for product.cl: a bug", (long long)p->m,
                    (long long)p->n, (long long)p->k);
    if (b->listing) {
        gemm_list_add(b->listing, (product){p->ta, p->tb, p->m, p->n, piece, p->beta, (double)p->k / (double)piece});
        return OK;
    }
    if (!product_has(b, p->A.bf16, p->B.bf16, p->ta, p->tb) || (p->E.block && p->E.bf16 != p->C.bf16) ||
        (p->C.bf16 && (p->beta != 0 || pieces > 1 || !has_act16(b))))
        return fail(e, FAILED, "a product of tensors that are stored so has no kernel: a bug");
    bool cut = pieces > 1 && piece % 8;
    bool whole = is_whole(b, lda_of(p), p->A, !p->ta && cut) && is_whole(b, ldb_of(p), p->B, p->tb && cut);
    int i = whole ? choose_tile(b, tiles_of(b, variant), p, planes) : PRODUCT_TILES;
    tile_trial *trial = whole && !b->products.tile ? trial_of(b, variant, p) : NULL;
    if (trial) i = tile_trial_next(trial, i);
    const tile *t = &tiles_of(b, variant)[i < PRODUCT_TILES ? i : PRODUCT_TILES - 1];
    cl_kernel kernel = kernels->kernel[i][p->ta][p->tb];
    TRY(set_arguments(b, kernel, p, piece, e));
    kernel_grid grid = grid_groups((uint64_t)groups_of(t, p), lanes_of(b, t));
    grid.global[1] = (size_t)planes;
    if (b->dry) return kernel_fits(b, kernel, "a matrix product", &grid, e);
    return trial && tile_trial_is_open(trial) ? launch_timed(b, kernel, &grid, trial, i, e)
                                              : launch(b, kernel, &grid, e);
}

float product_round(compute_precision p, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) == 0x7f800000u) return x;
    if (p == PRECISION_TF32) bits = (bits + 0x1000u) & 0xffffe000u;
    if (p == PRECISION_BF16 || p == PRECISION_BFLOAT16) bits = (bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}
