/* device.h: from settings to an opened backend: which device, under which cap, in which precision. */
#ifndef SNUG_RUN_DEVICE_H
#define SNUG_RUN_DEVICE_H

#include "config/config.h"
#include "graph/backend.h"

/* Opens the device that the settings ask for, with their cap (0 = what the device has, less a reserve). Says on
   `report` (may be NULL) what was chosen and why. Fails where a GPU was asked for and there is none. */
status backend_open(const config *c, backend **b, FILE *report, error *e);
/* The same, with matrix products that go by `gemm` as a run recorded it (backend.gemm), where the device can do that;
   NULL: as backend_open. */
status backend_open_as(const config *c, const char *gemm, backend **b, FILE *report, error *e);
/* "CPU, OpenBLAS Haswell, 2 threads": what speed depends on; returns text. */
enum { DEVICE_TEXT = 300 };
char *backend_print(const backend *b, char text[DEVICE_TEXT]);
/* What the settings mean, as far as can be said without looking for a GPU: "auto" is taken for one, unless dtype is for
   the CPU alone. NULL: a precision that the CPU backend does not have. */
const backend_type *backend_type_of(const config *c);
/* BAD_INPUT where type is NULL, saying why. */
status backend_check_type(const config *c, const backend_type *type, error *e);
/* Finds faster matrix products for the device that the settings ask for, at the shapes of g's micro-batch (tune.h). */
status backend_tune(const config *c, const graph *g, FILE *report, error *e);
/* The OpenCL devices, and which one "auto" takes. */
status backend_list(FILE *f, error *e);

#endif
