/* config_value.h: inside of config: the values that Python's expressions have in a config file, and the operators
   between them. Not for other modules. */
#ifndef SNUG_CONFIG_VALUE_H
#define SNUG_CONFIG_VALUE_H

#include "config/config.h"

/* UNKNOWN is what something has that is not read, since nothing is executed, or that Python could not compute either.
   It is carried on through every operator, and is an error only where a setting would take it. */
typedef enum { VALUE_INT, VALUE_REAL, VALUE_BOOL, VALUE_TEXT, VALUE_NONE, VALUE_UNKNOWN } value_type;
typedef struct {
    value_type type;
    bool wrong;          /* UNKNOWN: Python too would stop here */
    bool asked;          /* the machine was asked for its GPU on the way here */
    int line;            /* UNKNOWN: where the spot is; 0: the command line */
    int64_t integer;     /* INT; BOOL as 0 or 1. Never INT64_MIN */
    double real;         /* REAL; INT and BOOL as a real */
    char text[TEXT_MAX]; /* TEXT; UNKNOWN: what is to be said about it */
} value;

value value_int(int64_t i);
value value_real(double x);
value value_bool(bool truth);
/* At most TEXT_MAX - 1 bytes, or it is UNKNOWN. */
value value_text(const char *text, size_t bytes, int line);
/* wrong: Python too would stop. The message has no place in it. */
value value_unknown(int line, bool wrong, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* INT, REAL or BOOL, which counts as 0 or 1; INT or BOOL; what `if` makes of a value that is known. */
bool value_is_number(const value *v);
bool value_is_whole(const value *v);
bool value_truth(const value *v);
/* "a whole number", "text", ... for messages. */
const char *value_kind(const value *v);

/* a becomes a operator b, by Python's rules: a whole number stays exact or is UNKNOWN; / makes reals; // and % round
   down; ** of a negative exponent is real. operators: + - * / // % ** << >> & | ^ */
void value_operate(const char *operation, value *a, const value *b, int line);
/* v becomes -v, +v, ~v, or `not` v. */
void value_sign(char operation, value *v, int line);
/* a compared with b: == != < <= > >= is isnot in notin; BOOL or UNKNOWN. Numbers are compared exactly. */
value value_compare(const char *comparison, const value *a, const value *b, int line);
/* v rounded to a whole number (down, up, to the even one of two equally near, or towards zero: 'd', 'u', 'e', '0'). */
void value_round(char way, value *v, int line);

#endif
