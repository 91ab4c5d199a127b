/* config_token.c: see config_token.h. */
#include "config/config_token.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- messages ---- */

static status fail_in_line(const reader *r, int line, const char *format, va_list arguments) {
    char message[700];
    vsnprintf(message, sizeof message, format, arguments);
    enum { SHOWN = 250 }; /* a path may be longer than an error: its end tells more than its start */
    size_t n = strlen(r->source);
    const char *dots = n > SHOWN ? "..." : "", *source = n > SHOWN ? r->source + n - SHOWN : r->source;
    if (line) return fail(r->e, BAD_INPUT, "%s%s:%d: %s", dots, source, line, message);
    return fail(r->e, BAD_INPUT, "%s%s: %s", dots, source, message);
}

status reader_fail_at(const reader *r, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    status s = fail_in_line(r, line, format, arguments);
    va_end(arguments);
    return s;
}

status reader_fail(const reader *r, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    status s = fail_in_line(r, r->now.line, format, arguments);
    va_end(arguments);
    return s;
}

excerpt reader_excerpt(const reader *r) { return excerpt_of(r->now.at, (size_t)-1); }

/* ---- between tokens ---- */

reader reader_of(const char *text, const char *source, int line, struct names *names, error *e) {
    return (reader){.at = text, .source = source, .line = line, .line_start = true, .names = names, .e = e};
}

/* Steps over lines that hold nothing but blanks and a comment, and counts the columns before the first token. */
static void start_line(reader *r) {
    for (;;) {
        int columns = 0;
        for (; *r->at == ' ' || *r->at == '\t' || *r->at == '\f'; r->at++)
            columns = *r->at == '\t' ? columns / 8 * 8 + 8 : *r->at == '\f' ? 0 : columns + 1;
        if (*r->at == '#') r->at += strcspn(r->at, "\n");
        if (*r->at != '\n') {
            r->indent = columns;
            break;
        }
        r->at++;
        r->line += r->line > 0;
    }
    r->line_start = false;
}

static void skip_blank(reader *r) {
    if (r->line_start) start_line(r);
    for (;; r->at++) {
        if (*r->at == '#') r->at += strcspn(r->at, "\n");
        if (*r->at == '\\' && r->at[1] == '\n')
            r->at++;
        else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\f' && !(*r->at == '\n' && r->brackets))
            return;
        if (*r->at == '\n') r->line += r->line > 0;
    }
}

/* ---- tokens ---- */

static bool is_name_byte(char c) { return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80; }

static size_t name_bytes(const char *at) {
    size_t n = 0;
    if (isdigit((unsigned char)*at)) return 0;
    while (is_name_byte(at[n])) n++;
    return n;
}

/* A number and all that sticks to it, so that 12abc is one bad number; a sign belongs to it after an exponent's e. */
static size_t number_bytes(const char *at) {
    bool decimal = !(*at == '0' && at[1] && strchr("xXoObB", at[1]));
    size_t n = 0;
    if (!isdigit((unsigned char)*at) && !(*at == '.' && isdigit((unsigned char)at[1]))) return 0;
    while (is_name_byte(at[n]) || at[n] == '.' ||
           (decimal && (at[n] == '+' || at[n] == '-') && (at[n - 1] == 'e' || at[n - 1] == 'E') &&
            isdigit((unsigned char)at[n + 1])))
        n++;
    return n;
}

static size_t operator_bytes(const char *at) {
    static const char *const operators[] = {"**=", "//=", ">>=", "<<=", "...", "**", "//", "<<",
                                            ">>",  "<=",  ">=",  "==",  "!=",  "->", ":=", "+=",
                                            "-=",  "*=",  "/=",  "%=",  "&=",  "|=", "^=", "@="};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (!strncmp(at, operators[i], strlen(operators[i]))) return strlen(operators[i]);
    return *at && strchr("+-*/%@&|^~<>=()[]{},:;.", *at) ? 1 : 0;
}

/* The string whose opening quote is at[prefix]. Its end is looked for, nothing in it is read. */
static status read_string(reader *r, size_t prefix) {
    const char *at = r->now.at + prefix;
    const char quote = *at;
    bool triple = at[1] == quote && at[2] == quote;
    const char end[4] = {quote, triple ? quote : 0, triple ? quote : 0, 0};
    if (prefix > 2 || strspn(r->now.at, "rRbBuUfF") < prefix)
        return reader_fail(r, "%s...%c is no string: before its quote may stand f or r",
                           excerpt_of(r->now.at, prefix + 1).text, quote);
    for (at += triple ? 3 : 1; strncmp(at, end, strlen(end)) != 0; at++) {
        bool escaped = *at == '\\' && at[1];
        at += escaped;
        if (!*at || (*at == '\n' && !triple && !escaped))
            return reader_fail(r, "the string that starts here has no end: add a %s%c", triple ? "triple " : "", quote);
        if (*at == '\n') r->line += r->line > 0;
    }
    r->now.kind = TOKEN_STRING;
    r->now.bytes = (size_t)(at - r->now.at) + strlen(end);
    return OK;
}

static void count_brackets(reader *r) {
    if (strchr("([{", *r->now.at) && !r->brackets++) r->first_bracket = r->line;
    if (strchr(")]}", *r->now.at) && r->brackets) r->brackets--;
}

status reader_next(reader *r) {
    skip_blank(r);
    r->now = (token){.at = r->at, .line = r->line};
    size_t name = name_bytes(r->at), number = number_bytes(r->at);
    if (!*r->at) {
        if (r->brackets) return reader_fail_at(r, r->first_bracket, "a bracket opened here is never closed");
    } else if (*r->at == '\n') {
        r->now.kind = TOKEN_NEWLINE, r->now.bytes = 1;
        r->line += r->line > 0;
        r->line_start = true;
    } else if (r->at[name] == '"' || r->at[name] == '\'') {
        TRY(read_string(r, name));
    } else if (name) {
        r->now.kind = TOKEN_NAME, r->now.bytes = name;
    } else if (number) {
        r->now.kind = TOKEN_NUMBER, r->now.bytes = number;
    } else if ((r->now.bytes = operator_bytes(r->at)) > 0) {
        r->now.kind = TOKEN_OPERATOR;
        count_brackets(r);
    } else {
        return reader_fail(r, "can't read '%s': write key = value", reader_excerpt(r).text);
    }
    r->at += r->now.bytes;
    return OK;
}

bool reader_is(const reader *r, const char *word) {
    return (r->now.kind == TOKEN_NAME || r->now.kind == TOKEN_OPERATOR) && r->now.bytes == strlen(word) &&
           !strncmp(r->now.at, word, r->now.bytes);
}

bool reader_at_end(const reader *r) {
    return r->now.kind == TOKEN_END || r->now.kind == TOKEN_NEWLINE || (reader_is(r, ";") && !r->brackets);
}

status reader_expect(reader *r, const char *word) {
    if (reader_is(r, word)) return reader_next(r);
    if (r->now.kind == TOKEN_NEWLINE || r->now.kind == TOKEN_END)
        return reader_fail(r, "'%s' is missing at the end of the line", word);
    return reader_fail(r, "a %s is missing before '%s'", word, reader_excerpt(r).text);
}

status reader_skip_brackets(reader *r) {
    int outside = r->brackets - 1; /* `now` has been counted */
    do TRY(reader_next(r));
    while (r->brackets > outside);
    return reader_next(r);
}

status reader_skip_statement(reader *r) {
    while (!reader_at_end(r)) TRY(reader_next(r));
    return OK;
}
