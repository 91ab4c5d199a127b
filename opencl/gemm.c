/* gemm.c: matrix products by CLBlast (or by matrix units: mma.c), and the linear layers made of them. CLBlast never
   allocates here: its temporaries lie in the op's scratch, and the batched routines (which allocate inside) are not
   used. */
#include "opencl/opencl.h"
#include "opencl/mma.h"
#include <clblast_c.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 256, ROW_LANES = 64 };

/* ---- which parameters ---- */

/* What a run was trained with, where this device can do that; else what tune found; else the base. */
static const char *choose(const device_info *d, const char *gemm, gemm_params *p, gemm_record *r) {
    bool fixed = gemm && (!strcmp(gemm, "default") || !strcmp(gemm, GEMM_OWN));
    *p = gemm_params_base(d);
    if (gemm && !strcmp(gemm, GEMM_OWN)) p->has[FAMILY_XGEMM] = false;
    if (fixed) return gemm;
    gemm_params given;
    if (gemm && gemm_params_parse(gemm, &given) && gemm_params_sound(&given, d)) {
        *p = given;
        return "given";
    }
    if (!gemm_record_recall(d, r)) return "untuned";
    *p = r->params;
    return "tuned";
}

status gemm_open(opencl *b, const char *gemm, size_t min_indirect, error *e) {
    const device_info *d = &b->device.info;
    gemm_params p;
    gemm_record r = {.date = ""};
    const char *how = choose(d, gemm, &p, &r);
    if (gemm_params_apply(&b->device, &p, NULL) != OK) { /* another CLBlast, with other names */
        p = gemm_params_base(d);
        how = "untuned";
        TRY(gemm_params_apply(&b->device, &p, e));
    }
    if (!strcmp(how, "tuned") || !strcmp(how, "given"))
        gemm_params_print(&p, b->base.gemm);
    else
        snprintf(b->base.gemm, sizeof b->base.gemm, "default");
    if (!strcmp(how, "tuned"))
        snprintf(b->base.advice, sizeof b->base.advice,
                 "matrix products: tuned for this device on %s, %.1f GFLOP/s then (untuned %.1f)", r.date, r.tuned,
                 r.untuned);
    else if (!strcmp(how, "untuned"))
        snprintf(
            b->base.advice, sizeof b->base.advice,
            "matrix products: not tuned for this device; `snug tune` with the same settings takes minutes, once, and "
            "keeps what is faster here (on PoCL up to half as fast again; no GPU measured yet)");
    if (min_indirect) {
        p.value[PARAM_XGEMM_MIN_INDIRECT_SIZE] = min_indirect;
        TRY(gemm_params_apply(&b->device, &p, e));
    }
    b->min_indirect = p.value[PARAM_XGEMM_MIN_INDIRECT_SIZE];
    return OK;
}

/* CLBlast keeps programs, and with them their context, until told otherwise. */
void gemm_close(void) { CLBlastClearCache(); }

/* CLBlast's own rule. */
static bool is_direct(const opencl *b, int64_t m, int64_t n, int64_t k) {
    return (double)m * (double)n * (double)k <
           (double)b->min_indirect * (double)b->min_indirect * (double)b->min_indirect;
}

/* CLBlast works on columns: row-major C = A B is column-major C^T = B^T A^T, so the operands change places and every
   leading dimension is the row length. */
typedef struct {
    CLBlastTranspose ta, tb;
    size_t m, n, k, lda, ldb, ldc;
    memory_place a, b, c;
} column_major;

static status enqueue(opencl *b, const column_major *g, float beta, error *e) {
    memory_place temporary = memory_find(&b->memory, b->op->scratch, 0);
    b->base.launches++;
    CL(&b->device,
       (int)CLBlastSgemmWithTempBuffer(CLBlastLayoutColMajor, g->ta, g->tb, g->m, g->n, g->k, 1.0f, g->a.block, g->a.at,
                                       g->lda, g->b.block, g->b.at, g->ldb, beta, g->c.block, g->c.at, g->ldc,
                                       &b->device.queue, NULL, temporary.block));
    return OK;
}

/* What the plan promised must be enough for what CLBlast wants here and now. */
static status check_temporaries(opencl *b, const column_major *g, uint64_t scratch_bytes, error *e) {
    size_t needed = 0;
    CL(&b->device,
       (int)CLBlastSGemmTempBufferSize(CLBlastLayoutColMajor, g->ta, g->tb, g->m, g->n, g->k, g->a.at, g->lda, g->b.at,
                                       g->ldb, g->c.at, g->ldc, &b->device.queue, &needed));
    uint64_t all = b->op->scratch ? tensor_bytes(&b->graph->tensors[b->op->scratch], 4) : 0;
    uint64_t at = memory_find(&b->memory, b->op->scratch, 0).at;
    if (needed <= scratch_bytes && scratch_bytes <= all && at == 0) return OK;
    return fail(e, FAILED,
                "CLBlast wants %zu bytes at a block's start for a product of %zu x %zu x %zu, planned were %llu from "
                "element %llu: a bug",
                needed, g->m, g->n, g->k, (unsigned long long)scratch_bytes, (unsigned long long)at);
}

static void list_product(product_list *all, product p) {
    for (int i = 0; i < all->n; i++) {
        product *q = &all->list[i];
        if (q->ta == p.ta && q->tb == p.tb && q->m == p.m && q->n == p.n && q->k == p.k && q->beta == p.beta) {
            q->times += p.times;
            return;
        }
    }
    if (all->n == all->room) {
        all->room = all->room ? 2 * all->room : 16;
        all->list = xrealloc(all->list, sizeof *all->list * (size_t)all->room);
    }
    all->list[all->n++] = p;
}

