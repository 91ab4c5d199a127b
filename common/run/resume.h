/* resume.h: which of a run's settings a resumed run takes over, and what it says of differences. */
#ifndef SNUG_RESUME_H
#define SNUG_RESUME_H

#include "graph/backend.h"
#include "config/config.h"
#include "save/run_state.h"

/* c, but with dtype bfloat16 if the checkpoint `folder` is one of a run in bfloat16 and no dtype was given: what the
   run has learnt is computed as it was learnt. What c points to stays c's. */
config resume_as_trained(const config *c, const char *folder);
/* The positions of a sequence: those of the run unless block_size is given; `length` if s has none, as in a new run. */
int resume_length(const config *c, const run_state *s, int length);
/* The shards of a step's gradients: those of the run unless gradient_shards is given; 1 in a new run. */
int resume_shards(const config *c, const run_state *s);
/* For commands that only speak of a training, and may mean the one that out_dir holds (init_from=resume): what it would
   go on with. *length comes as the checkpoint has it. */
status resume_settle(const config *c, int *length, int *shards, error *e);
/* Writes a line to f for each reason why the resumed run may not give the unbroken one's bits (P4): parts of it were
   made on another device, by another build or with other matrix products than now; settings have changed since. */
void resume_notes(const config *c, const run_state *s, const backend *b, FILE *f);

#endif
