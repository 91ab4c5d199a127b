/* excerpt.h: the start of a text that may be long, for a message of one line. */
#ifndef SNUG_EXCERPT_H
#define SNUG_EXCERPT_H

#include <stddef.h>

typedef struct {
    char text[64];
} excerpt;
/* Up to the first line end, `bytes` or zero; cut with "..." where it gets long, and never inside a character. */
excerpt excerpt_of(const char *s, size_t bytes);

#endif
