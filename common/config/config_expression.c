/* config_expression.c: see config_expression.h. Operators by precedence climbing: each is read with its right side,
   which holds what binds tighter. Everything is evaluated as it is read, branches that are not taken too: since nothing
   has effects, and what fails is a value (UNKNOWN), that gives what Python gives. */
#include "config/config_expression.h"
#include "config/config_function.h"
#include "config/config_literal.h"
#include "config/config_names.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

/* From the loosest. `not` stands between AND and COMPARISON; signs and ** bind tighter than any of these. */
typedef enum { LOOSEST, OR, AND, NOT, COMPARISON, BIT_OR, BIT_XOR, BIT_AND, SHIFT, SUM, PRODUCT } level;
static const struct {
    const char *word;
    level level;
} operators[] = {
    {"or", OR},         {"and", AND},      {"==", COMPARISON}, {"!=", COMPARISON}, {"<", COMPARISON},
    {"<=", COMPARISON}, {">", COMPARISON}, {">=", COMPARISON}, {"is", COMPARISON}, {"in", COMPARISON},
    {"|", BIT_OR},      {"^", BIT_XOR},    {"&", BIT_AND},     {"<<", SHIFT},      {">>", SHIFT},
    {"+", SUM},         {"-", SUM},        {"*", PRODUCT},     {"/", PRODUCT},     {"//", PRODUCT},
    {"%", PRODUCT},
};

