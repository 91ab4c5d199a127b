/* shape.h: the shape of the model that the settings mean. */
#ifndef SNUG_RUN_SHAPE_H
#define SNUG_RUN_SHAPE_H

#include "config/config.h"
#include "graph/gpt.h"

/* The shape of a new model (vocabulary: of the data, 0: unknown; the key vocab_size beats it), or of a checkpoint
   folder, with *length, the positions of a sequence. An option that was given and disagrees with the checkpoint is an
   error that names both. */
status shape_new(const config *c, int64_t vocabulary, gpt_shape *shape, int *length, error *e);
status shape_of_checkpoint(const config *c, const char *folder, gpt_shape *shape, int *length, error *e);
/* The shape that the settings mean, for commands that need neither data nor weights: the checkpoint's, or a new
   model's, with the dataset's vocabulary where it is there. *vocabulary_from says where that came from, for people. */
status shape_of_settings(const config *c, gpt_shape *shape, int *length, const char **vocabulary_from, error *e);

/* Is init_from "scratch", "resume", or a folder? BAD_INPUT: a line that says what is there instead, and what to do. */
status shape_check_source(const config *c, error *e);

#endif
