/* config_statement.c: see config_statement.h. */
#include "config/config_statement.h"
#include "config/config_expression.h"
#include "config/config_names.h"
#include <string.h>

enum { TARGETS_MAX = 32, NAME_MAX_BYTES = 63 };

/* ---- giving names values ---- */

typedef struct {
    char text[NAME_MAX_BYTES + 1];
} name;

static status name_of(const reader *r, const token *t, name *to) {
    if (t->bytes > NAME_MAX_BYTES)
        return reader_fail_at(r, t->line, "unknown key %s: `snug help` lists what there is",
                              excerpt_of(t->at, t->bytes).text);
    memcpy(to->text, t->at, t->bytes);
    to->text[t->bytes] = 0;
    return OK;
}

/* What a setting has to be, for the end of a message; "" for any other name. */
static const char *wanted(const char *key) {
    option_id id = config_find(key);
    return id == OPTION_COUNT ? "" : option_wanted(&option_table[id]);
}

static status give(reader *r, const token *t, value *v) {
    name key;
    TRY(name_of(r, t, &key));
    bool skipped = name_is_skipped(key.text);
    const char *type = wanted(key.text);
    if (v->type == VALUE_UNKNOWN && v->wrong && !skipped)
        return reader_fail_at(r, v->line, "%s%s%s%s%s", v->text, *type ? "; " : "", *type ? key.text : "",
                              *type ? " must be " : "", type);
    v->asked = v->asked || r->asked;
    if (!names_set(r->names, key.text, v, r->source, t->line))
        return reader_fail(r, "more than %d names: is this a config file?", NAMES_MAX);
    return OK;
}

/* ---- assignments ---- */

static status statement_end(const reader *r) {
    if (reader_at_end(r)) return OK;
    if (reader_is(r, ","))
        return reader_fail(r, "can't read '%s' after the value: a comma would make a tuple of it",
                           reader_excerpt(r).text);
    return reader_fail(r, "can't read '%s' after the value", reader_excerpt(r).text);
}

static bool is_plain_name(const reader *r) { return r->now.kind == TOKEN_NAME && !is_keyword(&r->now); }

/* Reads `a = b = c =`; *n names. */
static status read_targets(reader *r, token targets[TARGETS_MAX], int *n) {
    for (*n = 0; is_plain_name(r); ++*n) {
        reader next = *r;
        TRY(reader_next(&next));
        if (!reader_is(&next, "=")) return OK;
        if (*n == TARGETS_MAX) return reader_fail(r, "more than %d names for one value", TARGETS_MAX);
        targets[*n] = r->now;
        *r = next;
        TRY(reader_next(r));
    }
    return OK;
}

/* Does every name mean nothing here? Then its value may be anything. */
static bool all_skipped(const reader *r, const token targets[], int n) {
    name key;
    for (int i = 0; i < n; i++)
        if (name_of(r, &targets[i], &key) != OK || !name_is_skipped(key.text)) return false;
    return true;
}

static status assign(reader *r, const token targets[], int n) {
    const reader start = *r;
    value v = {0};
    status s = expression_read(r, &v);
    if (s == OK) s = statement_end(r);
    if (s != OK && all_skipped(r, targets, n) && !reader_at_end(&start)) {
        *r = start;
        v = value_unknown(start.now.line, false, "%s is not read", reader_excerpt(&start).text);
        s = reader_skip_statement(r);
    }
    for (int i = 0; i < n && s == OK; i++) s = give(r, &targets[i], &v);
    return s;
}

/* a, b = 1, 2 from the second name on; `targets` holds the first. */
static status assign_tuple(reader *r, token targets[TARGETS_MAX]) {
    const reader start = *r;
    value v[TARGETS_MAX];
    int n = 1, values = 0;
    while (reader_is(r, ",") && n < TARGETS_MAX) {
        TRY(reader_next(r));
        if (!is_plain_name(r)) break;
        targets[n++] = r->now;
        TRY(reader_next(r));
    }
    TRY(reader_expect(r, "="));
    do {
        if (values > 0) TRY(reader_next(r));
        if (values > 0 && reader_at_end(r)) break;
        if (values == n) return reader_fail(r, "there are %d names for more values", n);
        TRY(expression_read(r, &v[values++]));
    } while (reader_is(r, ","));
    TRY(statement_end(r));
    if (values != n && (values != 1 || v[0].type != VALUE_UNKNOWN))
        return reader_fail_at(r, start.now.line, "there are %d names for %d %s", n, values,
                              values == 1 ? "value" : "values");
    for (int i = 0; i < n; i++) TRY(give(r, &targets[i], &v[values == 1 ? 0 : i]));
    return OK;
}

