/* train.h: the commands `train` and `eval`. */
#ifndef SNUG_TRAIN_H
#define SNUG_TRAIN_H

#include "config/config.h"

/* Trains by the settings, and writes checkpoints, log.jsonl, run.json and report.html to out_dir. After SIGINT, SIGTERM
   or SIGHUP the step is finished and the run saved; the status is OK. */
status train_run(const config *c, error *e);
/* Prints the train and val loss of a checkpoint, which is positional[0], or else out_dir's latest. */
status eval_run(const config *c, error *e);
/* The learning rate of a step, by nanoGPT's schedule. */
double train_rate(const config *c, int64_t step);

#endif
