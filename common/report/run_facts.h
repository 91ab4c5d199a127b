/* run_facts.h: what training leaves in its out_dir for the report alone. OUT/run.json: how the newest start of the run
   was set up: settings, device, build, and the plan that was bound, with all that it takes to make the same plan again.
   Nothing trains by them. */
#ifndef SNUG_RUN_FACTS_H
#define SNUG_RUN_FACTS_H

#include "config/config.h"
#include "graph/fit.h"
#include "base/json_value.h"

/* Writes it. device: the backend's text; chosen: what was bound of the request. */
status run_facts_write(const char *out, const config *c, const char *device, const fit_request *r,
                       const fit_option *chosen, error *e);
/* The request and the option that give the bound plan, from the file's object. BAD_INPUT: it lacks something, which e
   names. */
status run_facts_plan(const cJSON *facts, fit_request *r, fit_option *chosen, error *e);

#endif
