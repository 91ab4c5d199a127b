/* weights_file.h: the tensors of a model folder, be they in model.safetensors or in several files with an index, under
   the names that are left when the prefixes are gone which programs put before them: torch.compile's `_orig_mod.`,
   DataParallel's `module.`, wrappers' `model.`, and `transformer.`, which GPT2LMHeadModel has and GPT2Model has not. */
#ifndef SNUG_WEIGHTS_FILE_H
#define SNUG_WEIGHTS_FILE_H

#include "save/safetensors.h"
#include <stdbool.h>

typedef struct {
    const char *name; /* "wte.weight", "h.0.ln_1.weight", "lm_head.weight": within tensor->name */
    const st_tensor *tensor;
    bool used; /* weights_take has given it out */
} weight;

typedef struct {
    char *path; /* of model.safetensors, or of the index */
    st_file *files;
    int n_files;
    weight *weights; /* sorted by name */
    int n;
} weights_file;

/* sha256: the hash that model.safetensors must have; NULL or "": any. BAD_INPUT: a file is missing or damaged, the
   index names what its files do not hold or a file outside the folder, or two tensors have one name but for their
   prefixes. */
status weights_open(const char *folder, const char *sha256, weights_file *w, error *e);
void weights_close(weights_file *w);
/* The tensor of that name, without prefixes, which is used from now on; NULL if there is none. */
const st_tensor *weights_take(weights_file *w, const char *name);
/* A tensor's name without its prefixes. */
const char *weight_name(const char *name);

#endif
