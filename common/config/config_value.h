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
    int brackets;       /* open ones: a line does not end inside */
    int depth;          /* of the recursion */
    const config *c;    /* for names in arithmetic */
    error *e;
} reader;

/* "source:line: " and the message; BAD_INPUT. */
status reader_fail(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Skips spaces and a comment, inside brackets also the ends of lines. */
void reader_blank(reader *r);
/* At a quote: the string's value to text, or nowhere if text is NULL (any length then). */
status reader_string(reader *r, char *text);
/* Skips whatever stands up to the end of the (logical) line; nothing of it needs to make sense. */
status reader_skip(reader *r);
/* An expression of numbers, strings, True, False, names of options, + - * / // and parentheses. */
status reader_value(reader *r, value *v);
/* Bytes of the name at `at`; 0: there is none. */
size_t name_length(const char *at);
/* The start of s for an error message: one line, cut where it gets long. */
typedef struct {
    char text[64];
} excerpt;
excerpt excerpt_of(const char *s, size_t bytes);

#endif
