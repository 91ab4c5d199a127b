/* ops.h: the opened backend as the ops see it, and how they launch kernels and matrix products. */
#ifndef SNUG_OPENCL_OPS_H
#define SNUG_OPENCL_OPS_H

#include "graph/backend.h"
#include "opencl/attention_shapes.h"
#include "opencl/device/cl.h"
#include "opencl/memory.h"
#include "opencl/params.h"
#include "opencl/scratch.h"

/* A matrix product as gemm_run takes it, and how often a span asks for it. */
typedef struct {
    bool ta, tb;
    int64_t m, n, k;
    float beta;
    double times;
} product;
typedef struct {
    product *list;
    int n, room;
} product_list;

/* snug's own products (product.c): a program a tile, for each way in which A and B may be stored; kernels by ta and tb
   (those that are used), a set a tile, and one more for operands that are not whole. */
enum { PRODUCT_TILES = 2, PRODUCT_VARIANTS = 4 };
typedef struct {
    cl_program program[PRODUCT_TILES];
    cl_kernel kernel[PRODUCT_TILES + 1][2][2];
} product_kernels;
/* Which tile is the fastest for a shape (product_tiles.h). */
typedef struct {
    bool ta, tb;
    int variant, end; /* end: product_end */
    int64_t m, n, k, piece;
    int launches;                /* so far */
    double least[PRODUCT_TILES]; /* seconds of a launch; INFINITY: not timed yet */
} tile_trial;
enum { TILE_LAUNCHES = 4 * PRODUCT_TILES }; /* then it is decided; the first by each tile is not timed */
typedef struct {
    product_kernels variant[PRODUCT_VARIANTS];
    bool units;         /* matrix units multiply, in attention too; else float32 arithmetic */
    bool emulated;      /* they do so in plain OpenCL C, for tests */
    bool copies;        /* weights may be stored as bf16 */
    int tile;           /* 0: the one that is fastest for the shape; else 1 + the number of the tile for all */
    tile_trial *trials; /* [n_trials], each shape once */
    int n_trials;
} product_family;

typedef struct {
    backend base; /* first: a backend * is an opencl * */
    device device;
    memory memory;
    cl_program program[PROGRAM_COUNT];
    cl_kernel kernel[KERNEL_COUNT]; /* from bind to unbind: a kernel holds the buffers that it was given */
    bool serial;                    /* a CPU, or made like one: see SERIAL in prelude.cl */
    bool emulate, unproved;         /* matrix units are emulated; and what is made of them is not tried */
    uint64_t local;                 /* bytes of local memory that a group may have */
    attention_shape attention;      /* of PROGRAM_ATTENTION */
    bool own_products;              /* all products by product.c, none by CLBlast */
    product_family products;
    size_t min_indirect; /* products of fewer than this cubed multiply-adds go to CLBlast's direct kernel */
    cl_event *events;    /* markers: one before a span and one after every op; profile only */
    int *event_op, n_events, event_room;
    /* What is running. */
    const graph *graph;
    const op *op;
    const op *next; /* the op behind it, where it is one that a product's end can do (linear.c); else NULL */
    bool did_next;  /* and it was done */
    span span;
    step_args args;
    bool dry;              /* bind's rehearsal: nothing is enqueued, but every shape goes through the checks */
    product_list *listing; /* not NULL: nothing is done but to list the products */
} opencl;

/* Tensor behind argument i of the op at work. */
static inline const tensor *op_tensor(const opencl *b, int i) { return &b->graph->tensors[b->op->arg[i]]; }
/* The dimensions of an activation [B,T,C] as they are in this run: args.sequences, args.length, and C. */
static inline int64_t op_rows(const opencl *b) { return (int64_t)b->args.sequences * b->args.length; }
/* Are activations stored as bf16? */
static inline bool has_act16(const opencl *b) { return b->base.type->stored == TYPE_BF16; }
/* Tokens before this run's first one in argument i, [U,T]. */
static inline int64_t op_tokens_at(const opencl *b, int i) {
    return graph_holds_step(b->graph, b->op->arg[i]) ? (int64_t)b->args.first_sequence * b->args.length : 0;
}

/* ---- launching: KERNEL(b, name, global sizes and local sizes by dimension, arguments ...) ---- */

