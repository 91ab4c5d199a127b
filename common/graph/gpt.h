/* gpt.h: GPT-2 as a graph. gpt.c is the only file that knows the model. */
#ifndef SNUG_GPT_H
#define SNUG_GPT_H

#include "graph/gpt_params.h"
#include "graph/gpt_shares.h"
#include "graph/home.h"

typedef struct {
    graph_purpose purpose;
    int micro_batch;   /* B */
    int length;        /* T <= positions */
    int kept;          /* K, of GRAPH_SAMPLE: how many texts are written side by side */
    int64_t sequences; /* N: length of the losses tensor */
    int shards;        /* S: in how many blocks of sequences a step's gradients are summed; 0 is 1 */
    int ranks, rank;   /* R processes, which divides S, and which one this is; 0 is 1 */
    bool one_upload;   /* tokens and targets of all N sequences are on the device at once */
    bool batch_invariant;
    double dropout; /* training span only */
    double weight_decay, beta1, beta2, grad_clip;
    unsigned recompute;   /* the kinds that are not kept, as bits 1 << tensor_kind; 0 = keep all */
    int recompute_layers; /* how many of the first layers do so, while the others keep all; 0 = all layers do */
    tensor_type stored; /* what precision_apply is given; model_open and fit_run take it from the backend's type, ... */
    bool has_host;      /* and this: with several processes, what they exchange passes through the host's memory */
    offload_policy offload;
} gpt_run;

/* The tensors that train, eval and sample read and write. In every graph of a shape the parameters are the ids
   1 .. n_params, in the checkpoint's order. */
typedef struct {
    graph *graph;
    int n_params;
    tensor_id tokens, targets; /* INT32 [U,T]; U = N with one_upload, else B */
    tensor_id losses;          /* [N] */
    tensor_id norm;            /* [2]: gradient norm, clip factor */
    tensor_id logits;          /* [V]; of GRAPH_SAMPLE [K,V] */
    tensor_id latest;          /* INT32 [K,1]: each text's latest token; GRAPH_SAMPLE only */
    tensor_id sums;            /* [n_params]: the sums of squares of the gradients */
    tensor_id *grad, *m, *v;   /* by parameter id; 0 where the purpose, or this process, has none. grad: of the step */
    tensor_id *sum;            /* what micro adds to: grad, or where there are several shards those of one */
    tensor_id embedding_grad, embedding_sum; /* the same for the token embedding's second use; 0: it has none */
    tensor_id staging; /* [n]: room for what several processes send each other (run/exchange.h); 0: there is one */
    int *owner;        /* by parameter id: the process that adds up its gradient, keeps its moments and updates it */
} gpt;

/* S of a run, and R: 1 where they are not set. */
static inline int gpt_shards(const gpt_run *run) { return run->shards > 1 ? run->shards : 1; }
static inline int gpt_ranks(const gpt_run *run) { return run->ranks > 1 ? run->ranks : 1; }

/* Builds the graph, applies run->recompute and run->offload, and adds the working space that `scratch` (may be NULL)
   asks for. Free it with gpt_free. */
status gpt_build(const gpt_shape *shape, const gpt_run *run, scratch_rule *scratch, size_t real_bytes, gpt *m,
                 error *e);
void gpt_free(gpt *m);

#endif
