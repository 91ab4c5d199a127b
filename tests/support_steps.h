/* support_steps.h: a few optimizer steps on random tokens, with dropout and ignored targets: what tests of bits repeat
   on every backend. */
#ifndef SNUG_TEST_SUPPORT_STEPS_H
#define SNUG_TEST_SUPPORT_STEPS_H

#include "base/hash.h"
#include "run/model.h"

/* A batch-invariant training run with dropout, weight decay and clipping. */
gpt_run steps_run(int64_t sequences, int length, int micro_batch, unsigned recompute);
/* Random tokens of a step; about one target in seven is ignored, unequally over the sequences. */
void steps_batch(batch *b, int64_t vocabulary, int step);
/* Three steps on b, which is closed; the hash of the weights and (may be NULL) the last loss. */
void steps_train(backend *b, const gpt_shape *shape, const gpt_run *run, char hash[HASH_HEX], double *loss);

#endif
