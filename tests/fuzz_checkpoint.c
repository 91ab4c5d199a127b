/* fuzz_checkpoint.c: any texts as config.json and model.safetensors of a folder from elsewhere: refused in one line, or
   every weight that was taken is finite. */
#include "save/checkpoint.h"
#include "support_fuzz.h"
#include "support_memory_backend.h"
#include <math.h>

enum { SMALL = 32 }; /* a graph is built for shapes up to this: larger ones cost time, not insight */

static void load(const gpt_shape *shape) {
    error e = {""};
    gpt m = memory_gpt(shape, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 4);
    status s = checkpoint_load_weights(fuzz_folder(), NULL, shape, &m, b, &e);
    fuzz_check_error(s, &e);
    for (tensor_id p = 1; s == OK && p <= m.n_params; p++)
        for (int64_t i = 0; i < tensor_elements(&m.graph->tensors[p]); i++) FUZZ_ASSERT(isfinite(memory_get(b, p, i)));
    b->close(b);
    gpt_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error e = {""};
    gpt_shape shape;
    size_t first, rest;
    const uint8_t *weights;
    fuzz_split(data, size, &first, &weights, &rest);
    char *config = fuzz_file("config.json", data, first), *path = fuzz_file("model.safetensors", weights, rest);
    status s = checkpoint_shape(fuzz_folder(), &shape, &e);
    fuzz_check_error(s, &e);
    if (s == OK && shape.layers <= 2 && shape.channels <= SMALL && shape.positions <= SMALL &&
        shape.vocabulary <= SMALL)
        load(&shape);
    free(config);
    free(path);
    return 0;
}
