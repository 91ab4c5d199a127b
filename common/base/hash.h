/* hash.h: SHA-256 of streams and files, as 64 hex digits. Finds damage in checkpoints and compares weights. */
#ifndef SNUG_HASH_H
#define SNUG_HASH_H

#include "base/status.h"
#include <stddef.h>

enum { HASH_HEX = 65 }; /* 64 digits and the zero */

typedef struct hash hash;
hash *hash_new(void);
void hash_add(hash *h, const void *data, size_t bytes);
/* Writes the digest into hex[HASH_HEX] (may be NULL) and frees h. */
void hash_end(hash *h, char *hex);
/* Of bytes in memory. */
void hash_bytes(const void *data, size_t bytes, char *hex);
/* Of a file's content; fails when it can't be read. */
status hash_file(const char *path, char *hex, error *e);

#endif
