/* scratch.h: the constants that determine the OpenCL backend's working space, and where each part lies in an op's
   scratch tensor. Pure arithmetic, without OpenCL, for plans and for running kernels. The constants fix the order of
   sums, so that neither the cap nor the micro-batch can change bits (R7); graph.h has the head's HEAD_ROWS. */
#ifndef SNUG_OPENCL_SCRATCH_H
#define SNUG_OPENCL_SCRATCH_H

#include "graph/backend_type.h"

enum {
    GEMM_ROWS = 2048,           /* rows of activations in one matrix product, at most */
    GEMM_TILE = 128,            /* CLBlast pads to its tiles; no tuned tile side is larger */
    HEAD_TILE_BYTES = 16 << 20, /* of the vocabulary's weights in one product, at most ... */
    HEAD_TILE_WORDS = 8192,     /* ... and words */
    HEAD_PART_WORDS = 4096,     /* of it in one sum of dx by snug's own products: enough sums to keep a GPU busy */
    PARTIAL_ROWS = 32,          /* rows of one sequence in one partial sum */
    BIAS_ROWS = 16,             /* rows that a work-item of bias_rows fills */
    SQUARE_GROUPS = 128,        /* work-groups of SUM_SQUARES; at most 256 */
    STAGING_BYTES = 64 << 20,   /* of all that AdamW has on the device at once of tensors at home with the host */
    STAGING_LEAST = 64 << 10,   /* of one of them, so that small ones updated together take few transfers */
    SCRATCH_ALIGNMENT = 4096    /* of the parts of a scratch tensor */
};

/* The rules for products by CLBlast, with upper bounds for its temporaries, and by snug's own, which need none.
   real_bytes is 4. */
scratch_rule opencl_scratch, opencl_scratch_own;

/* What CLBlast may need for C[m,n] = A[m,k] B[k,n], in bytes: padded copies of all three. */
uint64_t scratch_gemm(int64_t m, int64_t n, int64_t k);
/* ADAMW: bytes of its scratch for each of p, m and v that has the host as its home, in this order. Larger tensors, and
   those that are updated with o's, come in parts. */
uint64_t scratch_staging(const graph *g, const op *o);
/* Partial sums of `planes` rows of C channels for `sequences` sequences of T rows, in bytes. */
uint64_t scratch_partials(int64_t sequences, int64_t T, int64_t C, int64_t planes);

/* HEAD and HEAD_LOSS: [CLBlast's temporaries | logits, tile after tile | parts of dx | loss of every row]; offsets in
   bytes. By snug's own products the logits are one tile, its lines HEAD_LINE apart; what is one chain over a part of
   the vocabulary is the same either way. */
enum { HEAD_LINE = 8 }; /* lines are multiples of it, so that even as bf16 they can be read 16 bytes at a time */
typedef struct {
    int64_t rows; /* of a chunk */
    int64_t tile; /* words of the vocabulary in one product; a multiple of GEMM_TILE unless all of it */
    int64_t line; /* floats from one row of a tile's logits to the next; CLBlast: as many as the tile has words */
    int64_t part; /* words that make one sum of dx; the sums are added in order */
    uint64_t logits, parts, row_losses, bytes;
} head_layout;
head_layout scratch_head(const graph *g, const op *o, bool own);

#endif
