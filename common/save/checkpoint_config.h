/* checkpoint_config.h: writes config.json; reading it is checkpoint_shape in checkpoint.h. */
#ifndef SNUG_CHECKPOINT_CONFIG_H
#define SNUG_CHECKPOINT_CONFIG_H

#include "graph/gpt.h"
#include "save/checkpoint_extras.h"
#include "save/safetensors.h"

/* Writes config.json and, if there is one in x (which may be NULL), generation_config.json. weights, F32, F64 or BF16,
   becomes torch_dtype. */
status checkpoint_write_config(const char *folder, const gpt_shape *shape, const checkpoint_extras *x, st_type weights,
                               error *e);

#endif
