/* mapped_file.h: maps a whole file into memory, read-only; the error says what is wrong with the file. */
#ifndef SNUG_MAPPED_FILE_H
#define SNUG_MAPPED_FILE_H

#include "base/status.h"
#include <stddef.h>

typedef struct {
    const char *data;
    size_t bytes;
} mapped_file; /* an empty file has data "" */

/* BAD_INPUT: the file is missing, a folder or not a regular file, or there is no permission to read it. `advice` ends
   the message about a missing file; it may be "". When a mapped file is cut off or its disk fails, reading it raises
   SIGBUS: that ends the process with one line that names `path`, and exit status 1. */
status file_map(const char *path, const char *advice, mapped_file *f, error *e);
void file_unmap(mapped_file *f);
/* What a file is by its first bytes, if it is of a kind that people give by mistake, such as "a Python pickle"; NULL if
   it is not. */
const char *file_mistaken(const mapped_file *f);

#endif
