/* graph.h: a training step as data: tensors, and the ops that read and write them. Knows no model and no device.

   Letters in shapes: N sequences of a step (the effective batch), B sequences of a micro-batch, T positions, C
   channels, H heads, V vocabulary, L layers, P positions that the model has (T <= P). */
#ifndef SNUG_GRAPH_H
#define SNUG_GRAPH_H

#include "base/random_sites.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef int tensor_id; /* an index into graph.tensors; 0 means none */

/* How long a tensor lives. PARAM, GRAD, MOMENT, COPY, STEP and INPUT are persistent: they keep their place for the
   whole run. A COPY is what ops read of a PARAM that is at home elsewhere. ACT lives from its write to its last reader,
   SCRATCH for one op. */
typedef enum {
    ROLE_PARAM,
    ROLE_GRAD,
    ROLE_MOMENT,
    ROLE_COPY,
    ROLE_STEP,
    ROLE_INPUT,
    ROLE_ACT,
    ROLE_SCRATCH,
    ROLE_COUNT
} tensor_role;

/* What a tensor is for: the names of tables, and what a recompute policy may drop. */
#define KINDS(X)                                                                                                       \
    X(WEIGHT, "weights")                                                                                               \
    X(GRADIENT, "gradients")                                                                                           \
    X(MOMENT, "optimizer moments")                                                                                     \
    X(BATCH, "tokens and losses")                                                                                      \
    X(BLOCK, "block inputs")                                                                                           \
    X(NORM, "layer norms")                                                                                             \
    X(QKV, "queries, keys, values")                                                                                    \
    X(ATTENTION, "attention outputs")                                                                                  \
    X(RESIDUAL, "residuals")                                                                                           \
    X(FC, "MLP inner layers")                                                                                          \
    X(GELU, "GELU outputs")                                                                                            \
    X(HEAD, "head")                                                                                                    \
    X(DACT, "activation gradients")                                                                                    \
    X(TEMP, "working space")                                                                                           \
    X(GEMM, "GEMM temporaries")
#define X(name, text) KIND_##name,
typedef enum { KINDS(X) KIND_COUNT } tensor_kind;
#undef X
extern const char *const kind_names[KIND_COUNT];

/* BF16: bfloat16 (bf16.h). BF16_AS_REAL: values that are bfloat16's, each kept in a whole real, by a backend that is to
   give the numbers of bfloat16 but not its bytes. */
typedef enum { TYPE_REAL, TYPE_INT32, TYPE_BF16, TYPE_BF16_AS_REAL } tensor_type;

/* Where a tensor lies all the time (home.h). No op's kernel may be given one that lies with the host. */
typedef enum { HOME_DEVICE, HOME_HOST } tensor_home;

typedef struct {
    char name[24]; /* printed with its layer, as in "qkv[3]" */
    int layer;     /* -1: belongs to no layer */
    tensor_role role;
    tensor_kind kind;
    tensor_type type;
    tensor_home home;
    int rank;
    int64_t
        dim[4];   /* dim[0] of an ACT is the sequences of a micro-batch; of an INPUT these, or those of a whole step */
    tensor_id of; /* of a GRAD, MOMENT or COPY its PARAM, of a recomputed clone its original; else 0 */
    tensor_id copy; /* of a PARAM its COPY, which is written whenever the PARAM is; else 0 */
    int label;      /* PARAM: which one of its layer it is, as the builder of the graph counts them */
} tensor;

