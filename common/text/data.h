/* data.h: the folder of a dataset, with train.bin and val.bin (token_file.h) and what says their vocabulary; and which
   sequences a step sees. */
#ifndef SNUG_DATA_H
#define SNUG_DATA_H

#include "base/random_sites.h"
#include "base/status.h"
#include "config/config.h"
#include "text/token_file.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The dataset's folder, which the caller frees: of `dataset` itself, data/NAME here, data/NAME and NAME beside the
   config file, and data/NAME beside the config file's folder, the first that holds a train.bin. */
status data_folder(const config *c, char **folder, error *e);
/* How many ids a model needs for this folder: as many as its tokenizer has (tokenizer_is_in); without one, what
   nanoGPT's meta.pkl says (meta_pickle.h), or else meta.json's vocab_size; 0: not known. */
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
