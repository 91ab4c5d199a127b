/* utf8.h: Unicode code points in UTF-8. Overlong forms, surrogates and values past U+10FFFF are not UTF-8. */
#ifndef SNUG_UTF8_H
#define SNUG_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character at text[0]: its length in bytes (1 to 4), or 0 where the bytes are not UTF-8 or end too early. */
size_t utf8_next(const char *text, size_t bytes, uint32_t *code);
/* Writes a code point and returns its length. */
size_t utf8_put(uint32_t code, char out[4]);
/* How many bytes from the start are UTF-8: all of them in a good text. Counts the characters in them. */
size_t utf8_valid(const char *text, size_t bytes, int64_t *characters);
/* The byte at which character `n` (0 = first) of a valid text starts; `bytes` when there are no more. */
size_t utf8_offset(const char *text, size_t bytes, int64_t n);
/* Does a terminal act on the character instead of showing it? C0 (but newline and tab), DEL, C1. */
bool utf8_is_control(uint32_t code);
/* Makes a line of text fit for a terminal, in place: '?' for every control character and every byte that is not UTF-8.
   newlines: false: they are '?' too, and so are tabs. */
void utf8_clean(char *text, bool newlines);

#endif
