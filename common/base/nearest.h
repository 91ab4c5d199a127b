/* nearest.h: what somebody who mistyped a word most likely meant: for keys, commands and files. */
#ifndef SNUG_NEAREST_H
#define SNUG_NEAREST_H

/* Damerau and Levenshtein's distance: how many letters have to be inserted, left out, changed, or swapped with their
   neighbour (no letter twice) to make b of a. Case makes no difference, nor - in the place of _. INT_MAX where a word
   is longer than 255 bytes. */
int nearest_distance(const char *a, const char *b);
/* The best guess so far, over any number of words. Begin with {typed}; `word` stays NULL until one is near: at most a
   third of the letters typed (one letter at least) has to change. */
typedef struct {
    const char *typed, *word;
    int distance; /* of `word` */
} nearest;
void nearest_try(nearest *n, const char *word);
/* A path that exists and whose parts are each the same as those of `path`, or near. The last may also lack `suffix`
   (".py" that was forgotten) or be a piece of four letters or more of a name that ends in it; NULL: no suffix. The
   caller frees it. NULL: there is none, or path itself exists. */
char *nearest_path(const char *path, const char *suffix);

#endif
