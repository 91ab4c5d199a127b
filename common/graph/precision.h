/* precision.h: the graph pass that stores activations as bfloat16 (R10). Backends do not know of it. */
#ifndef SNUG_PRECISION_H
#define SNUG_PRECISION_H

#include "graph/graph.h"

/* How an op's output is stored in a graph of 16 bits, and why. */
typedef struct {
    op_code code;
    int argument; /* of the op */
    bool bf16;
    const char *reason;
} stored_output;
/* One row for each activation that some op writes (W), and one for what KEEP keeps. Gradients of activations are
   activations. */
enum { STORED_OUTPUTS = 17 };
extern const stored_output stored_outputs[STORED_OUTPUTS];

/* Gives the activations that stored_outputs says the type `type`, TYPE_BF16 or TYPE_BF16_AS_REAL, and says in
   g->bf16_weights that parameters of two dimensions are read rounded to bfloat16. TYPE_REAL: does nothing. To be called
   once all ops are there, those that recompute added included, and before graph_add_scratch. */
void precision_apply(graph *g, tensor_type type);

#endif
