/* chart.h: draws curves as SVG figures of a page: axes with units, a legend, values that show when pointed at. The
   page's style gives the colours. */
#ifndef SNUG_CHART_H
#define SNUG_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CHART_COLORS = 6 };

typedef struct {
    const char *name;    /* NULL: not in the legend */
    const double *x, *y; /* [n], x ascending; the line has a gap where y is not finite */
    int64_t n;
    int color;        /* of CHART_COLORS */
    double width;     /* of the line, in pixels; 0: the usual */
    bool dots;        /* a mark at each point */
    int dash, dashes; /* the line is dashed, its dashes in turn with those of dashes - 1 others; 0: whole */
} chart_series;

typedef struct {
    const char *title, *x_label, *y_label; /* labels with their units */
    const chart_series *series;
    int n_series;
    bool from_zero; /* the y axis begins at 0 */
    bool log2_x;
    double mark; /* the height of a horizontal line, such as a cap; 0: none */
    const char *mark_name;
} chart;

/* Writes a <figure>. Its picture has at most width x height pixels, and becomes smaller with the page. */
void chart_draw(FILE *f, const chart *c, int width, int height);
void chart_style(FILE *f);

#endif
