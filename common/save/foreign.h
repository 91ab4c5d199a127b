/* foreign.h: for when a model in Hugging Face's layout was wanted and something else is there, such as a gguf file, a
   pickle or a LoRA adapter: says what it is and what to do with it. */
#ifndef SNUG_FOREIGN_H
#define SNUG_FOREIGN_H

#include "base/status.h"

/* path: a file, a folder, or nothing. BAD_INPUT when there is something known, which e names; else OK. Made to be
   called after config.json or model.safetensors was found missing, for which it does not look. */
status foreign_explain(const char *path, error *e);

#endif
