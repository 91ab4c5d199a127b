/* model.h: a GPT that is bound to a backend, and the parts of a step: what train, eval, sample, grads, gradcheck and
   equivalence share. */
#ifndef SNUG_MODEL_H
#define SNUG_MODEL_H

#include "graph/backend.h"
#include "text/data.h"
#include "graph/gpt.h"
#include "run/exchange.h"

typedef struct {
    gpt_shape shape;
    gpt_run run;
    gpt gpt;
    plan plan;
    backend *backend;
    exchange *exchange; /* of several processes; NULL: there is one */
    double *losses;     /* [1 + ranks][sequences]: a batch's, and room for those that each process has of it */
    float *chunk;       /* reals on their way between host and backend */
    void (*progress)(void *context, double part); /* called with the part of a batch that is done, 0 to 1; or NULL */
    void *context;
} model;

/* Builds the graph, plans it and binds it to b, which m then owns. On failure m holds nothing and b is still the
   caller's; after NO_MEMORY a smaller run may be tried on the same b. */
status model_open(model *m, backend *b, const gpt_shape *shape, const gpt_run *run, error *e);
void model_close(model *m); /* closes the backend too */
/* Leaves the backend open, with its memory given back, for another model. */
void model_unbind(model *m);

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
status batch_draw(batch *b, const token_file *f, const data_order *order, batch_stream stream, int64_t step,
                  int64_t first, error *e);

typedef struct {
    int64_t step;
    double lr;
    uint64_t seed;
} step_settings;

/* Runs begin, and then, shard by shard, micro for each micro-batch of b, which has at most run.sequences sequences.
 *loss = the sum of the losses / the number of targets that count. */
status model_gradients(model *m, const batch *b, const step_settings *s, double *loss, error *e);
/* Only the forward half of that, with dropout; *loss as above. The gradients are meaningless afterwards. */
status model_training_loss(model *m, const batch *b, const step_settings *s, double *loss, error *e);
/* Runs finish, which clips and updates if the graph has an optimizer. *norm = the gradient norm before clipping, or 0
   without an optimizer. If it is infinite or NaN nothing is updated: the weights stay as they were before the step. */
status model_finish(model *m, const step_settings *s, double *norm, error *e);
/* Runs eval, forward only. *sum = the sum of the token losses. */
status model_loss(model *m, const batch *b, double *sum, error *e);
/* Parts of the functions above, for running a graph op by op. model_upload, which has to come first, hands over all of
   b where the graph has room for it (one_upload). model_load sees to it that the backend has the tokens of the
   sequences from `first` on, at most a micro-batch of them and none from `end` on; *a is what the ops then run with.
   model_inverse is 1 / (targets that count), or 0 if none does. */
status model_upload(model *m, const batch *b, error *e);
status model_load(model *m, const batch *b, const step_settings *s, int64_t first, int64_t end, double inv_targets,
                  step_args *a, error *e);
double model_inverse(const batch *b);
/* What a text goes on with. model_text computes all of the n positions of text `text` (0 where none are kept), whose
   tokens are ids; their keys and values are kept for it and the next copies - 1 texts. model_next computes one more
   position of each of `texts` texts, of which `before` are kept. model_logits_of gives the logits [vocabulary] of a
   text's next token, after n tokens. FAILED when one is not finite: what is drawn from such a model says nothing.
   model_logits: of a text alone. */
status model_text(model *m, const int32_t *ids, int n, int text, int copies, error *e);
status model_next(model *m, const int32_t *latest, int texts, int before, error *e);
status model_logits_of(model *m, int text, int n, double *logits, error *e);
status model_logits(model *m, const int32_t *ids, int n, double *logits, error *e);
/* SHA-256 of all weights' bytes in the checkpoint's order. */
status model_hash(model *m, char sha256[65], error *e);

#endif
