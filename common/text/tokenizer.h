/* tokenizer.h: from text to token ids and back: by characters (Unicode code points), by bytes, or by GPT-2's byte-level
   BPE. Each kind is saved as a tokenizer.json that Hugging Face `tokenizers` loads. */
#ifndef SNUG_TOKENIZER_H
#define SNUG_TOKENIZER_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tokenizer tokenizer;

/* path: a tokenizer.json, or a folder that holds one, or one that holds vocab.json and merges.txt, or nanoGPT's
   meta.pkl (meta_pickle.h). */
status tokenizer_open(const char *path, tokenizer **t, error *e);
/* Does the folder hold a tokenizer.json, or vocab.json and merges.txt? */
bool tokenizer_is_in(const char *folder);
/* A vocabulary of the code points that occur in text, sorted; tokenizer_bytes: one of the 256 bytes. */
status tokenizer_from_characters(const char *text, size_t bytes, tokenizer **t, error *e);
tokenizer *tokenizer_bytes(void);
void tokenizer_close(tokenizer *t);
int64_t tokenizer_size(const tokenizer *t);
/* Do both have the same ids for the same pieces of text? */
bool tokenizer_same(const tokenizer *a, const tokenizer *b);
/* "char", "byte" or "bpe". */
const char *tokenizer_kind_name(const tokenizer *t);

/* The ids of a text; the caller frees *ids. BAD_INPUT for a character that has no token; the message names it and its
   place. */
status tokenizer_encode(const tokenizer *t, const char *text, size_t bytes, uint32_t **ids, size_t *n, error *e);
/* The bytes that an id stands for, which may be a part of a UTF-8 sequence; "" for an id that is not in the vocabulary.
   They live as long as t. */
const char *tokenizer_decode(const tokenizer *t, uint32_t id, size_t *bytes);
/* GPT-2's only special token, which stands between texts. */
#define END_OF_TEXT "<|endoftext|>"
/* The id of a whole token such as END_OF_TEXT, -1 if there is none. */
int64_t tokenizer_find(const tokenizer *t, const char *token);
/* Writes a tokenizer.json. save_folder writes it into a folder together with a tokenizer_config.json, without which
   transformers' AutoTokenizer would build GPT-2's own tokenizer around the vocabulary. */
status tokenizer_save(const tokenizer *t, const char *path, error *e);
status tokenizer_save_folder(const tokenizer *t, const char *folder, error *e);

/* For texts that are too long to have all their ids in memory: `take` gets the ids of text[begin] ... text[end - 1] in
   order, some at a time. Places in errors count from text[0]. */
typedef status token_sink(void *context, const uint32_t *ids, size_t n, error *e);
status tokenizer_stream(const tokenizer *t, const char *text, size_t begin, size_t end, token_sink *take, void *context,
                        error *e);

/* Learning a byte-level BPE: count the words of all texts, then merge the most frequent pairs. `size` counts the 256
   bytes, the merges and END_OF_TEXT; the tokenizer has fewer ids when no pair is left that occurs twice. */
typedef struct word_counts word_counts;
enum { BPE_SIZE_MIN = 257, BPE_SIZE_MAX = 1 << 20 };
word_counts *word_counts_new(void);
void word_counts_free(word_counts *w);
status word_counts_add(word_counts *w, const char *text, size_t begin, size_t end, error *e);
status tokenizer_train(const word_counts *w, int64_t size, tokenizer **t, error *e);

#endif
