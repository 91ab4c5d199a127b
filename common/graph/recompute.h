/* recompute.h: changes a graph so that activations are computed again instead of being kept (R2). Backends do not know
   of it. */
#ifndef SNUG_RECOMPUTE_H
#define SNUG_RECOMPUTE_H

#include "graph/graph.h"

typedef struct {
    const char *name;
    unsigned dropped;
    const char *help;
} recompute_policy; /* dropped: bits 1 << tensor_kind */
enum { RECOMPUTE_POLICIES = 5 };
/* In the order of more time and less memory: none, gelu, norm, attention, block. */
extern const recompute_policy recompute_policies[RECOMPUTE_POLICIES];
/* The policy of that name; NULL if there is none. */
const recompute_policy *recompute_find(const char *name);

/* For each activation whose kind is in `dropped`: puts a clone of the op that produces it (and of those that produce
   what that op reads, as far as needed) before its first reader in the backward pass, and lets the readers use the
   clone's output. Layer norms and GELUs are cloned for each reader, since they cost little and would live long. To be
   called while micro is the last span of g. */
void recompute_apply(graph *g, unsigned dropped);

#endif
