/* config_token.h: inside of config: the text of a config file as Python's tokens. Not for other modules. */
#ifndef SNUG_CONFIG_TOKEN_H
#define SNUG_CONFIG_TOKEN_H

#include "base/excerpt.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum {
    TOKEN_END,     /* of the text */
    TOKEN_NEWLINE, /* of a statement; never inside brackets, nor for an empty line */
    TOKEN_NAME,    /* keywords too */
    TOKEN_NUMBER,
    TOKEN_STRING, /* with its prefix and quotes */
    TOKEN_OPERATOR
} token_kind;
typedef struct {
    token_kind kind;
    const char *at; /* in the text */
    size_t bytes;
    int line; /* 0: the command line */
} token;

/* A place in a config file, or in the value of an option. */
typedef struct {
    token now;           /* what is to be looked at */
    const char *at;      /* what comes after it; ends with a zero */
    const char *source;  /* the file, or "--key" */
    int line;            /* at `at` */
    int indent;          /* columns before the first token of now's line */
    int brackets;        /* how many are open: while there are any, a line end does not end the statement */
    int first_bracket;   /* the line of the outermost */
    int depth;           /* of the recursion */
    bool line_start;     /* `at` is where a line begins */
    bool asked;          /* what is read stands under an `if` that asked the machine for its GPU */
    struct names *names; /* what names stand for */
    error *e;
} reader;

/* A reader before the first token of a text, whose first line has this number. */
reader reader_of(const char *text, const char *source, int line, struct names *names, error *e);
/* Makes the next token `now`. BAD_INPUT: there is none that Python has. */
status reader_next(reader *r);
/* Is `now` this operator or keyword? */
bool reader_is(const reader *r, const char *word);
/* Steps over it; BAD_INPUT unless it is there. */
status reader_expect(reader *r, const char *word);
/* Has the statement ended, by a line end, a semicolon or the end of the text? */
bool reader_at_end(const reader *r);
/* Steps over an opening bracket, all that it encloses, and its end. */
status reader_skip_brackets(reader *r);
/* Steps over all that is left of the statement. */
status reader_skip_statement(reader *r);
/* From `at` to the end of its line, for a message. */
excerpt reader_excerpt(const reader *r);
/* "source:line: " with the line of `now`, and the message; BAD_INPUT. */
status reader_fail(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
status reader_fail_at(const reader *r, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
