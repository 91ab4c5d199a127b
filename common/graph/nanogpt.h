/* nanogpt.h: the memory that a step of training takes in nanoGPT, that is in PyTorch on a CUDA card, by what it is for.
   Pure arithmetic, and not about snug's own graph: the user's other trainer. */
#ifndef SNUG_NANOGPT_H
#define SNUG_NANOGPT_H

#include "graph/gpt.h"

/* What the bytes are for. Columns: name in code, key in JSON, words for people. The kept ones, KEPT_EMBEDDINGS to
   KEPT_LOSS, are what autograd keeps of the forward pass for the backward pass. */
#define NANOGPT_PARTS(X)                                                                                               \
    X(WEIGHTS, "weights", "weights, float32")                                                                          \
    X(GRADIENTS, "gradients", "gradients, float32")                                                                    \
    X(MOMENTS, "moments", "AdamW's two moments")                                                                       \
    X(OPTIMIZER, "optimizer_temporaries", "AdamW's temporaries")                                                       \
    X(COPIES, "autocast_copies", "autocast's 16-bit weights")                                                          \
    X(BATCHES, "token_batches", "batches of tokens")                                                                   \
    X(KEPT_EMBEDDINGS, "activations_embeddings", "activations: embeddings")                                            \
    X(KEPT_NORMS, "activations_norms", "activations: layer norms")                                                     \
    X(KEPT_ATTENTION, "activations_attention", "activations: attention")                                               \
    X(KEPT_MLP, "activations_mlp", "activations: MLP")                                                                 \
    X(KEPT_HEAD, "activations_lm_head", "activations: lm_head")                                                        \
    X(KEPT_LOSS, "activations_loss", "activations: log-softmax, float32")                                              \
    X(LOGITS, "logits", "logits and their gradients")                                                                  \
    X(TEMPORARIES, "temporaries", "gradients in passing")                                                              \
    X(WORKSPACE, "workspace", "cuBLAS's workspace")
#define X(name, key, text) NANOGPT_##name,
typedef enum { NANOGPT_PARTS(X) NANOGPT_PART_COUNT } nanogpt_part;
#undef X
extern const char *const nanogpt_part_keys[NANOGPT_PART_COUNT], *const nanogpt_part_names[NANOGPT_PART_COUNT];

/* The modules of nanoGPT's model.py that keep something, in the order of the forward pass: name and part. `attention`
   is what lies between c_attn and c_proj. */
#define NANOGPT_MODULES(X)                                                                                             \
    X(wte, EMBEDDINGS)                                                                                                 \
    X(wpe, EMBEDDINGS)                                                                                                 \
    X(drop, EMBEDDINGS)                                                                                                \
    X(ln_1, NORMS)                                                                                                     \
    X(c_attn, ATTENTION)                                                                                               \
    X(attention, ATTENTION)                                                                                            \
    X(attn_dropout, ATTENTION)                                                                                         \
    X(c_proj, ATTENTION)                                                                                               \
    X(resid_dropout, ATTENTION)                                                                                        \
    X(ln_2, NORMS)                                                                                                     \
    X(c_fc, MLP)                                                                                                       \
    X(gelu, MLP)                                                                                                       \
    X(mlp_c_proj, MLP)                                                                                                 \
    X(mlp_dropout, MLP)                                                                                                \
    X(ln_f, NORMS)                                                                                                     \
    X(lm_head, HEAD)                                                                                                   \
    X(loss, LOSS)
#define X(name, part) NANOGPT_MODULE_##name,
typedef enum { NANOGPT_MODULES(X) NANOGPT_MODULE_COUNT } nanogpt_module;
#undef X
extern const char *const nanogpt_module_names[NANOGPT_MODULE_COUNT];

typedef struct {
    gpt_shape shape;
    int length;        /* T */
    int micro_batch;   /* nanoGPT's batch_size */
    bool accumulates;  /* gradient_accumulation_steps > 1: gradients are there while activations are */
    bool mixed;        /* dtype bfloat16 or float16: autocast; else float32 */
    bool dropout;      /* more than 0 */
    bool flash;        /* attention by PyTorch's kernels (2.0 or newer), which never store [T,T] */
    bool holds_logits; /* train.py's variable `logits` keeps them through the backward pass */
} nanogpt_run;

typedef struct {
    uint64_t allocated;                 /* peak of what tensors take */
    uint64_t reserved;                  /* about what PyTorch's allocator takes from the card for that */
    uint64_t parts[NANOGPT_PART_COUNT]; /* at the peak; together `allocated` */
    char moment[64];                    /* when that is: "the backward pass of the loss" */
} nanogpt_memory;

/* The errors that were measured, and what is assumed of other models, in per cent: allocated, reserved. */
enum { NANOGPT_BAND_ALLOCATED = 3, NANOGPT_BAND_RESERVED = 10 };
/* Measured: what is reserved beside what is allocated was 1.10, 1.17 and 1.19. */
#define NANOGPT_RESERVED_SHARE 1.15
/* What PyTorch gives cuBLAS to work in, on a card of compute capability 9; 8 MiB on others. */
#define NANOGPT_CUBLAS (32ull << 20)
/* What a CUDA context takes beside PyTorch's allocator, about: measured of an OpenCL context on an H100. */
#define NANOGPT_CONTEXT (530ull << 20)

/* AT_THE_EDGE: the tensors would fit, but not surely what the allocator reserves for them. It gives back what lies idle
   and tries again when the card is full, so that it may run. */
typedef enum { NANOGPT_FITS, NANOGPT_AT_THE_EDGE, NANOGPT_DOES_NOT_FIT } nanogpt_verdict;

/* One step in eager mode, peak by peak. BAD_INPUT: more bytes than can be counted. */
status nanogpt_measure(const nanogpt_run *r, nanogpt_memory *m, error *e);
nanogpt_verdict nanogpt_judge(const nanogpt_memory *m, uint64_t card_bytes);
/* Bytes that a module keeps for the backward pass, in all layers together; and autocast's copies of the weights. */
uint64_t nanogpt_kept(const nanogpt_run *r, nanogpt_module module);
uint64_t nanogpt_copies(const nanogpt_run *r);

#endif
