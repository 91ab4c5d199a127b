/* config_function.h: inside of config: the functions that a config file can call. Not for other modules. */
#ifndef SNUG_CONFIG_FUNCTION_H
#define SNUG_CONFIG_FUNCTION_H

#include "config/config_value.h"
#include <stddef.h>

/* int float str bool repr len abs round min max pow, and of math: ceil floor sqrt. NULL: none of that name. */
typedef struct function function;
const function *function_find(const char *name, size_t bytes);
/* Calls it on arguments[n]. UNKNOWN: it can't take them. */
enum { ARGUMENTS_MAX = 8 };
value function_call(const function *f, const value arguments[], int n, int line);
/* Is this one of PyTorch's questions whether there is a GPU? They count as answered by True. */
bool function_asks_for_gpu(const char *text, size_t bytes);

#endif
