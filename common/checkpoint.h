/* checkpoint.h: folders in Hugging Face GPT-2 layout: config.json + model.safetensors (+ tokenizer.json), and for runs
   optimizer.safetensors + state.json. Written under a temporary name, fsynced, renamed. */
#ifndef SNUG_CHECKPOINT_H
#define SNUG_CHECKPOINT_H

#include "backend.h"
#include "gpt.h"
#include "safetensors.h"

/* Reads config.json of a folder. tanh_gelu by activation_function ("gelu" exact; "gelu_new", "gelu_pytorch_tanh" tanh);
   bias false only where "bias": false stands. Fails on models that are not GPT-2 (model_type, scale options we do not
   compute). */
status checkpoint_shape(const char *folder, gpt_shape *shape, error *e);

/* Loads model.safetensors into the bound backend's parameters. Names with and without "transformer."; attn.bias and
   attn.masked_bias buffers and a tied lm_head.weight are ignored; F32, F64, F16, BF16 are converted. Missing tensor,
   wrong shape, unknown tensor: BAD_INPUT with the name. For bias=False, biases in the file must be zero and are
   dropped. */
status checkpoint_load_weights(const char *folder, const gpt_shape *shape, const gpt *m, backend *b, error *e);

/* Writes folder/config.json and folder/model.safetensors from the backend's parameters. */
status checkpoint_save_weights(const char *folder, const gpt_shape *shape, const gpt *m, backend *b, char *sha256,
                               error *e);

#endif
