/* config_literal.c: see config_literal.h. */
#include "config/config_literal.h"
#include "base/utf8.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 64 };

/* ---- numbers ---- */

/* Copies a number without its underscores. False: one does not stand between digits, or the number is too long. */
static bool without_underscores(const char *at, size_t bytes, char copy[NUMBER_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        bool after = i > 0 && (isxdigit((unsigned char)at[i - 1]) || (i == 2 && at[0] == '0' && !isdigit(at[1])));
        if (at[i] == '_' && (!after || i + 1 == bytes || !isxdigit((unsigned char)at[i + 1]))) return false;
        if (at[i] == '_') continue;
        if (n + 1 >= NUMBER_MAX) return false;
        copy[n++] = at[i];
    }
    copy[n] = 0;
    return n > 0;
}

/* Is it digits, with one point among or beside them, and an exponent? real: it has a point or an exponent. */
static bool is_decimal(const char *s, bool *real) {
    size_t whole = strspn(s, "0123456789"), fraction = 0;
    const char *at = s + whole;
    *real = false;
    if (*at == '.') *real = true, fraction = strspn(at + 1, "0123456789"), at += 1 + fraction;
    if (whole + fraction == 0) return false;
    if (*at == 'e' || *at == 'E') {
        *real = true;
        at += 1 + (at[1] == '+' || at[1] == '-');
        if (!isdigit((unsigned char)*at)) return false;
        at += strspn(at, "0123456789");
    }
    return !*at;
}

static int base_of(const char *s) {
    if (s[0] != '0') return 10;
    return s[1] == 'x' || s[1] == 'X' ? 16 : s[1] == 'o' || s[1] == 'O' ? 8 : s[1] == 'b' || s[1] == 'B' ? 2 : 10;
}

/* False: a digit that the base does not have. */
static bool whole_of(const char *s, int base, int64_t *i, bool *overflow) {
    *i = 0;
    if (!*s) return false;
    for (; *s; s++) {
        int digit = isdigit((unsigned char)*s) ? *s - '0' : isxdigit((unsigned char)*s) ? tolower(*s) - 'a' + 10 : 99;
        if (digit >= base) return false;
        *overflow = *overflow || __builtin_mul_overflow(*i, base, i) || __builtin_add_overflow(*i, digit, i);
    }
    return true;
}

status literal_number(const reader *r, value *v) {
    char s[NUMBER_MAX];
    bool real = false, overflow = false;
    int64_t i = 0;
    excerpt shown = excerpt_of(r->now.at, r->now.bytes);
    if (r->now.bytes >= NUMBER_MAX)
        return reader_fail(r, "the number %s is too long: at most %d digits", shown.text, NUMBER_MAX - 1);
    bool good = without_underscores(r->now.at, r->now.bytes, s);
    int base = good ? base_of(s) : 10;
    if (good && base != 10)
        good = whole_of(s + 2, base, &i, &overflow);
    else if (good)
        good = is_decimal(s, &real) && (real || (whole_of(s, 10, &i, &overflow) && (*s != '0' || i == 0)));
    if (!good) return reader_fail(r, "can't read the number %s: write it like 12, 5_000, 0xC, 0.1 or 1e-3", shown.text);
    if (overflow) return reader_fail(r, "the number %s is too large: at most 9223372036854775807", shown.text);
    *v = real ? value_real(strtod(s, NULL)) : value_int(i);
    if (!isfinite(v->real)) return reader_fail(r, "the number %s is too large: at most 1.7e308", shown.text);
    return OK;
}

/* ---- numbers in strings ---- */

/* Takes blanks and a sign off; false: nothing is left, or an underscore is in the wrong place. */
static bool bare_number(const char *text, char s[NUMBER_MAX], bool *minus) {
    static const char blanks[] = " \t\n\r\f\v";
    text += strspn(text, blanks);
    *minus = *text == '-';
    if (*text == '-' || *text == '+') text++;
    size_t n = strlen(text);
    while (n > 0 && strchr(blanks, text[n - 1])) n--;
    return isdigit((unsigned char)*text) | (*text == '.') && without_underscores(text, n, s);
}

