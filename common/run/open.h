/* open.h: from settings to a bound model: asks fit for a micro-batch and policy within the device's limits, and binds
   what it chooses. */
#ifndef SNUG_RUN_OPEN_H
#define SNUG_RUN_OPEN_H

#include "config/config.h"
#include "graph/fit.h"
#include "run/model.h"

/* The request to fit, for an effective batch of `sequences`. Its limits are set later, by open_limits or open_model.
   Its type is NULL if the settings ask for something that does not exist, which open_limits and backend_open report. */
void open_request(const config *c, const gpt_shape *shape, graph_purpose purpose, int length, int64_t sequences,
                  fit_request *r);
/* Has the request's steps summed in so many shards, of which no micro-batch is larger. */
void open_shards(fit_request *r, int shards);
/* Sets the limits that a plan for the settings' device keeps to, without opening it. */
status open_limits(const config *c, fit_request *r, error *e);
/* Has fit choose within b's limits, and binds b. When the device refuses a plan that the cap allows, tries smaller and
   smaller ones, and says so on `report`. *chosen (may be NULL) is what was bound. On failure b is closed. */
status open_model(fit_request *r, backend *b, model *m, fit_option *chosen, FILE *report, error *e);
/* The same for sampling: r's purpose is GRAPH_SAMPLE, and run.kept becomes how many of `texts` texts are written side
   by side: as many as fit, at most SIDE_BY_SIDE. Of memory that other programs share they leave fit's reserve. */
enum { SIDE_BY_SIDE = 32 };
status open_for_texts(fit_request *r, backend *b, int64_t texts, model *m, error *e);

#endif
