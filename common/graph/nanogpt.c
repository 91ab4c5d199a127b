/* nanogpt.c: see nanogpt.h. What modules keep is a table, which tests/nanogpt_saved.py checks by PyTorch itself. Then
   one step is walked through, allocation by allocation, as PyTorch's autograd engine makes them in eager mode. */
#include "graph/nanogpt.h"
#include <stdio.h>
#include <string.h>

#define X(name, key, text) key,
const char *const nanogpt_part_keys[NANOGPT_PART_COUNT] = {NANOGPT_PARTS(X)};
#undef X
#define X(name, key, text) text,
const char *const nanogpt_part_names[NANOGPT_PART_COUNT] = {NANOGPT_PARTS(X)};
#undef X
#define X(name, part) #name,
const char *const nanogpt_module_names[NANOGPT_MODULE_COUNT] = {NANOGPT_MODULES(X)};
#undef X
#define X(name, part) NANOGPT_KEPT_##part,
static const nanogpt_part part_of[NANOGPT_MODULE_COUNT] = {NANOGPT_MODULES(X)};
#undef X

/* ---- what is kept ---- */

/* A row of the table counts only where the run has all that it needs. */
enum { FLASH = 1, WRITTEN = 2, DROPOUT = 4, MIXED = 8, FULL = 16 };
typedef enum { BOOL8, INT64, FLOAT32, AUTOCAST } element;
typedef struct {
    nanogpt_module module;
    element type; /* AUTOCAST: 2 bytes under autocast, else 4 */
    int needs;
    bool by_position; /* there are T rows, else B T */
    /* the elements of a row: channels C, heads, scores (heads x T), T, words V, and a constant */
    int channels, heads, scores, length, words, one;
} kept_tensor;

/* As CUDA's kernels do it: dropout keeps a mask of bytes; layer norm and log-softmax work in float32 under autocast;
   flash and memory-efficient attention keep the log-sum-exp of each row of scores, and of dropout a seed. Matrix
   products keep their input as they read it: in 16 bits under autocast, in which the float32 original is not kept. */