/* a += 1, from its operator on. */
static status change(reader *r, const token *target) {
    name key;
    char operation[4] = "";
    const int line = target->line;
    value right = {0};
    TRY(name_of(r, target, &key));
    memcpy(operation, r->now.at, r->now.bytes - 1);
    if (*operation == '@') return reader_fail(r, "@= is not read");
    TRY(reader_next(r));
    TRY(expression_read(r, &right));
    TRY(statement_end(r));
    value v = names_get(r->names, key.text, line);
    value_operate(operation, &v, &right, line);
    return give(r, target, &v);
}

static bool is_change(const token *t) {
    return t->kind == TOKEN_OPERATOR && t->bytes >= 2 && t->at[t->bytes - 1] == '=' && strchr("+-*/%<>&|^@", *t->at) &&
           (t->bytes == 3 || !strchr("<>", *t->at));
}

/* a: int = 1, from its colon on. The annotation means nothing. */
static status annotated(reader *r, const token *target) {
    while (!reader_at_end(r) && !(reader_is(r, "=") && !r->brackets)) TRY(reader_next(r));
    if (reader_at_end(r)) return OK;
    TRY(reader_next(r));
    return assign(r, target, 1);
}

static status not_read(const reader *start) {
    return reader_fail(start,
                       "'%s' is not a `key = value` line: remove it, nothing else is read and nothing is executed",
                       reader_excerpt(start).text);
}

static status read_assignment(reader *r) {
    const reader start = *r;
    token targets[TARGETS_MAX];
    int n;
    TRY(read_targets(r, targets, &n));
    if (n) return assign(r, targets, n);
    targets[0] = r->now;
    TRY(reader_next(r));
    if (reader_is(r, ",")) return assign_tuple(r, targets);
    if (reader_is(r, ":")) return annotated(r, &targets[0]);
    if (is_change(&r->now)) return change(r, &targets[0]);
    return not_read(&start);
}

/* ---- other statements ---- */

/* The names that an import gives stand for nothing that is read. */
static status bind(reader *r, const token *t) {
    name key;
    TRY(name_of(r, t, &key));
    value v = value_unknown(t->line, false, "%s comes from an import, and nothing is imported: write the value itself",
                            key.text);
    TRY(give(r, t, &v));
    names_get(r->names, key.text, t->line); /* nobody has to use it */
    return OK;
}

/* a.b as c, d: binds c (without `as`, a) and d. */
static status read_imported(reader *r) {
    for (;;) {
        token bound = r->now;
        if (!is_plain_name(r)) return reader_fail(r, "can't read '%s' after import", reader_excerpt(r).text);
        TRY(reader_next(r));
        while (reader_is(r, ".")) {
            TRY(reader_next(r));
            TRY(reader_next(r));
        }
        if (reader_is(r, "as")) {
            TRY(reader_next(r));
            bound = r->now;
            TRY(reader_next(r));
        }
        TRY(bind(r, &bound));
        if (!reader_is(r, ",")) return OK;
        TRY(reader_next(r));
        if (reader_is(r, ")")) return OK;
    }
}

static status read_import(reader *r) {
    const reader start = *r;
    bool from = reader_is(r, "from");
    while (from && !reader_is(r, "import")) {
        TRY(reader_next(r));
        if (reader_at_end(r)) return not_read(&start);
    }
    TRY(reader_next(r));
    if (from && reader_is(r, "*"))
        return reader_fail(&start, "%s: nothing is imported: write the lines of that file here",
                           reader_excerpt(&start).text);
    bool brackets = from && reader_is(r, "(");
    if (brackets) TRY(reader_next(r));
    TRY(read_imported(r));
    if (brackets) TRY(reader_expect(r, ")"));
    return statement_end(r);
}

