/* config_value.c: values of config files: literals and a little arithmetic, read by recursive descent. Runs nothing. */
#include "config/config_value.h"
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, NUMBER_MAX = 64 };

/* ---- messages ---- */

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

status reader_fail(const reader *r, const char *format, ...) {
    char message[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    enum { SHOWN = 250 }; /* a path may be longer than an error: its end tells more than its start */
    size_t n = strlen(r->source);
    const char *dots = n > SHOWN ? "..." : "", *source = n > SHOWN ? r->source + n - SHOWN : r->source;
    if (r->line) return fail(r->e, BAD_INPUT, "%s%s:%d: %s", dots, source, r->line, message);
    return fail(r->e, BAD_INPUT, "%s%s: %s", dots, source, message);
}

/* ---- words, blanks, strings ---- */

size_t name_length(const char *at) {
    size_t n = 0;
    if (isdigit((unsigned char)*at)) return 0;
    while (isalnum((unsigned char)at[n]) || at[n] == '_') n++;
    return n;
}

void reader_blank(reader *r) {
    for (;; r->at++) {
        if (*r->at == '#')
            while (r->at[1] && r->at[1] != '\n') r->at++;
        else if (*r->at == '\\' && r->at[1] == '\n')
            r->at++, r->line++;
        else if (*r->at == '\n' && r->brackets)
            r->line++;
        else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\f')
            return;
    }
}

/* Reads what follows a backslash. As in Python, an escape that means nothing stands for its own two characters. */
static status read_escape(reader *r, char out[2], size_t *n) {
    static const char letters[] = "ntr\\'\"", meanings[] = "\n\t\r\\'\"";
    const char *letter = *r->at ? strchr(letters, *r->at) : NULL;
    *n = 1;
    if (letter) {
        out[0] = meanings[letter - letters];
        r->at++;
    } else if (*r->at == '\n') { /* a continued line */
        *n = 0;
        r->at++, r->line++;
    } else if (*r->at == 'x' && isxdigit((unsigned char)r->at[1]) && isxdigit((unsigned char)r->at[2])) {
        char digits[3] = {r->at[1], r->at[2], 0};
        long byte = strtol(digits, NULL, 16);
        if (byte < 1 || byte > 127) return reader_fail(r, "\\x%s in a string: write the character itself", digits);
        out[0] = (char)byte;
        r->at += 3;
    } else if (*r->at && strchr("xuUN01234567ab", *r->at)) {
        return reader_fail(r, "\\%c in a string is not read: write the character itself, or \\\\ for a backslash",
                           *r->at);
    } else {
        out[0] = '\\';
    }
    return OK;
}

status reader_string(reader *r, char *text) {
    const char quote = *r->at;
    const reader start = *r;
    bool triple = r->at[1] == quote && r->at[2] == quote;
    size_t n = 0;
    r->at += triple ? 3 : 1;
    while (triple ? strncmp(r->at, (char[]){quote, quote, quote, 0}, 3) != 0 : *r->at != quote) {
        char part[2] = {*r->at};
        size_t bytes = 1;
        if (!*r->at || (*r->at == '\n' && !triple))
            return reader_fail(&start, "the string that starts here has no end: add a %s%c", triple ? "triple " : "",
                               quote);
        r->line += *r->at == '\n';
        r->at++;
        if (part[0] == '\\' && text) {
            TRY(read_escape(r, part, &bytes));
        } else if (part[0] == '\\' && *r->at) { /* skipping: only an escaped quote or line end matters */
            r->line += *r->at == '\n';
            r->at++;
        }
        if (!text || !bytes) continue;
        if (n + 1 >= TEXT_MAX) return reader_fail(&start, "this string is too long: at most %d bytes", TEXT_MAX - 1);
        text[n++] = part[0];
    }
    r->at += triple ? 3 : 1;
    if (text) text[n] = 0;
    return OK;
}

status reader_skip(reader *r) {
    const reader start = *r;
    for (r->brackets = 0;;) {
        reader_blank(r);
        if (*r->at == '"' || *r->at == '\'') {
            TRY(reader_string(r, NULL));
            continue;
        }
        if (!*r->at && r->brackets) return reader_fail(&start, "a bracket opened here is never closed");
        if (!*r->at || *r->at == '\n') break;
        if (strchr("([{", *r->at)) r->brackets++;
        if (strchr(")]}", *r->at) && r->brackets) r->brackets--;
        r->at++;
    }
    r->brackets = 0;
    return OK;
}

/* ---- literals ---- */

static const char *digits_copy(const char *at, char *copy, size_t *n) {
    for (; isdigit((unsigned char)*at) || (*at == '_' && isdigit((unsigned char)at[1]) && *n && copy[*n - 1] != '.');
         at++)
        if (*at != '_' && *n < NUMBER_MAX) copy[(*n)++] = *at;
    return at;
}

static status read_number(reader *r, value *v) {
    char copy[NUMBER_MAX + 4] = "";
    size_t n = 0;
    bool real = false;
    const char *at = digits_copy(r->at, copy, &n);
    if (*at == '.') {
        real = true;
        copy[n++] = '.';
        at = digits_copy(at + 1, copy, &n);
    }
    if ((*at == 'e' || *at == 'E') && isdigit((unsigned char)at[1 + (at[1] == '+' || at[1] == '-')])) {
        real = true;
        if (n < NUMBER_MAX) copy[n++] = *at;
        at++;
        if (*at == '+' || *at == '-') copy[n++] = *at++;
        at = digits_copy(at, copy, &n);
    }
    static const char word[] = "0123456789_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    excerpt shown = excerpt_of(r->at, (size_t)(at - r->at) + strspn(at, word));
    if (strspn(at, word) || (!real && copy[0] == '0' && n > 1))
        return reader_fail(r, "can't read the number %s: write it like 12, 5_000, 0.1 or 1e-3", shown.text);
    if (n >= NUMBER_MAX)
        return reader_fail(r, "the number %s is too long: at most %d digits", shown.text, NUMBER_MAX - 1);
    copy[n] = 0;
    *v = (value){.type = real ? VALUE_REAL : VALUE_INT, .real = strtod(copy, NULL)};
    if (!isfinite(v->real)) return reader_fail(r, "the number %s is too large: at most 1.7e308", shown.text);
    for (size_t i = 0; !real && i < n; i++)
        if (__builtin_mul_overflow(v->integer, 10, &v->integer) ||
            __builtin_add_overflow(v->integer, copy[i] - '0', &v->integer))
            return reader_fail(r, "the number %s is too large: at most 9223372036854775807", shown.text);
    r->at = at;
    return OK;
}

/* The value that an option has so far; not for BYTES. */
static value value_of_option(const config *c, option_id id) {
    const void *from = (const char *)c + option_table[id].offset;
    value v = {0};
    switch (option_table[id].type) {
    case OPTION_INT: v.type = VALUE_INT, v.integer = *(const int64_t *)from, v.real = (double)v.integer; break;
    case OPTION_REAL: v.type = VALUE_REAL, v.real = *(const double *)from; break;
    case OPTION_BOOL: v.type = VALUE_BOOL, v.truth = *(const bool *)from; break;
    default: v.type = VALUE_TEXT, strcpy(v.text, from);
    }
    return v;
}

static status read_name(reader *r, value *v) {
    size_t n = name_length(r->at);
    char name[NUMBER_MAX] = "";
    if (n < sizeof name) memcpy(name, r->at, n);
    excerpt shown = excerpt_of(r->at, n);
    bool truth = strcmp(name, "True") == 0;
    option_id id = config_find(name);
    const char *next = r->at + n + strspn(r->at + n, " \t");
    if (r->at[n] == '\'' || r->at[n] == '"')
        return reader_fail(r, "strings with a letter before the quote (%s'...') are not read: write a plain '...'",
                           shown.text);
    if (*next == '(' || *next == '.' || *next == '[')
        return reader_fail(r, "%s%s is not read, because nothing is executed: write the value itself", shown.text,
                           *next == '('   ? "(...)"
                           : *next == '.' ? ".(...)"
                                          : "[...]");
    if (truth || strcmp(name, "False") == 0)
        *v = (value){.type = VALUE_BOOL, .truth = truth};
    else if (strcmp(name, "None") == 0)
        return reader_fail(r, "None is not read: leave the line out to get the default");
    else if (id == OPTION_COUNT)
        return reader_fail(r, "%s is neither a number nor a key with a value: write a number, or 'text' in quotes",
                           shown.text);
    else if (option_table[id].type == OPTION_BYTES)
        return reader_fail(r, "%s can't be used in arithmetic: write the value itself", name);
    else
        *v = value_of_option(r->c, id);
    r->at += n;
    return OK;
}

/* ---- arithmetic ---- */

static status read_sum(reader *r, value *v);

static status read_operand(reader *r, value *v) {
    reader_blank(r);
    if (r->depth >= DEPTH_MAX)
        return reader_fail(r, "parentheses or signs are nested more than %d deep: write the value itself", DEPTH_MAX);
    r->depth++;
    status s = OK;
    if (*r->at == '(') {
        r->at++, r->brackets++;
        s = read_sum(r, v);
        if (s == OK && *r->at != ')')
            s = reader_fail(r, "a ) is missing before '%s'", excerpt_of(r->at, SIZE_MAX).text);
        r->at += s == OK;
        r->brackets--;
    } else if (*r->at == '-' || *r->at == '+') {
        bool minus = *r->at++ == '-';
        s = read_operand(r, v);
        if (s == OK && v->type != VALUE_INT && v->type != VALUE_REAL)
            s = reader_fail(r, "a sign stands before something that is not a number");
        if (s == OK && minus) v->real = -v->real, v->integer = -v->integer; /* no literal or result is INT64_MIN */
    } else if (*r->at == '"' || *r->at == '\'') {
        *v = (value){.type = VALUE_TEXT};
        s = reader_string(r, v->text);
    } else if (isdigit((unsigned char)*r->at) || (*r->at == '.' && isdigit((unsigned char)r->at[1]))) {
        s = read_number(r, v);
    } else if (name_length(r->at)) {
        s = read_name(r, v);
    } else if (!*r->at || *r->at == '\n') {
        s = reader_fail(r, "a value is missing: write key = value");
    } else {
        s = reader_fail(r, "can't read '%s': write a number, 'text' in quotes, True or False",
                        excerpt_of(r->at, SIZE_MAX).text);
    }
    r->depth--;
    return s;
}

/* operation: + - * / or 'f' for //. a = a operation b. */
static status combine(const reader *r, char operation, value *a, const value *b) {
    if (operation == '+' && a->type == VALUE_TEXT && b->type == VALUE_TEXT) {
        size_t n = strlen(a->text), m = strlen(b->text);
        if (n + m >= TEXT_MAX) return reader_fail(r, "this string is too long: at most %d bytes", TEXT_MAX - 1);
        memcpy(a->text + n, b->text, m + 1);
        return OK;
    }
    if ((a->type != VALUE_INT && a->type != VALUE_REAL) || (b->type != VALUE_INT && b->type != VALUE_REAL))
        return reader_fail(r, "arithmetic needs numbers on both sides (+ also joins two strings)");
    if ((operation == '/' || operation == 'f') && b->real == 0) return reader_fail(r, "division by zero");
    double x = a->real, y = b->real;
    bool whole = a->type == VALUE_INT && b->type == VALUE_INT && operation != '/', overflow = false;
    int64_t i = a->integer, j = b->integer, k = 0;
    switch (operation) {
    case '+': x += y, overflow = whole && __builtin_add_overflow(i, j, &k); break;
    case '-': x -= y, overflow = whole && __builtin_sub_overflow(i, j, &k); break;
    case '*': x *= y, overflow = whole && __builtin_mul_overflow(i, j, &k); break;
    case '/': x /= y; break;
    default: x = floor(x / y), k = whole ? i / j - (i % j != 0 && (i < 0) != (j < 0)) : 0;
    }
    if (overflow || (whole && k == INT64_MIN) || !isfinite(x))
        return reader_fail(r, "the result is too large: write a smaller value");
    *a = (value){.type = whole ? VALUE_INT : VALUE_REAL, .integer = k, .real = whole ? (double)k : x};
    return OK;
}

static status read_product(reader *r, value *v) {
    TRY(read_operand(r, v));
    for (reader_blank(r); *r->at == '*' || *r->at == '/'; reader_blank(r)) {
        char operation = *r->at++;
        value right;
        if (operation == '*' && *r->at == '*') return reader_fail(r, "** is not read: write the number itself");
        if (operation == '/' && *r->at == '/') operation = 'f', r->at++;
        TRY(read_operand(r, &right));
        TRY(combine(r, operation, v, &right));
    }
    return OK;
}

static status read_sum(reader *r, value *v) {
    TRY(read_product(r, v));
    for (reader_blank(r); *r->at == '+' || *r->at == '-'; reader_blank(r)) {
        char operation = *r->at++;
        value right;
        TRY(read_product(r, &right));
        TRY(combine(r, operation, v, &right));
    }
    return OK;
}

status reader_value(reader *r, value *v) {
    r->brackets = r->depth = 0;
    return read_sum(r, v);
}
