/* attention.c: launches attention.cl, and chooses its tiles. */
#include "ops.h"
#include <math.h>

enum { SIDE = 8, LANES = 256, LOCAL_FLOATS = 32768 / 4 };

/* The largest tiles whose local memory fits 32 KiB (the sums are attention.cl's arrays). */
bool attention_tiles_for(int D, attention_tiles *t) {
    static const int sides[][2] = {{32, 32}, {32, 16}, {16, 16}, {16, 8}, {8, 8}}; /* kept, streamed */
    *t = (attention_tiles){0};
    for (int i = (int)(sizeof sides / sizeof *sides) - 1; i >= 0; i--) {
        int a = sides[i][0], s = sides[i][1];
        if (D * (a + 1) + D * (s + 1) + a * (s + 1) + a * SIDE <= LOCAL_FLOATS) t->FQ = a, t->FK = s;
        if (2 * D * (a + 1) + 2 * D * (s + 1) + a * (s + 1) <= LOCAL_FLOATS) t->QQ = a, t->QK = s;
        if (2 * D * (a + 1) + 2 * D * (s + 1) + 2 * s * (a + 1) <= LOCAL_FLOATS) t->KK = a, t->KQ = s;
    }
    return t->FQ && t->QQ && t->KK;
}

static kernel_grid tiles(const opencl *b, int side) {
    size_t n = (size_t)((b->args.length + side - 1) / side);
    kernel_grid grid = {{0, (size_t)b->op->attr.heads * SIDE, (size_t)b->args.sequences}, {SIDE, SIDE, 1}};
    grid.global[0] = n * SIDE;
    return grid;
}

static double scale(const opencl *b, int64_t C) { return 1 / sqrt((double)C / b->op->attr.heads); }

status opencl_ATTENTION(opencl *b, error *e) {
    attention_tiles t;
    int64_t C = op_tensor(b, 0)->dim[2];
    int H = b->op->attr.heads;
    attention_tiles_for((int)(C / H), &t);
    cl_uint8 dropout = op_dropout(b);
    RUN(b, attention, tiles(b, t.FQ), arg_tensor(b, 0), arg_tensor(b, 1), arg_tensor(b, 2), arg_int(b->args.length),
        arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    return OK;
}

status opencl_ATTENTION_DX(opencl *b, error *e) {
    attention_tiles t;
    int64_t C = op_tensor(b, 1)->dim[2];
    int H = b->op->attr.heads, T = b->args.length;
    attention_tiles_for((int)(C / H), &t);
    cl_uint8 dropout = op_dropout(b);
    uint64_t n = (uint64_t)op_rows(b) * (uint64_t)H;
    RUN(b, attention_delta, grid_items(n, LANES), arg_scratch(b), arg_tensor(b, 1), arg_tensor(b, 3), arg_int(T),
        arg_int(H), arg_ulong(n));
    RUN(b, attention_dq, tiles(b, t.QQ), arg_tensor(b, 0), arg_tensor(b, 1), arg_tensor(b, 2), arg_tensor(b, 4),
        arg_scratch(b), arg_int(T), arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    RUN(b, attention_dkv, tiles(b, t.KK), arg_tensor(b, 0), arg_tensor(b, 1), arg_tensor(b, 2), arg_tensor(b, 4),
        arg_scratch(b), arg_int(T), arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    return OK;
}
