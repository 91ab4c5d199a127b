/* gradcheck.h: the command `gradcheck`: is the backward pass the derivative of the forward pass? */
#ifndef SNUG_GRADCHECK_H
#define SNUG_GRADCHECK_H

#include "config.h"
#include <stdio.h>

enum { GRADCHECK_PARAMETERS = 20000 };

/* A small GPT, changed by whatever keys of the model are given (at most GRADCHECK_PARAMETERS parameters), with random
   weights, dropout and ignored targets, in float64 on the CPU: prints a line a tensor on `out`, its name and
   ||backward - numeric|| / ||numeric||, numeric being the four-point central difference of the loss. Where the
   settings choose an OpenCL device, also its float32 gradients against the float64 ones. FAILED when a tensor is off by
   more than the tolerance that is printed above the lines; BAD_INPUT for a model that is too large or can't be. */
status gradcheck_run(const config *c, FILE *out, error *e);

#endif
