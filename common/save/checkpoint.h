/* checkpoint.h: folders in Hugging Face GPT-2 layout: config.json + model.safetensors. Knows which names and settings
   the format has; what makes a folder a run's checkpoint, and safe, is in runs.h. */
#ifndef SNUG_CHECKPOINT_H
#define SNUG_CHECKPOINT_H

#include "graph/backend.h"
#include "graph/gpt.h"
#include "save/safetensors.h"

/* Reads config.json of a folder. tanh_gelu by activation_function ("gelu" exact; "gelu_new", "gelu_pytorch_tanh" tanh);
   bias false only where "bias": false stands. Fails on models that are not GPT-2 (model_type, options that change the
   mathematics and that we do not compute). */
status checkpoint_shape(const char *folder, gpt_shape *shape, error *e);

/* Loads model.safetensors into the bound backend's parameters. Names with and without "transformer."; attn.bias and
   attn.masked_bias buffers and a tied lm_head.weight are ignored; F32, F64, F16, BF16 are converted. Missing tensor,
   wrong shape, unknown tensor, a value that is not finite: BAD_INPUT with the name. For bias=False, biases in the file
   must be zero and are dropped. sha256: what the file's hash must be; NULL or "": whatever it is. */
status checkpoint_load_weights(const char *folder, const char *sha256, const gpt_shape *shape, const gpt *m, backend *b,
                               error *e);

/* Writes folder/config.json and folder/model.safetensors from the backend's parameters, in the run's dtype; makes the
   folder. For bias=False zero biases are written for the sake of transformers. sha256[65], if not NULL, receives the
   hash of model.safetensors: equal weights, equal hash. Does not fsync. FAILED, with the name, when a value is infinite
   or no number. */
status checkpoint_save_weights(const char *folder, const gpt_shape *shape, const gpt *m, backend *b, char *sha256,
                               error *e);

/* For each parameter i the tensor ids[i] (m->grad, m->m, ... ; same shape as the parameter) under the parameter's name,
   after `prefix`. Several sets go into one file. As above: finite values only. */
typedef struct {
    const char *prefix;
    const tensor_id *ids;
} checkpoint_set;
status checkpoint_save_tensors(const char *path, const gpt *m, const checkpoint_set *sets, int n_sets, backend *b,
                               char *sha256, error *e);
/* The way back: every tensor of every set must be there, and no other. */
status checkpoint_load_tensors(const char *path, const char *sha256, const gpt *m, const checkpoint_set *sets,
                               int n_sets, backend *b, error *e);

#endif
