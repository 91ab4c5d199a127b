/* json_file.h: reads and writes JSON files as a whole. The error for a damaged file names the place of the damage. */
#ifndef SNUG_JSON_FILE_H
#define SNUG_JSON_FILE_H

#include "base/status.h"
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

/* The caller deletes *root with cJSON_Delete. */
status json_read(const char *path, cJSON **root, error *e);
/* Writes root to the file, whose folder is made if it is missing, and deletes root, also on failure. durable: see
   file_finish. */
status json_write(const char *path, cJSON *root, bool durable, error *e);
/* Writes a string in quotes. Characters beyond ASCII stay as they are; control characters are escaped. */
void json_print_string(FILE *f, const char *text, size_t bytes);

#endif
