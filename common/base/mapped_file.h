/* mapped_file.h: a whole file, read-only and memory-mapped, with an error line that says what is wrong with it. */
#ifndef SNUG_MAPPED_FILE_H
#define SNUG_MAPPED_FILE_H

#include "base/status.h"
#include <stddef.h>

typedef struct {
    const char *data;
    size_t bytes;
} mapped_file; /* an empty file has data "" */

/* BAD_INPUT: missing, a folder, not a regular file, no permission. `advice` ends the line for a missing file ("":
   none). */
status file_map(const char *path, const char *advice, mapped_file *f, error *e);
void file_unmap(mapped_file *f);
/* What a file with these first bytes is, if it is something that people give by mistake ("a pickle file"); or NULL. */
const char *file_mistaken(const mapped_file *f);

#endif
