/* attention.c: launches attention.cl, and chooses its tiles. */
#include "opencl/ops.h"
#include <math.h>

enum { LANES = 256, LOCAL_FLOATS = 32768 / 4 };

/* The largest tiles whose local memory fits 32 KiB (the sums are attention.cl's arrays). A group of one lane, a CPU's,
   keeps one vector of rows. */
bool attention_tiles_for(int D, bool serial, attention_tiles *t) {
    static const int sides[][2] = {{32, 32}, {32, 16}, {16, 16}, {16, 8}, {8, 8}}; /* kept, streamed */
    *t = (attention_tiles){.side = serial ? 1 : 8};
    for (int i = (int)(sizeof sides / sizeof *sides) - 1; i >= 0; i--) {
        int a = sides[i][0], s = sides[i][1];
        if (serial && a > 16) continue;
        if (D * (a + 1) + D * (s + 1) + s * (a + 1) + a * t->side <= LOCAL_FLOATS) t->FA = a, t->FS = s;
        if (2 * D * (a + 1) + 2 * D * (s + 1) + s * (a + 1) <= LOCAL_FLOATS) t->QA = a, t->QS = s;
        if (2 * D * (a + 1) + 2 * D * (s + 1) + 2 * s * (a + 1) <= LOCAL_FLOATS) t->KA = a, t->KS = s;
    }
    return t->FA && t->QA && t->KA;
}

static void tiles_of(const opencl *b, int64_t C, attention_tiles *t) {
    attention_tiles_for((int)(C / b->op->attr.heads), b->serial, t);
}

static kernel_grid tiles(const opencl *b, const attention_tiles *t, int kept) {
    size_t n = (size_t)((b->args.length + kept - 1) / kept) * (size_t)b->args.sequences, side = (size_t)t->side;
    kernel_grid grid = {{n * side, (size_t)b->op->attr.heads * side, 1}, {side, side, 1}};
    return grid;
}

static double scale(const opencl *b, int64_t C) { return 1 / sqrt((double)C / b->op->attr.heads); }

status opencl_ATTENTION(opencl *b, error *e) {
    attention_tiles t;
    int64_t C = op_tensor(b, 0)->dim[2];
    int H = b->op->attr.heads;
    tiles_of(b, C, &t);
    cl_uint8 dropout = op_dropout(b);
    RUN(b, attention, tiles(b, &t, t.FA), arg_tensor(b, 0), arg_tensor(b, 1), arg_tensor(b, 2), arg_int(b->args.length),
        arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    return OK;
}

status opencl_ATTENTION_DX(opencl *b, error *e) {
    attention_tiles t;
    int64_t C = op_tensor(b, 1)->dim[2];
    int H = b->op->attr.heads, T = b->args.length;
    tiles_of(b, C, &t);
    cl_uint8 dropout = op_dropout(b);
    uint64_t n = (uint64_t)op_rows(b) * (uint64_t)H;
    RUN(b, attention_delta, grid_items(n, LANES), arg_scratch(b, 0), arg_tensor(b, 1), arg_tensor(b, 3), arg_int(T),
        arg_int(H), arg_ulong(n));
    RUN(b, attention_dq, tiles(b, &t, t.QA), arg_tensor(b, 0), arg_tensor(b, 1), arg_tensor(b, 2), arg_tensor(b, 4),
        arg_scratch(b, 0), arg_int(T), arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    RUN(b, attention_dkv, tiles(b, &t, t.KA), arg_tensor(b, 0), arg_tensor(b, 1), arg_tensor(b, 2), arg_tensor(b, 4),
        arg_scratch(b, 0), arg_int(T), arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    return OK;
}
