/* product_tiles.h: which of the family's tiles a product takes is measured while a run works: the first launches of
   each shape take the tiles by turns, each timed by itself, and the fastest stays. No bit depends on it (R6), which
   opening proves; so nothing of it is kept or recorded, and a start does not wait for it. */
#ifndef SNUG_OPENCL_PRODUCT_TILES_H
#define SNUG_OPENCL_PRODUCT_TILES_H

#include "opencl/ops.h"

/* The trial of `shape` (of which only the shape is read); NULL where nothing is tried: once too many shapes were, and
   for parts of sequences, whose lengths change from run to run (sampling). */
tile_trial *tile_trial_of(opencl *b, const tile_trial *shape);
/* The tile of its next launch; `rule`: the one that stays where no other is 2 % faster. */
int tile_trial_next(const tile_trial *t, int rule);
/* Does the next launch have to be timed? */
bool tile_trial_is_open(const tile_trial *t);
/* Takes the seconds of a launch by that tile. The first of each tile, which a driver may still have to load, does not
   count. */
void tile_trial_note(tile_trial *t, int tile, double seconds);
void tile_trials_free(opencl *b);

#endif