#define ROW(name, ...)                                                                                                 \
    { .module = NANOGPT_MODULE_##name, __VA_ARGS__ }
static const kept_tensor TABLE[] = {
    ROW(wte, .type = INT64, .one = 1),                               /* the tokens */
    ROW(wpe, .type = INT64, .by_position = true, .one = 1),          /* the positions */
    ROW(drop, .type = BOOL8, .needs = DROPOUT, .channels = 1),       /* its mask */
    ROW(ln_1, .type = FLOAT32, .channels = 1, .one = 2),             /* the stream; mean, 1 / deviation */
    ROW(c_attn, .type = AUTOCAST, .channels = 1),                    /* its input */
    ROW(attention, .type = AUTOCAST, .channels = 3),                 /* q, k, v */
    ROW(attention, .type = AUTOCAST, .needs = FLASH, .channels = 1), /* output, which c_proj reads */
    ROW(attention, .type = FLOAT32, .needs = FLASH, .heads = 1),     /* log-sum-exp */
    ROW(attention, .type = FLOAT32, .needs = WRITTEN, .scores = 1),  /* softmax */
    ROW(attention, .type = BOOL8, .needs = WRITTEN, .by_position = true, .length = 1), /* what is hidden */
    ROW(attn_dropout, .type = BOOL8, .needs = WRITTEN | DROPOUT, .scores = 1),         /* its mask */
    ROW(attention, .type = AUTOCAST, .needs = WRITTEN | MIXED, .scores = 1),           /* softmax in 16 bits, for @ v */
    ROW(attention, .type = FLOAT32, .needs = WRITTEN | DROPOUT | FULL, .scores = 1),   /* after dropout, for @ v */
    ROW(c_proj, .type = AUTOCAST, .needs = WRITTEN, .channels = 1),                    /* its input */
    ROW(resid_dropout, .type = BOOL8, .needs = DROPOUT, .channels = 1),                /* its mask */
    ROW(ln_2, .type = FLOAT32, .channels = 1, .one = 2),                               /* as ln_1 */
    ROW(c_fc, .type = AUTOCAST, .channels = 1),                                        /* its input */
    ROW(gelu, .type = AUTOCAST, .channels = 4),                                        /* its input */
    ROW(mlp_c_proj, .type = AUTOCAST, .channels = 4),                                  /* its input */
    ROW(mlp_dropout, .type = BOOL8, .needs = DROPOUT, .channels = 1),                  /* its mask */
    ROW(ln_f, .type = FLOAT32, .channels = 1, .one = 2),                               /* as ln_1 */
    ROW(lm_head, .type = AUTOCAST, .channels = 1),                                     /* its input */
    ROW(loss, .type = FLOAT32, .words = 1),                                            /* log-softmax of the logits */
    ROW(loss, .type = INT64, .one = 1),                                                /* the targets */
};
#undef ROW
enum { TABLE_ROWS = sizeof TABLE / sizeof *TABLE };

/* Bytes of an element under autocast. */
static uint64_t half(const nanogpt_run *r) { return r->mixed ? 2 : 4; }
static uint64_t tokens_of(const nanogpt_run *r) { return (uint64_t)r->micro_batch * (uint64_t)r->length; }

static bool is_in_layer(nanogpt_module m) { return m >= NANOGPT_MODULE_ln_1 && m <= NANOGPT_MODULE_mlp_dropout; }

/* What a module keeps in one layer. */
static uint64_t kept_once(const nanogpt_run *r, nanogpt_module module) {
    int has = (r->flash ? FLASH : WRITTEN) | (r->dropout ? DROPOUT : 0) | (r->mixed ? MIXED : FULL);
    const gpt_shape *s = &r->shape;
    uint64_t bytes[] = {[BOOL8] = 1, [INT64] = 8, [FLOAT32] = 4, [AUTOCAST] = half(r)}, sum = 0,
             T = (uint64_t)r->length;
    for (int i = 0; i < TABLE_ROWS; i++) {
        const kept_tensor *k = &TABLE[i];
        if (k->module != module || (k->needs & has) != k->needs) continue;
        uint64_t row = (uint64_t)k->channels * (uint64_t)s->channels + (uint64_t)k->heads * (uint64_t)s->heads +
                       (uint64_t)k->scores * (uint64_t)s->heads * T + (uint64_t)k->length * T +
                       (uint64_t)k->words * (uint64_t)s->vocabulary + (uint64_t)k->one;
        sum += bytes[k->type] * (k->by_position ? T : tokens_of(r)) * row;
    }
    return sum;
}

uint64_t nanogpt_kept(const nanogpt_run *r, nanogpt_module module) {
    return kept_once(r, module) * (is_in_layer(module) ? (uint64_t)r->shape.layers : 1);
}

uint64_t nanogpt_copies(const nanogpt_run *r) {
    uint64_t C = (uint64_t)r->shape.channels;
    return r->mixed ? 2 * (12 * C * C * (uint64_t)r->shape.layers + C * (uint64_t)r->shape.vocabulary) : 0;
}

/* ---- the walk ---- */

typedef struct {
    const nanogpt_run *r;
    uint64_t T, B_T, C, V, half;
    uint64_t now[NANOGPT_PART_COUNT], total;
    const char *module; /* whose backward pass is at work; NULL: the forward pass */
    int layer;          /* < 0: none */
    nanogpt_memory *peak;
} walk;

static uint64_t rounded(uint64_t bytes) { return (bytes + 511) / 512 * 512; } /* as PyTorch's allocator does */

static void take(walk *w, nanogpt_part p, uint64_t bytes) {
    w->now[p] += rounded(bytes);
    w->total += rounded(bytes);
    if (w->total <= w->peak->allocated) return;
    w->peak->allocated = w->total;
    memcpy(w->peak->parts, w->now, sizeof w->now);
    char *moment = w->peak->moment;
    if (!w->module)
        snprintf(moment, sizeof w->peak->moment, "the forward pass");
    else if (w->layer < 0)
        snprintf(moment, sizeof w->peak->moment, "the backward pass of %s", w->module);
    else
        snprintf(moment, sizeof w->peak->moment, "the backward pass of layer %d's %s", w->layer, w->module);
}

static void give(walk *w, nanogpt_part p, uint64_t bytes) {
    w->now[p] -= rounded(bytes);
    w->total -= rounded(bytes);
}

static void release(walk *w, nanogpt_module m) { give(w, part_of[m], kept_once(w->r, m)); }

/* The gradient that a product gave of a weight of n elements: under autocast it is in 16 bits, and copied to float32.
   Then it becomes the gradient, or is added to the one that is there. */
static void weight_gradient(walk *w, uint64_t n) {
    if (w->r->mixed) {
        take(w, NANOGPT_TEMPORARIES, 4 * n);
        give(w, NANOGPT_TEMPORARIES, 2 * n);
        give(w, NANOGPT_COPIES, 2 * n);
    }
    if (!w->r->accumulates) take(w, NANOGPT_GRADIENTS, 4 * n);
    give(w, NANOGPT_TEMPORARIES, 4 * n);
}

/* A linear layer `in` -> `out` that has kept its input as module m: takes the gradients of its input and weight, and
   then frees the input and `given`, the bytes of its output's gradient. */
static void product(walk *w, nanogpt_module m, uint64_t in, uint64_t out, uint64_t given) {
    take(w, NANOGPT_TEMPORARIES, w->half * w->B_T * in);
    take(w, NANOGPT_TEMPORARIES, w->half * in * out);
    release(w, m);
    give(w, NANOGPT_TEMPORARIES, given);
}

/* A layer norm whose output's gradient is there, in the type of the product that read it. Takes the gradient of its
   input, float32, which the caller adds to the stream's. */
static void norm(walk *w, nanogpt_module m) {
    uint64_t wide = 4 * w->B_T * w->C;
    if (w->r->mixed) {
        take(w, NANOGPT_TEMPORARIES, wide);
        give(w, NANOGPT_TEMPORARIES, w->half * w->B_T * w->C);
    }
    take(w, NANOGPT_TEMPORARIES, wide);
    release(w, m);
    give(w, NANOGPT_TEMPORARIES, wide);
}

/* The stream's gradient enters a branch at its end: as a copy in 16 bits under autocast, and through dropout as
   another. Returns the bytes that were taken for it: 0 where the branch reads the stream's own. */
static uint64_t enter_branch(walk *w, nanogpt_module dropout) {
    uint64_t bytes = w->half * w->B_T * w->C;
    if (!w->r->mixed && !w->r->dropout) return 0;
    take(w, NANOGPT_TEMPORARIES, bytes);
    if (w->r->mixed && w->r->dropout) {
        take(w, NANOGPT_TEMPORARIES, bytes);
        give(w, NANOGPT_TEMPORARIES, bytes);
    }
    release(w, dropout);
    return bytes;
}

static void backward_mlp(walk *w) {
    uint64_t inner = w->half * w->B_T * 4 * w->C, n = 4 * w->C * w->C;
    w->module = "MLP";
    product(w, NANOGPT_MODULE_mlp_c_proj, 4 * w->C, w->C, enter_branch(w, NANOGPT_MODULE_mlp_dropout));
    weight_gradient(w, n);
    take(w, NANOGPT_TEMPORARIES, inner);
    release(w, NANOGPT_MODULE_gelu);
    give(w, NANOGPT_TEMPORARIES, inner);
    product(w, NANOGPT_MODULE_c_fc, w->C, 4 * w->C, inner);
    weight_gradient(w, n);
    norm(w, NANOGPT_MODULE_ln_2);
    give(w, NANOGPT_TEMPORARIES, 4 * w->B_T * w->C); /* added to the stream's, in place */
}

/* PyTorch's kernels: q's gradient is added up in float32 under autocast, and each row of scores has a sum. */
static void backward_flash(walk *w, uint64_t one) {
    uint64_t working = 4 * w->B_T * ((uint64_t)w->r->shape.heads + (w->r->mixed ? w->C : 0));
    take(w, NANOGPT_TEMPORARIES, 3 * one);
    take(w, NANOGPT_TEMPORARIES, working);
    give(w, NANOGPT_TEMPORARIES, working);
    give(w, NANOGPT_TEMPORARIES, one);
}

/* Attention written out: the gradients of the scores go from op to op, each into a new tensor. */
static void backward_written(walk *w, uint64_t one) {
    uint64_t scores = w->B_T * (uint64_t)w->r->shape.heads * w->T;
    take(w, NANOGPT_TEMPORARIES, one); /* of v */
    take(w, NANOGPT_TEMPORARIES, w->half * scores);
    give(w, NANOGPT_TEMPORARIES, one);
    if (w->r->mixed) {
        take(w, NANOGPT_TEMPORARIES, 4 * scores);
        give(w, NANOGPT_TEMPORARIES, 2 * scores);
    }
    if (w->r->dropout) {
        take(w, NANOGPT_TEMPORARIES, 4 * scores);
        give(w, NANOGPT_TEMPORARIES, 4 * scores);
    }
    take(w, NANOGPT_TEMPORARIES, 4 * scores);
    give(w, NANOGPT_TEMPORARIES, 4 * scores);
    take(w, NANOGPT_TEMPORARIES, 2 * one); /* of q and k */
    give(w, NANOGPT_TEMPORARIES, 4 * scores);
}

static void backward_attention(walk *w) {
    uint64_t one = w->half * w->B_T * w->C;
    w->module = "attention";
    product(w, NANOGPT_MODULE_c_proj, w->C, w->C, enter_branch(w, NANOGPT_MODULE_resid_dropout));
    weight_gradient(w, w->C * w->C);
    if (w->r->flash)
        backward_flash(w, one);
    else
        backward_written(w, one);
    release(w, NANOGPT_MODULE_attn_dropout);
    release(w, NANOGPT_MODULE_attention);
    take(w, NANOGPT_TEMPORARIES, 3 * one); /* q's, k's and v's, joined */
    give(w, NANOGPT_TEMPORARIES, 3 * one);
    product(w, NANOGPT_MODULE_c_attn, w->C, 3 * w->C, 3 * one);
    weight_gradient(w, 3 * w->C * w->C);
    norm(w, NANOGPT_MODULE_ln_1);
    give(w, NANOGPT_TEMPORARIES, 4 * w->B_T * w->C);
}

/* The loss, and the head. Since the head's weight is the embedding's too, autograd holds its gradient back until that
   of the embedding comes, at the end. Leaves the stream's gradient. */
static void backward_head(walk *w) {
    uint64_t logits = w->B_T * w->V;
    w->module = "the loss";
    take(w, NANOGPT_LOGITS, 4 * logits); /* of the log-softmax */
    take(w, NANOGPT_LOGITS, w->half * logits);
    release(w, NANOGPT_MODULE_loss);
    give(w, NANOGPT_LOGITS, 4 * logits);
    w->module = "lm_head";
    product(w, NANOGPT_MODULE_lm_head, w->C, w->V, 0);
    give(w, NANOGPT_LOGITS, w->half * logits);
    if (w->r->mixed) {
        take(w, NANOGPT_TEMPORARIES, 4 * w->V * w->C);
        give(w, NANOGPT_TEMPORARIES, 2 * w->V * w->C);
        give(w, NANOGPT_COPIES, 2 * w->V * w->C);
    }
    norm(w, NANOGPT_MODULE_ln_f);
}

static void backward_embeddings(walk *w) {
    uint64_t stream = 4 * w->B_T * w->C, positions = (uint64_t)w->r->shape.positions;
    w->module = "the embeddings";
    if (w->r->dropout) {
        take(w, NANOGPT_TEMPORARIES, stream);
        give(w, NANOGPT_TEMPORARIES, stream);
    }
    release(w, NANOGPT_MODULE_drop);
    take(w, NANOGPT_TEMPORARIES, 4 * w->T * w->C);
    take(w, NANOGPT_TEMPORARIES, 4 * positions * w->C);
    if (!w->r->accumulates) take(w, NANOGPT_GRADIENTS, 4 * positions * w->C);
    give(w, NANOGPT_TEMPORARIES, 4 * positions * w->C);
    give(w, NANOGPT_TEMPORARIES, 4 * w->T * w->C);
    take(w, NANOGPT_TEMPORARIES, 4 * w->V * w->C); /* beside the head's; */
    take(w, NANOGPT_TEMPORARIES, 4 * w->V * w->C); /* the sum of both */
    give(w, NANOGPT_TEMPORARIES, 4 * w->V * w->C);
    give(w, NANOGPT_TEMPORARIES, 4 * w->V * w->C);
    if (!w->r->accumulates) take(w, NANOGPT_GRADIENTS, 4 * w->V * w->C);
    give(w, NANOGPT_TEMPORARIES, 4 * w->V * w->C);
    give(w, NANOGPT_TEMPORARIES, stream);
}

/* All that is there when the forward pass ends. */
static void forward(walk *w) {
    const nanogpt_run *r = w->r;
    const gpt_shape *s = &r->shape;
    uint64_t parameters = (uint64_t)gpt_parameters(s), logits = w->half * w->B_T * w->V, L = (uint64_t)s->layers;
    take(w, NANOGPT_WORKSPACE, NANOGPT_CUBLAS);
    take(w, NANOGPT_WEIGHTS, 4 * parameters);
    take(w, NANOGPT_MOMENTS, 8 * parameters);
    if (r->accumulates) take(w, NANOGPT_GRADIENTS, 4 * parameters);
    take(w, NANOGPT_BATCHES, 16 * w->B_T); /* the next x and y; this step's are what wte and the loss keep */
    if (!r->flash)
        take(w, NANOGPT_KEPT_ATTENTION, 4 * L * (uint64_t)s->positions * (uint64_t)s->positions); /* its mask */
    take(w, NANOGPT_COPIES, nanogpt_copies(r));
    if (r->holds_logits) take(w, NANOGPT_LOGITS, logits); /* the micro-batch's before, until this one's are there */
    for (int m = 0; m < NANOGPT_MODULE_COUNT; m++) {
        if (m == NANOGPT_MODULE_loss) {
            take(w, NANOGPT_LOGITS, logits);
            take(w, NANOGPT_TEMPORARIES, 4 * w->B_T * w->C); /* the last norm's output */
        }
        for (uint64_t layer = 0; layer < (is_in_layer((nanogpt_module)m) ? L : 1); layer++)
            take(w, part_of[m], kept_once(r, (nanogpt_module)m));
    }
    give(w, NANOGPT_TEMPORARIES, 4 * w->B_T * w->C);
    give(w, NANOGPT_LOGITS, logits);
}

static status check_countable(const nanogpt_run *r, error *e) {
    const gpt_shape *s = &r->shape;
    double row =
        16.0 * (double)s->vocabulary + s->layers * (80.0 * s->channels + (r->flash ? 0 : 16.0 * s->heads * r->length));
    if ((double)r->micro_batch * r->length * row + 32 * (double)gpt_parameters(s) < 0x1p62) return OK;
    return fail(e, BAD_INPUT, "batch_size x block_size is past what can be counted: make batch_size (%d) smaller",
                r->micro_batch);
}

status nanogpt_measure(const nanogpt_run *r, nanogpt_memory *m, error *e) {
    TRY(check_countable(r, e));
    *m = (nanogpt_memory){0};
    walk w = {.r = r,
              .T = (uint64_t)r->length,
              .B_T = tokens_of(r),
              .C = (uint64_t)r->shape.channels,
              .V = (uint64_t)r->shape.vocabulary,
              .half = half(r),
              .layer = -1,
              .peak = m};
    forward(&w);
    backward_head(&w);
    for (w.layer = r->shape.layers - 1; w.layer >= 0; w.layer--) {
        backward_mlp(&w);
        backward_attention(&w);
    }
    backward_embeddings(&w);
    m->reserved = (uint64_t)((double)m->allocated * NANOGPT_RESERVED_SHARE);
    return OK;
}

nanogpt_verdict nanogpt_judge(const nanogpt_memory *m, uint64_t card_bytes) {
    double most = (double)m->reserved * (1 + NANOGPT_BAND_RESERVED / 100.0) + NANOGPT_CONTEXT;
    double least = (double)m->allocated * (1 - NANOGPT_BAND_ALLOCATED / 100.0) + NANOGPT_CONTEXT;
    return most <= (double)card_bytes    ? NANOGPT_FITS
           : least <= (double)card_bytes ? NANOGPT_AT_THE_EDGE
                                         : NANOGPT_DOES_NOT_FIT;
}
