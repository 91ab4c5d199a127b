/* mma.h: matrix products by NVIDIA's matrix units (kernels/mma.cl): tf32 inputs, float32 sums. What
   matmul_precision=high means, and gemm.c's other way beside CLBlast. Needs no working space. */
#ifndef SNUG_OPENCL_MMA_H
#define SNUG_OPENCL_MMA_H

#include "opencl/opencl.h"
#include "opencl/ops.h"

/* Builds the kernels, then proves them on this device: BAD_INPUT says in one line what is missing or wrong and what to
   do. b must not be bound yet; what the proof takes is counted, stays under the cap, and is given back. With o->mma the
   two PTX instructions are emulated in OpenCL C, on any device. */
status mma_open(opencl *b, const opencl_options *o, error *e);
void mma_close(opencl *b);

/* C = op(A) op(B) + beta C, beta 0 or 1, as gemm_run has it; place: A, B, C. Only checks the sizes when b is dry. */
status mma_run(opencl *b, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const memory_place *place, float beta,
               error *e);

/* x as the kernels round it. */
float mma_round(float x);

#endif
