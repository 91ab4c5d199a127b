/* memory_file.h: a FILE that collects what is written to it in memory. open_memstream loses text when there is no more
   memory; this ends the program then, as xmalloc does. */
#ifndef SNUG_MEMORY_FILE_H
#define SNUG_MEMORY_FILE_H

#include <stddef.h>
#include <stdio.h>

/* *text and *bytes, which must outlive the FILE, hold all of it after each fflush and after fclose, with a zero behind
   it. The caller frees *text after fclose. The FILE has no position to ask for. */
FILE *memory_file(char **text, size_t *bytes);

#endif
