/* svg.h: what the memory map and the charts share: writing text so that it is safe in a page, and round numbers for
   axes. */
#ifndef SNUG_SVG_H
#define SNUG_SVG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Writes text for HTML and SVG, for elements as well as for attributes: < > & " ' are escaped; bytes that are not
   UTF-8, and control characters other than tab and newline, become U+FFFD. */
void html_put(FILE *f, const char *text, size_t bytes);
void html_print(FILE *f, const char *text);

/* The smallest round step of which at most `most` fit into `range`: 1, 2 or 5 times a power of ten (nice_step), or a
   power of two (nice_step_binary). */
double nice_step(double range, int most);
double nice_step_binary(double range, int most);

#endif
