/* gathered.h: the model of several processes as one, for checkpoints: the first process reads all moments, though each
   owner keeps only its own, and so saves what one process would; and each process loads what it keeps of a checkpoint.
 */
#ifndef SNUG_GATHERED_H
#define SNUG_GATHERED_H

#include "graph/backend.h"
#include "graph/gpt.h"

typedef struct {
    backend b;      /* reads and writes the tensors of `all` */
    gpt all;        /* the graph's own, with ids for every moment */
    backend *under; /* this process' */
    const gpt *own;
} gathered;

/* Neither takes over what it is given. Where there is one process they are the same model. */
gathered gathered_new(const gpt *own, backend *under);
void gathered_free(gathered *g);
/* While the first process reads, all others call gathered_serve, which returns after the first's gathered_end. */
status gathered_serve(gathered *g, error *e);
void gathered_end(void);

#endif
