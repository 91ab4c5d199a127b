/* linear.c: the linear layers: by CLBlast's products, or by snug's own, which take all rows at once, end in a bias or
   in the op that follows, and do the weight gradients of all sequences in one launch. One position of each sequence has
   a kernel of its own. */
#include "opencl/product.h"

enum { LANES = 256, ROW_LANES = 64 };

/* ---- one position of each sequence: few rows, whatever multiplies otherwise ---- */

static bool has_few_rows(const opencl *b, const op *o) { return b->graph->tensors[o->arg[0]].dim[1] == 1; }

static status linear_rows(opencl *b, error *e) {
    int64_t I = op_tensor(b, 2)->dim[0], O = op_tensor(b, 2)->dim[1], columns = b->serial ? 64 : 32; /* as in gemm.cl */
    RUN(b, linear_rows, grid_groups((uint64_t)((O + columns - 1) / columns), group_lanes(b, LANES)), arg_act(b, 0),
        arg_act(b, 1), arg_weight(b, 2, 0), arg_tensor(b, 3), arg_int(is_copy(b, 2)), arg_int(b->op->arg[3] != 0),
        arg_int(op_rows(b)), arg_int(I), arg_int(O));
    return OK;
}

/* ---- by snug's own products ---- */

/* Does what op `next` writes lie where an argument that op o reads does? Then it can't be written while o runs. */
static bool in_the_way(const opencl *b, const op *o, tensor_id written) {
    const char *access = op_describe(o->code)->access;
    const slot *slots = b->memory.plan->slots, *w = &slots[written];
    for (int i = 0; access[i]; i++) {
        const slot *r = &slots[o->arg[i]];
        if (access[i] == 'R' && o->arg[i] && r->block == w->block && r->offset < w->offset + w->bytes &&
            w->offset < r->offset + r->bytes)
            return true;
    }
    return false;
}

/* A product may end in the op that follows it: GELU of what LINEAR has written, or GELU_DX of what LINEAR_DX has. The
   plan does not know of it, so that its peak stays the same. Where the plan has put GELU's output into the place of
   LINEAR's input, which GELU no longer needs, the two ops have to run one after the other. */
bool linear_can_end_in(const opencl *b, const op *o, const op *next) {
    if (!b->own_products || b->listing) return false;
    if (o->code == OP_LINEAR && has_few_rows(b, o)) return false;
    if (o->code == OP_LINEAR && next->code == OP_GELU)
        return next->arg[1] == o->arg[0] && !o->arg[3] && !in_the_way(b, o, next->arg[0]);
    return o->code == OP_LINEAR_DX && next->code == OP_GELU_DX && next->arg[0] == o->arg[0];
}

static memory_place place_of(const opencl *b, tensor_id t) { return t ? product_place(b, t, 0) : (memory_place){0}; }

static status own_linear(opencl *b, error *e) {
    const tensor_id *arg = b->op->arg, *next = b->next ? b->next->arg : NULL;
    product_call p = {.m = op_rows(b), .n = op_tensor(b, 2)->dim[1], .k = op_tensor(b, 2)->dim[0]};
    p.A = place_of(b, arg[1]);
    p.B = place_of(b, arg[2]);
    p.C = place_of(b, arg[0]);
    p.bias = place_of(b, arg[3]);
    p.end = arg[3] ? END_BIAS : END_NONE;
    if (next) {
        p.end = END_GELU;
        p.E = place_of(b, next[0]);
        p.bias = place_of(b, next[2]);
        p.tanh_form = b->next->attr.tanh_gelu;
        b->did_next = true;
    }
    return product_run(b, &p, e);
}

static status own_linear_dx(opencl *b, error *e) {
    const tensor_id *arg = b->op->arg, *next = b->next ? b->next->arg : NULL;
    product_call p = {.tb = true, .m = op_rows(b), .n = op_tensor(b, 2)->dim[0], .k = op_tensor(b, 2)->dim[1]};
    p.A = place_of(b, arg[1]);
    p.B = place_of(b, arg[2]);
    p.C = place_of(b, arg[0]);
    if (next) {
        p.end = END_GELU_DX;
        p.E = place_of(b, next[1]);
        p.bias = place_of(b, next[2]);
        p.tanh_form = b->next->attr.tanh_gelu;
        b->did_next = true;
    }
    return product_run(b, &p, e);
}

static status own_linear_dw(opencl *b, error *e) {
    const tensor_id *arg = b->op->arg;
    product_call p = {.ta = true,
                      .m = op_tensor(b, 0)->dim[0],
                      .n = op_tensor(b, 0)->dim[1],
                      .k = op_rows(b),
                      .piece = b->args.length,
                      .beta = 1};
    p.A = place_of(b, arg[3]);
    p.B = place_of(b, arg[2]);
    p.C = place_of(b, arg[0]);
    return product_run(b, &p, e);
}

