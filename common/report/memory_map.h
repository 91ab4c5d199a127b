/* memory_map.h: a plan as a picture: time across (ops in order), address upwards, a rectangle a tensor. */
#ifndef SNUG_MEMORY_MAP_H
#define SNUG_MEMORY_MAP_H

#include "graph/plan.h"
#include <stdio.h>

typedef struct {
    const graph *g;
    const plan *p;
    uint64_t cap;                /* 0: none */
    const char *title, *caption; /* a line each; NULL: none */
} map_source;

/* WIDE for 1180 pixels, NARROW for a phone's 358; ALONE is a file of its own, WIDE with its style inside. */
typedef enum { MAP_WIDE, MAP_NARROW, MAP_ALONE } map_form;

/* Draws an <svg class="map">. */
void memory_map_draw(FILE *f, const map_source *s, map_form form);
/* The CSS of all maps of a page, for light and dark. */
void memory_map_style(FILE *f);

#endif
