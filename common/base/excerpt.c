/* excerpt.c: see excerpt.h. */
#include "base/excerpt.h"
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

excerpt excerpt_of(const char *s, size_t bytes) {
    enum { SHOWN = 40 };
    excerpt x = {{0}};
    size_t n = 0;
    while (n < bytes && n < SHOWN && s[n] && s[n] != '\n') n++;
    bool cut = n < bytes && s[n] && s[n] != '\n';
    while (cut && n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80) n--; /* not inside a UTF-8 sequence */
    memcpy(x.text, s, n);
    for (size_t i = 0; i < n; i++)
        if (iscntrl((unsigned char)x.text[i])) x.text[i] = ' ';
    if (cut) strcpy(x.text + n, "...");
    return x;
}
