/* gradcheck.h: the command `gradcheck`: is the backward pass the derivative of the forward pass? */
#ifndef SNUG_GRADCHECK_H
#define SNUG_GRADCHECK_H

#include "config.h"
#include "model.h"

/* A small GPT (or the one in the settings, if it has at most GRADCHECK_PARAMETERS) with random weights, dropout and
   ignored targets, in float64 on the CPU: prints for every tensor ||backward - numeric|| / ||numeric||. With an OpenCL
   device also its float32 gradients against the float64 ones. FAILED when a tensor is off by more than the stated
   tolerance. */
enum { GRADCHECK_PARAMETERS = 20000 };
status gradcheck_run(const config *c, error *e);

/* The four-point central difference of the loss (error of order h^4) for `count` elements of a parameter from `first`
 * on. */
status gradcheck_numeric(model *m, const batch *b, const step_settings *s, tensor_id param, int64_t first,
                         int64_t count, double *out, error *e);

#endif
