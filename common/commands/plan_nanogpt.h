/* plan_nanogpt.h: `snug plan --for=nanogpt`: what a config needs in nanoGPT as it stands, and which batch_size fits the
   card with the same effective batch. `plan` without --for says the short of it. */
#ifndef SNUG_PLAN_NANOGPT_H
#define SNUG_PLAN_NANOGPT_H

#include "config/config.h"
#include "graph/nanogpt.h"
#include <cjson/cJSON.h>

enum { NANOGPT_SPLITS_MAX = 12, NANOGPT_UNKNOWN_MAX = 6, NANOGPT_LEFT_OUT_MAX = 16 };

typedef struct {
    int batch_size;
    nanogpt_memory memory;
    nanogpt_verdict verdict;
} nanogpt_split;

typedef struct {
    const config *config;
    const char *vocabulary_from, *dtype;
    nanogpt_run run;   /* the config as it stands */
    int64_t sequences; /* the effective batch */
    uint64_t card;     /* bytes; 0: not given, and every verdict is "fits" */
    nanogpt_split
        splits[NANOGPT_SPLITS_MAX]; /* as it stands; then smaller batch_sizes that divide the effective batch */
    int n_splits, best;             /* best: the largest that fits, or that is at the edge where none fits; -1: none */
    nanogpt_memory written_out;     /* as it stands, in a PyTorch without flash attention */
    const char *unknown[NANOGPT_UNKNOWN_MAX]; /* what the numbers do not know of this config */
    int n_unknown;
    const char *left_out[NANOGPT_LEFT_OUT_MAX]; /* settings that were given, and that nanoGPT does not have */
    int n_left_out;
} nanogpt_report;

/* The command: opens nothing and asks for no plan of snug's. NO_MEMORY: no batch_size fits; all is printed even then.
 */
status plan_nanogpt_run(const config *c, error *e);
/* For a model that is known already. BAD_INPUT: nanoGPT has no such run; that is no error of a plan for snug, whose
   report then has no splits, and says nothing of nanoGPT. */
status plan_nanogpt_gather(const config *c, const gpt_shape *shape, int length, nanogpt_report *r, error *e);

/* The report for people; some lines of it for the end of `plan`. */
void plan_nanogpt_text(const nanogpt_report *r, FILE *f);
void plan_nanogpt_short(const nanogpt_report *r, FILE *f);
/* All of it, into the object that `plan` calls nanogpt. */
void plan_nanogpt_json(const nanogpt_report *r, cJSON *to);

#endif
