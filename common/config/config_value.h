/* config_value.h: inside of config: reading one Python value. Not for other modules. */
#ifndef SNUG_CONFIG_VALUE_H
#define SNUG_CONFIG_VALUE_H

#include "config/config.h"

typedef enum { VALUE_INT, VALUE_REAL, VALUE_BOOL, VALUE_TEXT } value_type;
typedef struct {
    value_type type;
    int64_t integer;
    double real;
    bool truth;
    char text[TEXT_MAX];
} value;

/* A place in a config file, or in the value of an option. */
typedef struct {
    const char *at;     /* what is still to be read; ends with a zero */
    const char *source; /* the file, or "--key" */
    int line;           /* 0: the command line */
    int brackets;       /* how many are open: while there are any, a line end does not end the statement */
    int depth;          /* of the recursion */
    const config *c;    /* for names in arithmetic */
    error *e;
} reader;

/* "source:line: " and the message; BAD_INPUT. */
status reader_fail(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Skips spaces and a comment; inside brackets line ends as well. */
void reader_blank(reader *r);
/* Reads the string that begins here. Its value goes to text[TEXT_MAX]; where that is NULL, the string is only skipped
   and may have any length. */
status reader_string(reader *r, char *text);
/* Skips everything up to the end of the statement, whether it can be read or not. */
status reader_skip(reader *r);
/* Reads an expression of numbers, strings, True, False, names of options, + - * / // and parentheses. */
status reader_value(reader *r, value *v);
/* Bytes of the name at `at`; 0: there is none. */
size_t name_length(const char *at);
/* The start of s for an error message: one line, cut where it gets long. */
typedef struct {
    char text[64];
} excerpt;
excerpt excerpt_of(const char *s, size_t bytes);

#endif
