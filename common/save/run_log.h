/* run_log.h: OUT/log.jsonl: one JSON object on each line, none of them torn; it is cut back when a run resumes. */
#ifndef SNUG_RUN_LOG_H
#define SNUG_RUN_LOG_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int fd;
    char *path;
} run_log;

/* Opens the log for appending; makes it if there is none. */
status run_log_open(const char *out, run_log *l, error *e);
/* Appends `object` ("{...}", without a newline) in one write; if the disk is full nothing of it stays. A log that was
   deleted or replaced meanwhile is opened again. */
status run_log_line(run_log *l, const char *object, error *e);
void run_log_close(run_log *l);

/* Makes the log what it was when the checkpoint after `iter` steps was taken: cuts off, from its end, step lines
   ("loss") of iter and later, other lines (evaluations) later than iter, or of iter where it was not `evaluated`, and
   lines that are not JSON, such as a torn last one. Reads only what it cuts off, and one line more. iter -1 empties it.
   Without a log there is nothing to do. BAD_INPUT: it is not a file. */
status run_log_cut(const char *out, int64_t iter, bool evaluated, error *e);

#endif
