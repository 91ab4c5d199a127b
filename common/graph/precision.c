/* precision.c: see precision.h. */
#include "graph/precision.h"

/* PyTorch's autocast gives 16 bits to the same outputs of products, and float32 to the same sums; only the outputs of
   layer norms, which it keeps in float32 and converts for each product, are bfloat16 here from the start. A bfloat16
   keeps 8 bits, so that what is added up over many terms or layers would stand still. */
#define ROW(op, name, bf16, reason)                                                                                    \
    { OP_##op, (int)(offsetof(op_arguments, op.name) / sizeof(tensor_id)), bf16, reason }
static const char STREAM[] = "the residual stream: a sum over all layers",
                  STATISTICS[] = "statistics, from which whole rows are computed again",
                  PRODUCT[] = "an output of a product, as under autocast", OPERAND[] = "read by products";

const stored_output stored_outputs[STORED_OUTPUTS] = {
    ROW(EMBED, x, false, STREAM),
    ROW(NORM, y, true, OPERAND),
    ROW(NORM, stats, false, STATISTICS),
    ROW(LINEAR, y, true, PRODUCT),
    ROW(ATTENTION, out, true, PRODUCT),
    ROW(KEEP, kept, true, "copied from an output of a product"),
    ROW(ATTENTION_ONE, out, true, PRODUCT),
    ROW(ATTENTION, lse, false, STATISTICS),
    ROW(RESIDUAL_NORM, y, false, STREAM),
    ROW(RESIDUAL_NORM, n, true, OPERAND),
    ROW(RESIDUAL_NORM, stats, false, STATISTICS),
    ROW(GELU, y, true, OPERAND),
    ROW(HEAD, dx, true, PRODUCT),
    ROW(NORM_DX, dx, false, "the gradient of the residual stream: a sum over all layers"),
    ROW(LINEAR_DX, dx, true, PRODUCT), /* GELU_DX changes it in place */
    ROW(ATTENTION_DX, dqkv, true, PRODUCT),
    ROW(RESIDUAL_DX, dp, true, OPERAND),
};

void precision_apply(graph *g, tensor_type type) {
    if (type == TYPE_REAL) return;
    g->bf16_weights = true;
    for (int i = 0; i < g->n_ops; i++)
        for (int k = 0; k < STORED_OUTPUTS; k++) {
            const stored_output *s = &stored_outputs[k];
            tensor *t = &g->tensors[g->ops[i].arg[s->argument]];
            bool stores = t->role == ROLE_ACT || s->code == OP_KEEP;
            if (s->code == g->ops[i].code && s->bf16 && stores) t->type = type;
        }
}
