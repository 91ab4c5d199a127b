/* data.h: token files as nanoGPT writes them (train.bin, val.bin: little-endian uint16; uint32 where a "dtype":
   "uint32" in the folder's meta.json says so), memory-mapped with 64-bit offsets, and which sequences a step sees. */
#ifndef SNUG_DATA_H
#define SNUG_DATA_H

#include "config/config.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *path;
    const void *map;
    size_t map_bytes;
    int token_bytes; /* 2 or 4 */
    int64_t tokens;
    int64_t vocabulary; /* ids must be below it; checked where they are read; 0 = data_order's alone counts */
} token_file;

/* The dataset's folder: `dataset` itself, or data/NAME here, or data/NAME or NAME beside the config file, or in data/
   beside the config file's folder; the first that holds a train.bin. The caller frees it. */
status data_folder(const config *c, char **folder, error *e);
/* name: "train.bin" or "val.bin". Fails when it is missing, of odd length, cut off (where meta.json knows its length),
   or too short for one sequence of `length` + 1 tokens. data_close releases what f owns. */
status data_open(const char *folder, const char *name, int64_t length, token_file *f, error *e);
void data_close(token_file *f);
/* The largest id in the file + 1 (reads all of it). */
int64_t data_vocabulary(const token_file *f);
/* How many ids a model needs for this folder: those of tokenizer.json; else 1 + the largest id of train.bin and val.bin
   where nanoGPT's meta.pkl lies beside them (it is never unpickled); else 0: nothing says. */
status data_vocabulary_of(const char *folder, int64_t *vocabulary, error *e);

typedef struct {
    bool sequential;
    uint64_t seed;
    int64_t sequences, length, ignore_token, vocabulary;
} data_order;
/* Fills x, y [length] with sequence `number` (0 .. sequences - 1) of step `step`: y is x shifted by one; targets equal
   to ignore_token become -1. `stream` (below 65536) separates train steps from evaluations. Depends on nothing else, so
   that no split of the step can change it. Fails when a token is not below the vocabulary: file, position, id, and what
   to do.
   Random order: the start is uniform over 0 .. tokens - length - 1, as nanoGPT's. Sequential: the start is token
   (step * sequences + number) * length; past the end it goes on with the file's first token (modulo its tokens). */
status data_sequence(const token_file *f, const data_order *order, uint32_t stream, int64_t step, int64_t number,
                     int32_t *x, int32_t *y, error *e);
#endif
