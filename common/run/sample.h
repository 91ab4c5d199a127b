/* sample.h: the command `sample`: text from a checkpoint; and text from a model in the middle of its training. */
#ifndef SNUG_SAMPLE_H
#define SNUG_SAMPLE_H

#include "run/model.h"
#include "config/config.h"
#include "text/tokenizer.h"
#include "save/run_log.h"

/* Checkpoint: positional[0], else out_dir's latest. Prints num_samples texts that continue `start`. */
status sample_run(const config *c, error *e);
/* Writes one text that continues c->start to f: `tokens` more tokens, drawn as sample_run draws its text `number`.
   BAD_INPUT: the tokenizer cannot encode the start. */
status sample_text(FILE *f, model *m, const tokenizer *t, const config *c, int number, int64_t tokens, error *e);
/* Draws an id from logits[n] (changed): divided by temperature (0: the likeliest), the likeliest top_k only (0: all),
   with u uniform in [0, 1). sorted: room for n doubles. */
int64_t sample_pick(double *logits, int64_t n, double temperature, int64_t top_k, double u, double *sorted);
/* Draws a text from the model as it is after `iter` steps and logs {"iter","sample"}. Its length is such that it costs
   at most a quarter of an evaluation, 0 to 200 tokens: the same in every run of these settings. Nothing is logged where
   t (may be NULL) cannot encode the start. */
status sample_log(run_log *log, const config *c, model *m, const tokenizer *t, int64_t iter, error *e);

#endif