/* The op table: name, the arguments that an op writes (WRITES: the old value is dead; ADDS: added to, or written in
   part) and those that it reads, in order. MAY_: the argument may be none, 0. Liveness, graph_check and both backends
   go by it. ARGUMENT(access, optional, name) says what is made of each argument.

   Shapes. x: the residual stream. Everything runs on `sequences` <= B sequences of `length` <= T positions, densely
   packed ([sequences, length, C]). stats [B,T,2] = (mean, 1/sqrt(var + epsilon)). lse [B,H,T] = log-sum-exp of the
   scaled scores. Linear weights are [in, out] as GPT-2 checkpoints store them.

   EMBED         x[B,T,C] = dropout(wte[tokens] + wpe[position])
   NORM          y = (x - mean) * rstd * w + b
   LINEAR        y[B,T,O] = x[B,T,I] w[I,O] + b[O]
   ATTENTION     out[B,T,C], lse from qkv[B,T,3C]: causal, scale 1/sqrt(C/H), dropout on the probabilities
   RESIDUAL_NORM y = x + dropout(p + pb); n = NORM's y of that y: a branch joins the stream, and the next one reads it
   GELU          y = gelu(x + b), exact or tanh by attr.tanh_gelu
   HEAD          logits = x wte^T in chunks of rows, softmax cross-entropy; losses[first_sequence + s] = sum of the
                 sequence's token losses (not divided); dx (written) and dwte (added to) of
                 inv_targets * sum of losses. Targets of -1 are ignored: no loss, no gradient.
   HEAD_LOSS     only the losses
   LOGITS        logits[first_sequence + s] of sequence s's last position, rows of V
   KEEP          kept[first_sequence + s, before + t] = keys and values of qkv[s,t]; of one sequence also in the next
                 copies - 1 rows, for texts with the same beginning
   ATTENTION_ONE out[B,1,C]: attention of one position of each sequence, number `before` (0 is the first), whose query
                 is qkv's, over the kept keys and values of it and all before it
   *_DX, *_DW    gradients with respect to the activations, and to the weights (added to, R6: within one sequence in a
                 fixed order, then sequence by sequence)
   NORM_DX       dx = dres + (norm's gradient of dy); dres is the gradient that bypasses the norm; the last norm has
   none RESIDUAL_DX   dp = dropout mask of this site applied to dy (only in graphs with dropout) GELU_DX       d *=
   gelu'(x + b), in place ATTENTION_DX  dqkv from dout, qkv, out, lse EMBED_DW      dwte, dwpe from dx (dropout applied
   on the way) and tokens ZERO          x = 0                  ADD           y += x SUM_SQUARES   sums[attr.index] = sum
   of x^2; in float64 inside, always GRAD_NORM     norm[0] = sqrt(sum of sums), norm[1] = min(1, clip / (norm + 1e-6)),
   or 1 when attr.clip is 0 ADAMW         p, m, v from g * norm[1], in the order that docs/architecture.md gives; copy =
   p as copy stores it */
#define WRITES(name) ARGUMENT("W", "!", name)
#define ADDS(name) ARGUMENT("A", "!", name)
#define READS(name) ARGUMENT("R", "!", name)
#define MAY_WRITE(name) ARGUMENT("W", "?", name)
#define MAY_ADD(name) ARGUMENT("A", "?", name)
#define MAY_READ(name) ARGUMENT("R", "?", name)
#define OPS(X)                                                                                                         \
    X(EMBED, WRITES(x), READS(tokens) READS(wte) READS(wpe))                                                           \
    X(NORM, WRITES(y) WRITES(stats), READS(x) READS(w) MAY_READ(b))                                                    \
    X(LINEAR, WRITES(y), READS(x) READS(w) MAY_READ(b))                                                                \
    X(ATTENTION, WRITES(out) WRITES(lse), READS(qkv))                                                                  \
    X(KEEP, ADDS(kept), READS(qkv))                                                                                    \
    X(ATTENTION_ONE, WRITES(out), READS(qkv) READS(kept))                                                              \
    X(RESIDUAL_NORM, WRITES(y) WRITES(n) WRITES(stats), READS(x) READS(p) MAY_READ(pb) READS(w) MAY_READ(b))           \
    X(GELU, WRITES(y), READS(x) MAY_READ(b))                                                                           \
    X(HEAD, ADDS(losses) WRITES(dx) ADDS(dwte), READS(x) READS(wte) READS(targets))                                    \
    X(HEAD_LOSS, ADDS(losses), READS(x) READS(wte) READS(targets))                                                     \
    X(LOGITS, WRITES(logits), READS(x) READS(wte))                                                                     \
    X(NORM_DX, WRITES(dx), READS(dy) READS(x) READS(stats) READS(w) MAY_READ(dres))                                    \
    X(NORM_DW, ADDS(dw) MAY_ADD(db), READS(dy) READS(x) READS(stats))                                                  \
    X(LINEAR_DX, WRITES(dx), READS(dy) READS(w))                                                                       \
    X(LINEAR_DW, ADDS(dw) MAY_ADD(db), READS(dy) READS(x))                                                             \
    X(ATTENTION_DX, WRITES(dqkv), READS(dout) READS(qkv) READS(out) READS(lse))                                        \
    X(RESIDUAL_DX, WRITES(dp), READS(dy))                                                                              \
    X(GELU_DX, ADDS(d), READS(x) MAY_READ(b))                                                                          \
    X(EMBED_DW, ADDS(dwte) ADDS(dwpe), READS(dx) READS(tokens))                                                        \
    X(ZERO, WRITES(x), )                                                                                               \
    X(ADD, ADDS(y), READS(x))                                                                                          \
    X(SUM_SQUARES, ADDS(sums), READS(x))                                                                               \
    X(GRAD_NORM, WRITES(norm), READS(sums))                                                                            \
    X(ADAMW, ADDS(p) ADDS(m) ADDS(v), READS(g) READS(norm) MAY_WRITE(copy))