/* ---- rows by rows ----

   One product of CLBlast's takes whole sequences up to GEMM_ROWS rows, or a part of one sequence. In batch-invariant
   graphs sequences share a product only where every row comes out the same in any company: in activations (`joinable`)
   and by the indirect kernel, which pads to full tiles and treats all rows alike. Whether one sequence alone would take
   the indirect kernel decides, so that a micro-batch's size can't. The direct kernel has code of its own for the edges
   of a matrix. */
typedef struct {
    int64_t row, rows;
} row_chunk;

static bool next_chunk(const opencl *b, bool joinable, int64_t n, int64_t k, row_chunk *c) {
    int64_t T = b->args.length, all = op_rows(b), first = c->row + c->rows, most = GEMM_ROWS;
    if (first >= all) return false;
    int64_t together = 1;
    if (!b->graph->batch_invariant || (joinable && !gemm_is_direct(b, T < most ? T : most, n, k)))
        together = T < most ? most / T : 1;
    int64_t end = (first / T + together) * T;
    c->row = first;
    c->rows = (end < all ? end : all) - first;
    if (c->rows > most) c->rows = most;
    return true;
}

/* ---- the ops ---- */

/* y[B,T,O] = x[B,T,I] w[I,O] + b[O] */
status opencl_LINEAR(opencl *b, error *e) {
    int64_t I = op_tensor(b, 2)->dim[0], O = op_tensor(b, 2)->dim[1];
    const tensor_id *arg = b->op->arg;
    if (has_few_rows(b, b->op)) return linear_rows(b, e);
    if (b->own_products) return own_linear(b, e);
    bool bias = arg[3] != 0;
    if (bias) {
        kernel_grid grid = grid_rows((uint64_t)O, LANES, (uint64_t)(op_rows(b) + BIAS_ROWS - 1) / BIAS_ROWS);
        RUN(b, bias_rows, grid, arg_tensor(b, 0), arg_tensor(b, 3), arg_ulong(op_rows(b)), arg_int(O));
    }
    for (row_chunk c = {0, 0}; next_chunk(b, true, O, I, &c);)
        TRY(gemm_run(b, false, false, c.rows, O, I, (matrix){arg[1], (uint64_t)(c.row * I)}, (matrix){arg[2], 0},
                     bias ? 1.0f : 0.0f, (matrix){arg[0], (uint64_t)(c.row * O)}, scratch_gemm(c.rows, O, I), e));
    return OK;
}

/* dx[B,T,I] = dy[B,T,O] w[I,O]^T */
status opencl_LINEAR_DX(opencl *b, error *e) {
    int64_t I = op_tensor(b, 2)->dim[0], O = op_tensor(b, 2)->dim[1];
    const tensor_id *arg = b->op->arg;
    if (b->own_products) return own_linear_dx(b, e);
    for (row_chunk c = {0, 0}; next_chunk(b, true, I, O, &c);)
        TRY(gemm_run(b, false, true, c.rows, I, O, (matrix){arg[1], (uint64_t)(c.row * O)}, (matrix){arg[2], 0}, 0.0f,
                     (matrix){arg[0], (uint64_t)(c.row * I)}, scratch_gemm(c.rows, I, O), e));
    return OK;
}

/* db[O] += sums of dy's columns, sequence by sequence. */
static status bias_gradient(opencl *b, error *e) {
    int64_t O = op_tensor(b, 0)->dim[1], T = b->args.length;
    uint64_t chunks = (uint64_t)((T + PARTIAL_ROWS - 1) / PARTIAL_ROWS * b->args.sequences);
    kernel_grid grid = grid_rows(vectors(b, O), group_lanes(b, ROW_LANES), chunks);
    kernel_arg dy = arg_tensor(b, 2);
    dy.is_act = dy.bf16; /* else it is the residual stream's gradient */
    RUN(b, bias_dw, grid, arg_scratch(b, 0), dy, arg_int(dy.is_act), arg_int(b->args.sequences), arg_int(T),
        arg_int(O));
    return partials_add(b, 1, O, 0, 1, e);
}

/* dw[I,O] += x^T dy and db, sequence by sequence. */
status opencl_LINEAR_DW(opencl *b, error *e) {
    int64_t I = op_tensor(b, 0)->dim[0], O = op_tensor(b, 0)->dim[1];
    const tensor_id *arg = b->op->arg;
    if (b->own_products) TRY(own_linear_dw(b, e));
    for (row_chunk c = {0, 0}; !b->own_products && next_chunk(b, false, I, O, &c);)
        TRY(gemm_run(b, true, false, I, O, c.rows, (matrix){arg[3], (uint64_t)(c.row * I)},
                     (matrix){arg[2], (uint64_t)(c.row * O)}, 1.0f, (matrix){arg[0], 0}, scratch_gemm(I, O, c.rows),
                     e));
    return arg[1] ? bias_gradient(b, e) : OK;
}
