/* calibrate.h: the cost model's constants, measured once per device and build and kept under XDG_CACHE_HOME/snug. */
#ifndef SNUG_CALIBRATE_H
#define SNUG_CALIBRATE_H

#include "graph/backend.h"
#include "config/config.h"
#include "graph/fit.h"

/* The constants kept for these settings' device: measured by this build on a backend of that type,
   and on a device and by matrix products like those of `open` (NULL: whichever the settings meant last). False, and
   *out as it was, when there are none. Opens no device. */
bool calibrate_recall(const config *c, const backend_type *type, const backend *open, cost_model *out);

/* Recalls them for b, which is open and not yet bound; or else opens the same device again, measures within the cap in
   about a second, closes it, and keeps the result (a cache that can't be written is no failure). Says on `report` (may
   be NULL) that it measures. Where the cap is too small for measuring, *out is the backend's stated constants. */
status calibrate_ensure(const config *c, const backend *b, FILE *report, cost_model *out, error *e);

/* True when steps took less than half of the seconds predicted by constants that were measured: something else kept the
   device busy then. They are forgotten, so that whoever asks next measures anew. (Slower steps prove nothing: the
   device may be busy now. Steps of less than 20 ms prove little.) */
bool calibrate_doubt(const config *c, const backend *b, double predicted, double took);

/* The measurement alone, on b's next bind, within b's cap. Closes b. NO_MEMORY: the cap is too small for it. */
status calibrate_measure(backend *b, cost_model *out, error *e);

#endif