#define X(name, writes, reads) OP_##name,
typedef enum { OPS(X) OP_COUNT } op_code;
#undef X

enum { MAX_ARGUMENTS = 8 };

typedef struct {
    const char *name;
    int arguments;
    const char *access; /* a letter an argument: W written, A added to or written in part, R read */
} op_info;
/* The table's row for a code; points to constant data. */
const op_info *op_describe(op_code code);

/* Rows of the head's chunk: how many positions' logits exist at once (R7). A constant for all backends, and for the
   cost model, so that neither the cap nor the micro-batch can change bits. */
enum { HEAD_ROWS = 256 };

typedef struct {
    int layer;        /* for dropout's counter and for tables; -1: none */
    int heads;        /* ATTENTION, ATTENTION_ONE, ATTENTION_DX */
    random_site site; /* where dropout draws its random numbers */
    double dropout;   /* probability that an element is dropped; 0 = off */
    double epsilon;   /* NORM, RESIDUAL_NORM; ADAMW */
    bool tanh_gelu;
    int index;                         /* SUM_SQUARES */
    double clip;                       /* GRAD_NORM; 0 = off */
    double weight_decay, beta1, beta2; /* ADAMW */
} op_attr;

/* An op's arguments by place, or by name: .LINEAR.y is .arg[0] of a LINEAR. */
typedef union {
    tensor_id arg[MAX_ARGUMENTS];
#define ARGUMENT(access, optional, name) tensor_id name;
#define X(name, writes, reads)                                                                                         \
    struct {                                                                                                           \
        writes reads                                                                                                   \
    } name;
    OPS(X)
#undef X
#undef ARGUMENT
} op_arguments;

typedef struct {
    op_code code;
    union {
        tensor_id arg[MAX_ARGUMENTS];
        op_arguments by;
    };
    tensor_id scratch; /* what the backend needs for this op alone; 0 = nothing */
    op_attr attr;
} op;

typedef struct {
    int first, end;
} span; /* ops[first] ... ops[end - 1] */

typedef enum { GRAPH_TRAIN, GRAPH_GRADS, GRAPH_EVAL, GRAPH_SAMPLE } graph_purpose;

typedef struct {
    graph_purpose purpose; /* GRADS: finish has no update; no moments, no eval, no sample. EVAL: eval and sample only.
                              SAMPLE: sample and next only */
    tensor *tensors;       /* tensors[0] is unused */
    int n_tensors, tensor_room;
    struct {
        tensor_id first, last;
    } of_role[ROLE_COUNT]; /* no tensor of that role lies outside; 0: there is none */
    op *ops;
    int n_ops, op_room;
    span begin, micro, finish, eval, sample,
        next; /* begin, finish: once a step; micro: each micro-batch; eval: losses; sample: logits; next:
                 logits from one more position, by the keys and values that were kept of all before it */
    span shard_begin, shard_end; /* before and after each shard of a step (gpt.h); empty where there is one */
    int first_backward;          /* the op in micro before which the forward pass and HEAD stand */
    int micro_batch;             /* B */
    int length;                  /* T */
    bool batch_invariant;        /* R4, R6: the same bits for every split */
    bool bf16_weights;           /* set by precision_apply; see graph_reads_rounded */
} graph;

