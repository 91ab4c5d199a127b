/* gemm.c: matrix products by CLBlast (or by snug's own kernels: product.c). CLBlast never allocates here: its
   temporaries lie in the op's scratch, and the batched routines (which allocate inside) are not used. */
#include "opencl/product.h"
#include <clblast_c.h>
#include <stdlib.h>
#include <string.h>

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
            "keeps what is faster here (on PoCL up to half as fast again)");
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
bool gemm_is_direct(const opencl *b, int64_t m, int64_t n, int64_t k) {
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

void gemm_list_add(product_list *all, product p) {
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
        gemm_list_add(b->listing, (product){ta, tb, m, n, k, beta, 1});
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
    if (b->own_products) {
        product_call own = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .A = g.b, .B = g.a, .C = g.c, .beta = beta};
        return product_run(b, &own, e);
    }
    return b->dry ? check_temporaries(b, &g, scratch_bytes, e) : enqueue(b, &g, beta, e);
}
