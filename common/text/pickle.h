/* pickle.h: reads the few kinds of values that nanoGPT's meta.pkl holds out of a Python pickle: dicts, lists, text,
   numbers, True, False and None, in protocols 2 to 5. Nothing is executed: the opcodes that would call something are
   refused, as is everything else. */
#ifndef SNUG_PICKLE_H
#define SNUG_PICKLE_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef enum { PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_FLOAT, PICKLE_TEXT, PICKLE_LIST, PICKLE_DICT } pickle_kind;

typedef struct pickle_value pickle_value;
struct pickle_value {
    pickle_kind kind;
    int64_t number;   /* BOOL, INT */
    double real;      /* FLOAT */
    const char *text; /* TEXT: UTF-8 if the pickle is sound, without a zero at its end */
    size_t bytes;
    pickle_value **items; /* LIST: [n]; DICT: key, value, key, value ... [2 n], in the order in which they were set */
    size_t n, room;
};

typedef struct pickle pickle;
/* *root: the value that the file holds; it lives as long as the pickle, which pickle_close frees. BAD_INPUT: e names
   the byte and what stands there. */
status pickle_open(const char *path, pickle **p, const pickle_value **root, error *e);
void pickle_close(pickle *p);
/* The value of a key of a dict, the last one set, as in Python; NULL if there is none, or d is no dict. */
const pickle_value *pickle_get(const pickle_value *d, const char *key);

#endif