/* What changes from one run of a span to the next. */
typedef struct {
    int sequences;      /* <= micro_batch: the last micro-batch may be short */
    int first_sequence; /* number of the first one within the step */
    int length;         /* positions per sequence, <= T; less than T only when sampling, 1 in next */
    int before;         /* next: how many positions of each sequence come before this one, and are kept */
    int copies;         /* sample: how many rows of what is kept get its one sequence; 0 as 1 */
    int64_t step;       /* 0 for the first; dropout's counter, AdamW's t - 1 */
    double lr;
    double inv_targets; /* 1 / (targets of the whole step that count), R5 */
    uint64_t seed;
    int64_t add_first, add_count; /* ADD: the elements that are added, from add_first on; add_count 0: all */
} step_args;

graph *graph_new(graph_purpose purpose, int micro_batch, int length, bool batch_invariant);
void graph_free(graph *g);
/* Adds a tensor and returns its id. dims: `rank` of them. */
tensor_id graph_tensor(graph *g, const char *name, int layer, tensor_role role, tensor_kind kind, tensor_type type,
                       int rank, const int64_t *dims);
/* Appends an op with arguments in the op table's order. Returns its attr for the caller to fill, its layer -1. */
op_attr *graph_op(graph *g, op_code code, const tensor_id *arguments);

int64_t tensor_elements(const tensor *t);
/* Bytes of a tensor when a real takes real_bytes (4 or 8). */
uint64_t tensor_bytes(const tensor *t, size_t real_bytes);
bool tensor_is_persistent(const tensor *t);
/* Does every op that reads t (R in the op table) take its elements rounded to bfloat16, though they are stored as they
   are? True of parameters of two dimensions in graphs of 16 bits, wherever they are read: products and lookups alike.
   So storing them rounded would change no bit. */
bool graph_reads_rounded(const graph *g, tensor_id t);
/* Walks the tensors of a role in the order in which plans place persistent ones: first those of two and more
   dimensions, then those of one, each by id. Only the first have weight decay. So neighbours in memory get the same
   update, and ops in this order need few kernels. before: 0 gives the first; returns 0 after the last. */
tensor_id graph_next(const graph *g, tensor_role role, tensor_id before);
/* Does an INPUT tensor hold a whole step's tokens? Then a run's own begin at row first_sequence, else at row 0. */
bool graph_holds_step(const graph *g, tensor_id input);
/* Does op i run once a step or once a shard, whatever the sequences? Such ops change persistent tensors alone. */
bool graph_is_once(const graph *g, int i);
/* "qkv[3]"; writes at most size bytes into text and returns it. */
char *tensor_print(const tensor *t, char *text, size_t size);

/* The bytes of working space that a backend needs for one op, and of which kind they are (KIND_TEMP, KIND_GEMM,
   KIND_HEAD). It depends on nothing but its arguments, so that plans can be made without a device. */
typedef uint64_t scratch_rule(const graph *g, const op *o, size_t real_bytes, tensor_kind *kind);
/* Gives every op the SCRATCH tensor that the rule asks for. */
void graph_add_scratch(graph *g, scratch_rule *rule, size_t real_bytes);

/* True if the graph keeps the rules: all arguments are there, with the right roles and shapes; transients are written
   before they are read, within the same span, and only once (R3); in batch-invariant graphs each gradient has one
   accumulating op (R4). Otherwise e names the op and the tensor. */
bool graph_check(const graph *g, error *e);

/* Prints tensors and ops, a line each. */
void graph_dump(const graph *g, size_t real_bytes, FILE *f);

#endif
