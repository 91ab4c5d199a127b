/* run_facts.h: what training leaves in its out_dir for the report alone. OUT/run.json: how the newest start of the run
   was set up: settings, device, build, and the plan that was bound, with all that it takes to make the same plan again.
   And samples, in the log. Nothing trains by them. */
#ifndef SNUG_RUN_FACTS_H
#define SNUG_RUN_FACTS_H

#include "config/config.h"
#include "graph/fit.h"
#include "base/json_value.h"
#include "run/model.h"
#include "save/run_log.h"
#include "text/tokenizer.h"

/* Writes it. m is bound; chosen is what fit chose for it. */
status run_facts_write(const char *out, const config *c, const model *m, const fit_option *chosen, error *e);
/* Draws a text from the model as it is after `iter` steps and logs {"iter","sample"}. Its length is such that it costs
   at most a quarter of an evaluation, 0 to 200 tokens: the same in every run of these settings. Nothing is logged where
   t (may be NULL) cannot encode the start. */
status run_facts_sample(run_log *log, const config *c, model *m, const tokenizer *t, int64_t iter, error *e);
/* The request and the option that give the bound plan, from the file's object. BAD_INPUT: it lacks something, which e
   names. */
status run_facts_plan(const cJSON *facts, fit_request *r, fit_option *chosen, error *e);

#endif
