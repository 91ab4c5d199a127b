/* resume.h: what of a run's settings a resumed run takes over, and what it says where they differ. */
#ifndef SNUG_RESUME_H
#define SNUG_RESUME_H

#include "graph/backend.h"
#include "config/config.h"
#include "save/run_state.h"

/* The positions of a sequence: the run's own unless block_size is given; `length` where s holds none (a new run). */
int resume_length(const config *c, const run_state *s, int length);
/* A line on f for each thing that keeps the resumed run from giving the unbroken one's bits (P4): parts of it made on
   another device, by another build or other matrix products than now; settings that have changed since. */
void resume_notes(const config *c, const run_state *s, const backend *b, FILE *f);

#endif
