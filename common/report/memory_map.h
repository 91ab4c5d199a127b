/* memory_map.h: draws a plan: time (ops in order) to the right, addresses upwards, a rectangle for each tensor. */
#ifndef SNUG_MEMORY_MAP_H
#define SNUG_MEMORY_MAP_H

#include "graph/plan.h"
#include <stdio.h>

typedef struct {
    const graph *g;
    const plan *p;
    uint64_t cap;                /* 0: none */
    const char *title, *caption; /* one line each; NULL: none */
} map_source;

/* WIDE is for 1180 pixels, NARROW for the 358 of a phone. ALONE is WIDE with the style in it, for a file of its own. */
typedef enum { MAP_WIDE, MAP_NARROW, MAP_ALONE } map_form;

/* Draws an <svg class="map">. */
void memory_map_draw(FILE *f, const map_source *s, map_form form);
/* The CSS of all maps of a page, for light and dark. */
void memory_map_style(FILE *f);

#endif
