/* utf8.c: see utf8.h. */
#include "base/utf8.h"
#include <string.h>

size_t utf8_next(const char *text, size_t bytes, uint32_t *code) {
    if (bytes == 0) return 0;
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || bytes < length) return 0;
    uint32_t c = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (length == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) return 0;
    if (length == 4 && (c < 0x10000 || c > 0x10ffff)) return 0;
    *code = c;
    return length;
}

size_t utf8_put(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00u >> length) | c); /* 110x, 1110, 1111: the low byte of 0xf00 shifted by the length */
    return length;
}

size_t utf8_valid(const char *text, size_t bytes, int64_t *characters) {
    size_t i = 0;
    int64_t n = 0;
    for (uint32_t code; i < bytes; n++) {
        size_t length = utf8_next(text + i, bytes - i, &code);
        if (length == 0) break;
        i += length;
    }
    *characters = n;
    return i;
}

size_t utf8_offset(const char *text, size_t bytes, int64_t n) {
    size_t i = 0;
    for (; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80 && n-- == 0) break;
    return i;
}

bool utf8_is_control(uint32_t code) {
    return (code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7f && code < 0xa0);
}

void utf8_clean(char *text, bool newlines) {
    char *to = text;
    for (size_t left = strlen(text), n; left; left -= n, text += n) {
        uint32_t code = 0;
        n = utf8_next(text, left, &code);
        bool bad = !n || utf8_is_control(code) || (!newlines && code < 0x20);
        if (!n) n = 1;
        if (bad)
            *to++ = '?';
        else
            memmove(to, text, n), to += n;
    }
    *to = 0;
}
