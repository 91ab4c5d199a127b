/* open.h: from settings to a bound model: which micro-batch and policy, in which limits. */
#ifndef SNUG_RUN_OPEN_H
#define SNUG_RUN_OPEN_H

#include "config/config.h"
#include "graph/fit.h"
#include "run/model.h"

/* What fit is asked, for an effective batch of `sequences`; limits are left to open_limits or open_model. type NULL:
   the settings ask for what there is not, which these two, and opening the device, say. */
void open_request(const config *c, const gpt_shape *shape, graph_purpose purpose, int length, int64_t sequences,
                  fit_request *r);
/* Without opening anything: gives r the limits that a plan for this device keeps to. */
status open_limits(const config *c, fit_request *r, error *e);
/* Chooses by fit and binds b. When the device refuses although the cap would allow it, asks for geometrically smaller
   plans and says so on `report`. *chosen (may be NULL) is what was bound. On failure b is closed. */
status open_model(fit_request *r, backend *b, model *m, fit_option *chosen, FILE *report, error *e);

#endif
