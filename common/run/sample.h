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
/* Draws a text from the model as it is after `iter` steps, and logs {"iter","sample"}. It has 0 to 200 tokens, as many
   as cost at most a quarter of an evaluation, which is the same in each run with these settings. Nothing is logged if
   t, which may be NULL, cannot encode the start. */
status sample_log(run_log *log, const config *c, model *m, const tokenizer *t, int64_t iter, error *e);

#endif
