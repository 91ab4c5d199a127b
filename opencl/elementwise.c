/* elementwise.c: ops on one element at a time, and the optimizer. */
#include "opencl/ops.h"
#include <math.h>

enum {
    LANES = 256,        /* as in elementwise.cl */
    ONE_GROUP = 1 << 15 /* SUM_SQUARES: so few elements are summed by one work-group, without a second launch */
};

/* Elements that argument i has in this run: those of an activation [B,T,C] go by the run's sequences and length. */
static uint64_t elements(const opencl *b, int i) {
    const tensor *t = op_tensor(b, i);
    return (uint64_t)(t->rank == 3 ? op_rows(b) * t->dim[2] : tensor_elements(t));
}

/* One work-item for four elements of a sequence. */
static kernel_grid quads(const opencl *b, uint64_t n) {
    return grid_rows((n + 3) / 4, LANES, (uint64_t)b->args.sequences);
}

status opencl_RESIDUAL_DX(opencl *b, error *e) {
    uint64_t n = elements(b, 0) / (uint64_t)b->args.sequences;
    cl_uint8 dropout = op_dropout(b);
    RUN(b, residual_dx, quads(b, n), arg_act(b, 0), arg_tensor(b, 1), arg_int(b->args.sequences), arg_ulong(n),
        ARG_VALUE(dropout));
    return OK;
}

/* One work-item for each channel of each row. */
static kernel_grid row_grid(const opencl *b) {
    return grid_rows((uint64_t)op_tensor(b, 0)->dim[2], LANES, (uint64_t)op_rows(b));
}

status opencl_KEEP(opencl *b, error *e) {
    int64_t C = op_tensor(b, 0)->dim[2] / 2, copies = b->args.copies > 1 ? b->args.copies : 1;
    uint64_t rows = (uint64_t)(op_rows(b) * copies);
    RUN(b, keep, grid_rows((uint64_t)(2 * C), LANES, rows), arg_act(b, 0), arg_act(b, 1),
        arg_int(op_tensor(b, 0)->dim[1]), arg_int(b->args.first_sequence), arg_int(copies), arg_int(b->args.before),
        arg_int(b->args.length), arg_ulong(rows), arg_int(C));
    return OK;
}

status opencl_GELU(opencl *b, error *e) {
    RUN(b, gelu, row_grid(b), arg_act(b, 0), arg_act(b, 1), arg_tensor(b, 2), arg_int(b->op->arg[2] != 0),
        arg_ulong((uint64_t)op_rows(b)), arg_int(op_tensor(b, 0)->dim[2]), arg_int(b->op->attr.tanh_gelu));
    return OK;
}

status opencl_GELU_DX(opencl *b, error *e) {
    RUN(b, gelu_dx, row_grid(b), arg_act(b, 0), arg_act(b, 1), arg_tensor(b, 2), arg_int(b->op->arg[2] != 0),
        arg_ulong((uint64_t)op_rows(b)), arg_int(op_tensor(b, 0)->dim[2]), arg_int(b->op->attr.tanh_gelu));
    return OK;
}

status opencl_ADD(opencl *b, error *e) {
    int64_t first = b->args.add_first;
    uint64_t n = b->args.add_count ? (uint64_t)b->args.add_count : elements(b, 0);
    RUN(b, add, grid_items(n, LANES), arg_tensor_from(b, 0, first), arg_tensor_from(b, 1, first), arg_ulong(n));
    return OK;
}

/* ---- once a step: neighbours in memory together ---- */

static bool same_update(const op_attr *a, const op_attr *b) {
    return a->weight_decay == b->weight_decay && a->beta1 == b->beta1 && a->beta2 == b->beta2 &&
           a->epsilon == b->epsilon;
}

/* Can op i, a ZERO or ADAMW of the span that runs now, be done together with the op before it? So it is if both do the
   same, and each of its first `count` tensors lies right behind the one of the op before. */
static bool goes_on(const opencl *b, int i, int count) {
    const op *o = &b->graph->ops[i];
    if (i <= b->span.first || i >= b->span.end || o[-1].code != o->code) return false;
    if (o->code == OP_ADAMW && o->by.ADAMW.copy) return false; /* lies otherwise: its elements are half as large */
    for (int a = 0; a < count; a++) {
        const slot *before = &b->memory.plan->slots[o[-1].arg[a]], *s = &b->memory.plan->slots[o->arg[a]];
        if (b->graph->tensors[o->arg[a]].home != b->graph->tensors[o[-1].arg[a]].home) return false;
        if (s->block != before->block || s->offset != before->offset + before->bytes) return false;
    }
    return same_update(&o[-1].attr, &o->attr);
}

status opencl_ZERO(opencl *b, error *e) {
    int i = b->device.op;
    if (b->dry || b->base.products_only || goes_on(b, i, 1)) return OK;
    const slot *s = &b->memory.plan->slots[b->op->arg[0]];
    uint64_t bytes = s->bytes;
    while (goes_on(b, ++i, 1)) bytes += b->memory.plan->slots[b->graph->ops[i].arg[0]].bytes;
    b->base.launches++;
    return memory_zero(&b->device, b->memory.block[s->block], s->offset, bytes, false, e);
}

