/* grads.h: the commands `grads` and `logits`: what a checkpoint computes on a given batch, to a file, for comparing
   with other programs. */
#ifndef SNUG_GRADS_H
#define SNUG_GRADS_H

#include "config/config.h"

/* Needs c->positional[0] (the checkpoint's folder) and c->batch; c->out may be empty. Prints the loss. */
status grads_run(const config *c, error *e);
/* Likewise, and c->out is needed: the tensor "logits" [N,T,V]. The batch file needs no y. */
status logits_run(const config *c, error *e);

#endif
