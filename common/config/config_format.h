/* config_format.h: inside of config: values as text, by Python's rules. Not for other modules. */
#ifndef SNUG_CONFIG_FORMAT_H
#define SNUG_CONFIG_FORMAT_H

#include "config/config_value.h"

/* str(v), or repr(v) with the quotes of a string; an UNKNOWN stays one. */
value format_str(const value *v, int line);
value format_repr(const value *v, int line);
/* What {v:spec} becomes in an f-string; of types d x X s e E f F g G %, with fill, alignment, sign, zeros, width, comma
   and precision. Anything else is UNKNOWN. */
value format_spec(const value *v, const char *spec, int line);

#endif
