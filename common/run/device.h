/* device.h: from settings to an opened backend: which device, under which cap, in which precision. */
#ifndef SNUG_RUN_DEVICE_H
#define SNUG_RUN_DEVICE_H

#include "config/config.h"
#include "graph/backend.h"
#include "graph/gpt.h"

/* Opens the device that the settings ask for, with their cap (0 = what the device has, less a reserve). Writes to
   `report` (may be NULL) what was chosen and why. BAD_INPUT where a GPU was asked for and there is none. */
status backend_open(const config *c, backend **b, FILE *report, error *e);
/* The same, but with the matrix products that a run has recorded as `gemm` (see backend.gemm), if the device has them.
   NULL: as backend_open. */
status backend_open_as(const config *c, const char *gemm, backend **b, FILE *report, error *e);
/* The same, for training a model: where gemm is NULL, with the float32 products that are faster at the model's shapes,
   as measured when they were first asked for on this device. length: positions of a sequence. */
status backend_open_for(const config *c, const gpt_shape *shape, int length, const char *gemm, backend **b,
                        FILE *report, error *e);
/* "CPU, OpenBLAS Haswell, 2 threads": what speed depends on; returns text. */
enum { DEVICE_TEXT = 300 };
char *backend_print(const backend *b, char text[DEVICE_TEXT]);
/* The backend that the settings mean, without looking for a GPU: "auto" counts as one, unless dtype is for the CPU
   alone. NULL: the settings ask the CPU backend for a precision that it does not have. */
const backend_type *backend_type_of(const config *c);
/* BAD_INPUT if type is NULL; e says why. */
status backend_check_type(const config *c, const backend_type *type, error *e);
/* Finds faster matrix products for the device that the settings ask for, at the shapes of g's micro-batch (tune.h). */
status backend_tune(const config *c, const graph *g, FILE *report, error *e);
/* Prints the OpenCL devices, which one "auto" takes, and which one c->device means. BAD_INPUT: it means none. */
status backend_list(const config *c, FILE *f, error *e);

#endif
