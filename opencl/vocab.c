/* vocab.c: embeddings and the head over the vocabulary. The logits of all rows never exist at once (R7): the head works
   on one chunk of rows at a time. For CLBlast it also cuts the vocabulary into tiles, each a dense matrix of its own,
   so that CLBlast has little to copy. */
#include "opencl/product.h"

enum { LANES = 256, EMBED_LANES = 64, HEAD_LANES = 256 }; /* as in vocab.cl */

status opencl_EMBED(opencl *b, error *e) {
    int64_t C = op_tensor(b, 0)->dim[2], n = b->args.length * C;
    cl_uint8 dropout = op_dropout(b);
    kernel_grid grid = grid_rows((uint64_t)(n + 3) / 4, LANES, (uint64_t)b->args.sequences);
    RUN(b, embed, grid, arg_tensor(b, 0), arg_tensor_from(b, 1, op_tokens_at(b, 1)), arg_weight(b, 2, 0),
        arg_weight(b, 3, b->args.before * C), arg_int(is_copy(b, 2)), arg_int(b->args.sequences),
        arg_int(b->args.length), arg_int(C), ARG_VALUE(dropout));
    return OK;
}

status opencl_EMBED_DW(opencl *b, error *e) {
    int64_t C = op_tensor(b, 2)->dim[2], n = b->args.length * C;
    cl_uint8 dropout = op_dropout(b);
    for (int s = 0; s < b->args.sequences; s++)
        RUN(b, embed_dwte, grid_groups((uint64_t)b->args.length, group_lanes(b, EMBED_LANES)), arg_tensor(b, 0),
            arg_tensor(b, 2), arg_tensor_from(b, 3, op_tokens_at(b, 3)), arg_int(s), arg_int(b->args.length),
            arg_int(C), ARG_VALUE(dropout));
    RUN(b, embed_dwpe, grid_items((uint64_t)n, LANES), arg_tensor(b, 1), arg_tensor(b, 2), arg_int(b->args.sequences),
        arg_ulong(n), ARG_VALUE(dropout));
    return OK;
}

/* One chunk: logits = x wte^T, then losses and dlogits in place, then dx = dlogits wte and dwte += dlogits^T x.
   losses, dx, dwte, x, wte, targets: HEAD's arguments; dx and dwte are 0 for the losses alone. */
typedef struct {
    tensor_id dx, dwte, x, wte;
    int targets; /* argument number */
    head_layout l;
    int64_t C, V;
} head;

static status head_softmax(opencl *b, const head *h, int64_t row, int64_t rows, error *e) {
    const head_layout *l = &h->l;
    RUN(b, head_rows, grid_groups((uint64_t)rows, group_lanes(b, HEAD_LANES)), arg_scratch(b, l->logits / 4),
        arg_scratch(b, l->row_losses / 4 + (uint64_t)row),
        arg_tensor_from(b, h->targets, op_tokens_at(b, h->targets) + row), arg_int(h->V), arg_int(l->tile),
        arg_int(l->line), arg_int(h->dx != 0), arg_float(b->args.inv_targets));
    return OK;
}

static status run_chunk(opencl *b, const head *h, int64_t row, int64_t rows, error *e) {
    const head_layout *l = &h->l;
    matrix x = {h->x, (uint64_t)(row * h->C)}, dx = {h->dx, (uint64_t)(row * h->C)};
    for (int64_t v = 0; v < h->V; v += l->tile) {
        int64_t width = h->V - v < l->tile ? h->V - v : l->tile;
        matrix wte = {h->wte, (uint64_t)(v * h->C)}, logits = {b->op->scratch, l->logits / 4 + (uint64_t)(v * rows)};
        TRY(gemm_run(b, false, true, rows, width, h->C, x, wte, 0.0f, logits, l->logits, e));
    }
    TRY(head_softmax(b, h, row, rows, e));
    if (!h->dx) return OK;
    for (int64_t v = 0; v < h->V; v += l->tile) {
        int64_t width = h->V - v < l->tile ? h->V - v : l->tile;
        matrix wte = {h->wte, (uint64_t)(v * h->C)}, logits = {b->op->scratch, l->logits / 4 + (uint64_t)(v * rows)};
        matrix dwte = {h->dwte, wte.at};
        TRY(gemm_run(b, false, false, rows, h->C, width, logits, wte, v ? 1.0f : 0.0f, dx, l->logits, e));
        TRY(gemm_run(b, true, false, width, h->C, rows, logits, x, 1.0f, dwte, l->logits, e));
    }
    return OK;
}