status gemm_run(opencl *b, bool ta, bool tb, int64_t m, int64_t n, int64_t k, matrix A, matrix B, float beta, matrix C,
                uint64_t scratch_bytes, error *e) {
    if (b->listing) {
        list_product(b->listing, (product){ta, tb, m, n, k, beta, 1});
        return OK;
    }
    column_major g = {.ta = tb ? CLBlastTransposeYes : CLBlastTransposeNo,
                      .tb = ta ? CLBlastTransposeYes : CLBlastTransposeNo,
                      .m = (size_t)n,
                      .n = (size_t)m,
                      .k = (size_t)k,
                      .lda = (size_t)(tb ? k : n),
                      .ldb = (size_t)(ta ? m : k),
                      .ldc = (size_t)n};
    g.a = memory_find(&b->memory, B.id, B.at);
    g.b = memory_find(&b->memory, A.id, A.at);
    g.c = memory_find(&b->memory, C.id, C.at);
    if (b->tf32) return mma_run(b, ta, tb, m, n, k, (memory_place[]){g.b, g.a, g.c}, beta, e);
    return b->dry ? check_temporaries(b, &g, scratch_bytes, e) : enqueue(b, &g, beta, e);
}

/* ---- rows by rows ----

   One product takes whole sequences up to GEMM_ROWS rows, or a part of one sequence; by matrix units, where rows cost
   no temporaries and keep their bits in any company, as many as there are. In batch-invariant graphs sequences share a
   product only where every row comes out the same in any company: in activations (`joinable`) and by the indirect
   kernel, which pads to full tiles and treats all rows alike. Whether one sequence alone would take the indirect kernel
   decides, so that a micro-batch's size can't. The direct kernel has code of its own for the edges of a matrix. */
typedef struct {
    int64_t row, rows;
} row_chunk;

static bool next_chunk(const opencl *b, bool joinable, int64_t n, int64_t k, row_chunk *c) {
    int64_t T = b->args.length, all = op_rows(b), first = c->row + c->rows, most = b->tf32 ? MMA_ROWS : GEMM_ROWS;
    if (first >= all) return false;
    int64_t together = 1;
    if (!b->graph->batch_invariant || (joinable && (b->tf32 || !is_direct(b, T < most ? T : most, n, k))))
        together = T < most ? most / T : 1;
    int64_t end = (first / T + together) * T;
    c->row = first;
    c->rows = (end < all ? end : all) - first;
    if (c->rows > most) c->rows = most;
    return true;
}

/* y[B,T,O] = x[B,T,I] w[I,O] + b[O] */
status opencl_LINEAR(opencl *b, error *e) {
    int64_t I = op_tensor(b, 2)->dim[0], O = op_tensor(b, 2)->dim[1];
    const tensor_id *arg = b->op->arg;
    bool bias = arg[3] != 0;
    if (bias) {
        kernel_grid grid = grid_items((uint64_t)O, LANES);
        grid.global[1] = (size_t)(op_rows(b) + BIAS_ROWS - 1) / BIAS_ROWS;
        RUN(b, bias_rows, grid, arg_tensor(b, 0), arg_tensor(b, 3), arg_ulong(op_rows(b)), arg_int(O));
    }
    for (row_chunk c = {0, 0}; next_chunk(b, true, O, I, &c);)
        TRY(gemm_run(b, false, false, c.rows, O, I, (matrix){arg[1], 4 * (uint64_t)(c.row * I)}, (matrix){arg[2], 0},
                     bias ? 1.0f : 0.0f, (matrix){arg[0], 4 * (uint64_t)(c.row * O)}, scratch_gemm(c.rows, O, I), e));
    return OK;
}

/* dx[B,T,I] = dy[B,T,O] w[I,O]^T */
status opencl_LINEAR_DX(opencl *b, error *e) {
    int64_t I = op_tensor(b, 2)->dim[0], O = op_tensor(b, 2)->dim[1];
    const tensor_id *arg = b->op->arg;
    for (row_chunk c = {0, 0}; next_chunk(b, true, I, O, &c);)
        TRY(gemm_run(b, false, true, c.rows, I, O, (matrix){arg[1], 4 * (uint64_t)(c.row * O)}, (matrix){arg[2], 0},
                     0.0f, (matrix){arg[0], 4 * (uint64_t)(c.row * I)}, scratch_gemm(c.rows, I, O), e));
    return OK;
}

/* dw[I,O] += x^T dy, db[O] += sums of dy's columns: sequence by sequence. */
status opencl_LINEAR_DW(opencl *b, error *e) {
    int64_t I = op_tensor(b, 0)->dim[0], O = op_tensor(b, 0)->dim[1], T = b->args.length;
    const tensor_id *arg = b->op->arg;
    for (row_chunk c = {0, 0}; next_chunk(b, false, I, O, &c);)
        TRY(gemm_run(b, true, false, I, O, c.rows, (matrix){arg[3], 4 * (uint64_t)(c.row * I)},
                     (matrix){arg[2], 4 * (uint64_t)(c.row * O)}, 1.0f, (matrix){arg[0], 0}, scratch_gemm(I, O, c.rows),
                     e));
    if (!arg[1]) return OK;
    size_t chunks = (size_t)(T + PARTIAL_ROWS - 1) / PARTIAL_ROWS;
    kernel_grid grid = grid_items(vectors(b, O), group_lanes(b, ROW_LANES));
    grid.global[1] = chunks;
    grid.global[2] = (size_t)b->args.sequences;
    RUN(b, bias_dw, grid, arg_scratch(b, 0), arg_tensor(b, 2), arg_int(T), arg_int(O));
    return partials_add(b, 1, O, 0, 1, e);
}
