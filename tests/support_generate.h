/* support_generate.h: what tests of sampling ask of every backend: a position computed by what was kept of those before
   it gives what the whole text gives; and no text depends on those beside it. */
#ifndef SNUG_TEST_SUPPORT_GENERATE_H
#define SNUG_TEST_SUPPORT_GENERATE_H

#include "graph/backend.h"

enum { GENERATE_SHAPES = 3 };
/* Opens a backend, the same whenever it is asked. */
typedef backend *generate_open(void);

/* Logits by kept keys and values against those of the whole text by `full`, norm-wise, for texts that differ, one of
   which begins anew on the way. */
void generate_expect_logits(generate_open *kept, generate_open *full, int shape, double tolerance);
/* Tokens of longer texts than the model sees: nanoGPT's loop, of windows from `full`, gives the same. */
void generate_expect_tokens(generate_open *kept, generate_open *full, int shape);
/* The bits of each text's logits are the same for every number of texts. */
void generate_expect_same_bits(generate_open *kept, int shape);

#endif
