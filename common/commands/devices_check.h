/* devices_check.h: `snug devices --check`: a short proof that a device computes what it should, for a report. */
#ifndef SNUG_DEVICES_CHECK_H
#define SNUG_DEVICES_CHECK_H

#include "config/config.h"
#include <stdio.h>

/* On the device that the settings name (where they name none, a GPU, else the first OpenCL device): gradients of two
   small models against the CPU's in float64, a cap of exactly the plan and of one byte less, and weights after five
   steps for several micro-batches. Prints a block to paste on f as it goes. FAILED when something did not hold; the
   block says so too. */
status devices_check_run(const config *c, FILE *f, error *e);

#endif
