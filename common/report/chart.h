/* chart.h: curves as SVG figures in a page: axes with units, a legend, values to point at. Colours are the page's. */
#ifndef SNUG_CHART_H
#define SNUG_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CHART_COLORS = 6 };

typedef struct {
    const char *name;    /* NULL: not in the legend */
    const double *x, *y; /* [n], x rising; where y is not finite the line is broken */
    int64_t n;
    int color;    /* of CHART_COLORS */
    double width; /* of the line, in pixels; 0: the usual */
    bool dots;    /* a mark at each point */
} chart_series;

typedef struct {
    const char *title, *x_label, *y_label; /* labels with their units */
    const chart_series *series;
    int n_series;
    bool from_zero; /* the y axis begins at 0 */
    bool log2_x;
    double mark; /* a horizontal line, as for a cap; 0: none */
    const char *mark_name;
} chart;

/* Writes a <figure>; its picture is width x height pixels at most and shrinks with the page. */
void chart_draw(FILE *f, const chart *c, int width, int height);
void chart_style(FILE *f);

#endif
