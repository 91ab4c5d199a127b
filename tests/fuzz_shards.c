/* fuzz_shards.c: any texts as an index and two safetensors files that it may name: refused in one line, or every weight
   of a small model is there and finite. */
#include "save/checkpoint.h"
#include "support_fuzz.h"
#include "support_memory_backend.h"
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const gpt_shape shape = {
        .layers = 1, .heads = 1, .channels = 2, .positions = 2, .vocabulary = 3, .norm_epsilon = 1e-5};
    error e = {""};
    size_t index, first, rest;
    const uint8_t *files, *second;
    fuzz_split(data, size, &index, &files, &rest);
    fuzz_split(files, rest, &first, &second, &rest);
    char *path[] = {fuzz_file("model.safetensors.index.json", data, index), fuzz_file("a.safetensors", files, first),
                    fuzz_file("b.safetensors", second, rest)};
    gpt m = memory_gpt(&shape, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 4);
    status s = checkpoint_load_weights(fuzz_folder(), NULL, &shape, &m, b, &e);
    fuzz_check_error(s, &e);
    for (tensor_id p = 1; s == OK && p <= m.n_params; p++)
        for (int64_t i = 0; i < tensor_elements(&m.graph->tensors[p]); i++) FUZZ_ASSERT(isfinite(memory_get(b, p, i)));
    b->close(b);
    gpt_free(&m);
    for (int i = 0; i < 3; i++) free(path[i]);
    return 0;
}
