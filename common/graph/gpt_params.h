/* gpt_params.h: the parameters of GPT-2: one table, and what follows from it: names, sizes, values at initialisation.
 */
#ifndef SNUG_GPT_PARAMS_H
#define SNUG_GPT_PARAMS_H

#include "graph/graph.h"

typedef struct {
    int layers, heads, channels, positions; /* L, H, C, P: rows of wpe */
    int64_t vocabulary;                     /* V */
    bool bias, tanh_gelu;
    double norm_epsilon; /* 1e-5 */
} gpt_shape;

/* In the order of a checkpoint: before, in and after the layers. A bias follows what it belongs to. */
typedef enum {
    WTE,
    WPE,
    LN_1_W,
    LN_1_B,
    ATTENTION_W,
    ATTENTION_B,
    ATTENTION_PROJ_W,
    ATTENTION_PROJ_B,
    LN_2_W,
    LN_2_B,
    FC_W,
    FC_B,
    MLP_PROJ_W,
    MLP_PROJ_B,
    LN_F_W,
    LN_F_B,
    GPT_PARAMS
} param_name;

/* Dimensions in units of C, but for V and P. Weights are [in, out]. */
enum { DIM_V = -1, DIM_P = -2 };
typedef struct {
    const char *name;                      /* short, for tables */
    const char *file;                      /* in a checkpoint, after "transformer." or "transformer.h.N." */
    enum { BEFORE, IN_LAYER, AFTER } part; /* IN_LAYER: once a layer */
    bool is_bias;                          /* left out when the model has no biases */
    int rank, rows, columns;
    enum { INIT_NORMAL, INIT_SCALED, INIT_ONE, INIT_ZERO } init; /* SCALED: 0.02 / sqrt(2 L) */
} param_spec;

extern const param_spec gpt_params[GPT_PARAMS];
/* A dimension of the table in elements. */
int64_t gpt_param_dim(const gpt_shape *s, int d);

/* "transformer.h.3.attn.c_attn.weight": the name in a Hugging Face checkpoint. Returns text. */
char *gpt_param_name(const graph *g, tensor_id param, char *text, size_t size);
/* The value of element i at initialisation: N(0, 0.02), c_proj N(0, 0.02 / sqrt(2 L)), biases 0, norms 1. */
void gpt_init(const gpt_shape *shape, const graph *g, tensor_id param, uint64_t seed, int64_t first, int64_t count,
              double *out);
/* How many numbers the parameters have in all. */
int64_t gpt_parameters(const gpt_shape *shape);

#endif
