/* support_opencl_attention.h: attention's kernels for GPUs by a backend's ops and one by one, on inputs drawn at
   random, and what they write held against the CPU's. */
#ifndef SNUG_TEST_SUPPORT_OPENCL_ATTENTION_H
#define SNUG_TEST_SUPPORT_OPENCL_ATTENTION_H

#include "opencl/ops.h"

typedef struct {
    int B, T, H, D;
    double dropout;
} setting;

enum { OUT, LSE, DQKV, QKV, DOUT, TENSORS };
typedef struct {
    int64_t n[TENSORS];
    float *x[TENSORS];
} tensors;

/* Inputs in (-1.5, 1.5), as bf16 has them where they are stored so; what is to be written is NaN. */
tensors tensors_new(const setting *s, bool stored16);
void tensors_free(tensors *t);
/* ATTENTION and ATTENTION_DX on tensors of their own, in the span micro. */
graph *attention_graph(const setting *s, tensor_id id[TENSORS]);
/* Writes the inputs, runs both ops on the first `sequences` sequences, reads what they wrote. The backend is closed. */
void run_ops(backend *b, const setting *s, int sequences, int length, tensors *t);
/* The same by the CPU in float64. */
tensors by_cpu(const setting *s, int sequences, int length, bool stored16);

/* ---- by kernels that are built for it ---- */

typedef struct {
    device *d;
    cl_program program;
    attention_shape shape;
    cl_mem buffer[TENSORS + 1]; /* the last: delta */
    cl_kernel kernel[5];        /* by direct_names; NULL for those that the program does not have */
} direct;
/* With 48 KiB of local memory, and matrix units emulated. */
attention_wish wish_for(attention_way way, const setting *s);
direct direct_new(device *d, const attention_wish *w, const tensors *t);
void direct_free(direct *r);
/* By name; there has to be one. */
cl_kernel direct_kernel(const direct *r, const char *name);
/* args: tensors, -1 where they end; then T, H, scale and dropout. */
void direct_launch(direct *r, const char *name, const int *args, const setting *s, size_t groups, size_t lanes,
                   int times);
/* Copies tensor i there (or back), all but LSE as bf16 where they are stored so. */
void direct_copy(direct *r, int i, tensors *t, bool stored16, bool there);
/* Runs all four kernels; a device with matrix units of its own gets PTX. */
void direct_run(attention_wish w, const setting *s, tensors *t);

/* ---- comparing ---- */

/* Each tensor by norm, the gradients of q, k and v each by themselves; nothing may be written past the sequences. */
void expect_close(const tensors *got, const tensors *want, const setting *s, int sequences, double tolerance,
                  const char *what);
/* Of the first 1 / share of each tensor. */
void expect_same(const tensors *a, const tensors *b, int64_t share, const char *what);

#endif
