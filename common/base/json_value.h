/* json_value.h: values taken from a parsed JSON object without trusting it: exact integers, keys, text. */
#ifndef SNUG_JSON_VALUE_H
#define SNUG_JSON_VALUE_H

#include "base/json_file.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* A file that must hold one object. Free with cJSON_Delete. */
status json_read_object(const char *path, cJSON **object, error *e);
/* The value of a key; NULL when it is missing or null. Of a key that occurs twice the last value counts, as in
   Python. */
const cJSON *json_get(const cJSON *object, const char *key);
/* True when v is an integer that a double holds exactly (|v| < 2^53); then *value is set. */
bool json_integer(const cJSON *v, int64_t *value);
/* Writes s with its quotes. */
void json_print(FILE *f, const char *s);

#endif
