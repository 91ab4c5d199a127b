/* curve.h: the points of one curve of a report, in bounded memory however many come: once there are thousands,
   neighbours are put together, and of each group the first, the lowest, the highest and the last point stay. */
#ifndef SNUG_CURVE_H
#define SNUG_CURVE_H

#include <stdint.h>

typedef struct {
    double x, y;
} curve_point;

typedef struct {
    curve_point first, low, high, last;
} curve_group;

typedef struct {
    curve_group *groups; /* [n] */
    int n;
    int64_t each, in_last; /* points that a group takes, and that the last one has */
} curve;                   /* all zero: empty */

enum { CURVE_GROUPS = 2048, CURVE_POINTS = 4 * CURVE_GROUPS };

/* x rises from call to call. A y that is not finite is passed over. What the curve then holds depends on the points
   alone, not on when the page is drawn. */
void curve_add(curve *c, double x, double y);
void curve_free(curve *c);
/* Writes the points that stay, in their order, to x and y, which have room for CURVE_POINTS; returns how many. */
int curve_points(const curve *c, double *x, double *y);

/* NAN where there is no point. The median is that of the groups' last points: of all points while they are few, then of
   every so many. */
double curve_last_x(const curve *c);
double curve_last(const curve *c);
double curve_least(const curve *c);
double curve_median(const curve *c);

#endif
