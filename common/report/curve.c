/* curve.c: see curve.h. */
#include "report/curve.h"
#include "base/sort.h"
#include "base/status.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static void widen(curve_group *g, const curve_group *by) {
    if (by->low.y < g->low.y) g->low = by->low;
    if (by->high.y > g->high.y) g->high = by->high;
    g->last = by->last;
}

/* Halves the number of groups. */
static void pair_up(curve *c) {
    for (int i = 0; i < c->n / 2; i++) {
        c->groups[i] = c->groups[2 * i];
        widen(&c->groups[i], &c->groups[2 * i + 1]);
    }
    c->n /= 2;
    c->each *= 2;
    c->in_last = c->each;
}

void curve_add(curve *c, double x, double y) {
    const curve_point p = {x, y};
    const curve_group one = {p, p, p, p};
    if (!isfinite(y)) return;
    if (!c->groups) {
        c->groups = xcalloc(CURVE_GROUPS, sizeof *c->groups);
        c->each = c->in_last = 1;
    }
    if (c->n && c->in_last < c->each) {
        widen(&c->groups[c->n - 1], &one);
        c->in_last++;
        return;
    }
    if (c->n == CURVE_GROUPS) pair_up(c);
    c->groups[c->n++] = one;
    c->in_last = 1;
}

void curve_free(curve *c) {
    free(c->groups);
    *c = (curve){0};
}

int curve_points(const curve *c, double *x, double *y) {
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        const curve_group *g = &c->groups[i];
        bool low_first = g->low.x <= g->high.x;
        const curve_point four[] = {g->first, low_first ? g->low : g->high, low_first ? g->high : g->low, g->last};
        for (int k = 0; k < 4; k++) {
            if (k && four[k].x == four[k - 1].x && four[k].y == four[k - 1].y) continue;
            x[n] = four[k].x;
            y[n++] = four[k].y;
        }
    }
    return n;
}

double curve_last_x(const curve *c) { return c->n ? c->groups[c->n - 1].last.x : NAN; }
double curve_last(const curve *c) { return c->n ? c->groups[c->n - 1].last.y : NAN; }

double curve_least(const curve *c) {
    double least = NAN;
    for (int i = 0; i < c->n; i++)
        if (!(least <= c->groups[i].low.y)) least = c->groups[i].low.y;
    return least;
}

double curve_median(const curve *c) {
    if (!c->n) return NAN;
    double *sorted = xcalloc((size_t)c->n, sizeof *sorted);
    for (int i = 0; i < c->n; i++) sorted[i] = c->groups[i].last.y;
    sort_doubles(sorted, (size_t)c->n);
    double middle = sorted[c->n / 2];
    free(sorted);
    return middle;
}