/* By snug's own products, which take the whole vocabulary at once. dx alone is computed in parts of the vocabulary side
   by side: it has few tiles, each the sum over very many words. */
static status run_chunk_own(opencl *b, const head *h, int64_t row, int64_t rows, error *e) {
    const head_layout *l = &h->l;
    int64_t C = h->C, V = h->V, count = (V + l->part - 1) / l->part;
    bool in_parts = count > 1;
    product_call p = {.tb = true, .m = rows, .n = V, .k = C, .ldc = l->line};
    p.A = product_place(b, h->x, row * C);
    p.B = product_place(b, h->wte, 0);
    p.C = product_place(b, b->op->scratch, (int64_t)l->logits / 4);
    TRY(product_run(b, &p, e));
    TRY(head_softmax(b, h, row, rows, e));
    if (!h->dx) return OK;
    p = (product_call){.m = rows, .n = C, .k = V, .lda = l->line, .piece = l->part, .A = p.C, .B = p.B};
    p.C = in_parts ? product_place(b, b->op->scratch, (int64_t)l->parts / 4) : product_place(b, h->dx, row * C);
    TRY(product_run(b, &p, e));
    if (in_parts) {
        uint64_t n = (uint64_t)(rows * C);
        RUN(b, head_dx, grid_items(n, LANES), arg_act_from(b, 1, row * C), arg_scratch(b, l->parts / 4), arg_ulong(n),
            arg_int(count));
    }
    p = (product_call){.ta = true, .m = V, .n = C, .k = rows, .lda = l->line, .A = p.A, .beta = 1};
    p.B = product_place(b, h->x, row * C);
    p.C = product_place(b, h->dwte, 0);
    return product_run(b, &p, e);
}

/* No chunk crosses the end of a sequence, unless bits may depend on the split into micro-batches. */
static status run_head(opencl *b, const head *h, error *e) {
    int64_t all = op_rows(b), piece = b->graph->batch_invariant ? b->args.length : all;
    for (int64_t row = 0; row < all;) {
        int64_t end = (row / piece + 1) * piece, rows = end - row < h->l.rows ? end - row : h->l.rows;
        TRY((b->own_products ? run_chunk_own : run_chunk)(b, h, row, rows, e));
        row += rows;
    }
    RUN(b, head_losses, grid_items((uint64_t)b->args.sequences, EMBED_LANES), arg_tensor(b, 0),
        arg_int(b->args.first_sequence), arg_scratch(b, h->l.row_losses / 4), arg_int(b->args.sequences),
        arg_int(b->args.length));
    return OK;
}

status opencl_HEAD(opencl *b, error *e) {
    const tensor_id *arg = b->op->arg;
    head h = {.dx = arg[1], .dwte = arg[2], .x = arg[3], .wte = arg[4], .targets = 5};
    h.l = scratch_head(b->graph, b->op, b->own_products);
    h.C = op_tensor(b, 4)->dim[1];
    h.V = op_tensor(b, 4)->dim[0];
    return run_head(b, &h, e);
}

status opencl_HEAD_LOSS(opencl *b, error *e) {
    const tensor_id *arg = b->op->arg;
    head h = {.x = arg[1], .wte = arg[2], .targets = 3};
    h.l = scratch_head(b->graph, b->op, b->own_products);
    h.C = op_tensor(b, 2)->dim[1];
    h.V = op_tensor(b, 2)->dim[0];
    return run_head(b, &h, e);
}

status opencl_LOGITS(opencl *b, error *e) {
    int64_t V = op_tensor(b, 2)->dim[0], C = op_tensor(b, 2)->dim[1];
    RUN(b, logits_row, grid_groups((uint64_t)V, group_lanes(b, EMBED_LANES)),
        arg_tensor_from(b, 0, b->args.first_sequence * V), arg_act_from(b, 1, (b->args.length - 1) * C),
        arg_weight(b, 2, 0), arg_int(is_copy(b, 2)), arg_int(b->args.sequences),
        arg_ulong((uint64_t)b->args.length * (uint64_t)C), arg_int(V), arg_int(C));
    return OK;
}
