/* checkpoint.c: moves weights, gradients and moments between a bound backend and safetensors files, under GPT-2's
   names. They go in chunks, so that host memory does not grow with the model. */
#include "save/checkpoint.h"
#include "save/checkpoint_config.h"
#include "save/weights_file.h"
#include "base/bf16.h"
#include "base/files.h"
#include "base/terminal.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 128, CHUNK = 1 << 18 }; /* elements at a time */

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* "h.0.ln_1.weight" -> "h.0.ln_1.bias"; false for the two embeddings, which have none. */
static bool bias_name(const char *weight, char *bias) {
    if (!ends_with(weight, ".weight") || ends_with(weight, "wte.weight") || ends_with(weight, "wpe.weight"))
        return false;
    snprintf(bias, NAME, "%.*s.bias", (int)(strlen(weight) - strlen(".weight")), weight);
    return true;
}

/* ---- saving ---- */

static bool all_finite(const void *values, int64_t count, size_t real_bytes) {
    const float *f = values;
    const double *d = values;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(real_bytes == 4 ? (double)f[i] : d[i])) return false;
    return true;
}

static bool none_below_zero(const void *values, int64_t count, size_t real_bytes) {
    const float *f = values;
    const double *d = values;
    for (int64_t i = 0; i < count; i++)
        if ((real_bytes == 4 ? (double)f[i] : d[i]) < 0) return false;
    return true;
}

typedef struct {
    st_tensor *tensors;
    tensor_id *ids;
    int n;
} listing; /* ids: 0 = zeros */

static st_type full_type(const backend *b) { return b->limits.real_bytes == 4 ? ST_F32 : ST_F64; }

static void list_add(listing *l, char *name, const tensor *like, int first_dim, st_type type, tensor_id id) {
    st_tensor *t = &l->tensors[l->n];
    *t = (st_tensor){.name = name, .type = type, .rank = like->rank - first_dim};
    for (int i = 0; i < t->rank; i++) t->dim[i] = like->dim[first_dim + i];
    l->ids[l->n++] = id;
}

static listing list_new(int room) {
    return (listing){.tensors = xcalloc((unsigned long)room, sizeof(st_tensor)),
                     .ids = xcalloc((unsigned long)room, sizeof(tensor_id))};
}

static void list_free(listing *l) {
    for (int i = 0; i < l->n; i++) free(l->tensors[i].name);
    free(l->tensors);
    free(l->ids);
}

typedef struct {
    const listing *list;
    backend *b;
} filler;

static status fill_full(const filler *f, const st_tensor *t, uint64_t offset, void *buffer, size_t size, error *e) {
    tensor_id id = f->list->ids[t - f->list->tensors];
    size_t real_bytes = f->b->limits.real_bytes;
    memset(buffer, 0, size);
    if (id) TRY(f->b->read(f->b, id, buffer, (size_t)offset, size, e));
    if (all_finite(buffer, (int64_t)(size / real_bytes), real_bytes)) return OK;
    return fail(e, FAILED, "%s has a value that is infinite or NaN; it is not saved", t->name);
}

static status fill(void *context, const st_tensor *t, uint64_t offset, void *buffer, size_t size, error *e) {
    const filler *f = context;
    if (t->type != ST_BF16) return fill_full(f, t, offset, buffer, size, e);
    size_t n = size / 2, real_bytes = f->b->limits.real_bytes;
    void *reals = xcalloc(n, real_bytes);
    const float *floats = reals;
    const double *doubles = reals;
    status s = fill_full(f, t, offset / 2 * real_bytes, reals, n * real_bytes, e);
    for (size_t i = 0; i < n && s == OK; i++)
        ((uint16_t *)buffer)[i] = bf16_of_float(real_bytes == 4 ? floats[i] : (float)doubles[i]);
    free(reals);
    return s;
}

static status list_write(const char *path, const listing *l, backend *b, char *sha256, error *e) {
    return st_write(path, l->tensors, l->n, fill, &(filler){l, b}, sha256, e);
}

status checkpoint_save_weights(const char *folder, const gpt_shape *shape, const checkpoint_extras *extras,
                               const gpt *m, backend *b, bool bf16, char *sha256, error *e) {
    st_type type = bf16 ? ST_BF16 : full_type(b);
    TRY(folder_make(folder, e));
    TRY(checkpoint_write_config(folder, shape, extras, type, e));
    listing l = list_new(2 * m->n_params);
    for (tensor_id p = 1; p <= m->n_params; p++) {
        const tensor *t = &m->graph->tensors[p];
        char name[NAME], bias[NAME];
        gpt_param_name(m->graph, p, name, sizeof name);
        list_add(&l, xstrdup(name), t, 0, type, p);
        if (!shape->bias && bias_name(name, bias)) list_add(&l, xstrdup(bias), t, t->rank - 1, type, 0);
    }
    char *path = xprintf("%s/model.safetensors", folder);
    status s = list_write(path, &l, b, sha256, e);
    free(path);
    list_free(&l);
    return s;
}

