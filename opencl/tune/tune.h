/* tune.h: times and checks single matrix products on a device, and searches for parameters with which CLBlast is
   faster. */
#ifndef SNUG_OPENCL_TUNE_H
#define SNUG_OPENCL_TUNE_H

#include "opencl/opencl.h"
#include "opencl/ops.h"

/* A backend that is bound to three operands and CLBlast's temporaries, and to nothing else. */
typedef struct {
    opencl *b;
    graph *g;
    plan p;
    op op;                /* lends gemm_run its scratch */
    tensor_id operand[3]; /* A, B, C: `room` floats each */
    tensor_id stored[3];  /* so many as bf16; 0 where b stores nothing so */
    bool is16[3];         /* which of them a check takes now */
    int64_t room;
    float *host[4]; /* A and B as they are on the device; C and what it should be. NULL until checked */
} gemm_bench;

/* Binds b, for products that are no larger than those of the list (and than what checking takes). b stays the caller's,
   and is closed, or gives its memory back, before the bench. On failure nothing is held. */
status gemm_bench_open(gemm_bench *t, opencl *b, const product *list, int n, error *e);
void gemm_bench_close(gemm_bench *t);

/* Seconds of one product, with the wait for it: the least of `runs`. at: the element at which the operands start. */
status gemm_bench_time(gemm_bench *t, const product *p, int runs, double *seconds, error *e);

/* Does CLBlast now compute the right products on this device? Compares products of both of its kernels with OpenBLAS's:
   of plain and of odd shapes, with each transposition that snug uses, with C added to and overwritten, with operands
   that start inside a buffer. Nothing beyond C's end may change, and a row's bits must be the same with other rows
   below it. *right is false, and why says what is wrong; also if the device or CLBlast refuses. Leaves min_indirect as
   it was. */
status gemm_bench_check(gemm_bench *t, const gemm_params *p, bool *right, char why[256], error *e);

/* The same for snug's own products, with both tiles and all four transpositions, on inputs that product_round has
   rounded, and stored in each way that there is a kernel for. Bits must be the same from either tile, in any row of a
   tile, and whether pieces of k are one launch or many. */
status gemm_bench_check_own(gemm_bench *t, bool *right, char why[256], error *e);

/* ---- samples of a model's products (samples.c) ---- */

double product_flops(const product *p); /* of one run */

/* The products with most of the work, cut to sides that can be timed. It is assumed that those left out become faster
   in the same proportion. */
enum { SAMPLES = 6 };
typedef struct {
    product p[SAMPLES];
    double weight[SAMPLES]; /* how many products of the model, as work, it stands for */
    int n;
    double all, once; /* operations: of all weighted; of each once */
} product_samples;
/* No side is longer than `side`. Sorts the list by work. */
void samples_take(product_samples *s, product_list *all, int64_t side);

/* ---- the search ---- */

typedef struct tuner tuner;
/* The parts of opencl_tune, so that a test can try a set of its own. */
status tuner_open(const opencl_options *o, const graph *g, FILE *report, tuner **t, error *e);
void tuner_close(tuner *t);
/* Times a set at the tuner's shapes, and makes it the best if it is faster than the best and right. *taken says so. */
status tuner_try(tuner *t, const gemm_params *p, bool *taken, error *e);
const gemm_record *tuner_best(const tuner *t);
/* What its products are timed on. */
gemm_bench *tuner_bench(tuner *t);
/* Searches until about `minutes` have passed; then times the best and what is used without tuning, by turns. */
status tuner_search(tuner *t, double minutes, error *e);
/* Keeps the best for later runs if it was 2 % faster then; else drops what was kept earlier. Tells which. */
status tuner_finish(tuner *t, bool *kept, error *e);

/* For tests: seconds of all samples in the state that is in force, which is this set, or NULL: snug's own products. */
typedef double tuner_clock(void *data, const gemm_params *set);
void tuner_time_by(tuner *t, tuner_clock *clock, void *data);

/* ---- snug's own products or CLBlast's (choice.c) ---- */

/* What was measured for this device counts no longer: CLBlast is given other numbers now. */
void opencl_choice_forget(const device_info *d);

#endif
