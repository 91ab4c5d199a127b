/* random_sites.h: the one table of where random numbers are drawn (R9). Two draws with equal counters would be the same
   numbers, so whoever draws for a new purpose adds a site here, or a stream of a site. */
#ifndef SNUG_RANDOM_SITES_H
#define SNUG_RANDOM_SITES_H

#include <stdint.h>

/* The high half of Philox's third counter word. What the comment names is in the low half and in the other words. */
typedef enum {
    SITE_EMBED = 1,          /* dropout: layer; step, sequence, a quarter of the element's number */
    SITE_ATTENTION,          /* the same */
    SITE_ATTENTION_RESIDUAL, /* the same */
    SITE_MLP_RESIDUAL,       /* the same */
    SITE_INIT,               /* weights: an init_stream; number of the draw, parameter */
    SITE_BATCH,              /* where sequences begin: a batch_stream; step, sequence */
    SITE_SAMPLE              /* which token to write: 0; number of the token, number of the text */
} random_site;

/* Of SITE_BATCH: keeps the sequences that are drawn for different purposes apart. */
typedef enum {
    STREAM_TRAIN,      /* train, and equivalence's steps, which are train's; bench's random tokens too */
    STREAM_EVAL_TRAIN, /* the training loss of an evaluation */
    STREAM_EVAL_VAL,   /* the validation loss */
    STREAM_TABLE,      /* equivalence: how adding up gradients goes wrong */
    STREAM_NOISE       /* equivalence: what a smaller batch costs in noise */
} batch_stream;

/* Of SITE_INIT. */
typedef enum {
    STREAM_WEIGHTS,  /* a new model's */
    STREAM_GRADCHECK /* what gradcheck adds to them, and its batch */
} init_stream;

/* Philox's third counter word; low: the layer or the stream, below 65536. */
static inline uint32_t random_word(random_site site, uint32_t low) { return (uint32_t)site << 16 | (low & 0xffff); }

#endif
