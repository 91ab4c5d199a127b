/* terminal.h: what the output can show (UTF-8, colours, a line drawn again), and numbers and times for people. */
#ifndef SNUG_TERMINAL_H
#define SNUG_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    bool live;  /* a terminal on which a line can be drawn again */
    bool color; /* live, and NO_COLOR is not set */
    bool utf8;
} terminal;
terminal terminal_of(FILE *f);
/* Columns of the window now: it may be resized at any time. 80 where there is no window. */
int terminal_columns(FILE *f);

/* 524288 -> "524,288"; returns text. */
char *number_print(int64_t n, char text[32]);
/* "250 ms", "41.3 s", "12.5 min", "3.2 h"; returns text. */
char *duration_print(double seconds, char text[32]);
/* What is left of a run, in whole units: "47s", "12m30s", "2h13m", "3d04h"; returns text. */
char *time_left_print(double seconds, char text[32]);
double gib(uint64_t bytes);

#endif
