/* json.h: the little that checkpoints need beyond cJSON: files with line numbers in errors, exact integers, keys that
   stand there once, and strings written so that they read back. */
#ifndef SNUG_JSON_H
#define SNUG_JSON_H

#include "status.h"
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Parses `bytes` of text, which has a zero after them. path is for messages only. Free with cJSON_Delete. */
status json_parse(const char *path, const char *text, size_t bytes, cJSON **json, error *e);
/* A file that must hold one object, at most 16 MiB. */
status json_read(const char *path, cJSON **json, error *e);
/* The value of a key; NULL when it is not there or null. When a key stands there twice the last counts, as in Python.
 */
const cJSON *json_get(const cJSON *object, const char *key);
/* True when v is a number without a fraction that a double holds exactly (|v| <= 2^53). */
bool json_integer(const cJSON *v, int64_t *value);
/* Writes s with its quotes; control characters, quotes and backslashes are escaped. */
void json_print(FILE *f, const char *s);

#endif
