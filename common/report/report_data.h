/* report_data.h: reads what an out_dir has for its report: log.jsonl, run.json, equivalence.json. Not for other
   modules. */
#ifndef SNUG_REPORT_DATA_H
#define SNUG_REPORT_DATA_H

#include "base/json_value.h"
#include "report/curve.h"
#include <sys/types.h>

typedef struct {
    int64_t iter;
    char *text;
} text_sample;

enum { SAMPLES_SHOWN = 4 };

typedef struct {
    curve loss, rate, norm, speed;      /* by step */
    curve train_loss, val_loss;         /* by evaluation */
    double seconds, seconds_before;     /* that the newest start has run, and all starts before it */
    uint64_t allocated;                 /* bytes, as the log has them; 0: not known */
    text_sample samples[SAMPLES_SHOWN]; /* the newest first */
    int n_samples;
    bool logged;      /* log.jsonl is there */
    off_t log_read;   /* its bytes that have been read, up to a line's end; */
    dev_t log_device; /* and which file that was */
    ino_t log_number;
    cJSON *facts, *equivalence; /* NULL: there is no such file */
} report_data;                  /* all zero: nothing has been read */

/* Brings d up to date: of the log only the lines are read that came since the last call, or all of them where it is
   another file or has become shorter. Lines that are not JSON are skipped; one that has no end yet is left for the next
   call. BAD_INPUT: none of these files is there, or run.json or equivalence.json is damaged. report_free releases what
   d owns, also after a failure. */
status report_read(const char *out, report_data *d, error *e);
void report_free(report_data *d);

#endif
