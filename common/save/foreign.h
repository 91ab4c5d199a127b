/* foreign.h: what people have where a model in Hugging Face layout is wanted: a gguf file, a pickle, a model in parts.
   Says what it is and what to do with it. */
#ifndef SNUG_FOREIGN_H
#define SNUG_FOREIGN_H

#include "base/status.h"

/* OK when nothing at path (a file or a folder, may not exist) is known; else BAD_INPUT, and e names it. Call it where
   config.json or model.safetensors has been missed: what is there is not asked. */
status foreign_explain(const char *path, error *e);

#endif
