/* config_literal.h: inside of config: the value of one number, or of the characters of a string. Not for other
   modules. */
#ifndef SNUG_CONFIG_LITERAL_H
#define SNUG_CONFIG_LITERAL_H

#include "config/config_token.h"
#include "config/config_value.h"

/* The value of the number that is `now`: 12, 1_000, 0xC, 0o14, 0b1100, .5, 1e-3. BAD_INPUT: it is none of Python's, or
   too large. */
status literal_number(const reader *r, value *v);
/* Appends the characters of `text`, whose escapes mean what they mean in Python's strings unless `raw`, to the n bytes
   of `to` (TEXT_MAX, counted on past them and not written). BAD_INPUT: an escape that is not read. */
status literal_append(const reader *r, const char *text, size_t bytes, bool raw, char *to, size_t *n);
/* The number that a whole text is in the eyes of int() or float(); UNKNOWN: none. */
value literal_int(const char *text, int line);
value literal_float(const char *text, int line);

#endif
