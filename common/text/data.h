/* data.h: token files as nanoGPT writes them (train.bin, val.bin: little-endian uint16; uint32 where a "dtype":
   "uint32" in the folder's meta.json says so), memory-mapped with 64-bit offsets, and which sequences a step sees. */
#ifndef SNUG_DATA_H
#define SNUG_DATA_H

#include "base/random_sites.h"
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
    int64_t vocabulary; /* data_sequence demands ids below it; 0: below data_order's vocabulary only */
} token_file;

/* The dataset's folder, which the caller frees: of `dataset` itself, data/NAME here, data/NAME and NAME beside the
   config file, and data/NAME beside the config file's folder, the first that holds a train.bin. */
status data_folder(const config *c, char **folder, error *e);
/* name: "train.bin" or "val.bin". BAD_INPUT when the file is missing, is not a whole number of tokens, has another
   length than meta.json says, or is too short for one sequence of `length` + 1 tokens. data_close releases what f
   owns. */
status data_open(const char *folder, const char *name, int64_t length, token_file *f, error *e);
void data_close(token_file *f);
/* The largest id in the file, plus 1. Reads the whole file. */
int64_t data_vocabulary(const token_file *f);
/* How many ids a model needs for this folder: as many as tokenizer.json has; without one, where nanoGPT's meta.pkl lies
   there (which is never unpickled), 1 + the largest id in train.bin and val.bin; else 0, for not known. */
status data_vocabulary_of(const char *folder, int64_t *vocabulary, error *e);

typedef struct {
    bool sequential;
    uint64_t seed;
    int64_t sequences, length, ignore_token, vocabulary;
} data_order;
/* Fills x and y [length] with sequence `number` (0 .. sequences - 1) of step `step`: y is x shifted by one token, and
   targets equal to ignore_token become -1. `stream` keeps training and the evaluations apart. The result
   depends on nothing else, so that the split of a step cannot change it. BAD_INPUT when a token is not below the
   vocabulary; the message names file, position and id.
   Random order: the start is uniform over 0 .. tokens - length - 1, as in nanoGPT. Sequential: the start is token
   (step * sequences + number) * length; behind the file's last token its first one follows. */
status data_sequence(const token_file *f, const data_order *order, batch_stream stream, int64_t step, int64_t number,
                     int32_t *x, int32_t *y, error *e);
#endif
