/* devices_check.h: `snug devices --check`: a short proof that a device computes what it should, for a report. */
#ifndef SNUG_DEVICES_CHECK_H
#define SNUG_DEVICES_CHECK_H

#include "config/config.h"
#include <stdio.h>

/* Checks the device that the settings name (where they name none, a GPU, else the first OpenCL device): gradients of
   two small models against the CPU's in float64; a cap of exactly the plan's bytes, and of one byte less; weights after
   five steps with several micro-batches. Prints to f, as it goes, a block of text for a report. FAILED when something
   did not hold, which the block says as well. */
status devices_check_run(const config *c, FILE *f, error *e);

#endif
