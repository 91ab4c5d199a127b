/* grads.h: the command `grads`: one gradient of a checkpoint on a given batch, to a file. For comparing with other
 * programs. */
#ifndef SNUG_GRADS_H
#define SNUG_GRADS_H

#include "config.h"

/* Needs c->positional[0] (the checkpoint's folder) and c->batch; c->out may be empty. Prints the loss. */
status grads_run(const config *c, error *e);

#endif
