/* rng.h: counter-based random numbers (Philox4x32-10, Salmon et al. 2011): the same for every split, thread and device,
   because nothing is carried from one draw to the next (R9). */
#ifndef SNUG_RNG_H
#define SNUG_RNG_H

#include <stdint.h>

/* out[4] of key = seed (low word first), counter = (c0, c1, c2, c3). */
void philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t out[4]);

/* Uniform in [0, 1) with 53 bits, from two words of a draw. */
double rng_uniform(uint32_t high, uint32_t low);
/* Two standard normals from one draw (Box-Muller, in double). */
void rng_normal(const uint32_t words[4], double out[2]);
/* Those of `draws` draws, of the counters (first + i's low half, its high half, c2, c3): out[2 * draws]. */
void rng_normals(uint64_t seed, uint64_t first, uint32_t c2, uint32_t c3, int64_t draws, double *out);

#endif
