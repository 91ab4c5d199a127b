/* report_internal.h: the parts of the page, for report.c. Not for other modules. */
#ifndef SNUG_REPORT_INTERNAL_H
#define SNUG_REPORT_INTERNAL_H

#include "report/report_data.h"
#include <stdio.h>

/* report_run.c: the curves, the memory map, what was chosen, the settings, the samples. */
void report_put_run(FILE *f, const report_data *d);
/* report_equivalence.c: the table, the curves of all splits, peak bytes against micro-batch. */
void report_put_equivalence(FILE *f, const cJSON *equivalence);

/* A tile of the row at the top: a number, and what it is. */
void report_put_tile(FILE *f, const char *value, const char *what);
/* A string of an object; "" where there is none. */
const char *report_text(const cJSON *object, const char *key);
/* A number of an object; NAN where there is none. */
double report_number(const cJSON *object, const char *key);

#endif
