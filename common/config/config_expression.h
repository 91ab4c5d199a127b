/* config_expression.h: inside of config: Python's expressions. Not for other modules. */
#ifndef SNUG_CONFIG_EXPRESSION_H
#define SNUG_CONFIG_EXPRESSION_H

#include "config/config_token.h"
#include "config/config_value.h"

/* Reads the expression that begins with `now` and gives its value: literals, names, operators and comparisons,
   conditional expressions, f-strings, and calls of the functions in config_function.h. Nothing else is executed: the
   value of other calls, attributes, subscripts, lists and so on is UNKNOWN. BAD_INPUT: Python could not read it. */
status expression_read(reader *r, value *v);
/* The strings that stand one after the other from `now` on, joined. In config_string.c. */
status strings_read(reader *r, value *v);
/* Is the name one of Python's own words? */
bool is_keyword(const token *t);

#endif
