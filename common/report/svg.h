/* svg.h: what the memory map and the charts share: text that is safe in a page, and axes with round numbers. */
#ifndef SNUG_SVG_H
#define SNUG_SVG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Writes text for HTML and SVG, in elements and in attributes: < > & " ' escaped, what is no UTF-8 and control
   characters other than tab and newline as U+FFFD. */
void html_put(FILE *f, const char *text, size_t bytes);
void html_print(FILE *f, const char *text);

/* The smallest of 1, 2, 5 times a power of ten (of two: 1, 2, 4 ...) of which `range` has at most `most`. */
double nice_step(double range, int most);
double nice_step_binary(double range, int most);

#endif
