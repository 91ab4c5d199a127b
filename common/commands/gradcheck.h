/* gradcheck.h: the command `gradcheck`: is the backward pass the derivative of the forward pass? */
#ifndef SNUG_GRADCHECK_H
#define SNUG_GRADCHECK_H

#include "config/config.h"
#include "run/model.h"
#include <stdio.h>

enum { GRADCHECK_PARAMETERS = 20000 };

/* A small GPT, changed by whatever keys of the model are given (at most GRADCHECK_PARAMETERS parameters), with random
   weights, dropout and ignored targets, in float64 on the CPU: prints a line a tensor on `out`, its name and
   ||backward - numeric|| / ||numeric||, numeric being the four-point central difference of the loss. Where the
   settings choose an OpenCL device, also its float32 gradients against the float64 ones. FAILED when a tensor is off by
   more than the tolerance that is printed above the lines; BAD_INPUT for a model that is too large or can't be. */
status gradcheck_run(const config *c, FILE *out, error *e);

/* What it compares on, for other checks. Initial weights with noise on all, biases and norms too, rounded to float so
   that every precision starts alike; */
status gradcheck_weights(model *m, uint64_t seed, error *e);
/* random tokens, of which sequence i ignores about i / N as targets, so that counts differ (R5): free with batch_free;
 */
batch gradcheck_batch(int64_t sequences, int64_t length, int64_t vocabulary, uint64_t seed);
/* ||a - b|| / ||b||, where a b that is nearly nothing counts as 1e-4. */
double gradcheck_distance(const double *a, const double *b, int64_t n);

#endif
