/* product_tiles.c: see product_tiles.h. */
#include "opencl/product_tiles.h"
#include <math.h>
#include <stdlib.h>

enum { SHAPES = 64 };

static bool is_of(const tile_trial *t, int variant, const product_call *p) {
    return t->variant == variant && t->ta == p->ta && t->tb == p->tb && t->m == p->m && t->n == p->n && t->k == p->k &&
           t->piece == p->piece && t->end == (int)p->end;
}

tile_trial *tile_trial_of(opencl *b, int variant, const product_call *p) {
    product_family *f = &b->products;
    for (int i = 0; i < f->n_trials; i++)
        if (is_of(&f->trials[i], variant, p)) return &f->trials[i];
    if (b->dry || f->n_trials == SHAPES || b->args.length != b->graph->length) return NULL;
    if (!f->trials) f->trials = xcalloc(SHAPES, sizeof *f->trials);
    tile_trial *t = &f->trials[f->n_trials++];
    *t = (tile_trial){.variant = variant,
                      .ta = p->ta,
                      .tb = p->tb,
                      .m = p->m,
                      .n = p->n,
                      .k = p->k,
                      .piece = p->piece,
                      .end = (int)p->end};
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

void tile_trials_print(const opencl *b, FILE *f) {
    for (int i = 0; i < b->products.n_trials; i++) {
        const tile_trial *t = &b->products.trials[i];
        if (tile_trial_is_open(t)) continue;
        fprintf(f, "  %lld x %lld x %lld%s%s:", (long long)t->m, (long long)t->n, (long long)t->k,
                t->ta ? ", A transposed" : "", t->tb ? ", B transposed" : "");
        for (int k = 0; k < PRODUCT_TILES; k++) {
            char name[32];
            product_tile_print(b, k, name);
            double rate = 2e-9 * (double)t->m * (double)t->n * (double)t->k / t->least[k];
            fprintf(f, "%s tiles of %s %.1f GFLOP/s", k ? "," : "", name, rate);
        }
        fprintf(f, "\n");
    }
}

void tile_trials_free(opencl *b) { free(b->products.trials); }
