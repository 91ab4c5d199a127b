/* files.h: writes files so that they are there completely or not at all; reads them; makes and removes folders. Every
   failure names the path and the system's reason. Knows nothing of what is in a file. */
#ifndef SNUG_FILES_H
#define SNUG_FILES_H

#include "base/hash.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file being written: under a temporary name beside `path` until file_finish renames it, so that after a full disk or
   a kill `path` still is what it was before. Creating it removes what killed processes have left of it. Something that
   exists and is not a regular file (/dev/null, a pipe) is written to directly. */
typedef struct {
    int fd;
    char *path, *temporary; /* temporary: NULL when written directly */
    hash *sha;
} file_out;

/* Begins a file. */
status file_create(file_out *f, const char *path, error *e);
/* Appends to it. */
status file_put(file_out *f, const void *data, size_t bytes, error *e);
/* Renames the file to `path`. durable: fsyncs file and folder as well. sha256[HASH_HEX], which may be NULL, gets the
   content's hash. After a failure nothing of the file remains. */
status file_finish(file_out *f, bool durable, char *sha256, error *e);
/* Gives up: nothing of the file remains. */
void file_abandon(file_out *f);

/* Removes what killed processes left of files that should have become `path`. file_create does it by itself. */
void file_clear_temporaries(const char *path);

/* Creates, puts and finishes in one call. */
status file_write(const char *path, const void *data, size_t bytes, bool durable, char *sha256, error *e);
status file_copy(const char *from, const char *to, char *sha256, error *e);
/* All of a regular file, with a zero after it; the caller frees *text. BAD_INPUT when it is longer than limit. */
status file_read(const char *path, size_t limit, char **text, size_t *bytes, error *e);
/* Is there anything of this name, be it a link to nothing? */
bool file_exists(const char *path);
/* Does `path` name the file that is open as fd? */
bool file_is_at(int fd, const char *path);
/* OK for a regular file, and for nothing at all. BAD_INPUT for a folder, a pipe and the like, at which a later write or
   read would fail or wait for ever. */
status file_check_plain(const char *path, error *e);
/* Flushes a file or folder to the disk. */
status file_sync(const char *path, error *e);

/* "CACHE/snug/NAME", where CACHE is XDG_CACHE_HOME or ~/.cache; NULL when there is neither. Makes nothing; the caller
   frees it. */
char *file_cache_path(const char *name);

/* mkdir -p. */
status folder_make(const char *path, error *e);
/* Removes a file, a symbolic link (not what it points to), or a folder with all that it holds. Nothing there is OK. */
status folder_remove(const char *path, error *e);

#endif
