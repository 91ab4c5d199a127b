/* shape.h: the shape of the model that the settings mean. */
#ifndef SNUG_RUN_SHAPE_H
#define SNUG_RUN_SHAPE_H

#include "config/config.h"
#include "graph/gpt.h"

/* The shape of a new model, whose vocabulary is the key vocab_size, or else `vocabulary`, the data's (0: not known); or
   that of a checkpoint's folder. *length is the positions of a sequence. BAD_INPUT: an option was given that disagrees
   with the checkpoint; e names both. */
status shape_new(const config *c, int64_t vocabulary, gpt_shape *shape, int *length, error *e);
status shape_of_checkpoint(const config *c, const char *folder, gpt_shape *shape, int *length, error *e);
/* The shape that the settings mean, for commands that need neither data nor weights: the checkpoint's, or a new
   model's, with the vocabulary of the dataset if there is one. *vocabulary_from says in words where that came from. */
status shape_of_settings(const config *c, gpt_shape *shape, int *length, const char **vocabulary_from, error *e);

/* BAD_INPUT unless init_from is "scratch", "resume", a folder, or for commands that need no weights one of gpt2's four
   sizes by name; e says what it is instead, and what to do. */
status shape_check_source(const config *c, error *e);

#endif
