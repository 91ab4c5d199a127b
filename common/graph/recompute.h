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
/* The policy of a setting like "block" or "block:7", NULL if there is none. *layers: 7, or 0 where the setting names
   none. */
const recompute_policy *recompute_read(const char *setting, int *layers);
/* The setting that means a policy for the first `layers` of `of` layers (0: for all): "block:7", or "block". */
char *recompute_print(const recompute_policy *policy, int layers, int of, char *text, size_t size);
/* The same in words: "block for 7 of 12 layers". */
char *recompute_say(const recompute_policy *policy, int layers, int of, char *text, size_t size);
/* BAD_INPUT: a policy for more layers than there are. */
status recompute_check(const recompute_policy *policy, int layers, int of, error *e);

/* For each activation of the first `layers` layers (0: of all) whose kind is in `dropped`: puts a clone of the op that
   produces it (and of those that produce what that op reads, as far as needed) before its first reader in the backward
   pass, and lets the readers use the clone's output. Layer norms and GELUs are cloned for each reader, since they cost
   little and would live long. The last layers are the ones that may keep everything, since the backward pass comes to
   them first: what they keep is free again by the time that the others are computed a second time. To be called while
   micro is the last span of g. */
void recompute_apply(graph *g, unsigned dropped, int layers);

#endif
