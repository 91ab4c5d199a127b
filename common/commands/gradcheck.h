/* gradcheck.h: the command `gradcheck`: is the backward pass the derivative of the forward pass? */
#ifndef SNUG_GRADCHECK_H
#define SNUG_GRADCHECK_H

#include "config/config.h"
#include "run/model.h"
#include <stdio.h>

enum { GRADCHECK_PARAMETERS = 20000 };

/* Checks a small GPT, changed by whatever keys of the model are given (at most GRADCHECK_PARAMETERS parameters), with
   random weights, dropout and ignored targets, in float64 on the CPU. Prints to `out` for each tensor its name and
   ||backward - numeric|| / ||numeric||, where numeric is the four-point central difference of the loss. Where the
   settings choose an OpenCL device, its float32 gradients are compared with the float64 ones as well. FAILED when a
   tensor is off by more than the tolerance printed above the lines; BAD_INPUT for a model that is too large or
   impossible. */
status gradcheck_run(const config *c, FILE *out, error *e);

/* The weights and the batch that it compares on, for other checks. Weights: the initial ones with noise added to all,
   also to biases and norms, and rounded to float, so that every precision starts from the same. */
status gradcheck_weights(model *m, uint64_t seed, error *e);
/* Random tokens. Sequence i of N ignores about i / N of its targets, so that the counts of targets differ (R5). Free it
   with batch_free. */
batch gradcheck_batch(int64_t sequences, int64_t length, int64_t vocabulary, uint64_t seed);
/* ||a - b|| / ||b||, in which ||b|| counts as 1e-4 if it is less. */
double gradcheck_distance(const double *a, const double *b, int64_t n);

#endif
