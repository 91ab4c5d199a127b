/* generate.h: writes texts as token ids with a model, several side by side. Knows neither tokenizers nor files. */
#ifndef SNUG_GENERATE_H
#define SNUG_GENERATE_H

#include "run/model.h"

typedef struct {
    const int32_t *start; /* [n], with which every text begins; n from 1 to the positions of the model's graph */
    int64_t n;
    int64_t tokens; /* how many more each text gets */
    int first;      /* number of the first text, from which on its random numbers go by */
    int texts;      /* how many: at most run.kept, and 1 where nothing is kept */
    uint64_t seed;
    double temperature;
    int64_t top_k;
    void (*put)(void *context, int text, int32_t id); /* called as each token comes; text counts from 0 */
    void *context;
} generate_request;

/* Each text is drawn by its own number, seed and place, so that it depends neither on how many are written side by side
   nor on what the others say. Where the graph keeps keys and values (GRAPH_SAMPLE), a token takes one position, as long
   as a text has no more than run.length. Of longer ones the model sees the last run.length positions, as nanoGPT has
   it: then each token has another place in every window, and all are computed again. FAILED: a logit is not finite. */
status generate(model *m, const generate_request *r, error *e);

/* Draws an id by softmax(logits / temperature), where temperature 0 means the likeliest, among the top_k likeliest ids
   (0: all). u decides, uniform in [0, 1). logits[n] are changed; space is room for n doubles. */
int64_t sample_pick(double *logits, int64_t n, double temperature, int64_t top_k, double u, double *space);

#endif
