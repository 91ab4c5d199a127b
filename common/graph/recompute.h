/* recompute.h: not keeping activations, as one pass over a graph (R2). Backends have no branch for it. */
#ifndef SNUG_RECOMPUTE_H
#define SNUG_RECOMPUTE_H

#include "graph/graph.h"

typedef struct {
    const char *name;
    unsigned dropped;
    const char *help;
} recompute_policy; /* dropped: bits 1 << tensor_kind */
enum { RECOMPUTE_POLICIES = 5 };
/* In order of growing time and shrinking memory: none, gelu, norm, attention, block. */
extern const recompute_policy recompute_policies[RECOMPUTE_POLICIES];
/* NULL if there is none of that name. */
const recompute_policy *recompute_find(const char *name);

/* Before its first reader in the backward pass, clones the producer of every activation whose kind is in `dropped`
   (and what that producer reads, as far as needed), and lets backward readers use the clone. Layer norms and GELUs are
   cloned once per reader: they cost little and would live long. To be called while micro is the last span of g. */
void recompute_apply(graph *g, unsigned dropped);

#endif
