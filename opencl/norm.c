/* norm.c: layer norm's ops, and how sums over tokens are made from partial sums. */
#include "opencl/ops.h"

enum { ROW_LANES = 64 }; /* as in norm.cl */

status opencl_NORM(opencl *b, error *e) {
    RUN(b, norm, grid_groups((uint64_t)op_rows(b), group_lanes(b, ROW_LANES)), arg_act(b, 0), arg_tensor(b, 1),
        arg_tensor(b, 2), arg_tensor(b, 3), arg_tensor(b, 4), arg_int(b->op->arg[4] != 0),
        arg_int(op_tensor(b, 0)->dim[2]), arg_float(b->op->attr.epsilon));
    return OK;
}

status opencl_RESIDUAL_NORM(opencl *b, error *e) {
    cl_uint8 dropout = op_dropout(b);
    RUN(b, residual_norm, grid_groups((uint64_t)op_rows(b), group_lanes(b, ROW_LANES)), arg_tensor(b, 0), arg_act(b, 1),
        arg_tensor(b, 2), arg_tensor(b, 3), arg_act(b, 4), arg_tensor(b, 5), arg_tensor(b, 6), arg_tensor(b, 7),
        arg_int(b->op->arg[5] != 0), arg_int(b->op->arg[7] != 0), arg_int(b->args.length),
        arg_int(op_tensor(b, 0)->dim[2]), arg_float(b->op->attr.epsilon), ARG_VALUE(dropout));
    return OK;
}

status opencl_NORM_DX(opencl *b, error *e) {
    RUN(b, norm_dx, grid_groups((uint64_t)op_rows(b), group_lanes(b, ROW_LANES)), arg_tensor(b, 0), arg_act(b, 1),
        arg_tensor(b, 2), arg_tensor(b, 3), arg_tensor(b, 4), arg_tensor(b, 5), arg_int(b->op->arg[5] != 0),
        arg_int(op_tensor(b, 0)->dim[2]));
    return OK;
}

status opencl_NORM_DW(opencl *b, error *e) {
    int64_t C = op_tensor(b, 2)->dim[2], T = b->args.length;
    uint64_t chunks = (uint64_t)((T + PARTIAL_ROWS - 1) / PARTIAL_ROWS * b->args.sequences);
    kernel_grid grid = grid_rows(vectors(b, C), group_lanes(b, ROW_LANES), chunks);
    RUN(b, norm_dw, grid, arg_scratch(b, 0), arg_act(b, 2), arg_tensor(b, 3), arg_tensor(b, 4),
        arg_int(b->args.sequences), arg_int(T), arg_int(C));
    TRY(partials_add(b, 0, C, 0, 2, e));
    return b->op->arg[1] ? partials_add(b, 1, C, 1, 2, e) : OK;
}

status partials_add(opencl *b, int i, int64_t C, int plane, int planes, error *e) {
    int chunks = (b->args.length + PARTIAL_ROWS - 1) / PARTIAL_ROWS;
    RUN(b, add_partials, grid_items((uint64_t)C, ROW_LANES), arg_tensor(b, i), arg_scratch(b, 0), arg_int(C),
        arg_int(plane), arg_int(planes), arg_int(chunks), arg_int(b->args.sequences));
    return OK;
}
