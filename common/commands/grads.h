/* grads.h: the commands `grads` and `logits`: write to a file what a checkpoint computes on a given batch, for
   comparison with other programs. */
#ifndef SNUG_GRADS_H
#define SNUG_GRADS_H

#include "config/config.h"

/* Needs c->positional[0] (the checkpoint's folder) and c->batch; c->out may be empty. Prints the loss. */
status grads_run(const config *c, error *e);
/* The same for the tensor "logits" [N,T,V]. c->out has to be given; the batch file needs no y. */
status logits_run(const config *c, error *e);

#endif