/* One argument of a kernel: `size` bytes at `pointer`, or the number itself. A tensor (size 0) becomes two: its block,
   and the number of the element where it begins (ARG in prelude.cl). is_act: the kernel takes it as `act`. */
typedef struct {
    size_t size;
    const void *pointer;
    cl_mem block;
    bool bf16, is_act;
    union {
        cl_int i;
        cl_ulong u;
        cl_float f;
    } number;
} kernel_arg;
static inline kernel_arg arg_int(int64_t x) { return (kernel_arg){.size = sizeof(cl_int), .number.i = (cl_int)x}; }
static inline kernel_arg arg_ulong(uint64_t x) { return (kernel_arg){.size = sizeof(cl_ulong), .number.u = x}; }
static inline kernel_arg arg_float(double x) { return (kernel_arg){.size = sizeof(cl_float), .number.f = (cl_float)x}; }
#define ARG_VALUE(x) ((kernel_arg){.size = sizeof(x), .pointer = &(x)})
/* Tensor t from one of its elements on. */
static inline kernel_arg arg_place(const opencl *b, tensor_id t, uint64_t element) {
    if (b->listing) return (kernel_arg){0};
    memory_place p = memory_find(&b->memory, t, element);
    return (kernel_arg){.block = p.block, .number.u = p.at, .bf16 = p.bf16};
}
/* Argument i of the op; its first argument when there is none (the kernel is told not to read it). */
static inline kernel_arg arg_tensor_from(const opencl *b, int i, int64_t element) {
    kernel_arg a = arg_place(b, b->op->arg[i] ? b->op->arg[i] : b->op->arg[0], (uint64_t)element);
    a.bf16 = a.bf16 && b->op->arg[i];
    return a;
}
static inline kernel_arg arg_tensor(const opencl *b, int i) { return arg_tensor_from(b, i, 0); }
/* The same of what is bf16 in a run with dtype=bfloat16: `act` in the kernel. */
static inline kernel_arg arg_act_from(const opencl *b, int i, int64_t element) {
    kernel_arg a = arg_tensor_from(b, i, element);
    a.is_act = true;
    return a;
}
static inline kernel_arg arg_act(const opencl *b, int i) { return arg_act_from(b, i, 0); }
/* Argument i, a parameter of rank 2 or the copy of one, from an element on, and which of the two: see LOAD_WEIGHT. */
static inline bool is_copy(const opencl *b, int i) { return op_tensor(b, i)->role == ROLE_COPY; }
static inline kernel_arg arg_weight(const opencl *b, int i, int64_t element) {
    kernel_arg a = arg_tensor_from(b, i, element);
    a.is_act = is_copy(b, i);
    return a;
}
static inline kernel_arg arg_scratch(const opencl *b, uint64_t element) {
    return arg_place(b, b->op->scratch, element);
}

/* As in prelude.cl: lanes of a group that shares a sum, and work-items for n channels in vectors of W. */
static inline size_t group_lanes(const opencl *b, size_t lanes) { return b->serial ? 1 : lanes; }
static inline uint64_t vectors(const opencl *b, int64_t n) { return (uint64_t)(b->serial ? (n + 15) / 16 : n); }

typedef struct {
    size_t global[3], local[3];
} kernel_grid;
/* n items in groups of `lanes`, rounded up. */
static inline kernel_grid grid_items(uint64_t n, size_t lanes) {
    return (kernel_grid){{(n + lanes - 1) / lanes * lanes, 1, 1}, {lanes, 1, 1}};
}
/* The same, for each of `rows` rows of something: a row's number goes over dimensions 1 and 2, since devices take
   65,535 groups in each; folded_row in prelude.cl puts it together, and may be `rows` and more. */
static inline kernel_grid grid_rows(uint64_t n, size_t lanes, uint64_t rows) {
    enum { FOLD = 1 << 15 };
    kernel_grid grid = grid_items(n, lanes);
    grid.global[1] = (size_t)(rows < FOLD ? rows : FOLD);
    grid.global[2] = (size_t)(rows + FOLD - 1) / FOLD;
    return grid;
}
/* n groups of `lanes`. */
static inline kernel_grid grid_groups(uint64_t n, size_t lanes) {
    return (kernel_grid){{n * lanes, 1, 1}, {lanes, 1, 1}};
}