bool is_keyword(const token *t) {
    static const char *const words[] = {"and",    "as",    "assert", "break",  "class",   "continue", "def",
                                        "del",    "elif",  "else",   "except", "finally", "for",      "from",
                                        "global", "if",    "import", "in",     "is",      "lambda",   "nonlocal",
                                        "not",    "or",    "pass",   "raise",  "return",  "try",      "while",
                                        "with",   "yield", "True",   "False",  "None",    "async",    "await"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (t->bytes == strlen(words[i]) && !strncmp(t->at, words[i], t->bytes)) return true;
    return false;
}

static status binary(reader *r, level least, value *v);

static status enter(reader *r) {
    if (r->depth >= DEPTH_MAX)
        return reader_fail(r, "parentheses or signs are nested more than %d deep: write the value itself", DEPTH_MAX);
    r->depth++;
    return OK;
}

/* ---- calls, attributes, subscripts ---- */

/* From `start` to the end of the token before `now`. */
static size_t read_so_far(const reader *r, const char *start) {
    size_t n = (size_t)(r->now.at - start);
    while (n > 0 && strchr(" \t\f\n\\", start[n - 1])) n--;
    return n;
}

/* Reads the arguments of a function that can be called, from its ( on. Anything but plain values: UNKNOWN. */
static status read_arguments(reader *r, value arguments[ARGUMENTS_MAX], int *n, bool *plain) {
    *n = 0;
    *plain = true;
    const reader start = *r;
    TRY(reader_next(r));
    while (!reader_is(r, ")")) {
        if (*n == ARGUMENTS_MAX || reader_is(r, "*") || reader_is(r, "**")) *plain = false;
        if (*plain) TRY(expression_read(r, &arguments[(*n)++]));
        if (!reader_is(r, ",") && !reader_is(r, ")")) *plain = false; /* name=value, or a generator */
        if (!*plain) {
            *r = start;
            return reader_skip_brackets(r);
        }
        if (reader_is(r, ",")) TRY(reader_next(r));
    }
    return reader_next(r);
}

static status read_call(reader *r, const function *f, const char *start, int line, value *v) {
    int n;
    bool plain;
    TRY(enter(r));
    value *arguments = xcalloc(ARGUMENTS_MAX, sizeof *arguments);
    status s = read_arguments(r, arguments, &n, &plain);
    r->depth--;
    if (s == OK && plain)
        *v = function_call(f, arguments, n, line);
    else if (s == OK)
        *v = value_unknown(line, false, "%s is not read: write the value itself",
                           excerpt_of(start, read_so_far(r, start)).text);
    free(arguments);
    return s;
}

/* What follows a value: a call, an attribute, a subscript. None is executed, but for those of config_function.h. */
static status read_trailer(reader *r, const char *start, int line, value *v) {
    const function *f = function_find(start, read_so_far(r, start));
    if (reader_is(r, "(") && f) return read_call(r, f, start, line, v);
    if (reader_is(r, ".")) {
        TRY(reader_next(r));
        if (r->now.kind != TOKEN_NAME) return reader_fail(r, "a name is missing before '%s'", reader_excerpt(r).text);
        TRY(reader_next(r));
    } else {
        TRY(reader_skip_brackets(r));
    }
    size_t n = read_so_far(r, start);
    *v = value_unknown(line, false, "%s is not read, because nothing is executed: write the value itself",
                       excerpt_of(start, n).text);
    if (!function_asks_for_gpu(start, n)) return OK;
    *v = value_bool(true);
    v->asked = true;
    return OK;
}

/* ---- atoms ---- */

static status read_name(reader *r, value *v) {
    char name[64];
    int line = r->now.line;
    if (r->now.bytes >= sizeof name) {
        *v = value_unknown(line, true, "%s stands for nothing here", excerpt_of(r->now.at, r->now.bytes).text);
        return reader_next(r);
    }
    memcpy(name, r->now.at, r->now.bytes);
    name[r->now.bytes] = 0;
    TRY(reader_next(r));
    if (!strcmp(name, "True") || !strcmp(name, "False"))
        *v = value_bool(*name == 'T');
    else if (!strcmp(name, "None"))
        *v = (value){.type = VALUE_NONE};
    else if (!(reader_is(r, "(") || reader_is(r, ".") || reader_is(r, "["))) /* else only what follows counts */
        *v = names_get(r->names, name, line);
    else if (names_get(r->names, name, line).type == VALUE_UNKNOWN)
        *v = value_unknown(line, false, "%s is not read", name);
    return OK;
}

/* The list, tuple, set or dictionary that begins with `now`. */
static status skip_display(reader *r, const char *start, int line, value *v) {
    TRY(reader_skip_brackets(r));
    *v = value_unknown(line, false, "%s is not read: only numbers, strings, True, False and None are values here",
                       excerpt_of(start, read_so_far(r, start)).text);
    return OK;
}

static status read_parentheses(reader *r, value *v) {
    const reader start = *r;
    TRY(reader_next(r));
    bool empty = reader_is(r, ")");
    if (!empty) TRY(expression_read(r, v));
    if (!empty && reader_is(r, ")")) return reader_next(r);
    if (!empty && !reader_is(r, ",") && !reader_is(r, "for")) return reader_expect(r, ")");
    *r = start; /* a tuple, or a generator */
    return skip_display(r, start.now.at, start.now.line, v);
}

static status read_atom(reader *r, value *v) {
    const token t = r->now;
    if (t.kind == TOKEN_STRING) {
        TRY(strings_read(r, v));
    } else if (t.kind == TOKEN_NUMBER) {
        TRY(literal_number(r, v));
        TRY(reader_next(r));
    } else if (t.kind == TOKEN_NAME && (!is_keyword(&t) || strchr("TFN", *t.at))) {
        TRY(read_name(r, v));
    } else if (reader_is(r, "(")) {
        TRY(read_parentheses(r, v));
    } else if (reader_is(r, "[") || reader_is(r, "{")) {
        TRY(skip_display(r, t.at, t.line, v));
    } else if (reader_at_end(r)) {
        return reader_fail(r, "a value is missing: write key = value");
    } else {
        return reader_fail(r, "can't read '%s': write a number, 'text' in quotes, True or False",
                           reader_excerpt(r).text);
    }
    while (reader_is(r, "(") || reader_is(r, ".") || reader_is(r, "[")) TRY(read_trailer(r, t.at, t.line, v));
    return OK;
}

/* ---- operators ---- */

/* Signs, and **, whose left side they do not belong to, but its right side: -2 ** -2 is -(2 ** (-2)). */
static status read_unary(reader *r, value *v) {
    const int line = r->now.line;
    char sign = reader_is(r, "-") || reader_is(r, "+") || reader_is(r, "~") ? *r->now.at : 0;
    TRY(enter(r));
    if (sign) {
        TRY(reader_next(r));
        TRY(read_unary(r, v));
        value_sign(sign, v, line);
    } else {
        TRY(read_atom(r, v));
        if (reader_is(r, "**")) {
            value right = {0};
            TRY(reader_next(r));
            TRY(read_unary(r, &right));
            value_operate("**", v, &right, line);
        }
    }
    r->depth--;
    return OK;
}

/* The operator that `now` begins, but for `not in`: its place in the table; -1: none. */
static int operator_here(const reader *r) {
    for (int i = 0; i < (int)(sizeof operators / sizeof *operators); i++)
        if (reader_is(r, operators[i].word)) return i;
    return -1;
}

/* Does `left` occur among the values of the list or tuple that begins with `now`? */
static status read_membership(reader *r, const value *left, value *found) {
    const char *end = reader_is(r, "[") ? "]" : reader_is(r, "(") ? ")" : "}";
    const int line = r->now.line;
    *found = value_bool(false);
    TRY(enter(r));
    TRY(reader_next(r));
    while (!reader_is(r, end)) {
        value element = {0}, same;
        TRY(expression_read(r, &element));
        same = value_compare("==", left, &element, line);
        if (found->type != VALUE_UNKNOWN && (same.type == VALUE_UNKNOWN || !value_truth(found))) *found = same;
        if (!reader_is(r, end)) TRY(reader_expect(r, ","));
    }
    r->depth--;
    return reader_next(r);
}

/* Is it (a, b) and not (a) that begins here? Then a comma stands in it, outside of inner brackets. */
static status begins_list(const reader *r, bool *list) {
    reader at = *r;
    const int inside = r->brackets;
    *list = reader_is(r, "[") || reader_is(r, "{");
    if (!reader_is(r, "(")) return OK;
    while (at.brackets >= inside && !*list) {
        TRY(reader_next(&at));
        *list = at.brackets == inside && reader_is(&at, ",");
    }
    return OK;
}

/* Reads one comparison and its right side. */
static status read_comparison(reader *r, const value *left, value *right, value *result) {
    char comparison[8];
    const int line = r->now.line;
    bool list = false, negated = reader_is(r, "not");
    snprintf(comparison, sizeof comparison, "%.*s", (int)r->now.bytes, r->now.at);
    TRY(reader_next(r));
    if (negated) {
        TRY(reader_expect(r, "in"));
        strcpy(comparison, "notin");
    } else if (!strcmp(comparison, "is") && reader_is(r, "not")) {
        TRY(reader_next(r));
        strcpy(comparison, "isnot");
    }
    if (strstr(comparison, "in")) TRY(begins_list(r, &list));
    if (list) {
        TRY(read_membership(r, left, result));
        const int after = operator_here(r);
        if ((after >= 0 && operators[after].level > COMPARISON) || reader_is(r, "**") || reader_is(r, ".") ||
            reader_is(r, "(") || reader_is(r, "["))
            return reader_fail(r, "can't read '%s' after a list", reader_excerpt(r).text);
        if (negated) value_sign('n', result, line);
        *right = value_unknown(line, false, "a list can't be compared further");
        return OK;
    }
    TRY(binary(r, COMPARISON + 1, right));
    *result = value_compare(comparison, left, right, line);
    return OK;
}

/* a < b < c is a < b and b < c. */
static status read_comparisons(reader *r, value *v) {
    value left = *v, right = {0}, one = {0};
    bool decided = false;
    for (;;) {
        int o = operator_here(r);
        if (!reader_is(r, "not") && (o < 0 || operators[o].level != COMPARISON)) return OK;
        TRY(read_comparison(r, &left, &right, &one));
        if (!decided) *v = one;
        decided = decided || one.type == VALUE_UNKNOWN || !value_truth(&one);
        left = right;
    }
}

static status read_operand(reader *r, level least, value *v) {
    if (least > NOT || !reader_is(r, "not")) return read_unary(r, v);
    const int line = r->now.line;
    TRY(enter(r));
    TRY(reader_next(r));
    TRY(binary(r, NOT, v));
    value_sign('n', v, line);
    r->depth--;
    return OK;
}

/* Reads operators that bind at least as tightly as `least`, and what stands between them. */
static status binary(reader *r, level least, value *v) {
    TRY(read_operand(r, least, v));
    for (;;) {
        const int o = reader_is(r, "not") ? -1 : operator_here(r), line = r->now.line;
        if (o < 0 && !reader_is(r, "not")) return OK;
        level here = o < 0 ? COMPARISON : operators[o].level;
        if (here < least) return OK;
        if (here == COMPARISON) {
            TRY(read_comparisons(r, v));
            continue;
        }
        value right = {0};
        TRY(reader_next(r));
        TRY(binary(r, here + 1, &right));
        if (here > COMPARISON)
            value_operate(operators[o].word, v, &right, line);
        else if (v->type != VALUE_UNKNOWN && value_truth(v) == (here == AND)) { /* else the left side is the value */
            right.asked = right.asked || v->asked;
            *v = right;
        }
    }
}

/* ---- expressions ---- */

/* Steps over a lambda: its names up to the colon, and then up to a comma or a closing bracket that is not its own. */
static status skip_lambda(reader *r, value *v) {
    const int outside = r->brackets;
    bool body = false;
    *v = value_unknown(r->now.line, false, "%s is not read: write the value itself", reader_excerpt(r).text);
    while (!reader_at_end(r) && r->brackets >= outside && !(body && r->brackets == outside && reader_is(r, ","))) {
        body = body || (r->brackets == outside && reader_is(r, ":"));
        TRY(reader_next(r));
    }
    return OK;
}

status expression_read(reader *r, value *v) {
    TRY(enter(r));
    if (reader_is(r, "lambda")) {
        TRY(skip_lambda(r, v));
    } else {
        TRY(binary(r, OR, v));
    }
    if (reader_is(r, "if")) {
        value condition = {0}, other = {0};
        TRY(reader_next(r));
        TRY(binary(r, OR, &condition));
        TRY(reader_expect(r, "else"));
        TRY(expression_read(r, &other));
        bool asked = condition.asked;
        if (condition.type == VALUE_UNKNOWN)
            *v = condition;
        else if (!value_truth(&condition))
            *v = other;
        v->asked = v->asked || asked;
    }
    r->depth--;
    return OK;
}
