/* sample.h: the command `sample`: text from a checkpoint; and text from a model in the middle of its training. */
#ifndef SNUG_SAMPLE_H
#define SNUG_SAMPLE_H

#include "run/model.h"
#include "config/config.h"
#include "text/tokenizer.h"

/* Checkpoint: positional[0], else out_dir's latest. Prints num_samples texts that continue `start`. */
status sample_run(const config *c, error *e);
/* Writes one text that continues c->start to f: `tokens` more tokens, drawn as sample_run draws its text `number`.
   BAD_INPUT: the tokenizer cannot encode the start. */
status sample_text(FILE *f, model *m, const tokenizer *t, const config *c, int number, int64_t tokens, error *e);
/* Draws an id from logits[n] (changed): divided by temperature (0: the likeliest), the likeliest top_k only (0: all),
   with u uniform in [0, 1). sorted: room for n doubles. */
int64_t sample_pick(double *logits, int64_t n, double temperature, int64_t top_k, double u, double *sorted);

#endif
