/* exchange.h: what the processes of a run send each other in a step (R12 of the design). Each parameter has an owner,
   which adds up its gradient, keeps its moments and updates it (gpt.h). Everything is staged through the host's memory,
   and nothing is added up on the way: owners add by their device's own ADD, in the order of the shards.

   A gradient is sent as soon as the last micro-batch of a shard has added to it, while the backward pass goes on with
   earlier layers. It goes in pieces, and all processes handle the pieces in one order. A piece waits in its tensor
   until the graph's staging tensor has room, so that what is under way takes no more memory than that; since whoever
   holds the oldest piece that is under way waits for no other, none waits for ever. */
#ifndef SNUG_EXCHANGE_H
#define SNUG_EXCHANGE_H

#include "graph/backend.h"
#include "graph/gpt.h"

typedef struct exchange exchange;

/* Of a TRAIN graph of several processes that is bound to b. exchange_free takes NULL too. */
exchange *exchange_new(const gpt *m, backend *b);
void exchange_free(exchange *x);

/* A round, in which each process computes a shard. Between begin and end the last micro-batch of the shard runs: the
   caller ends a part of it behind each op that exchange_cut names, and calls exchange_reach when all ops before `end`
   run, or are enqueued; that sends what is ready and gives MPI time. exchange_end sends the rest and waits. Then the
   sums of all shards of the round are added to the step's gradients, each by its owner, in the order of the processes,
   which is that of the shards. */
void exchange_begin(exchange *x);
bool exchange_cut(const exchange *x, int op);
status exchange_reach(exchange *x, int end, error *e);
status exchange_end(exchange *x, error *e);

/* All get the sums of squares that owners have made of their gradients. */
status exchange_sums(exchange *x, error *e);
/* All get the weights that owners have updated. */
status exchange_weights(exchange *x, error *e);
/* losses [sequences], of which each process has those of its shards: all get all. Shard s is process s % ranks'.
   room [ranks][sequences]. Needs no exchange. */
void exchange_losses(double *losses, double *room, int64_t sequences, int shards);

/* Bytes that have been sent so far: all, and of them gradients, and of these while the sender's micro-batch still ran.
 */
typedef struct {
    uint64_t all, gradients, early;
} exchange_bytes;
/* By all processes together, all of which ask. */
exchange_bytes exchange_sent(const exchange *x);

#endif