status checkpoint_save_tensors(const char *path, const gpt *m, const checkpoint_set *sets, int n_sets, backend *b,
                               char *sha256, error *e) {
    listing l = list_new(n_sets * m->n_params);
    for (int k = 0; k < n_sets; k++)
        for (tensor_id p = 1; p <= m->n_params; p++) {
            char name[NAME];
            gpt_param_name(m->graph, p, name, sizeof name);
            list_add(&l, xprintf("%s%s", sets[k].prefix, name), &m->graph->tensors[p], 0, full_type(b), sets[k].ids[p]);
        }
    status s = list_write(path, &l, b, sha256, e);
    list_free(&l);
    return s;
}

/* ---- loading ---- */

static bool is_real(st_type t) { return t == ST_F32 || t == ST_F64 || t == ST_F16 || t == ST_BF16; }

static char *dims_print(int rank, const int64_t *dim, char *text, size_t size) {
    size_t at = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, i ? ", " : "", dim[i]);
    if (at < size) snprintf(text + at, size - at, "]");
    return text;
}

static status check_shape(const char *path, const st_tensor *t, int rank, const int64_t *dim, error *e) {
    bool same = t->rank == rank;
    for (int i = 0; same && i < rank; i++) same = t->dim[i] == dim[i];
    if (!is_real(t->type))
        return fail(e, BAD_INPUT, "%s: \"%s\" has dtype %s; weights must be F32, F64, F16 or BF16", path, t->name,
                    st_name(t->type));
    if (same) return OK;
    char has[200], wants[100];
    bool turned = rank == 2 && t->rank == 2 && t->dim[0] == dim[1] && t->dim[1] == dim[0];
    return fail(e, BAD_INPUT, "%s: \"%s\" has shape %s, but config.json makes it %s%s", path, t->name,
                dims_print(t->rank, t->dim, has, sizeof has), dims_print(rank, dim, wants, sizeof wants),
                turned ? "; GPT-2's files keep linear weights as [in, out]: transpose it" : "");
}

static status load_tensor(const char *path, const st_tensor *t, tensor_id id, bool squares, backend *b, error *e) {
    size_t real_bytes = b->limits.real_bytes;
    void *buffer = xcalloc(CHUNK, real_bytes);
    status s = OK;
    for (int64_t at = 0; s == OK && at < t->elements; at += CHUNK) {
        int64_t count = t->elements - at < CHUNK ? t->elements - at : CHUNK;
        st_convert(t, at, count, real_bytes, buffer);
        if (!all_finite(buffer, count, real_bytes))
            s = fail(e, BAD_INPUT, "%s: \"%s\" has a value that is infinite or NaN; such a model can't be used", path,
                     t->name);
        else if (squares && !none_below_zero(buffer, count, real_bytes))
            s = fail(e, BAD_INPUT, "%s: \"%s\" has a value below zero, but is a mean of squares", path, t->name);
        else
            s = b->write(b, id, buffer, (size_t)at * real_bytes, (size_t)count * real_bytes, e);
    }
    free(buffer);
    return s;
}

static bool all_zero(const st_tensor *t) {
    for (int64_t i = 0; i < t->elements; i++)
        if (st_value(t, i) != 0) return false;
    return true;
}

static bool same_values(const st_tensor *a, const st_tensor *b) {
    if (a->elements != b->elements) return false;
    if (a->type == b->type) return !memcmp(a->data, b->data, a->bytes);
    for (int64_t i = 0; i < a->elements; i++)
        if (st_value(a, i) != st_value(b, i)) return false;
    return true;
}

/* "h.12.attn.bias": the causal mask that older transformers saved beside the weights. */
static bool is_mask(const char *name) {
    int end = 0;
    sscanf(name, "h.%*u.attn.%n", &end);
    return end && (!strcmp(name + end, "bias") || !strcmp(name + end, "masked_bias"));
}

/* The heads of transformers' other GPT-2 models, and trl's: what is trained here has no use for them. */
static bool is_other_head(const char *name) {
    static const char *const heads[] = {"score.",   "classifier.", "qa_outputs.",
                                        "summary.", "v_head.",     "multiple_choice_head."};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (!strncmp(name, heads[i], strlen(heads[i]))) return true;
    return false;
}

