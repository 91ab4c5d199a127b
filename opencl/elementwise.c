/* elementwise.c: ops on one element at a time, and the optimizer. */
#include "ops.h"
#include <math.h>

enum { LANES = 256 }; /* as in elementwise.cl */

/* Elements that argument i has in this run: those of an activation [B,T,C] go by the run's sequences and length. */
static uint64_t elements(const opencl *b, int i) {
    const tensor *t = op_tensor(b, i);
    return (uint64_t)(t->rank == 3 ? op_rows(b) * t->dim[2] : tensor_elements(t));
}

/* Four elements a work-item, sequences in the second dimension. */
static kernel_grid quads(const opencl *b, uint64_t n) {
    kernel_grid grid = grid_items((n + 3) / 4, LANES);
    grid.global[1] = (size_t)b->args.sequences;
    return grid;
}

status opencl_RESIDUAL(opencl *b, error *e) {
    uint64_t n = elements(b, 0) / (uint64_t)b->args.sequences;
    cl_uint8 dropout = op_dropout(b);
    RUN(b, residual, quads(b, n), ARGUMENT(b, 0), ARGUMENT(b, 1), ARGUMENT(b, 2), ULONG(n), {sizeof dropout, &dropout});
    return OK;
}

status opencl_RESIDUAL_DX(opencl *b, error *e) {
    uint64_t n = elements(b, 0) / (uint64_t)b->args.sequences;
    cl_uint8 dropout = op_dropout(b);
    RUN(b, residual_dx, quads(b, n), ARGUMENT(b, 0), ARGUMENT(b, 1), ULONG(n), {sizeof dropout, &dropout});
    return OK;
}

status opencl_GELU(opencl *b, error *e) {
    uint64_t n = elements(b, 0);
    RUN(b, gelu, grid_items(n, LANES), ARGUMENT(b, 0), ARGUMENT(b, 1), ULONG(n), INT(b->op->attr.tanh_gelu));
    return OK;
}

status opencl_GELU_DX(opencl *b, error *e) {
    uint64_t n = elements(b, 0);
    RUN(b, gelu_dx, grid_items(n, LANES), ARGUMENT(b, 0), ARGUMENT(b, 1), ULONG(n), INT(b->op->attr.tanh_gelu));
    return OK;
}

status opencl_ADD(opencl *b, error *e) {
    uint64_t n = elements(b, 0);
    RUN(b, add, grid_items(n, LANES), ARGUMENT(b, 0), ARGUMENT(b, 1), ULONG(n));
    return OK;
}

status opencl_ZERO(opencl *b, error *e) {
    const cl_uint zero = 0;
    if (b->dry) return OK;
    CL(&b->device, clEnqueueFillBuffer(b->device.queue, b->memory.tensor[b->op->arg[0]], &zero, sizeof zero, 0,
                                       tensor_bytes(op_tensor(b, 0), 4), 0, NULL, NULL));
    return OK;
}

status opencl_SUM_SQUARES(opencl *b, error *e) {
    uint64_t n = elements(b, 1);
    RUN(b, squares_partial, grid_groups(SQUARE_GROUPS, LANES), SCRATCH(b), ARGUMENT(b, 1), ULONG(n));
    RUN(b, squares_total, grid_groups(1, LANES), ARGUMENT(b, 0), INT(b->op->attr.index), SCRATCH(b),
        INT(SQUARE_GROUPS));
    return OK;
}

status opencl_GRAD_NORM(opencl *b, error *e) {
    RUN(b, grad_norm, grid_items(1, 1), ARGUMENT(b, 0), ARGUMENT(b, 1), INT(tensor_elements(op_tensor(b, 1))),
        FLOAT(b->op->attr.clip));
    return OK;
}

/* The step's constants in double on the host: 1 - beta2^t loses all digits in float for small t. */
status opencl_ADAMW(opencl *b, error *e) {
    const op_attr *a = &b->op->attr;
    double t = (double)b->args.step + 1, lr = b->args.lr;
    uint64_t n = elements(b, 0);
    RUN(b, adamw, grid_items(n, LANES), ARGUMENT(b, 0), ARGUMENT(b, 1), ARGUMENT(b, 2), ARGUMENT(b, 3), ARGUMENT(b, 4),
        ULONG(n), FLOAT(1 - lr * a->weight_decay), FLOAT(a->beta1), FLOAT(1 - a->beta1), FLOAT(a->beta2),
        FLOAT(1 - a->beta2), FLOAT(lr / (1 - pow(a->beta1, t))), FLOAT(sqrt(1 - pow(a->beta2, t))), FLOAT(a->epsilon));
    return OK;
}
