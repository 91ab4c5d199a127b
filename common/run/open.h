/* open.h: from settings to a bound model: which micro-batch and policy, in which limits. */
#ifndef SNUG_RUN_OPEN_H
#define SNUG_RUN_OPEN_H

#include "config/config.h"
#include "graph/fit.h"
#include "run/model.h"

/* Without opening anything: the limits and the scratch rule that a plan for this device goes by. */
status open_limits(const config *c, memory_limits *limits, scratch_rule **scratch, cost_model *cost, error *e);

/* What fit is asked, for an effective batch of `sequences`. */
void open_request(const config *c, const gpt_shape *shape, graph_purpose purpose, int length, int64_t sequences,
                  fit_request *r);
/* Chooses by fit and binds b. When the device refuses although the cap would allow it, asks for geometrically smaller
   plans and says so on `report`. *chosen (may be NULL) is what was bound. On failure b is closed. */
status open_model(fit_request *r, backend *b, model *m, fit_option *chosen, FILE *report, error *e);

#endif