/* Are the groups, lanes and local memory of a launch within the device's limits? For bind's rehearsal. */
status kernel_fits(const opencl *b, cl_kernel kernel, const char *name, const kernel_grid *grid, error *e);
status kernel_run(opencl *b, kernel_id k, kernel_grid grid, int count, const kernel_arg *args, error *e);
#define RUN(b, name, grid, ...)                                                                                        \
    do {                                                                                                               \
        const kernel_arg run_args[] = {__VA_ARGS__};                                                                   \
        TRY(kernel_run(b, KERNEL_##name, grid, (int)(sizeof run_args / sizeof *run_args), run_args, e));               \
    } while (0)

/* Programs are built once; kernels, product.c's too, are made by bind and dropped before its buffers are released. */
status programs_build_common(opencl *b, error *e);
void programs_drop(opencl *b);
status kernels_make(opencl *b, error *e);
void kernels_drop(opencl *b);

/* The op's dropout in the kernels' form (prelude.cl). */
cl_uint8 op_dropout(const opencl *b);

/* With `profile`: the time since the last mark is op number `op`'s, or one of these. */
enum { MARK_START = -1 /* nobody's */, MARK_TRANSFER = -2 /* of what came from the host, or went there */ };
status profile_mark(opencl *b, int op, error *e);

/* The first n numbers of tensor t, of either type, as floats: for trials of kernels. backend.c */
status floats_write(opencl *b, tensor_id t, const float *x, int64_t n, error *e);
status floats_read(opencl *b, tensor_id t, float *x, int64_t n, error *e);

/* ---- matrix products (gemm.c) ---- */

typedef struct {
    tensor_id id;
    uint64_t at; /* element */
} matrix;
/* C[m,n] = op(A) op(B) + beta C, row-major and dense: A is [m,k], or [k,m] when ta; B is [k,n], or [n,k] when tb; beta
   0 or 1. CLBlast's temporaries go to the start of the op's scratch, at most scratch_bytes; product.c has none. */
status gemm_run(opencl *b, bool ta, bool tb, int64_t m, int64_t n, int64_t k, matrix A, matrix B, float beta, matrix C,
                uint64_t scratch_bytes, error *e);
/* The products of a span of g, equal ones once with their number. Needs neither bind nor memory nor an open device,
   only own_products and min_indirect, and runs nothing. Free list->list. */
status gemm_list(opencl *b, const graph *g, span s, product_list *list, error *e);
/* Adds p to the list, or its times to those of one like it. */
void gemm_list_add(product_list *list, product p);
/* A line for each shape of snug's own products whose tile is decided: its sides, and the rate by each tile. product.c
 */
void gemm_tiles_print(const opencl *b, FILE *f);
/* Does CLBlast take its direct kernel for such a product? */
bool gemm_is_direct(const opencl *b, int64_t m, int64_t n, int64_t k);
/* Can op o, a linear layer, do `next` in the same launch? Then run_op offers it as b->next. linear.c */
bool linear_can_end_in(const opencl *b, const op *o, const op *next);
/* Chooses CLBlast's parameters, makes it use them, and sets base.gemm and base.advice. gemm: as opencl_options says;
   min_indirect: 0 = that of the parameters. */
status gemm_open(opencl *b, const char *gemm, size_t min_indirect, error *e);
void gemm_close(void);
/* y[c] += partial sums, see add_partials in norm.cl: argument i of the op, from plane `plane` of its scratch. */
status partials_add(opencl *b, int i, int64_t C, int plane, int planes, error *e);

/* ---- the ops: linear.c, norm.c, attention.c, vocab.c, elementwise.c ---- */

#define X(name, access, names) status opencl_##name(opencl *b, error *e);
OPS(X)
#undef X

/* Builds attention's kernels for g in program[PROGRAM_ATTENTION]; nothing where g has no attention. */
status attention_build(opencl *b, const graph *g, error *e);
/* Tries them on this device against float64, at the head size of the bound graph and no more positions than it has
   (R13): BAD_INPUT says what is wrong. Runs ops of the graph on their own tensors, whose activations it leaves behind,
   and takes no memory. attention_check.c */
status attention_prove(opencl *b, error *e);

#endif
