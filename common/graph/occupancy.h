/* occupancy.h: which bytes of an address range are taken, and when: what placing tensors asks. */
#ifndef SNUG_OCCUPANCY_H
#define SNUG_OCCUPANCY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct occupancy occupancy;

/* For times 0 .. times - 1, nothing taken. occupancy_clear makes it so again, for as many times or fewer. */
occupancy *occupancy_new(int times);
void occupancy_clear(occupancy *o, int times);
void occupancy_free(occupancy *o);

/* Bytes [from, to) are taken at the times first .. last. */
void occupancy_take(occupancy *o, int first, int last, uint64_t from, uint64_t to);

/* Walks the gaps that are free throughout first .. last, upwards. occupancy_ask begins; occupancy_gap gives the next
   one: the last has *end = UINT64_MAX, and after it comes none. */
void occupancy_ask(occupancy *o, int first, int last);
void occupancy_gap(occupancy *o, uint64_t *start, uint64_t *end);

#endif