/* For a model without biases: a bias in the file must be zero. */
static status drop_bias(weights_file *w, const tensor *weight, const char *name, error *e) {
    char bias[NAME];
    if (!bias_name(name, bias)) return OK;
    const st_tensor *t = weights_take(w, weight_name(bias));
    if (!t) return OK;
    TRY(check_shape(w->path, t, 1, &weight->dim[weight->rank - 1], e));
    if (all_zero(t)) return OK;
    return fail(e, BAD_INPUT, "%s: \"%s\" is not zero, but config.json says \"bias\": false; set it to true", w->path,
                t->name);
}

/* The weights of parameter p. The head is the token embedding, and files may have them under either name, or both. */
static const st_tensor *find(weights_file *w, const gpt *m, tensor_id p, char name[NAME]) {
    gpt_param_name(m->graph, p, name, NAME);
    const st_tensor *t = weights_take(w, weight_name(name));
    return t || strcmp(weight_name(name), "wte.weight") ? t : weights_take(w, "lm_head.weight");
}

/* What may be in the file besides the parameters is masks, a head equal to the embedding, and heads for other ends,
   which a note names. Anything else is an error. */
static status check_others(weights_file *w, error *e) {
    const st_tensor *wte = weights_take(w, "wte.weight");
    const char *left_out = NULL;
    for (const weight *x = w->weights; x < w->weights + w->n; x++) {
        if (x->used || is_mask(x->name)) continue;
        if (!strcmp(x->name, "lm_head.weight") && wte) {
            if (same_values(x->tensor, wte)) continue;
            return fail(e, BAD_INPUT, "%s: \"%s\" differs from wte.weight: untied heads are not supported", w->path,
                        x->tensor->name);
        }
        if (!is_other_head(x->name))
            return fail(e, BAD_INPUT,
                        "%s: \"%s\" does not belong to the GPT-2 of config.json; check n_layer, or remove it", w->path,
                        x->tensor->name);
        if (!left_out) left_out = x->tensor->name;
    }
    if (left_out)
        text_print(stderr, "note: %s: \"%s\" is left out: it is not the language model's head\n", w->path, left_out);
    return OK;
}

static status load_params(weights_file *w, const gpt_shape *shape, const gpt *m, backend *b, error *e) {
    char name[NAME];
    for (tensor_id p = 1; p <= m->n_params; p++) { /* everything is checked before the first weight is written */
        const tensor *t = &m->graph->tensors[p];
        const st_tensor *found = find(w, m, p, name);
        if (!found)
            return fail(e, BAD_INPUT, "%s: \"%s\" is missing%s", w->path, name,
                        ends_with(name, ".bias") ? "; for a model without biases, config.json needs \"bias\": false"
                                                 : "; does config.json belong to this file?");
        TRY(check_shape(w->path, found, t->rank, t->dim, e));
        if (!shape->bias) TRY(drop_bias(w, t, name, e));
    }
    TRY(check_others(w, e));
    for (tensor_id p = 1; p <= m->n_params; p++) TRY(load_tensor(w->path, find(w, m, p, name), p, false, b, e));
    return OK;
}

status checkpoint_load_weights(const char *folder, const char *sha256, const gpt_shape *shape, const gpt *m, backend *b,
                               error *e) {
    weights_file w;
    TRY(weights_open(folder, sha256, &w, e));
    status s = load_params(&w, shape, m, b, e);
    weights_close(&w);
    return s;
}

static status load_sets(const st_file *f, const gpt *m, const checkpoint_set *sets, int n_sets, backend *b, error *e) {
    if (f->n != n_sets * m->n_params)
        return fail(e, BAD_INPUT, "%s: has %d tensors where %d are expected: it belongs to another model", f->path,
                    f->n, n_sets * m->n_params);
    for (int i = 0; i < n_sets * m->n_params; i++) {
        const checkpoint_set *set = &sets[i / m->n_params];
        tensor_id p = 1 + i % m->n_params;
        const tensor *t = &m->graph->tensors[p];
        char name[NAME], full[NAME + 16];
        snprintf(full, sizeof full, "%s%s", set->prefix, gpt_param_name(m->graph, p, name, sizeof name));
        const st_tensor *found = st_find(f, full);
        if (!found) return fail(e, BAD_INPUT, "%s: \"%s\" is missing: it belongs to another model", f->path, full);
        TRY(check_shape(f->path, found, t->rank, t->dim, e));
        TRY(load_tensor(f->path, found, set->ids[p], set->squares, b, e));
    }
    return OK;
}

status checkpoint_load_tensors(const char *path, const char *sha256, const gpt *m, const checkpoint_set *sets,
                               int n_sets, backend *b, error *e) {
    st_file f;
    TRY(st_open_hashed(path, sha256, &f, e));
    status s = load_sets(&f, m, sets, n_sets, b, e);
    st_close(&f);
    return s;
}
