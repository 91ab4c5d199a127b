/* model.h: a GPT bound to a backend, and the pieces of a step. What train, eval, sample, grads, gradcheck and
 * equivalence share. */
#ifndef SNUG_MODEL_H
#define SNUG_MODEL_H

#include "graph/backend.h"
#include "text/data.h"
#include "graph/gpt.h"

typedef struct {
    gpt_shape shape;
    gpt_run run;
    gpt gpt;
    plan plan;
    backend *backend;
    void (*progress)(void *context, double part); /* part of a batch done, to 1; may be NULL. The caller sets both */
    void *context;
} model;

/* Builds the graph, plans it and binds it to b, which m owns from then on. On failure m holds nothing and b is still
   the caller's; after NO_MEMORY a smaller run may be tried on the same b. */
status model_open(model *m, backend *b, const gpt_shape *shape, const gpt_run *run, error *e);
void model_close(model *m); /* closes the backend too */

/* Writes the initial weights (gpt_init). */
status model_init(model *m, uint64_t seed, error *e);
/* Moves count reals of a tensor, from element first on, converting between double and the run's type. */
status model_read(model *m, tensor_id t, int64_t first, int64_t count, double *out, error *e);
status model_write(model *m, tensor_id t, int64_t first, int64_t count, const double *in, error *e);

/* The sequences of a step, on the host: x, y [N,T]; a target of -1 does not count. */
typedef struct {
    int64_t sequences, length;
    int32_t *x, *y;
} batch;
batch batch_new(int64_t sequences, int64_t length);
void batch_free(batch *b);
int64_t batch_targets(const batch *b);
/* Sequences `first` .. of step `step`. */
status batch_draw(batch *b, const token_file *f, const data_order *order, uint32_t stream, int64_t step, int64_t first,
                  error *e);

typedef struct {
    int64_t step;
    double lr;
    uint64_t seed;
} step_settings;

/* begin, then micro for every micro-batch of b (which has at most run.sequences). *loss = sum of losses / targets. */
status model_gradients(model *m, const batch *b, const step_settings *s, double *loss, error *e);
/* The forward half of that alone, dropout included: *loss as above. Gradients are no use afterwards. */
status model_training_loss(model *m, const batch *b, const step_settings *s, double *loss, error *e);
/* finish: clips and updates where the graph has an optimizer. *norm = gradient norm before clipping (0 without one);
   where that is infinite or no number, nothing is updated: the weights stay those before the step. */
status model_finish(model *m, const step_settings *s, double *norm, error *e);
/* Forward only: *sum of the token losses. */
status model_loss(model *m, const batch *b, double *sum, error *e);
/* What the three above are made of, for those who run a graph op by op: sees to it that the backend has the sequences
   from `first` on, at most a micro-batch (*a: what the ops then run with); first = 0 comes before the others, since it
   hands over all of b where there is room for a step's tokens (one_upload); and 1 / targets, or 0 where none counts. */
status model_load(model *m, const batch *b, const step_settings *s, int64_t first, double inv_targets, step_args *a,
                  error *e);
double model_inverse(const batch *b);
/* SHA-256 of all weights' bytes in the checkpoint's order. */
status model_hash(model *m, char sha256[65], error *e);

#endif
