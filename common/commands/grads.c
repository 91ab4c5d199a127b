/* grads.c: see grads.h. */
#include "commands/grads.h"
#include "save/checkpoint.h"
#include "save/runs.h"
#include "save/safetensors.h"
#include "run/device.h"
#include "run/open.h"
#include "run/resume.h"
#include "run/shape.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Reads tensor `name` of the batch file, int32 [N,T], into out. Its values must be in [low, vocabulary). */
static status read_ids(const st_file *f, const char *name, int64_t n, int64_t length, int64_t low, int64_t vocabulary,
                       int32_t *out, error *e) {
    const st_tensor *t = st_find(f, name);
    if (!t || t->rank != 2 || t->dim[0] != n || t->dim[1] != length || (t->type != ST_I32 && t->type != ST_I64))
        return fail(e, BAD_INPUT, "%s: needs the tensor %s as int32 [%lld,%lld]", f->path, name, (long long)n,
                    (long long)length);
    for (int64_t i = 0; i < n * length; i++) {
        double id = st_value(t, i);
        if (id < (double)low || id >= (double)vocabulary)
            return fail(e, BAD_INPUT, "%s: %s[%lld,%lld] is %.0f, outside [%lld, %lld)", f->path, name,
                        (long long)(i / length), (long long)(i % length), id, (long long)low, (long long)vocabulary);
        out[i] = (int32_t)id;
    }
    return OK;
}

/* Reads the batch file; has_targets: y as well as x. */
static status read_batch(const config *c, int positions, int64_t vocabulary, bool has_targets, batch *b, error *e) {
    st_file f;
    TRY(st_open(c->batch, &f, e));
    const st_tensor *x = st_find(&f, "x");
    status s = OK;
    if (!x || x->rank != 2 || x->dim[0] < 1 || x->dim[1] < 1)
        s = fail(e, BAD_INPUT, "%s: needs the tensors x and y as int32 [N,T]", c->batch);
    else if (x->dim[1] > positions)
        s = fail(e, BAD_INPUT, "%s: sequences of %lld tokens, but the model has %d positions", c->batch,
                 (long long)x->dim[1], positions);
    if (s == OK) {
        *b = batch_new(x->dim[0], x->dim[1]);
        s = read_ids(&f, "x", b->sequences, b->length, 0, vocabulary, b->x, e);
        if (s == OK && has_targets) s = read_ids(&f, "y", b->sequences, b->length, -1, vocabulary, b->y, e);
        if (s != OK) batch_free(b);
    }
    st_close(&f);
    return s;
}

/* Opens the checkpoint c->positional[0] with its weights, bound for `purpose`, and reads the batch. */
static status open_both(const config *c, graph_purpose purpose, model *m, batch *b, error *e) {
    const char *folder = c->positional[0];
    gpt_shape shape;
    fit_request r;
    backend *device;
    int length;
    TRY(run_check_model(folder, e));
    TRY(shape_of_checkpoint(c, folder, &shape, &length, e));
    TRY(read_batch(c, length, shape.vocabulary, purpose == GRAPH_GRADS, b, e));
    const config own = resume_as_trained(c, folder);
    open_request(&own, &shape, purpose, (int)b->length, b->sequences, &r);
    status s = backend_open(&own, &device, NULL, e);
    if (s == OK) s = open_model(&r, device, m, NULL, NULL, e);
    if (s == OK) {
        s = run_load_weights(folder, &shape, &m->gpt, m->backend, e);
        if (s != OK) model_close(m);
    }
    if (s != OK) batch_free(b);
    return s;
}

status grads_run(const config *c, error *e) {
    if (c->n_positional != 1 || !c->batch[0])
        return fail(e, BAD_INPUT, "grads: type snug grads FOLDER --batch=FILE.safetensors [--out=FILE.safetensors]");
    model m;
    batch b;
    double loss, norm;
    step_settings settings = {.seed = (uint64_t)c->seed};
    TRY(open_both(c, GRAPH_GRADS, &m, &b, e));
    status s = model_gradients(&m, &b, &settings, &loss, e);
    if (s == OK && !isfinite(loss))
        s = fail(e, FAILED, "the loss is %s: this model has no gradient; take an earlier checkpoint",
                 isnan(loss) ? "not a number (NaN)" : "infinite");
    if (s == OK) s = model_finish(&m, &settings, &norm, e);
    checkpoint_set set = {"", m.gpt.grad, false};
    if (s == OK && c->out[0]) s = checkpoint_save_tensors(c->out, &m.gpt, &set, 1, m.backend, NULL, e);
    if (s == OK) printf("loss %.17g\n", loss);
    model_close(&m);
    batch_free(&b);
    return s;
}

/* The span `sample` gives the logits of a text's last position. So those of position t are computed from the first
   t + 1 tokens alone. */
static status compute_logits(model *m, const batch *b, char *logits /* [N,T,V] */, error *e) {
    size_t vocabulary = (size_t)m->shape.vocabulary, real_bytes = m->backend->limits.real_bytes;
    double *row = xcalloc(vocabulary, sizeof *row);
    status s = OK;
    for (int64_t i = 0; i < b->sequences * b->length && s == OK; i++, logits += vocabulary * real_bytes) {
        int64_t t = i % b->length;
        s = model_logits(m, b->x + i - t, (int)t + 1, row, e);
        for (size_t k = 0; k < vocabulary && s == OK && real_bytes == 4; k++)
            ((float *)(void *)logits)[k] = (float)row[k];
        if (s == OK && real_bytes == 8) memcpy(logits, row, vocabulary * sizeof *row);
    }
    free(row);
    return s;
}

status logits_run(const config *c, error *e) {
    if (c->n_positional != 1 || !c->batch[0] || !c->out[0])
        return fail(e, BAD_INPUT, "logits: type snug logits FOLDER --batch=FILE.safetensors --out=FILE.safetensors");
    model m;
    batch b;
    TRY(open_both(c, GRAPH_EVAL, &m, &b, e));
    size_t real_bytes = m.backend->limits.real_bytes;
    char *all = xcalloc((size_t)(b.sequences * b.length * m.shape.vocabulary), real_bytes);
    st_tensor t = {.name = (char *)"logits",
                   .type = real_bytes == 4 ? ST_F32 : ST_F64,
                   .rank = 3,
                   .dim = {b.sequences, b.length, m.shape.vocabulary},
                   .data = all};
    status s = compute_logits(&m, &b, all, e);
    if (s == OK) s = st_write(c->out, &t, 1, NULL, NULL, NULL, e);
    free(all);
    model_close(&m);
    batch_free(&b);
    return s;
}
