/* tune.h: single matrix products on a device, timed and checked: what the search in tune.c is made of, and its tests.
 */
#ifndef SNUG_OPENCL_TUNE_H
#define SNUG_OPENCL_TUNE_H

#include "opencl/opencl.h"
#include "opencl/ops.h"

/* A backend bound to nothing but three operands and CLBlast's temporaries. */
typedef struct {
    opencl *b;
    graph *g;
    plan p;
    op op;                /* lends gemm_run its scratch */
    tensor_id operand[3]; /* A, B, C: `room` floats each */
    int64_t room;
    float *host[4]; /* A and B as they are on the device; C and what it should be. NULL until checked */
} gemm_bench;

/* Binds b, for products that are no larger than those of the list (and than what checking takes). b stays the caller's,
   and is closed, or gives its memory back, before the bench. On failure nothing is held. */
status gemm_bench_open(gemm_bench *t, opencl *b, const product *list, int n, error *e);
void gemm_bench_close(gemm_bench *t);

/* Seconds of one product, waited for: the least of `runs`. at: elements from which the operands start. */
status gemm_bench_time(gemm_bench *t, const product *p, int runs, double *seconds, error *e);

/* Is what CLBlast computes now on this device right? Compares products of both of its ways with OpenBLAS: plain shapes
   and odd ones, each transposition that snug uses, C kept and overwritten, operands that start inside a buffer; nothing
   past C's end may change; and a row must come out the same, bit for bit, with other rows below it. *right is false,
   and why says what is wrong, where the device or CLBlast refuse as well. Leaves min_indirect as it was. */
status gemm_bench_check(gemm_bench *t, const gemm_params *p, bool *right, char why[256], error *e);

/* The same for snug's own products, with both tiles: of inputs that product_round has rounded; also all four
   transpositions, the same bits from either tile and from any row of one, and from one launch or many for pieces of k.
 */
status gemm_bench_check_own(gemm_bench *t, bool *right, char why[256], error *e);

/* ---- the search ---- */

typedef struct tuner tuner;
/* opencl_tune by parts, so that a test can put in a set of its own. */
status tuner_open(const opencl_options *o, const graph *g, FILE *report, tuner **t, error *e);
void tuner_close(tuner *t);
/* Times a set at the tuner's shapes, and makes it the best if it is faster than the best and right. *taken says so. */
status tuner_try(tuner *t, const gemm_params *p, bool *taken, error *e);
const gemm_record *tuner_best(const tuner *t);
/* Searches until about `minutes` have passed. */
status tuner_search(tuner *t, double minutes, error *e);

#endif
