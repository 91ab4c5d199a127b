/* support_one_op.h: one op alone on the CPU backend, on random values, for tests that compare it with a reference of
   their own. */
#ifndef SNUG_SUPPORT_ONE_OP_H
#define SNUG_SUPPORT_ONE_OP_H

#include "graph/backend.h"

/* One of the settings that each test goes through: shapes that are multiples of nothing, and some just past a tile. */
typedef struct {
    int B, T, C, H, V, F; /* F: outputs of the linear layer; wpe has T + 3 rows */
    int sequences;        /* <= B */
    double dropout;
    bool invariant;
} op_setting;
enum { OP_SETTINGS = 5 };
extern const op_setting op_settings[OP_SETTINGS];

typedef struct {
    op_setting s;
    size_t real_bytes; /* on the backend: 8 or 4 */
    bool bf16;         /* outputs that precision.h says are bfloat16, and parameters of rank 2 are read rounded */
    op_code code;
    op_attr attr;
    step_args step;
    int arguments, rank[MAX_ARGUMENTS];
    int64_t dim[MAX_ARGUMENTS][4], n[MAX_ARGUMENTS]; /* n: elements; 0 = none */
    bool whole[MAX_ARGUMENTS];                       /* int32 */
    double *in[MAX_ARGUMENTS], *got[MAX_ARGUMENTS];  /* what the op found, and what it left */
} one_op;

/* Begins one; attr's dropout is the setting's where a site is given. real_bytes: 8, 4, or 2, which is bfloat16. */
one_op one_op_new(const op_setting *s, size_t real_bytes, op_code code, op_attr attr);
/* The next argument, in the op table's order: uniform in [-1, 1], the same values in every precision. Returns them for
   the test to change before one_op_run. */
double *one_op_real(one_op *k, int rank, int64_t a, int64_t b, int64_t c);
/* Ids in [low, high). */
double *one_op_ids(one_op *k, int64_t a, int64_t b, int low, int high);
void one_op_none(one_op *k);
/* Runs it on the first `sequences` sequences and fills got. */
void one_op_run(one_op *k);
void one_op_free(one_op *k);

/* 1 / (1 - p), or 0 where element `element` of a sequence of this run is dropped; 1 without dropout. */
double one_op_mask(const one_op *k, int sequence, int64_t element);
/* Fails the test unless the first n elements of argument a are `want` by norm; n < 0: all of them. `want` is freed. */
void one_op_expect(const one_op *k, int a, int64_t n, double *want);
/* Fails the test unless `gradient` (of argument a's values) is, at some elements, the central difference of loss(k). */
void one_op_differentiate(one_op *k, int a, const double *gradient, double (*loss)(const one_op *));

#endif