value literal_int(const char *text, int line) {
    char s[NUMBER_MAX];
    bool minus, overflow = false;
    int64_t i;
    if (!bare_number(text, s, &minus) || !whole_of(s, 10, &i, &overflow))
        return value_unknown(line, true, "int('%s'): that is no whole number", excerpt_of(text, TEXT_MAX).text);
    if (overflow) return value_unknown(line, false, "int('%s') is too large", excerpt_of(text, TEXT_MAX).text);
    return value_int(minus ? -i : i);
}

value literal_float(const char *text, int line) {
    char s[NUMBER_MAX];
    bool minus, real;
    if (!bare_number(text, s, &minus) || !is_decimal(s, &real) || !isfinite(strtod(s, NULL)))
        return value_unknown(line, false, "float('%s') is no finite number", excerpt_of(text, TEXT_MAX).text);
    return value_real(minus ? -strtod(s, NULL) : strtod(s, NULL));
}

/* ---- characters ---- */

static void append(char *to, size_t *n, const char *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i++, (*n)++)
        if (*n < TEXT_MAX) to[*n] = from[i];
}

static status append_code(const reader *r, uint32_t code, const char *escape, size_t bytes, char *to, size_t *n) {
    char c[4];
    if (code == 0 || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
        return reader_fail(r, "\\%s in a string: that character can't stand in a setting",
                           excerpt_of(escape, bytes).text);
    append(to, n, c, utf8_put(code, c));
    return OK;
}

/* Reads what follows a backslash and says how many bytes that was. An escape that means nothing stands for its own two
   characters. */
static status append_escape(const reader *r, const char *at, size_t left, size_t *used, char *to, size_t *n) {
    static const char letters[] = "ntr\\'\"abfv", meanings[] = "\n\t\r\\'\"\a\b\f\v";
    const char *letter = *at ? strchr(letters, *at) : NULL;
    size_t wanted = *at == 'x' ? 2 : *at == 'u' ? 4 : *at == 'U' ? 8 : 0, digits = 0;
    uint32_t code = 0;
    *used = 1;
    if (*at == '\n') return OK; /* a continued line */
    if (letter) return append(to, n, &meanings[letter - letters], 1), OK;
    if (*at == 'N')
        return reader_fail(r, "\\N in a string is not read: write the character itself, or \\\\ for a backslash");
    if (wanted) {
        for (at++; digits < wanted && digits + 1 < left && isxdigit((unsigned char)at[digits]); digits++)
            code = code << 4 |
                   (uint32_t)(isdigit((unsigned char)at[digits]) ? at[digits] - '0' : tolower(at[digits]) - 'a' + 10);
        if (digits < wanted)
            return reader_fail(r, "\\%c in a string needs %zu hexadecimal digits (\\\\ is a backslash)", at[-1],
                               wanted);
        *used = 1 + wanted;
        return append_code(r, code, at - 1, 1 + wanted, to, n);
    }
    while (digits < 3 && digits < left && at[digits] >= '0' && at[digits] < '8')
        code = code << 3 | (uint32_t)(at[digits++] - '0');
    if (digits) return *used = digits, append_code(r, code, at, digits, to, n);
    append(to, n, "\\", 1);
    *used = 0;
    return OK;
}

status literal_append(const reader *r, const char *text, size_t bytes, bool raw, char *to, size_t *n) {
    for (size_t i = 0, used; i < bytes; i += used) {
        used = 1;
        if (text[i] == '\\' && !raw && i + 1 < bytes) {
            TRY(append_escape(r, text + i + 1, bytes - i - 1, &used, to, n));
            used++;
        } else {
            append(to, n, text + i, 1);
        }
    }
    return OK;
}
