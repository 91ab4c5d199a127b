/* config_string.c: strings in config files: prefixes, strings joined by standing side by side, and f-strings. */
#include "config/config_expression.h"
#include "config/config_format.h"
#include "config/config_literal.h"
#include <string.h>

/* A text under construction: TEXT_MAX bytes of it, and how many there would be. why: what made it UNKNOWN. */
typedef struct {
    char text[TEXT_MAX];
    size_t n;
    value why;
    bool asked;
} builder;

static void add_value(builder *b, const value *v) {
    if (v->type == VALUE_UNKNOWN && b->why.type != VALUE_UNKNOWN) b->why = *v;
    b->asked = b->asked || v->asked;
    for (const char *at = v->text; *at && v->type == VALUE_TEXT; at++, b->n++)
        if (b->n < TEXT_MAX) b->text[b->n] = *at;
}

/* ---- f-strings ---- */

/* How far the expression goes that begins behind a brace: up to a } : or ! of its own, or to the = of {name=}. */
static size_t field_bytes(const char *at, size_t bytes) {
    int open = 0;
    char quote = 0;
    for (size_t i = 0; i < bytes; i++) {
        char c = at[i], next = i + 1 < bytes ? at[i + 1] : 0;
        if (quote) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (strchr("([{", c)) {
            open++;
        } else if (open && strchr(")]}", c)) {
            open--;
        } else if (!open && (c == '}' || c == ':' || (c == '!' && next != '='))) {
            return i;
        } else if (!open && strchr("=!<>", c) && next == '=') {
            i++;
        } else if (!open && c == '=') {
            return i;
        }
    }
    return bytes;
}

/* Reads one expression that has a text of its own. */
static status read_inner(const reader *r, const char *at, size_t bytes, value *v) {
    char text[TEXT_MAX + 2];
    if (bytes >= TEXT_MAX) return reader_fail(r, "an f-string's {...} is too long: at most %d bytes", TEXT_MAX - 1);
    snprintf(text, sizeof text, "(%.*s)", (int)bytes, at); /* in parentheses: it may go on in the next line */
    if (memchr(at, '\\', bytes)) return reader_fail(r, "a backslash in the {...} of an f-string is not read");
    if (memchr(at, '#', bytes)) return reader_fail(r, "a # in the {...} of an f-string is not read");
    reader inner = reader_of(text, r->source, r->now.line, r->names, r->e);
    inner.depth = r->depth;
    TRY(reader_next(&inner));
    TRY(expression_read(&inner, v));
    if (inner.now.kind != TOKEN_END)
        return reader_fail(r, "can't read '%s' in the {...} of an f-string", reader_excerpt(&inner).text);
    return OK;
}

/* Reads {expression=!conversion:specification}, from behind its { to behind its }. */
static status read_field(const reader *r, const char *at, size_t bytes, size_t *used, builder *b) {
    size_t i = field_bytes(at, bytes), spec = 0;
    value v = {0};
    char text[TEXT_MAX], conversion = 0;
    bool echoed = i < bytes && at[i] == '=';
    TRY(read_inner(r, at, i, &v));
    b->asked = b->asked || v.asked;
    if (echoed) {
        i += 1 + strspn(at + i + 1, " ");
        value echo = value_text(at, i < bytes ? i : bytes, r->now.line);
        add_value(b, &echo);
    }
    if (i + 1 < bytes && at[i] == '!') conversion = at[i + 1], i += 2;
    if (i < bytes && at[i] == ':') spec = strcspn(at + i + 1, "{}\"'\\"), i += 1 + spec;
    if (i >= bytes || at[i] != '}' || spec >= sizeof text)
        return reader_fail(r, "can't read '{%s' in an f-string: write {name} or {name:.2f}",
                           excerpt_of(at, bytes).text);
    memcpy(text, at + i - spec, spec);
    text[spec] = 0;
    if (conversion == 'r' || (echoed && !conversion && !spec))
        v = format_repr(&v, r->now.line);
    else if (conversion == 's')
        v = format_str(&v, r->now.line);
    else if (conversion)
        return reader_fail(r, "!%c in an f-string is not read", conversion);
    v = format_spec(&v, text, r->now.line);
    add_value(b, &v);
    *used = i + 1;
    return OK;
}

static status append_formatted(const reader *r, const char *at, size_t bytes, bool raw, builder *b) {
    for (size_t i = 0, used; i < bytes; i += used) {
        size_t plain = 0;
        while (i + plain < bytes && at[i + plain] != '{' && at[i + plain] != '}')
            plain += !raw && at[i + plain] == '\\' && i + plain + 1 < bytes && !strchr("{}", at[i + plain + 1]) ? 2 : 1;
        if (i + plain > bytes) plain = bytes - i;
        TRY(literal_append(r, at + i, plain, raw, b->text, &b->n));
        used = plain;
        if (i + plain == bytes) return OK;
        const char *brace = at + i + plain;
        bool doubled = i + plain + 1 < bytes && brace[1] == *brace;
        if (doubled) {
            TRY(literal_append(r, brace, 1, true, b->text, &b->n));
            used += 2;
        } else if (*brace == '}') {
            return reader_fail(r, "a single } in an f-string: write }}");
        } else {
            size_t field = 0;
            TRY(read_field(r, brace + 1, bytes - i - plain - 1, &field, b));
            used += 1 + field;
        }
    }
    return OK;
}

/* ---- strings ---- */

/* Appends the string that is `now`. */
static status append_string(reader *r, builder *b) {
    const token t = r->now;
    size_t prefix = strcspn(t.at, "'\"");
    char quote = t.at[prefix];
    size_t quotes = t.bytes - prefix >= 6 && t.at[prefix + 1] == quote && t.at[prefix + 2] == quote ? 3 : 1;
    const char *at = t.at + prefix + quotes;
    size_t bytes = t.bytes - prefix - 2 * quotes;
    bool raw = false, formatted = false;
    for (size_t i = 0; i < prefix; i++) {
        if (strchr("bB", t.at[i])) return reader_fail(r, "bytes (b'...') are not read: write a plain '...'");
        raw = raw || strchr("rR", t.at[i]);
        formatted = formatted || strchr("fF", t.at[i]);
    }
    if (formatted) return append_formatted(r, at, bytes, raw, b);
    return literal_append(r, at, bytes, raw, b->text, &b->n);
}

status strings_read(reader *r, value *v) {
    builder b = {.n = 0};
    const int line = r->now.line;
    while (r->now.kind == TOKEN_STRING) {
        TRY(append_string(r, &b));
        TRY(reader_next(r));
    }
    *v = b.why.type == VALUE_UNKNOWN ? b.why : value_text(b.text, b.n, line);
    v->asked = v->asked || b.asked;
    return OK;
}
