/* gpt_params.c: see gpt_params.h. */
#include "graph/gpt_params.h"
#include "base/rng.h"
#include <math.h>

const param_spec gpt_params[GPT_PARAMS] = {
    [WTE] = {"wte", "wte.weight", BEFORE, false, 2, DIM_V, 1, INIT_NORMAL},
    [WPE] = {"wpe", "wpe.weight", BEFORE, false, 2, DIM_P, 1, INIT_NORMAL},
    [LN_1_W] = {"ln_1.w", "ln_1.weight", IN_LAYER, false, 1, 1, 0, INIT_ONE},
    [LN_1_B] = {"ln_1.b", "ln_1.bias", IN_LAYER, true, 1, 1, 0, INIT_ZERO},
    [ATTENTION_W] = {"attn.w", "attn.c_attn.weight", IN_LAYER, false, 2, 1, 3, INIT_NORMAL},
    [ATTENTION_B] = {"attn.b", "attn.c_attn.bias", IN_LAYER, true, 1, 3, 0, INIT_ZERO},
    [ATTENTION_PROJ_W] = {"attn_proj.w", "attn.c_proj.weight", IN_LAYER, false, 2, 1, 1, INIT_SCALED},
    [ATTENTION_PROJ_B] = {"attn_proj.b", "attn.c_proj.bias", IN_LAYER, true, 1, 1, 0, INIT_ZERO},
    [LN_2_W] = {"ln_2.w", "ln_2.weight", IN_LAYER, false, 1, 1, 0, INIT_ONE},
    [LN_2_B] = {"ln_2.b", "ln_2.bias", IN_LAYER, true, 1, 1, 0, INIT_ZERO},
    [FC_W] = {"fc.w", "mlp.c_fc.weight", IN_LAYER, false, 2, 1, 4, INIT_NORMAL},
    [FC_B] = {"fc.b", "mlp.c_fc.bias", IN_LAYER, true, 1, 4, 0, INIT_ZERO},
    [MLP_PROJ_W] = {"mlp_proj.w", "mlp.c_proj.weight", IN_LAYER, false, 2, 4, 1, INIT_SCALED},
    [MLP_PROJ_B] = {"mlp_proj.b", "mlp.c_proj.bias", IN_LAYER, true, 1, 1, 0, INIT_ZERO},
    [LN_F_W] = {"ln_f.w", "ln_f.weight", AFTER, false, 1, 1, 0, INIT_ONE},
    [LN_F_B] = {"ln_f.b", "ln_f.bias", AFTER, true, 1, 1, 0, INIT_ZERO},
};

int64_t gpt_param_dim(const gpt_shape *s, int d) {
    return d == DIM_V ? s->vocabulary : d == DIM_P ? s->positions : (int64_t)d * s->channels;
}

int64_t gpt_parameters(const gpt_shape *s) {
    int64_t n = 0;
    for (int i = 0; i < GPT_PARAMS; i++) {
        const param_spec *p = &gpt_params[i];
        if (p->is_bias && !s->bias) continue;
        int64_t size = gpt_param_dim(s, p->rows) * (p->rank == 2 ? gpt_param_dim(s, p->columns) : 1);
        n += size * (p->part == IN_LAYER ? s->layers : 1);
    }
    return n;
}

char *gpt_param_name(const graph *g, tensor_id param, char *text, size_t size) {
    const tensor *t = &g->tensors[param];
    const char *file = gpt_params[t->label].file;
    if (t->layer < 0)
        snprintf(text, size, "transformer.%s", file);
    else
        snprintf(text, size, "transformer.h.%d.%s", t->layer, file);
    return text;
}

void gpt_init(const gpt_shape *shape, const graph *g, tensor_id param, uint64_t seed, int64_t first, int64_t count,
              double *out) {
    const param_spec *p = &gpt_params[g->tensors[param].label];
    if (p->init == INIT_ONE || p->init == INIT_ZERO) {
        for (int64_t i = 0; i < count; i++) out[i] = p->init == INIT_ONE;
        return;
    }
    double scale = p->init == INIT_SCALED ? 0.02 / sqrt(2.0 * shape->layers) : 0.02;
    enum { DRAWS = 64 };
    double normals[2 * DRAWS]; /* two a draw: element i is normal i % 2 of draw i / 2 */
    for (int64_t i = first, end = first + count; i < end;) {
        rng_normals(seed, (uint64_t)i / 2, random_word(SITE_INIT, STREAM_WEIGHTS), (uint32_t)param, DRAWS, normals);
        for (int64_t k = i % 2; k < 2 * DRAWS && i < end; k++, i++) out[i - first] = scale * normals[k];
    }
}
