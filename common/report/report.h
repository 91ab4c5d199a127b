/* report.h: report.html: a run, and what `equivalence` found, as one page that needs no network, no server, no script.
   Drawn from what lies in the out_dir (report_data.h) and nothing else. */
#ifndef SNUG_REPORT_H
#define SNUG_REPORT_H

#include "config/config.h"

/* Writes OUT/report.html, replacing it at once. BAD_INPUT: there is nothing to report, or run.json is damaged. */
status report_write(const char *out, error *e);
/* The command: of positional[0], else of out_dir. */
status report_run(const config *c, error *e);

#endif
