/* config_format.c: see config_format.h. */
#include "config/config_format.h"
#include "base/excerpt.h"
#include "base/utf8.h"
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- str and repr ---- */

/* The fewest digits that read back as the same double, and a point or an exponent among them. An exponent is written
   below 1e-4 and from 1e16 on. */
static void show_real(double x, char to[64]) {
    int digits = 0;
    do snprintf(to, 64, "%.*e", digits, x);
    while (strtod(to, NULL) != x && digits++ < 16);
    int exponent = atoi(strchr(to, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        int decimals = digits - exponent;
        snprintf(to, 64, "%.*f", decimals > 1 ? decimals : 1, x);
    }
}

value format_str(const value *v, int line) {
    char s[64];
    switch (v->type) {
    case VALUE_INT: snprintf(s, sizeof s, "%" PRId64, v->integer); break;
    case VALUE_REAL: show_real(v->real, s); break;
    case VALUE_BOOL: strcpy(s, v->integer ? "True" : "False"); break;
    case VALUE_NONE: strcpy(s, "None"); break;
    default: return *v;
    }
    return value_text(s, strlen(s), line);
}

value format_repr(const value *v, int line) {
    char s[4 * TEXT_MAX + 4], *to = s;
    if (v->type != VALUE_TEXT) return format_str(v, line);
    char quote = strchr(v->text, '\'') && !strchr(v->text, '"') ? '"' : '\'';
    *to++ = quote;
    for (const char *at = v->text; *at; at++) {
        static const char letters[] = "ntr\\", meant[] = "\n\t\r\\";
        const char *found = strchr(meant, *at);
        if (found || *at == quote)
            *to++ = '\\', *to++ = found ? letters[found - meant] : quote;
        else if (iscntrl((unsigned char)*at))
            to += sprintf(to, "\\x%02x", (unsigned char)*at);
        else
            *to++ = *at;
    }
    *to++ = quote;
    return value_text(s, (size_t)(to - s), line);
}

/* ---- format specifications ---- */

typedef struct {
    char fill[5], align, sign, type; /* 0: not given */
    bool zero, comma;
    int width, precision; /* -1: not given */
} specification;

static const char *number_in(const char *at, int *n) {
    for (*n = 0; isdigit((unsigned char)*at); at++)
        if (*n < 10000) *n = *n * 10 + (*at - '0');
    return at;
}

static bool parse_specification(const char *at, specification *f) {
    uint32_t code;
    size_t n = utf8_next(at, strlen(at), &code);
    bool filled = n && at[n] && strchr("<>^=", at[n]);
    *f = (specification){.fill = " ", .precision = -1};
    if (filled) {
        memcpy(f->fill, at, n);
        f->fill[n] = 0;
        f->align = at[n];
        at += n + 1;
    } else if (*at && strchr("<>^=", *at)) {
        f->align = *at++;
    }
    if (*at && strchr("+- ", *at)) f->sign = *at++;
    if (*at == '0' && !filled) {
        f->zero = !f->align;
        strcpy(f->fill, "0");
        at++;
    }
    at = number_in(at, &f->width);
    if (*at == ',') f->comma = true, at++;
    if (*at == '.') {
        if (!isdigit((unsigned char)at[1])) return false;
        at = number_in(at + 1, &f->precision);
    }
    if (*at) f->type = *at++;
    return !*at && f->width < TEXT_MAX && f->precision < 100;
}

/* Commas between the thousands before the point. */
static void put_commas(char *digits) {
    size_t whole = strspn(digits, "0123456789"), n = strlen(digits);
    for (size_t left = whole; left > 3;) {
        left -= 3;
        memmove(digits + left + 1, digits + left, n++ - left + 1);
        digits[left] = ',';
    }
}

/* The number without its sign, as its type wants it; false: that is not read. */
static bool put_digits(const value *v, const specification *f, char *to, size_t size) {
    bool whole = value_is_whole(v);
    double x = fabs(v->real);
    uint64_t i = v->integer < 0 ? 0 - (uint64_t)v->integer : (uint64_t)v->integer;
    int precision = f->precision < 0 ? 6 : f->precision;
    char pattern[] = "%.*e";
    pattern[3] = f->type;
    if (whole && (!f->type || f->type == 'd') && f->precision < 0) {
        snprintf(to, size, "%" PRIu64, i);
    } else if (whole && f->type == 'x' && f->precision < 0 && !f->comma) {
        snprintf(to, size, "%" PRIx64, i);
    } else if (whole && f->type == 'X' && f->precision < 0 && !f->comma) {
        snprintf(to, size, "%" PRIX64, i);
    } else if (!whole && !f->type && f->precision < 0) {
        value plain = value_real(x);
        snprintf(to, size, "%s", format_str(&plain, 0).text);
    } else if (f->type == '%') {
        snprintf(to, size, "%.*f%%", precision, x * 100);
    } else if (f->type && strchr("eEfFgG", f->type)) {
        snprintf(to, size, pattern, precision, x); /* NOLINT: one of six fixed patterns */
    } else {
        return false;
    }
    if (f->comma) put_commas(to);
    return true;
}

/* `sign`, the fill, and `text`, in the order that the alignment asks for. */
static value padded(const specification *f, char align, const char *sign, const char *text, int line) {
    char s[4 * TEXT_MAX + 512] = "";
    int64_t characters, signs = (int64_t)strlen(sign);
    utf8_valid(text, strlen(text), &characters);
    int64_t missing = f->width - characters - signs, before = 0;
    if (missing < 0) missing = 0;
    if (align == '>' || align == '=') before = missing;
    if (align == '^') before = missing / 2;
    if (align == '=') strcat(s, sign);
    for (int64_t i = 0; i < before; i++) strcat(s, f->fill);
    if (align != '=') strcat(s, sign);
    strcat(s, text);
    for (int64_t i = before; i < missing; i++) strcat(s, f->fill);
    return value_text(s, strlen(s), line);
}

value format_spec(const value *v, const char *spec, int line) {
    specification f;
    char digits[512]; /* below 1e100: 100 digits and their commas, a point, 99 more */
    if (v->type == VALUE_UNKNOWN) return *v;
    if (!*spec) return format_str(v, line);
    bool good = parse_specification(spec, &f);
    if (good && v->type == VALUE_TEXT && (!f.type || f.type == 's') && !f.sign && !f.comma && f.align != '=') {
        value cut = *v;
        if (f.precision >= 0) cut.text[utf8_offset(cut.text, strlen(cut.text), f.precision)] = 0;
        return padded(&f, f.align ? f.align : '<', "", cut.text, line);
    }
    if (good && value_is_number(v) && fabs(v->real) < 1e100 && !(f.comma && f.zero) &&
        put_digits(v, &f, digits, sizeof digits)) {
        const char *sign = signbit(v->real) ? "-" : f.sign == '-' || !f.sign ? "" : f.sign == '+' ? "+" : " ";
        return padded(&f, f.align ? f.align : f.zero ? '=' : '>', sign, digits, line);
    }
    return value_unknown(line, false, "{...:%s} is not read for %s: write the text itself",
                         excerpt_of(spec, TEXT_MAX).text, value_kind(v));
}
