/* product.h: snug's own matrix products (kernels/product.cl): float32 in plain OpenCL C on any device, tf32 and bf16 by
   NVIDIA's matrix units. What matmul_precision=high and =medium mean and dtype=bfloat16's products, and gemm.c's other
   way beside CLBlast. Needs no working space. */
#ifndef SNUG_OPENCL_PRODUCT_H
#define SNUG_OPENCL_PRODUCT_H

#include "opencl/opencl.h"
#include "opencl/ops.h"

/* Builds the kernels for b's precision, then proves them on this device: BAD_INPUT says in one line what is missing or
   wrong and what to do. With dtype=bfloat16 the portable kernels, which multiply bf16 numbers in float32, take over
   where matrix units are missing or wrong. b must not be bound yet; what the proof takes is counted, stays under the
   cap, and is given back. o->mma: see there. */
status product_open(opencl *b, const opencl_options *o, error *e);
/* Of products.tile, the first that a device uses by itself: CPUs would compile more tiles for seconds, to no use. Their
   float32 products are CLBlast's, and only dtype=bfloat16 takes these. */
int product_first_tile(const opencl *b);
/* Builds and proves what g asks for beyond that: products with the copies that g's parameters may have. b is not bound.
 */
status product_prepare(opencl *b, const graph *g, error *e);
/* Is there a kernel for operands that are stored so (_16: as bf16) and transposed so? */
bool product_has(const opencl *b, bool a16, bool b16, bool ta, bool tb);
void product_close(opencl *b);
/* For kernels_make and kernels_drop. */
status product_make_kernels(opencl *b, error *e);
void product_drop_kernels(opencl *b);
/* What was measured on a device, a line for each model (choice.c). */
void products_print(const device_info *d, FILE *f);
/* "own float32": what bits depend on, as a run records it (backend.gemm). */
void product_name(const opencl *b, char text[64]);
/* "128 x 64 x 8": a tile's sides along m, n and k. */
void product_tile_print(const opencl *b, int tile, char text[32]);

/* What a product ends in, as product.cl numbers it. E has C's shape, bias is [n]:
     BIAS     C += bias
     GELU     E = gelu(C + bias)
     GELU_DX  C *= gelu's slope at E + bias; it and GELU not with ta */
typedef enum { END_NONE, END_BIAS, END_GELU, END_GELU_DX } product_end;

/* C[m,n] = op(A) op(B) + beta C, row-major: A is [m,k], or [k,m] when ta; B is [k,n], or [n,k] when tb; beta 0 or 1.
   What is stored as bf16 the places say; C is so only with beta 0 and one piece, and E as C is. */
typedef struct {
    bool ta, tb;
    int64_t m, n, k;
    int64_t lda, ldb, ldc; /* from line to line; 0: dense. What follows a line of A or B must be zeros */
    /* Pieces of k, the last one maybe shorter; 0: one. With ta alone the sum of each is added to C, piece after piece;
       else each fills a plane of C of its own, [pieces, m, ldc]. */
    int64_t piece;
    memory_place A, B, C, E, bias; /* bias.block NULL: none */
    float beta;
    product_end end;
    bool tanh_form;
} product_call;
/* Element `element` of tensor t; nowhere while products are listed. */
static inline memory_place product_place(const opencl *b, tensor_id t, int64_t element) {
    if (b->listing) return (memory_place){0};
    return memory_find(&b->memory, t, (uint64_t)element);
}
/* Only checks the sizes when b is dry, only lists it when b lists. */
status product_run(opencl *b, const product_call *p, error *e);

/* x as the kernels of precision p round inputs. */
float product_round(compute_precision p, float x);

#endif
