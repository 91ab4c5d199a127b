/* home.h: the graph pass that says where tensors lie (R11): on the device, or in the host's memory. Some are touched
   once a step alone, and a device whose memory they fill can do without them. */
#ifndef SNUG_HOME_H
#define SNUG_HOME_H

#include "graph/graph.h"

/* OPTIMIZER is for graphs of bfloat16 alone (precision.h): what ops read of parameters of two dimensions is rounded
   there, so that a rounded copy of them is enough for the device. */
typedef enum { OFFLOAD_NONE, OFFLOAD_MOMENTS, OFFLOAD_OPTIMIZER, OFFLOAD_COUNT } offload_policy;
typedef struct {
    const char *name; /* as --offload takes it */
    const char *text; /* what lies with the host, for people: "AdamW's moments" */
} offload_info;
extern const offload_info offload_table[OFFLOAD_COUNT];
/* OFFLOAD_COUNT: there is none of that name. */
offload_policy offload_find(const char *name);

/* The last policy that a graph may have whose activations are stored so (precision.h). */
offload_policy offload_most(tensor_type stored);
/* Gives the tensors that the policy names the host as their home; a backend moves what ADAMW needs there and back, part
   by part, through the op's working space. Parameters leave a COPY behind, which all other ops read instead. */
void home_apply(graph *g, offload_policy policy);
/* What lies with the host, in words: what the policy leaves there, and with several processes what they send. "" if it
   is nothing. */
char *home_print(offload_policy policy, bool several, char *text, size_t size);
/* Bytes of o's arguments that have to be moved to the device and back when it runs once. */
double home_traffic(const graph *g, const op *o, size_t real_bytes);

#endif
