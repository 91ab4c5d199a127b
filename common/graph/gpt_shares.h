/* gpt_shares.h: how a step's sums are cut into shards, and shared out to processes (R12 of the design). Pure
 * arithmetic. */
#ifndef SNUG_GPT_SHARES_H
#define SNUG_GPT_SHARES_H

#include "graph/graph.h"

/* Shard s of a step of N sequences has those from gpt_shard(N, S, s) up to gpt_shard(N, S, s + 1), where the next
   begins: floor(sN/S). S need not divide N, and a shard may be empty. No micro-batch crosses a shard; each shard's
   gradients are summed from 0 on, and then the shards' sums in order. With one shard micro adds to the step's own
   gradients. With more it adds to a second buffer, which shard_begin zeroes and shard_end adds to the step's: so every
   order of sums is that of one process, whoever computes a shard. */
int64_t gpt_shard(int64_t sequences, int shards, int s);
/* The sequences of the largest shard. */
int64_t gpt_shard_most(int64_t sequences, int shards);

/* Process r of R does the shards r, r + R, ...; with several, each parameter has one owner, which has all of it. They
   take turns: in the order in which the backward pass ends with gradients, each goes to whoever keeps least so far. So
   each layer's gradients go to several owners at once, whose links share the work. Parameters are the ids 1 .. n, of
   which `twice` is the embedding that the head uses too. owner [n + 1]. */
void gpt_choose_owners(const graph *g, int n, tensor_id twice, int ranks, int *owner);

/* What is sent goes in pieces of at most GPT_PIECE elements. Elements of room for those that are under way at once:
   about four layers'; and behind it GPT_MARKS more. */
enum { GPT_PIECE = 1 << 18, GPT_MARKS = 2 };
int64_t gpt_staging(const graph *g, int n, int ranks);

#endif
