/* token_file.h: files of token ids, memory-mapped with 64-bit offsets: bare little-endian arrays as nanoGPT writes them
   (uint16) and as others do (uint32, int32, int64), llm.c's files with their header, and NumPy's .npy. Which of these a
   file is, token_layout.c tells. Knows nothing of sequences: those are data.h's. */
#ifndef SNUG_TOKEN_FILE_H
#define SNUG_TOKEN_FILE_H

#include "base/mapped_file.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { TOKENS_UINT16, TOKENS_UINT32, TOKENS_INT32, TOKENS_INT64, TOKEN_TYPES } token_type;

/* How the bytes of a file are to be read. */
typedef struct {
    token_type type;
    size_t offset;  /* bytes before the first token: a header's */
    int64_t tokens; /* what a header says; -1: there is none */
    bool guessed;   /* nothing says the type: it was concluded from the ids */
} token_layout;

typedef struct {
    char *path;
    const void *map;
    size_t map_bytes;
    token_layout layout;
    int64_t tokens;
    int64_t vocabulary; /* data_sequence demands ids below it; 0: below data_order's vocabulary only */
} token_file;

/* name: "train.bin" or "val.bin". BAD_INPUT when the file is missing, is not a whole number of tokens, has another
   length than its header or meta.json says, or is too short for one sequence of `length` + 1 tokens. token_file_close
   releases what f owns. */
status token_file_open(const char *folder, const char *name, int64_t length, token_file *f, error *e);
void token_file_close(token_file *f);
/* "uint16", as NumPy calls it, and its bytes. */
const char *token_type_name(token_type t);
size_t token_type_bytes(token_type t);
/* The type of that name; TOKEN_TYPES when it is none that can be read. */
token_type token_type_find(const char *name);
/* Token i. */
int64_t token_at(const token_file *f, int64_t i);

/* The largest id, plus 1. Reads the whole file; of a file of 16 MiB or more the answer is kept in the cache folder,
   under the file's path, and holds until its size, its time of change or its layout is another. An id below 0 counts as
   2^32 and more. */
int64_t token_file_vocabulary(const token_file *f);
/* BAD_INPUT: token i's id is below 0, or not below `vocabulary`; e names file, place and id. */
status token_refuse(const token_file *f, int64_t i, int64_t vocabulary, error *e);
/* BAD_INPUT unless all ids are below `vocabulary` or equal to ignore_token (-1: none is): token_refuse says which. */
status token_file_check(const token_file *f, int64_t vocabulary, int64_t ignore_token, error *e);

/* token_layout.c. Finds out how `map`, the bytes of folder/name, is to be read: from the header of llm.c (magic
   20240520 and 20240801) or NumPy, or from meta.json's "dtype", or else from the ids of train.bin: see token_layout.c.
   *expected: the tokens that meta.json says there are; -1: it does not. BAD_INPUT: it is of a kind that is not read; e
   says how to convert it. */
status token_layout_find(const char *folder, const char *name, const mapped_file *map, token_layout *layout,
                         int64_t *expected, error *e);

#endif
