/* product_tiles.c: see product_tiles.h. */
#include "opencl/product_tiles.h"
#include <math.h>
#include <stdlib.h>

enum { SHAPES = 64 };

static bool is_same(const tile_trial *a, const tile_trial *b) {
    return a->variant == b->variant && a->ta == b->ta && a->tb == b->tb && a->m == b->m && a->n == b->n &&
           a->k == b->k && a->piece == b->piece && a->end == b->end;
}

tile_trial *tile_trial_of(opencl *b, const tile_trial *shape) {
    product_family *f = &b->products;
    for (int i = 0; i < f->n_trials; i++)
        if (is_same(&f->trials[i], shape)) return &f->trials[i];
    if (b->dry || f->n_trials == SHAPES || b->args.length != b->graph->length) return NULL;
    if (!f->trials) f->trials = xcalloc(SHAPES, sizeof *f->trials);
    tile_trial *t = &f->trials[f->n_trials++];
    *t = *shape;
    t->launches = 0;
    for (int i = 0; i < PRODUCT_TILES; i++) t->least[i] = INFINITY;
    return t;
}

bool tile_trial_is_open(const tile_trial *t) { return t->launches < TILE_LAUNCHES; }

int tile_trial_next(const tile_trial *t, int rule) {
    const double faster = 1.02; /* less is noise */
    int best = rule;
    if (tile_trial_is_open(t)) return t->launches % PRODUCT_TILES;
    for (int i = 0; i < PRODUCT_TILES; i++)
        if (t->least[i] * faster < t->least[rule] && t->least[i] < t->least[best]) best = i;
    return best;
}

void tile_trial_note(tile_trial *t, int tile, double seconds) {
    if (t->launches++ >= PRODUCT_TILES && seconds < t->least[tile]) t->least[tile] = seconds;
}

void tile_trials_free(opencl *b) { free(b->products.trials); }
