/* cost.c: see cost.h. Everything is computed from the graph's shapes. */
#include "graph/cost.h"
#include "graph/home.h"

static double elements_of(const graph *g, tensor_id t, int sequences) {
    if (!t) return 0;
    const tensor *x = &g->tensors[t];
    double n = (double)tensor_elements(x);
    bool by_sequence = x->role == ROLE_ACT || x->role == ROLE_INPUT;
    return by_sequence ? n / (double)x->dim[0] * sequences : n;
}

static double bytes_of(const graph *g, tensor_id t, int sequences, size_t real_bytes) {
    return elements_of(g, t, sequences) * (g->tensors[t].type == TYPE_BF16 ? 2 : (double)real_bytes);
}

double op_flops(const graph *g, const op *o, int sequences) {
    double rows = (double)sequences * g->length;
    const tensor *t = g->tensors;
    switch (o->code) {
    case OP_LINEAR: return 2.0 * sequences * (double)t[o->arg[0]].dim[1] * (double)tensor_elements(&t[o->arg[2]]);
    case OP_LINEAR_DX: return 2 * rows * (double)tensor_elements(&t[o->arg[2]]);
    case OP_LINEAR_DW: return 2 * rows * (double)tensor_elements(&t[o->arg[0]]);
    case OP_HEAD: return 3 * 2 * rows * (double)tensor_elements(&t[o->arg[4]]);
    case OP_HEAD_LOSS: return 2 * rows * (double)tensor_elements(&t[o->arg[2]]);
    case OP_LOGITS: return 2 * (double)tensor_elements(&t[o->arg[2]]);
    /* Two products forward and five backward, each with 2 * C operations for each pair of positions i, j <= i. */
    case OP_ATTENTION: return 2 * 2 * rows * ((double)g->length + 1) / 2 * (double)t[o->arg[0]].dim[2];
    case OP_ATTENTION_ONE: return 2.0 * sequences * (double)g->length * (double)t[o->arg[2]].dim[2];
    case OP_ATTENTION_DX: return 5 * 2 * rows * ((double)g->length + 1) / 2 * (double)t[o->arg[1]].dim[2];
    case OP_RESIDUAL_NORM: return 9 * elements_of(g, o->arg[0], sequences);
    case OP_NORM: return 8 * elements_of(g, o->arg[0], sequences);
    case OP_NORM_DX: return 11 * elements_of(g, o->arg[0], sequences);
    case OP_NORM_DW: return 5 * elements_of(g, o->arg[2], sequences);
    case OP_GELU:
    case OP_GELU_DX: return 25 * elements_of(g, o->arg[0], sequences);
    case OP_EMBED:
    case OP_RESIDUAL_DX:
    case OP_ADD: return elements_of(g, o->arg[0], sequences);
    case OP_EMBED_DW: return 2 * elements_of(g, o->arg[2], sequences);
    case OP_SUM_SQUARES: return 2 * elements_of(g, o->arg[1], sequences);
    case OP_ADAMW: return 14 * elements_of(g, o->arg[0], sequences);
    default: return 0;
    }
}

double op_traffic(const graph *g, const op *o, int sequences, size_t real_bytes) {
    const op_info *info = op_describe(o->code);
    double n = 0, bytes = 0;
    for (int a = 0; a < info->arguments; a++)
        bytes += bytes_of(g, o->arg[a], sequences, real_bytes) * (info->access[a] == 'A' ? 2 : 1);
    /* An embedding touches only the rows that its tokens name. The head's logits are written, read twice, and read by
       two products. */
    if (o->code == OP_EMBED) n -= elements_of(g, o->arg[2], sequences) - elements_of(g, o->arg[0], sequences);
    if (o->code == OP_EMBED_DW)
        n -= 2 * elements_of(g, o->arg[0], sequences) - 2 * elements_of(g, o->arg[2], sequences);
    if (o->code == OP_HEAD || o->code == OP_HEAD_LOSS)
        n += (o->code == OP_HEAD ? 6 : 3) * (double)sequences * g->length *
             (double)g->tensors[o->arg[o->code == OP_HEAD ? 4 : 2]].dim[0];
    return bytes + n * (double)real_bytes;
}

double op_traffic_joined(const graph *g, const op *o, int sequences, size_t real_bytes) {
    const op_info *info = op_describe(o->code);
    double n = op_traffic(g, o, sequences, real_bytes);
    for (int a = 0; a < info->arguments; a++)
        if (o->arg[a] == o[-1].arg[0])
            n -= bytes_of(g, o->arg[a], sequences, real_bytes) * (info->access[a] == 'A' ? 2 : 1);
    return n;
}

/* ---- time ---- */

work_kind cost_work(op_code code) {
    switch (code) {
    case OP_LINEAR:
    case OP_LINEAR_DX:
    case OP_LINEAR_DW: return WORK_MATRIX;
    case OP_ATTENTION:
    case OP_ATTENTION_ONE:
    case OP_ATTENTION_DX: return WORK_ATTENTION;
    case OP_HEAD:
    case OP_HEAD_LOSS: return WORK_HEAD;
    default: return WORK_VECTOR;
    }
}

double cost_launches(const graph *g, const op *o, int sequences, const cost_model *c) {
    enum { CHUNK_KERNELS = 5 }; /* of a chunk: logits, softmax, and two products, one of them in two parts */
    if (o->code == OP_LINEAR_DW && g->batch_invariant && !c->dw_at_once) return sequences;
    if (o->code != OP_HEAD && o->code != OP_HEAD_LOSS) return 1;
    int64_t piece = (int64_t)g->length * (g->batch_invariant ? 1 : sequences),
            pieces = g->batch_invariant ? sequences : 1;
    return (double)((piece + HEAD_ROWS - 1) / HEAD_ROWS * pieces * CHUNK_KERNELS);
}

double cost_seconds(const graph *g, const op *o, int sequences, size_t real_bytes, const cost_model *c) {
    double arithmetic = op_flops(g, o, sequences) * c->flop[cost_work(o->code)];
    double traffic = op_traffic(g, o, sequences, real_bytes) * c->byte;
    return c->launch * cost_launches(g, o, sequences, c) + (arithmetic > traffic ? arithmetic : traffic) +
           c->transfer * home_traffic(g, o, real_bytes);
}
