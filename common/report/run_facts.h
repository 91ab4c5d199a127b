/* run_facts.h: OUT/run.json, which training writes for the report alone: the settings, device and build of the run's
   newest start, and the plan that was bound, with all that is needed to make the same plan again. No training reads
   it. */
#ifndef SNUG_RUN_FACTS_H
#define SNUG_RUN_FACTS_H

#include "config/config.h"
#include "graph/fit.h"
#include "base/json_value.h"

/* Writes the file. device: the backend's text; chosen: what was bound for the request. */
status run_facts_write(const char *out, const config *c, const char *device, const fit_request *r,
                       const fit_option *chosen, error *e);
/* From the file's object, the request and the option that give the plan that was bound. BAD_INPUT: something is missing
   or impossible; e names it. */
status run_facts_plan(const cJSON *facts, fit_request *r, fit_option *chosen, error *e);

#endif
