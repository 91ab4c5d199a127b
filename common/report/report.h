/* report.h: report.html: a run, and what `equivalence` found, on one page that needs no network, no server and no
   script. It is made of what lies in the out_dir (see report_data.h) and of nothing else. */
#ifndef SNUG_REPORT_H
#define SNUG_REPORT_H

#include "config/config.h"
#include "report/report_data.h"

/* Writes OUT/report.html, replacing it at once. BAD_INPUT: there is nothing to report, or run.json is damaged. */
status report_write(const char *out, error *e);
/* The same for one who writes it again and again: d (all zero at first; report_free when done) keeps what was read, so
   that the cost follows from what is new, not from the length of the log. */
status report_update(const char *out, report_data *d, error *e);
/* The command, for the folder positional[0], or else out_dir. */
status report_run(const config *c, error *e);

#endif
