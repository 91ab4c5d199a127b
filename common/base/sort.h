/* sort.h: sorts numbers, as medians and the like need them. */
#ifndef SNUG_SORT_H
#define SNUG_SORT_H

#include <stddef.h>

/* The least first. No x may be NaN. */
void sort_doubles(double *x, size_t n);

#endif