status opencl_SUM_SQUARES(opencl *b, error *e) {
    uint64_t n = elements(b, 1);
    size_t lanes = group_lanes(b, LANES);
    uint64_t groups = n > ONE_GROUP ? SQUARE_GROUPS : 1;
    RUN(b, squares_partial, grid_groups(groups, lanes), arg_scratch(b, 0), arg_tensor(b, 0), arg_int(b->op->attr.index),
        arg_tensor(b, 1), arg_ulong(n));
    if (groups > 1)
        RUN(b, squares_total, grid_groups(1, lanes), arg_tensor(b, 0), arg_int(b->op->attr.index), arg_scratch(b, 0),
            arg_int(groups));
    return OK;
}

status opencl_GRAD_NORM(opencl *b, error *e) {
    RUN(b, grad_norm, grid_items(1, 1), arg_tensor(b, 0), arg_tensor(b, 1), arg_int(tensor_elements(op_tensor(b, 1))),
        arg_float(b->op->attr.clip));
    return OK;
}

enum { UPDATED = 4, COPY = 5 }; /* ADAMW's p, m, v and g; its argument copy */

/* n elements of the op's tensors and of those behind them, of which g begins at element `at`. The host computes the
   step's constants in double, because 1 - beta2^t in float loses all digits for small t. */
static status adamw(opencl *b, const kernel_arg pmv[3], uint64_t at, uint64_t n, error *e) {
    const op_attr *a = &b->op->attr;
    double t = (double)b->args.step + 1, lr = b->args.lr;
    RUN(b, adamw, grid_items(n, LANES), pmv[0], pmv[1], pmv[2], arg_tensor_from(b, 3, (int64_t)at),
        arg_tensor(b, UPDATED), arg_ulong(n), arg_float(1 - lr * a->weight_decay), arg_float(a->beta1),
        arg_float(1 - a->beta1), arg_float(a->beta2), arg_float(1 - a->beta2), arg_float(lr / (1 - pow(a->beta1, t))),
        arg_float(sqrt(1 - pow(a->beta2, t))), arg_float(a->epsilon));
    return OK;
}

/* Moves `bytes` of argument i, from byte `at` on, between the host and byte `place` of the op's scratch. Nobody waits:
   the queue is in order, and the host looks at such tensors only after it has waited (backend_read). */
static status move_part(opencl *b, int i, uint64_t at, uint64_t place, uint64_t bytes, bool back, error *e) {
    memory_place there = memory_find(&b->memory, b->op->scratch, place / 4);
    char *host = memory_host(&b->memory, b->op->arg[i], at);
    if (b->dry || b->base.products_only) return OK;
    if (back)
        CL(&b->device,
           clEnqueueReadBuffer(b->device.queue, there.block, CL_FALSE, 4 * there.at, bytes, host, 0, NULL, NULL));
    else
        CL(&b->device,
           clEnqueueWriteBuffer(b->device.queue, there.block, CL_FALSE, 4 * there.at, bytes, host, 0, NULL, NULL));
    return OK;
}

/* The same update where some of p, m and v have the host as their home: a part of them comes to the op's scratch, is
   updated there, and goes back. What an element becomes does not depend on its part. */
static status adamw_in_parts(opencl *b, uint64_t n, error *e) {
    uint64_t room = scratch_staging(b->graph, b->op), part = room / 4;
    for (uint64_t at = 0; at < n; at += part) {
        uint64_t some = n - at < part ? n - at : part, place[3], end = 0;
        kernel_arg pmv[3];
        for (int i = 0; i < 3; i++) {
            bool away = op_tensor(b, i)->home == HOME_HOST;
            place[i] = away ? end : UINT64_MAX;
            pmv[i] = away ? arg_scratch(b, end / 4) : arg_tensor_from(b, i, (int64_t)at);
            if (away) TRY(move_part(b, i, 4 * at, end, 4 * some, false, e));
            end += away ? room : 0;
        }
        TRY(profile_mark(b, MARK_TRANSFER, e));
        TRY(adamw(b, pmv, at, some, e));
        if (b->op->by.ADAMW.copy)
            RUN(b, round_copy, grid_items(some, LANES), pmv[0], arg_act_from(b, COPY, (int64_t)at), arg_ulong(some));
        TRY(profile_mark(b, b->device.op, e));
        for (int i = 0; i < 3; i++)
            if (place[i] != UINT64_MAX) TRY(move_part(b, i, 4 * at, place[i], 4 * some, true, e));
        TRY(profile_mark(b, MARK_TRANSFER, e));
    }
    return OK;
}

/* The update runs over whole slots, the bytes included that round them up to the alignment. Only bind and ZERO ever
   write those, so p, m, v and g are 0 there, and AdamW leaves 0. (Without a finite norm there is no update.) */
status opencl_ADAMW(opencl *b, error *e) {
    int first = b->device.op, last = first;
    if (goes_on(b, first, UPDATED)) return OK;
    while (goes_on(b, last + 1, UPDATED)) last++;
    const slot *slots = b->memory.plan->slots;
    tensor_id begin = b->op->arg[0], end = b->graph->ops[last].arg[0];
    uint64_t n = (slots[end].offset - slots[begin].offset + tensor_bytes(&b->graph->tensors[end], 4)) / 4;
    if (op_tensor(b, 1)->home == HOME_HOST) return adamw_in_parts(b, n, e);
    return adamw(b, (kernel_arg[]){arg_tensor(b, 0), arg_tensor(b, 1), arg_tensor(b, 2)}, 0, n, e);
}
