/* corpus.h: the text files that `prepare` was given, folders walked in a fixed order. Knows no tokens. */
#ifndef SNUG_CORPUS_H
#define SNUG_CORPUS_H

#include "base/mapped_file.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* any_bytes: a file that was named itself need not be text, and its units are bytes, not characters (code points).
   newlines: \r\n and \r become \n, as when Python opens a text file. */
typedef struct {
    bool any_bytes, newlines;
} corpus_rules;

typedef struct {
    char *path;
    int64_t units;
} corpus_file;
typedef struct {
    corpus_rules rules;
    corpus_file *files;
    int64_t n, units, skipped; /* skipped: found in folders, and hidden, no text or no regular file */
} corpus;

/* paths in their order, folders recursively by name; `except` (may not exist) is a folder that is not entered. Reads
   every file once, to count its units and see that it is text: UTF-8 without zero bytes. A named file that is not text,
   and whatever cannot be read, is an error. corpus_free releases what c owns, also after a failure. */
status corpus_find(corpus *c, corpus_rules rules, char **paths, int n_paths, const char *except, error *e);
void corpus_free(corpus *c);

/* One file's text. */
typedef struct {
    const char *text;
    size_t bytes;
    mapped_file map;
    char *own;
} corpus_text;
status corpus_read(const corpus *c, const char *path, corpus_text *t, error *e);
void corpus_text_free(corpus_text *t);

#endif
