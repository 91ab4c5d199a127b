/* checkpoint.h: folders in Hugging Face's GPT-2 layout: config.json and model.safetensors, with the format's names and
   settings. How a run keeps its checkpoints safe is in runs.h. */
#ifndef SNUG_CHECKPOINT_H
#define SNUG_CHECKPOINT_H

#include "graph/backend.h"
#include "graph/gpt.h"
#include "save/checkpoint_extras.h"
#include "save/safetensors.h"

/* Reads a folder's config.json. activation_function decides about tanh_gelu: "gelu" and "gelu_python" are exact;
   "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh" and "gelu_python_tanh" are the tanh form. There are
   biases unless it says "bias": false. BAD_INPUT for models that are not GPT-2: another model_type, or options of which
   snug computes another form. */
status checkpoint_shape(const char *folder, gpt_shape *shape, error *e);

/* Loads model.safetensors, or the files of model.safetensors.index.json, into the bound backend's parameters,
   converting from F32, F64, F16 or BF16. Names may have prefixes (weights_file.h). The token embedding may be there
   under the name of the head that is tied to it, or both; the masks attn.bias and attn.masked_bias are ignored; a head
   for another end than language modelling is left out, with a note on stderr. For a model without biases, biases in the
   file must be zero and are left out. BAD_INPUT, with the tensor's name: it is missing or unknown, has a wrong shape,
   or a value that is not finite. sha256: the hash that the file must have; NULL or "": any. */
status checkpoint_load_weights(const char *folder, const char *sha256, const gpt_shape *shape, const gpt *m, backend *b,
                               error *e);

/* Makes the folder, and writes config.json, with the extras (may be NULL) in it and beside it, and model.safetensors
   from the backend's parameters, as they are or, with bf16, each rounded to the nearest bfloat16. A model without
   biases gets zeros for them, which transformers expects. sha256[65], if not NULL, receives the hash of
   model.safetensors; equal weights have equal hashes. Does not fsync. FAILED, with the tensor's name, when a value is
   infinite or NaN. */
status checkpoint_save_weights(const char *folder, const gpt_shape *shape, const checkpoint_extras *extras,
                               const gpt *m, backend *b, bool bf16, char *sha256, error *e);

/* A set of tensors, one for each parameter i: ids[i], of the parameter's shape (m->grad, m->m, m->v), which is called
   `prefix` and the parameter's name. Several sets go into one file. Here too every value must be finite. */
typedef struct {
    const char *prefix;
    const tensor_id *ids;
    bool squares; /* means of squares: a value below zero is refused when it is read */
} checkpoint_set;
status checkpoint_save_tensors(const char *path, const gpt *m, const checkpoint_set *sets, int n_sets, backend *b,
                               char *sha256, error *e);
/* Loads what checkpoint_save_tensors wrote: all tensors of all sets must be in the file, and no others. */
status checkpoint_load_tensors(const char *path, const char *sha256, const gpt *m, const checkpoint_set *sets,
                               int n_sets, backend *b, error *e);

#endif
