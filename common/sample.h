/* sample.h: the command `sample`: text from a checkpoint. */
#ifndef SNUG_SAMPLE_H
#define SNUG_SAMPLE_H

#include "config.h"

/* Checkpoint: positional[0], else out_dir's latest. Prints num_samples texts that continue `start`. */
status sample_run(const config *c, error *e);
/* Draws an id from logits[n] (changed): divided by temperature (0: the likeliest), the likeliest top_k only (0: all),
   with u uniform in [0, 1). sorted: room for n doubles. */
int64_t sample_pick(double *logits, int64_t n, double temperature, int64_t top_k, double u, double *sorted);

#endif
