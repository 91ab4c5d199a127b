/* calibrate.h: the cost model's constants, measured once per device and build and kept under XDG_CACHE_HOME/snug. */
#ifndef SNUG_CALIBRATE_H
#define SNUG_CALIBRATE_H

#include "graph/backend.h"
#include "config/config.h"
#include "graph/fit.h"

/* Reads the constants that are kept for these settings: measured by this build on a backend of that type, and, if
   `open` is not NULL, on its device with its matrix products; else on whichever device the settings meant last. False,
   and *out as it was, when there are none. Opens no device. */
bool calibrate_recall(const config *c, const backend_type *type, const backend *open, cost_model *out);

/* Recalls the constants for b, which is open and not yet bound. If there are none, it
   measures with b within the cap for a second or two, twice at least, leaves b open and unbound, and keeps the result,
   as busy if no two measurements agree, so that the next run measures again; that the cache can't be written is no
   failure. Says on `report` (may be NULL) that it measures. Where the cap is too small for measuring, *out becomes the
   backend's stated constants. */
status calibrate_ensure(const config *c, backend *b, FILE *report, cost_model *out, error *e);

/* True when steps took less than half of the seconds that measured constants predict: then something else kept the
   device busy when it was measured. The constants are forgotten, so that the next run measures again. Steps that take
   longer than predicted prove nothing, since the device may be busy now; and steps of less than 20 ms prove little. */
bool calibrate_doubt(const config *c, const backend *b, double predicted, double took);

/* Makes *least the less of two measurements, constant by constant, since what disturbs only adds time. Returns those
   that are further apart than a quarter, so that something did: 1 << the work_kind, and 1 << WORK_KINDS for the byte.
 */
unsigned calibrate_merge(cost_model *least, const cost_model *other);

/* Measures with b, which is not bound yet, within its cap, and closes it. NO_MEMORY: the cap is too small. */
status calibrate_measure(backend *b, cost_model *out, error *e);

#endif
