/* shell_word.c: see shell_word.h. */
#include "base/shell_word.h"
#include "base/status.h"
#include <stdio.h>
#include <string.h>

char *shell_word(const char *text) {
    size_t plain = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=+,-%@");
    if (*text && !text[plain]) return xstrdup(text);
    char *word = xcalloc(4 * strlen(text) + 3, 1), *at = word;
    *at++ = '\'';
    for (; *text; text++) {
        if (*text == '\'')
            at += sprintf(at, "'\\''");
        else
            *at++ = *text;
    }
    *at = '\'';
    return word;
}
