/* json_file.h: a JSON file read or written whole, with an error line that names the place where it is damaged. */
#ifndef SNUG_JSON_FILE_H
#define SNUG_JSON_FILE_H

#include "base/status.h"
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

/* The caller deletes *root with cJSON_Delete. */
status json_read(const char *path, cJSON **root, error *e);
/* Writes root to the file, whose folder is made where it is missing, and deletes root, also on failure. durable: as
   file_write has it. */
status json_write(const char *path, cJSON *root, bool durable, error *e);
/* Writes a string in quotes; what UTF-8 can say stays as it is, control characters are escaped. */
void json_print_string(FILE *f, const char *text, size_t bytes);

#endif
