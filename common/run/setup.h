/* setup.h: from settings to a bound model: which device, which shape, which micro-batch. */
#ifndef SNUG_SETUP_H
#define SNUG_SETUP_H

#include "config/config.h"
#include "graph/fit.h"
#include "run/model.h"

/* Opens the device that the settings ask for, with their cap (0 = what the device has, less a reserve). Says on
   `report` (may be NULL) what was chosen and why. Fails where a GPU was asked for and there is none. */
status setup_device(const config *c, backend **b, FILE *report, error *e);
/* The same, with matrix products that go by `gemm` as a run recorded it (backend.gemm), where the device can do that;
   NULL: as setup_device. */
status setup_device_as(const config *c, const char *gemm, backend **b, FILE *report, error *e);
/* "CPU, OpenBLAS Haswell, 2 threads": what speed depends on; returns text. */
enum { DEVICE_TEXT = 300 };
char *setup_device_print(const backend *b, char text[DEVICE_TEXT]);
/* Does matmul_precision ask for products in tf32? */
bool setup_wants_tf32(const config *c);
/* "float32, matrix products in tf32": what a plan or a backend with this rule computes in. */
const char *setup_precision(size_t real_bytes, scratch_rule *rule);
/* Finds faster matrix products for the device that the settings ask for, at the shapes of g's micro-batch (tune.h). */
status setup_tune(const config *c, const graph *g, FILE *report, error *e);
/* The OpenCL devices, and which one "auto" takes. */
status setup_devices(FILE *f, error *e);
/* Without opening anything: the limits and the scratch rule that a plan for this device goes by. */
status setup_limits(const config *c, memory_limits *limits, scratch_rule **scratch, cost_model *cost, error *e);

/* The shape of a new model (vocabulary: of the data, 0: unknown; the key vocab_size beats it), or of a checkpoint
   folder, with *length, the positions of a sequence. An option that was given and disagrees with the checkpoint is an
   error that names both. */
status setup_shape_new(const config *c, int64_t vocabulary, gpt_shape *shape, int *length, error *e);
status setup_shape_of(const config *c, const char *folder, gpt_shape *shape, int *length, error *e);
/* The shape that the settings mean, for commands that need neither data nor weights: the checkpoint's, or a new
   model's, with the dataset's vocabulary where it is there. *vocabulary_from says where that came from, for people. */
status setup_shape(const config *c, gpt_shape *shape, int *length, const char **vocabulary_from, error *e);

/* What fit is asked, for an effective batch of `sequences`. */
void setup_request(const config *c, const gpt_shape *shape, graph_purpose purpose, int length, int64_t sequences,
                   fit_request *r);
/* Chooses by fit and binds b. When the device refuses although the cap would allow it, asks for geometrically smaller
   plans and says so on `report`. *chosen (may be NULL) is what was bound. On failure b is closed. */
status setup_model(fit_request *r, backend *b, model *m, fit_option *chosen, FILE *report, error *e);

#endif
