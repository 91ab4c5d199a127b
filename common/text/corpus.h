/* corpus.h: finds the text files that `prepare` was given, in files and folders, always in the same order. Knows
   nothing of tokens. */
#ifndef SNUG_CORPUS_H
#define SNUG_CORPUS_H

#include "base/mapped_file.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* any_bytes: a file that the user names need not be text, and is counted in bytes instead of characters (code points).
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
    int64_t n, units, skipped; /* skipped: found in folders, but hidden, not text or not a regular file */
} corpus;

/* Takes paths in the order given, and what is in folders by name, recursively. The folder `except` is not entered; it
   need not exist. Reads every file once, to count its units and to see that it is text: UTF-8 without zero bytes. A
   file that the user named and that is not text is an error, and so is everything that cannot be read. corpus_free
   releases what c owns, also after a failure. */
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
