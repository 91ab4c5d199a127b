/* checkpoint_config.h: writes config.json; reading it is checkpoint_shape in checkpoint.h. */
#ifndef SNUG_CHECKPOINT_CONFIG_H
#define SNUG_CHECKPOINT_CONFIG_H

#include "graph/gpt.h"

/* real_bytes 4 or 8 becomes torch_dtype. sha256[65] may be NULL. */
status checkpoint_write_config(const char *folder, const gpt_shape *shape, size_t real_bytes, char *sha256, error *e);

#endif
