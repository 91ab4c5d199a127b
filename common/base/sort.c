/* sort.c: see sort.h. */
#include "base/sort.h"
#include <stdlib.h>

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sort_doubles(double *x, size_t n) { qsort(x, n, sizeof *x, rising); }

/* Quickselect (Hoare, "Algorithm 65: find", CACM 4(7), 1961). */
double nth_double(double *x, size_t n, size_t k) {
    size_t first = 0, end = n;
    while (end - first > 1) {
        double middle = x[first + (end - first) / 2];
        size_t less = first, next = first, more = end; /* x[first..less) < middle == x[less..next), x[more..end) > it */
        while (next < more) {
            double at = x[next];
            if (at < middle) {
                x[next++] = x[less];
                x[less++] = at;
            } else if (at > middle) {
                x[next] = x[--more];
                x[more] = at;
            } else
                next++;
        }
        if (k < less)
            end = less;
        else if (k >= more)
            first = more;
        else
            return middle;
    }
    return x[first];
}
