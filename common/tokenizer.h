/* tokenizer.h: text <-> token ids. Characters (Unicode code points), bytes, and GPT-2's byte-level BPE, all kept in a
   tokenizer.json that Hugging Face `tokenizers` loads. */
#ifndef SNUG_TOKENIZER_H
#define SNUG_TOKENIZER_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct tokenizer tokenizer;

/* path: a tokenizer.json, or a folder that holds one (or vocab.json + merges.txt). */
status tokenizer_open(const char *path, tokenizer **t, error *e);
/* A character vocabulary of the code points in text (sorted by code point), or the 256 bytes. */
status tokenizer_from_characters(const char *text, size_t bytes, tokenizer **t, error *e);
tokenizer *tokenizer_bytes(void);
void tokenizer_close(tokenizer *t);
int64_t tokenizer_size(const tokenizer *t);

/* Ids of a text; *ids is the caller's to free. Fails, naming the character and its place, on text that has no token. */
status tokenizer_encode(const tokenizer *t, const char *text, size_t bytes, uint32_t **ids, size_t *n, error *e);
/* The bytes of one id (may be part of a UTF-8 sequence); "" for an id that has none. Lives as long as t. */
const char *tokenizer_decode(const tokenizer *t, uint32_t id, size_t *bytes);
status tokenizer_save(const tokenizer *t, const char *path, error *e);

#endif
