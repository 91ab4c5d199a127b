/* sample.h: the command `sample`, which writes text with a checkpoint; and samples of a model that is being trained. */
#ifndef SNUG_SAMPLE_H
#define SNUG_SAMPLE_H

#include "run/model.h"
#include "config/config.h"
#include "text/tokenizer.h"
#include "save/run_log.h"

/* The command. The checkpoint is positional[0], or else out_dir's latest. Prints num_samples texts that continue
   `start`. */
status sample_run(const config *c, error *e);
/* Writes one text that continues c->start to f: `tokens` more tokens, drawn as sample_run draws its text `number`. Of a
   start that is longer than the model's positions it takes the last whole characters that fit, and says so on `notes`
   (NULL: it does not). BAD_INPUT: the tokenizer cannot encode the start. */
status sample_text(FILE *f, FILE *notes, model *m, const tokenizer *t, const config *c, int number, int64_t tokens,
                   error *e);
/* Draws an id by softmax(logits / temperature), where temperature 0 means the likeliest, among the top_k likeliest ids
   (0: all). u decides, uniform in [0, 1). logits[n] are changed; sorted is room for n doubles. */
int64_t sample_pick(double *logits, int64_t n, double temperature, int64_t top_k, double u, double *sorted);
/* Draws a text from the model as it is after `iter` steps, and logs {"iter","sample"}. It has 0 to 200 tokens, as many
   as cost at most a quarter of an evaluation, which is the same in each run with these settings. Nothing is logged if
   t, which may be NULL, cannot encode the start. */
status sample_log(run_log *log, const config *c, model *m, const tokenizer *t, int64_t iter, error *e);

#endif
