/* gpt_params.h: the table of the model's parameters, for gpt.c alone. */
#ifndef SNUG_GPT_PARAMS_H
#define SNUG_GPT_PARAMS_H

#include "graph/gpt.h"

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

#endif
