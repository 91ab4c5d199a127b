/* run_log.h: OUT/log.jsonl: one JSON object a line, never a torn one, and cut back when a run resumes. */
#ifndef SNUG_RUN_LOG_H
#define SNUG_RUN_LOG_H

#include "base/status.h"
#include <stdint.h>

typedef struct {
    int fd;
    char *path;
} run_log;

/* Opens for appending. */
status run_log_open(const char *out, run_log *l, error *e);
/* Appends `object` ("{...}", without a newline) in one write; when the disk is full, nothing of it stays. */
status run_log_line(run_log *l, const char *object, error *e);
void run_log_close(run_log *l);

/* Makes the log what it was when the checkpoint after `iter` steps was taken: drops step lines ("loss") of iter and
   later, other lines (evaluations) later than iter, and lines that are no JSON, such as a torn last one. Replaces the
   file at once. iter -1 empties it; no log is fine. */
status run_log_cut(const char *out, int64_t iter, error *e);

#endif
