/* exchange.h: what the processes of a run send each other in a step (R12 of the design). Each parameter has an owner,
   which adds up its gradient, keeps its moments and updates it (gpt.h). Everything is staged through the host's memory,
   and nothing is added up on the way: owners add by their device's own ADD, in the order of the shards. */
#ifndef SNUG_EXCHANGE_H
#define SNUG_EXCHANGE_H

#include "graph/backend.h"
#include "graph/gpt.h"

/* Memory of the host for that, twice the weights. */
typedef struct {
    size_t *send_bytes, *receive_bytes; /* [processes] */
    void **send, **receive;
} exchange;

/* Takes the memory for a TRAIN graph of several processes; exchange_free gives it back. */
exchange exchange_new(const gpt *m, size_t real_bytes);
void exchange_free(exchange *x);

/* Ends a round, in which each process has computed a shard: every owner gets all shards' sums of its parameters, and
   adds them to the step's gradients in the order of the processes, which is that of the shards. */
status exchange_gradients(const exchange *x, const gpt *m, backend *b, error *e);
/* All get the sums of squares that owners have made of their gradients. */
status exchange_sums(const gpt *m, backend *b, error *e);
/* All get the weights that owners have updated. */
status exchange_weights(const exchange *x, const gpt *m, backend *b, error *e);
/* losses [sequences], of which each process has those of its shards: all get all. Shard s is process s % ranks'. */
void exchange_losses(double *losses, int64_t sequences, int shards);

#endif
