/* train.h: the commands `train` and `eval`. */
#ifndef SNUG_TRAIN_H
#define SNUG_TRAIN_H

#include "config/config.h"

/* Trains by the settings and writes checkpoints and log.jsonl to out_dir. SIGINT or SIGTERM: the step is finished, the
   run is saved, OK. */
status train_run(const config *c, error *e);
/* Train and val loss of a checkpoint (positional[0], else out_dir's latest). */
status eval_run(const config *c, error *e);
/* The learning rate of step `step`: nanoGPT's schedule. */
double train_rate(const config *c, int64_t step);

#endif
