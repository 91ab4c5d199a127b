/* meta_pickle.h: nanoGPT's meta.pkl, which its prepare.py for characters writes beside train.bin: vocab_size, itos
   (text by id) and stoi (id by text). */
#ifndef SNUG_META_PICKLE_H
#define SNUG_META_PICKLE_H

#include "base/status.h"
#include "text/tokenizer.h"
#include <stdint.h>

/* How many ids a model of this data has: vocab_size, which may be more than itos has, or else as many as itos has. */
status meta_pickle_vocabulary(const char *path, int64_t *vocabulary, error *e);
/* The tokenizer of itos, or of stoi where there is no itos. BAD_INPUT, here and above: see pickle_open; or the ids have
   holes, itos and stoi contradict each other or vocab_size; here also: a text of itos is not one character. */
status meta_pickle_tokenizer(const char *path, tokenizer **t, error *e);

#endif
