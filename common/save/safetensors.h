/* safetensors.h: reads (by mapping the file, and checking every size before it is used) and writes Hugging Face's
   safetensors format: the header's length in 8 little-endian bytes, a JSON header, the data. Knows no model. */
#ifndef SNUG_SAFETENSORS_H
#define SNUG_SAFETENSORS_H

#include "base/mapped_file.h"
#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef enum { ST_F32, ST_F64, ST_F16, ST_BF16, ST_I32, ST_I64, ST_U16, ST_U32, ST_U8, ST_BOOL } st_type;

typedef struct {
    char *name;
    st_type type;
    int rank;
    int64_t dim[8];
    int64_t elements;
    const void
        *data; /* reading: inside the mapped file, possibly unaligned; writing: the caller's, or NULL with `fill` */
    uint64_t bytes;
} st_tensor;

typedef struct {
    st_tensor *tensors; /* sorted by name */
    int n;
    mapped_file map;
    char *path;
} st_file;

status st_open(const char *path, st_file *f, error *e);
/* The same for a file whose SHA-256 is known (NULL or "": it is not). BAD_INPUT when it has another. What is read later
   is what was hashed, even if the name then comes to mean another file. */
status st_open_hashed(const char *path, const char *sha256, st_file *f, error *e);
void st_close(st_file *f);
/* The tensor of that name; NULL if there is none. */
const st_tensor *st_find(const st_file *f, const char *name);
/* Element i as a double; for all types. */
double st_value(const st_tensor *t, int64_t i);
/* Converts elements first .. first + count - 1 to reals of 4 or 8 bytes, into out, which is aligned. */
void st_convert(const st_tensor *t, int64_t first, int64_t count, size_t real_bytes, void *out);

/* A callback that gives the writer `size` bytes of tensor t from `offset` on, so that weights can be streamed from a
   device. */
typedef status st_fill(void *context, const st_tensor *t, uint64_t offset, void *buffer, size_t size, error *e);
/* Writes all tensors in the given order, with metadata {"format":"pt"}; equal tensors give equal files. Does not fsync.
   fill may be NULL when every tensor has data. sha256, if not NULL, receives the file's hash: 64 hex digits and a
   zero. */
status st_write(const char *path, const st_tensor *tensors, int n, st_fill *fill, void *context, char *sha256,
                error *e);
size_t st_size(st_type type);
const char *st_name(st_type type); /* "F32" */

#endif
