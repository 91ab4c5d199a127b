/* terminal.h: what the output can show (UTF-8, colours, a line drawn again), and numbers and times for people. */
#ifndef SNUG_TERMINAL_H
#define SNUG_TERMINAL_H

#include <stdarg.h>
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

/* Prints by printf's rules what may have names in it: control characters of theirs, which a terminal would obey, become
   '?'. */
void text_print(FILE *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_print_list(FILE *f, const char *format, va_list list);

/* Text that comes in pieces, of which one may end within a character. To a terminal control characters and bytes that
   are not UTF-8 go as escapes ("\x1b"), to anything else all bytes go as they are. */
typedef struct {
    FILE *f;
    bool escapes;
    char held[4]; /* the beginning of a character */
    size_t n_held;
} text_stream;
text_stream text_stream_to(FILE *f);
void text_stream_put(text_stream *t, const char *text, size_t bytes);
/* Writes what is held, of a character that never ended. */
void text_stream_end(text_stream *t);

/* 524288 -> "524,288"; returns text. */
char *number_print(int64_t n, char text[32]);
/* Of parameters, by three digits or more: 124439808 -> "124M", 10745088 -> "10.7M", 206000 -> "206K"; returns text. */
char *count_print(int64_t n, char text[16]);
/* "250 ms", "41.3 s", "12.5 min", "3.2 h"; returns text. */
char *duration_print(double seconds, char text[32]);
/* What is left of a run, in whole units: "47s", "12m30s", "2h13m", "3d04h"; returns text. */
char *time_left_print(double seconds, char text[32]);
double gib(uint64_t bytes);

#endif
