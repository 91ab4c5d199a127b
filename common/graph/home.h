/* home.h: the graph pass that says where tensors lie (R11): on the device, or in the host's memory. Some are touched
   once a step alone, and a device whose memory they fill can do without them. */
#ifndef SNUG_HOME_H
#define SNUG_HOME_H

#include "graph/graph.h"

typedef enum { OFFLOAD_NONE, OFFLOAD_MOMENTS, OFFLOAD_COUNT } offload_policy;
typedef struct {
    const char *name; /* as --offload takes it */
    const char *text; /* what lies with the host, for people: "AdamW's moments" */
} offload_info;
extern const offload_info offload_table[OFFLOAD_COUNT];
/* OFFLOAD_COUNT: there is none of that name. */
offload_policy offload_find(const char *name);

/* Gives the tensors that the policy names the host as their home. Ops stay what they are: a backend moves what ADAMW
   needs there and back, part by part, through the op's working space. */
void home_apply(graph *g, offload_policy policy);
/* Bytes of o's arguments that have to be moved to the device and back when it runs once. */
double home_traffic(const graph *g, const op *o, size_t real_bytes);

#endif
