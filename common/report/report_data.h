/* report_data.h: reads what an out_dir has for its report: log.jsonl, run.json, equivalence.json. Not for other
   modules. */
#ifndef SNUG_REPORT_DATA_H
#define SNUG_REPORT_DATA_H

#include "base/json_value.h"

typedef struct {
    double *x, *y; /* [n] */
    int64_t n, room;
} curve;

typedef struct {
    int64_t iter;
    char *text;
} text_sample;

enum { SAMPLES_SHOWN = 4 };

typedef struct {
    curve loss, rate, norm, speed;      /* by step */
    curve train_loss, val_loss;         /* by evaluation */
    uint64_t allocated;                 /* bytes, as the log has them; 0: not known */
    text_sample samples[SAMPLES_SHOWN]; /* the newest first */
    int n_samples;
    bool logged;                /* log.jsonl is there */
    cJSON *facts, *equivalence; /* NULL: there is no such file */
} report_data;

/* BAD_INPUT: none of these files is there, or run.json or equivalence.json is damaged. Lines of the log that are not
   JSON are skipped, since the last may be torn. report_free releases what d owns. */
status report_read(const char *out, report_data *d, error *e);
void report_free(report_data *d);

void curve_add(curve *c, double x, double y);

#endif
