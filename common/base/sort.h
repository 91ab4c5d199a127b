/* sort.h: sorts numbers, as medians and the like need them. */
#ifndef SNUG_SORT_H
#define SNUG_SORT_H

#include <stddef.h>

/* The least first. No x may be NaN. */
void sort_doubles(double *x, size_t n);
/* The number that sort_doubles would leave at x[k]; k < n. Leaves x in another order. */
double nth_double(double *x, size_t n, size_t k);

#endif
