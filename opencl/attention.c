/* attention.c: builds attention's kernels for a graph, and launches them. */
#include "opencl/attention_shapes.h"
#include "opencl/ops.h"
#include <math.h>
#include <string.h>

/* ---- building ---- */

/* What a graph asks for; false where it has no attention. A graph has one head size and one number of heads. */
static status wish_of(const opencl *b, const graph *g, attention_wish *w, error *e) {
    *w = (attention_wish){.local = b->local, .group = b->device.info.group, .units = b->device.info.units};
    w->way = b->serial ? ATTENTION_SERIAL : ATTENTION_FLOAT32;
    if (b->products.units) w->way = b->base.type->precision == PRECISION_TF32 ? ATTENTION_TF32 : ATTENTION_BF16;
    w->stored16 = has_act16(b);
    w->emulate = b->emulate;
    w->sequences = g->micro_batch;
    w->length = g->length;
    for (int i = 0; i < g->n_ops; i++) {
        const op *o = &g->ops[i];
        if (o->code != OP_ATTENTION && o->code != OP_ATTENTION_DX) continue;
        int heads = o->attr.heads, size = (int)(g->tensors[o->arg[o->code == OP_ATTENTION ? 0 : 1]].dim[2] / heads);
        if (w->heads && (size != w->head_size || heads != w->heads))
            return fail(e, FAILED, "OpenCL: a graph with %d heads of %d and %d of %d", w->heads, w->head_size, heads,
                        size);
        w->head_size = size;
        w->heads = heads;
        w->dropout = w->dropout || o->attr.dropout > 0;
    }
    return OK;
}

status attention_build(opencl *b, const graph *g, error *e) {
    attention_wish w;
    attention_shape shape;
    TRY(wish_of(b, g, &w, e));
    if (!w.heads) return OK;
    if (!attention_shape_for(&w, &shape))
        return fail(e, BAD_INPUT,
                    "heads of %d channels are too large for the OpenCL backend; use more heads or --device=cpu",
                    w.head_size);
    cl_program *program = &b->program[PROGRAM_ATTENTION];
    if (*program && strcmp(shape.options, b->attention.options) == 0) return OK;
    if (*program) clReleaseProgram(*program);
    *program = NULL;
    b->attention = shape;
    return attention_program(&b->device, &shape, program, e);
}

/* ---- running ---- */

enum { FORWARD, FOR_DQ, FOR_DKV };
enum { LANES = 256, DELTA_LANES = 8, ONE_LANES = 64 }; /* as in attention_common.cl */

static kernel_grid tiles(const opencl *b, int kernel) {
    const attention_shape *s = &b->attention;
    size_t n = (size_t)((b->args.length + s->kept[kernel] - 1) / s->kept[kernel]), lanes = (size_t)s->lanes[kernel];
    size_t heads = (size_t)b->op->attr.heads, sequences = (size_t)b->args.sequences;
    const kernel_grid serial = {{n * sequences, heads, 1}, {1, 1, 1}};
    return s->way == ATTENTION_SERIAL ? serial : grid_groups(n * heads * sequences, lanes);
}

static kernel_grid delta_grid(const opencl *b, uint64_t rows) {
    return b->attention.way == ATTENTION_SERIAL ? grid_items(rows, LANES) : grid_items(rows * DELTA_LANES, LANES);
}

static double scale(const opencl *b, int64_t C) { return 1 / sqrt((double)C / b->op->attr.heads); }

status opencl_ATTENTION(opencl *b, error *e) {
    int64_t C = op_tensor(b, 0)->dim[2];
    int H = b->op->attr.heads;
    cl_uint8 dropout = op_dropout(b);
    RUN(b, attention, tiles(b, FORWARD), arg_act(b, 0), arg_tensor(b, 1), arg_act(b, 2), arg_int(b->args.length),
        arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    return OK;
}

status opencl_ATTENTION_ONE(opencl *b, error *e) {
    int64_t C = op_tensor(b, 0)->dim[2], room = op_tensor(b, 2)->dim[1], first = b->args.first_sequence * room * 2 * C;
    uint64_t groups = (uint64_t)(b->op->attr.heads * b->args.sequences);
    RUN(b, attention_one, grid_groups(groups, group_lanes(b, ONE_LANES)), arg_act(b, 0), arg_act(b, 1),
        arg_act_from(b, 2, first), arg_act_from(b, 2, first + C), arg_int(b->args.before + 1), arg_int(3 * C),
        arg_int(2 * C), arg_ulong((uint64_t)(room * 2 * C)), arg_float(scale(b, C)));
    return OK;
}

status opencl_ATTENTION_DX(opencl *b, error *e) {
    int64_t C = op_tensor(b, 1)->dim[2];
    int H = b->op->attr.heads, T = b->args.length;
    cl_uint8 dropout = op_dropout(b);
    uint64_t n = (uint64_t)op_rows(b) * (uint64_t)H;
    RUN(b, attention_delta, delta_grid(b, n), arg_scratch(b, 0), arg_act(b, 1), arg_act(b, 3), arg_int(T), arg_int(H),
        arg_ulong(n));
    RUN(b, attention_dq, tiles(b, FOR_DQ), arg_act(b, 0), arg_act(b, 1), arg_act(b, 2), arg_tensor(b, 4),
        arg_scratch(b, 0), arg_int(T), arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    RUN(b, attention_dkv, tiles(b, FOR_DKV), arg_act(b, 0), arg_act(b, 1), arg_act(b, 2), arg_tensor(b, 4),
        arg_scratch(b, 0), arg_int(T), arg_int(H), arg_float(scale(b, C)), ARG_VALUE(dropout));
    return OK;
}
