/* tune.h: `snug tune`: faster matrix products for an OpenCL device, found at the shapes that a run's settings ask for,
   and kept for every later run on that device and driver. */
#ifndef SNUG_TUNE_H
#define SNUG_TUNE_H

#include "config/config.h"

/* The settings are those of train: model, batch, cap, device; tune_minutes bounds the search. Writes its report to f.
   BAD_INPUT when the settings choose the CPU backend. */
status tune_run(const config *c, FILE *f, error *e);

#endif