static status read_assert(reader *r) {
    const reader start = *r;
    value v = {0}, message = {0};
    TRY(reader_next(r));
    TRY(expression_read(r, &v));
    if (reader_is(r, ",")) {
        TRY(reader_next(r));
        TRY(expression_read(r, &message));
    }
    TRY(statement_end(r));
    if (v.type == VALUE_UNKNOWN) return reader_fail_at(r, v.line, "%s", v.text);
    if (value_truth(&v)) return OK;
    return reader_fail(&start, "'%s' does not hold%s%s", reader_excerpt(&start).text,
                       message.type == VALUE_TEXT ? ": " : "",
                       message.type == VALUE_TEXT ? excerpt_of(message.text, TEXT_MAX).text : "");
}

static status read_simple(reader *r) {
    const reader start = *r;
    if (r->now.kind == TOKEN_STRING || reader_is(r, "(")) { /* a docstring */
        value v = {0};
        TRY(expression_read(r, &v));
        TRY(statement_end(r));
        return v.type == VALUE_UNKNOWN ? not_read(&start) : OK;
    }
    if (reader_is(r, "import") || reader_is(r, "from")) return read_import(r);
    if (reader_is(r, "assert")) return read_assert(r);
    if (reader_is(r, "pass")) return reader_next(r);
    if (reader_is(r, "print")) {
        TRY(reader_next(r));
        if (reader_is(r, "(")) return reader_skip_statement(r);
        *r = start;
    }
    return is_plain_name(r) ? read_assignment(r) : not_read(&start);
}

/* ---- lines and blocks ---- */

static status read_line(reader *r);

/* What stands after a colon: statements on the same line, or lines that are indented further than `indent`. */
static status read_suite(reader *r, int indent, bool counts) {
    if (r->now.kind != TOKEN_NEWLINE && counts) return read_line(r);
    while (r->now.kind != TOKEN_NEWLINE && r->now.kind != TOKEN_END) TRY(reader_next(r));
    bool same_line = r->now.kind == TOKEN_END;
    TRY(reader_next(r));
    const int inside = r->indent;
    if (same_line || (inside <= indent && !counts)) return OK;
    if (r->now.kind == TOKEN_END || inside <= indent)
        return reader_fail(r, "an indented line is missing after the colon");
    while (r->now.kind != TOKEN_END && r->indent > indent) {
        if (r->indent < inside || (counts && r->indent != inside))
            return reader_fail(r, "the line is indented otherwise than those around it");
        if (counts) {
            TRY(read_line(r));
        } else {
            while (r->now.kind != TOKEN_NEWLINE && r->now.kind != TOKEN_END) TRY(reader_next(r));
            if (r->now.kind == TOKEN_NEWLINE) TRY(reader_next(r));
        }
    }
    return OK;
}

/* if, elif and else: the first whose condition holds counts, and the rest is skipped. */
static status read_if(reader *r) {
    const int indent = r->indent;
    const bool asked = r->asked;
    bool done = false;
    if (r->depth++ >= 64) return reader_fail(r, "if is nested more than 64 deep");
    for (bool first = true; first || (r->indent == indent && (reader_is(r, "elif") || reader_is(r, "else")));
         first = false) {
        bool otherwise = reader_is(r, "else");
        value condition = value_bool(true);
        TRY(reader_next(r));
        if (!otherwise) TRY(expression_read(r, &condition));
        if (condition.type == VALUE_UNKNOWN && !done) return reader_fail_at(r, condition.line, "%s", condition.text);
        TRY(reader_expect(r, ":"));
        bool counts = !done && value_truth(&condition);
        r->asked = asked || condition.asked;
        TRY(read_suite(r, indent, counts));
        r->asked = asked;
        done = done || counts;
        if (otherwise) break;
    }
    r->depth--;
    return OK;
}

/* Statements with semicolons between, up to the end of the line, or one `if` with all that belongs to it. */
static status read_line(reader *r) {
    if (reader_is(r, "if")) return read_if(r);
    for (;;) {
        TRY(read_simple(r));
        TRY(statement_end(r));
        if (!reader_is(r, ";")) break;
        TRY(reader_next(r));
        if (r->now.kind == TOKEN_NEWLINE || r->now.kind == TOKEN_END) break;
    }
    return r->now.kind == TOKEN_NEWLINE ? reader_next(r) : OK;
}

status statements_run(reader *r) {
    TRY(reader_next(r));
    while (r->now.kind != TOKEN_END) {
        if (r->indent)
            return reader_fail(r, "the line is indented, but no `if` stands before it: start it at the margin");
        TRY(read_line(r));
    }
    return OK;
}
