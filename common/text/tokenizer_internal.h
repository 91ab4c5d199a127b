/* tokenizer_internal.h: what the tokenizer's own files share. Nobody else includes it. */
#ifndef SNUG_TOKENIZER_INTERNAL_H
#define SNUG_TOKENIZER_INTERNAL_H

#include "text/tokenizer.h"
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#define NO_ID UINT32_MAX
enum { TOKENIZER_SIZE_MAX = 1 << 24 }; /* the largest vocab_size */

typedef enum { CHARACTERS, BYTES, BPE } token_kind; /* BYTES: a BPE without merges and without added tokens */

/* A token that is looked for in the text before the text is split into words: Hugging Face's AddedToken. */
typedef struct {
    char *content;
    size_t bytes;
    uint32_t id;
    bool lstrip, rstrip, special, normalized;
} added_token;

typedef struct {
    uint32_t left, right, id;
} merge; /* rank = index */
typedef struct {
    uint64_t pair;
    uint32_t rank, id;
} merge_slot; /* rank NO_ID: empty */

/* A file as it was read, to be written again. text NULL: there is none. */
typedef struct {
    char *text;
    size_t bytes;
} kept_file;
enum { FOLDER_CONFIG, FOLDER_SPECIAL, FOLDER_ADDED, FOLDER_FILES };

typedef struct splitter splitter; /* GPT-2's splitting rule, compiled */

struct tokenizer {
    token_kind kind;
    uint32_t size;
    char **text; /* by id: the bytes it decodes to, never NULL in a finished tokenizer */
    uint32_t *text_bytes;
    bool *added_only; /* by id: in added_tokens but not in the model's vocabulary */

    uint32_t *id_of_code; /* CHARACTERS: by code point, NO_ID where there is none */
    uint32_t codes;       /* length of id_of_code */

    uint32_t id_of_byte[256]; /* BYTES, BPE */
    merge *merges;
    uint32_t n_merges;
    merge_slot *merge_table; /* open addressing over pairs; merge_mask + 1 slots */
    uint64_t merge_mask;
    splitter *split; /* NULL: a text is one word */

    added_token *added;
    uint32_t n_added;
    bool prefix_space; /* a space is put before a text, and before what follows an added token, unless one is there */

    bool gpt2;      /* transformers' GPT2Tokenizer, which takes nothing but vocabulary and added tokens from
                       tokenizer.json; else its PreTrainedTokenizerFast, which takes all of it */
    kept_file json; /* tokenizer.json */
    kept_file beside[FOLDER_FILES]; /* tokenizer_folder_names */
};

/* tokenizer_vocabulary.c */
tokenizer *tokenizer_new(token_kind kind, uint32_t size);
void tokenizer_set_text(tokenizer *t, uint32_t id, const char *text, size_t bytes);
/* From text, merges and added builds the tables that encoding needs; decides whether it is a BPE or BYTES. */
void tokenizer_finish(tokenizer *t);

/* tokenizer_folder.c */
extern const char *const tokenizer_folder_names[FOLDER_FILES];
typedef struct {
    const char *folder;
    cJSON *json[FOLDER_FILES]; /* NULL: the file is not there */
    kept_file file[FOLDER_FILES];
    bool gpt2; /* see tokenizer */
    bool says_prefix_space, prefix_space;
} tokenizer_folder;
/* pair: the folder has vocab.json and merges.txt instead of tokenizer.json. BAD_INPUT: a file is damaged, or asks for
   what snug cannot do. tokenizer_folder_free releases what f owns. */
status tokenizer_folder_read(const char *folder, bool pair, tokenizer_folder *f, error *e);
void tokenizer_folder_free(tokenizer_folder *f);
/* *list: all added tokens, as objects like those of tokenizer.json, of which own (may be NULL) is the list; the caller
   deletes it. vocabulary: the model's. BAD_INPUT: an id does not follow from the others. */
status tokenizer_folder_added(const tokenizer_folder *f, const cJSON *vocabulary, const cJSON *own, cJSON **list,
                              error *e);

/* tokenizer_json.c: reads a tokenizer.json, or with `merges` a vocab.json; with `folder` (may be NULL) what lies beside
   it, too. */
status tokenizer_read_file(const char *folder, const char *path, const char *merges, tokenizer **t, error *e);
/* GPT-2 writes each byte as one visible letter. */
uint32_t letter_of_byte(unsigned char byte);
int byte_of_letter(uint32_t code); /* -1: no such letter */

/* tokenizer_split.c */
splitter *splitter_new(void);
void splitter_free(splitter *s);
typedef struct split_work split_work; /* one thread's */
split_work *split_work_new(const splitter *s);
void split_work_free(split_work *w);
/* Length in bytes of the word at text[at]; 0 when the regex library failed. The text has to be valid UTF-8. */
size_t split_next(split_work *w, const char *text, size_t bytes, size_t at);
bool is_space(uint32_t code);
status not_utf8(const char *text, size_t at, error *e); /* BAD_INPUT: names the byte text[at] */
/* A place in (begin, end], near begin + want, at which a text can be cut without changing its words. */
size_t split_cut(const char *text, size_t begin, size_t end, size_t want);

/* word_counts.c */
typedef struct {
    uint64_t hash, count; /* count 0: an empty slot */
    size_t at;
    uint32_t bytes;
} counted_word;
struct word_counts {
    counted_word *slots; /* open addressing, at most half full; mask + 1 of them */
    uint64_t mask, used;
    char *text; /* the words, one after the other */
    size_t text_bytes, text_room;
};

/* tokenizer_bpe.c */
uint64_t text_hash(const char *bytes, size_t n);
const merge_slot *merge_find(const tokenizer *t, uint32_t left, uint32_t right);
void merge_table_build(tokenizer *t);
typedef struct bpe_encoder bpe_encoder; /* caches of all threads, for the length of one call */
bpe_encoder *bpe_encoder_new(const tokenizer *t);
void bpe_encoder_free(bpe_encoder *b);
status bpe_encode(bpe_encoder *b, const char *text, size_t begin, size_t end, token_sink *take, void *context,
                  error *e);

#endif
