/* config_value.c: see config_value.h. Whole numbers have 64 bits: what would need more is refused, never rounded. */
#include "config/config_value.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- making values ---- */

value value_int(int64_t i) { return (value){.type = VALUE_INT, .integer = i, .real = (double)i}; }
value value_real(double x) { return (value){.type = VALUE_REAL, .real = x}; }
value value_bool(bool truth) { return (value){.type = VALUE_BOOL, .integer = truth, .real = truth}; }

value value_text(const char *text, size_t bytes, int line) {
    value v = {.type = VALUE_TEXT};
    if (bytes >= TEXT_MAX) return value_unknown(line, false, "this string is too long: at most %d bytes", TEXT_MAX - 1);
    memcpy(v.text, text, bytes);
    return v;
}

value value_unknown(int line, bool wrong, const char *format, ...) {
    value v = {.type = VALUE_UNKNOWN, .wrong = wrong, .line = line};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(v.text, sizeof v.text, format, arguments);
    va_end(arguments);
    return v;
}

static value too_large(int line) { return value_unknown(line, true, "the result is too large: write a smaller value"); }

static value whole_or_too_large(bool overflow, int64_t i, int line) {
    return overflow || i == INT64_MIN ? too_large(line) : value_int(i);
}

static value finite_or_too_large(double x, int line) { return isfinite(x) ? value_real(x) : too_large(line); }

/* ---- asking values ---- */

bool value_is_whole(const value *v) { return v->type == VALUE_INT || v->type == VALUE_BOOL; }
bool value_is_number(const value *v) { return value_is_whole(v) || v->type == VALUE_REAL; }
bool value_truth(const value *v) { return v->type == VALUE_TEXT ? *v->text != 0 : value_is_number(v) && v->real != 0; }

const char *value_kind(const value *v) {
    static const char *const kinds[] = {[VALUE_INT] = "a whole number", [VALUE_REAL] = "a number with a point",
                                        [VALUE_BOOL] = "True or False", [VALUE_TEXT] = "text",
                                        [VALUE_NONE] = "None",          [VALUE_UNKNOWN] = "unknown"};
    return kinds[v->type];
}

/* ---- arithmetic ---- */

static int64_t floor_divide(int64_t i, int64_t j) { return i / j - (i % j != 0 && (i < 0) != (j < 0)); }

static value whole_power(int64_t base, int64_t exponent, int line) {
    int64_t power = 1;
    if (base == 0 || base == 1) return value_int(exponent ? base : 1);
    if (base == -1) return value_int(exponent % 2 ? -1 : 1);
    while (exponent-- > 0) /* at most 63 times */
        if (__builtin_mul_overflow(power, base, &power)) return too_large(line);
    return whole_or_too_large(false, power, line);
}

__extension__ typedef unsigned __int128 wide; /* not in C11, but in both compilers */

/* i / j, rounded once. Both become doubles exactly up to 2^53; above that the quotient is taken to 64 bits or more, of
   which the last says whether anything is left, and rounded by its conversion. */
static double true_divide(int64_t i, int64_t j) {
    uint64_t a = i < 0 ? -(uint64_t)i : (uint64_t)i, b = j < 0 ? -(uint64_t)j : (uint64_t)j;
    if (a == 0 || (a <= 1ull << 53 && b <= 1ull << 53)) return (double)i / (double)j;
    int shift = 64 + __builtin_clzll(a) - 1;
    wide shifted = (wide)a << shift, quotient = shifted / b;
    double x = ldexp((double)(quotient | (shifted % b != 0)), -shift);
    return (i < 0) != (j < 0) ? -x : x;
}

/* The remainder has y's sign; floor is the quotient that belongs to it. */
static void real_divide(double x, double y, double *floored, double *remainder) {
    *remainder = fmod(x, y);
    double quotient = (x - *remainder) / y;
    if (*remainder == 0) {
        *remainder = copysign(0, y);
    } else if ((*remainder < 0) != (y < 0)) {
        *remainder += y;
        quotient -= 1;
    }
    *floored = quotient == 0 ? copysign(0, x / y) : floor(quotient) + (quotient - floor(quotient) > 0.5);
}

static value operate_whole(const char *operation, int64_t i, int64_t j, int line) {
    int64_t k = 0;
    bool overflow = false;
    if (strchr("<>", *operation) && j < 0) return value_unknown(line, true, "a shift by a negative number");
    switch (*operation) {
    case '+': overflow = __builtin_add_overflow(i, j, &k); break;
    case '-': overflow = __builtin_sub_overflow(i, j, &k); break;
    case '*':
        if (operation[1]) return j < 0 ? finite_or_too_large(pow((double)i, (double)j), line) : whole_power(i, j, line);
        overflow = __builtin_mul_overflow(i, j, &k);
        break;
    case '/':
        if (!operation[1]) return value_real(true_divide(i, j));
        k = floor_divide(i, j);
        break;
    case '%':
        k = i % j;
        if (k && (k < 0) != (j < 0)) k += j;
        break;
    case '<': overflow = i != 0 && (j > 62 || __builtin_mul_overflow(i, (int64_t)1 << j, &k)); break;
    case '>': k = j > 62 ? -(i < 0) : floor_divide(i, (int64_t)1 << j); break;
    case '&': k = i & j; break;
    case '|': k = i | j; break;
    default: k = i ^ j;
    }
    return whole_or_too_large(overflow, k, line);
}

static value operate_real(const char *operation, double x, double y, int line) {
    double floored, remainder;
    switch (*operation) {
    case '+': return finite_or_too_large(x + y, line);
    case '-': return finite_or_too_large(x - y, line);
    case '*':
        if (!operation[1]) return finite_or_too_large(x * y, line);
        if (x < 0 && floor(y) < y)
            return value_unknown(line, false, "a negative number to the power of a fraction is not read");
        return finite_or_too_large(pow(x, y), line);
    case '/':
        if (!operation[1]) return finite_or_too_large(x / y, line);
        real_divide(x, y, &floored, &remainder);
        return finite_or_too_large(floored, line);
    case '%': real_divide(x, y, &floored, &remainder); return value_real(remainder);
    default: return value_unknown(line, true, "%s needs whole numbers on both sides", operation);
    }
}

static value repeated(const value *text, int64_t times, int line) {
    size_t n = strlen(text->text);
    value v = {.type = VALUE_TEXT};
    if (times > 0 && n > 0 && times > (int64_t)((TEXT_MAX - 1) / n)) return value_text("", TEXT_MAX, line);
    for (int64_t i = 0; i < times && n; i++) memcpy(v.text + (size_t)i * n, text->text, n);
    return v;
}

static value operate_text(const char *operation, const value *a, const value *b, int line) {
    if (!strcmp(operation, "+") && a->type == VALUE_TEXT && b->type == VALUE_TEXT) {
        char both[2 * TEXT_MAX] = "";
        return value_text(both, (size_t)snprintf(both, sizeof both, "%s%s", a->text, b->text), line);
    }
    if (!strcmp(operation, "*") && a->type == VALUE_TEXT && value_is_whole(b)) return repeated(a, b->integer, line);
    if (!strcmp(operation, "*") && b->type == VALUE_TEXT && value_is_whole(a)) return repeated(b, a->integer, line);
    if (!strcmp(operation, "%") && a->type == VALUE_TEXT)
        return value_unknown(line, false, "%% after a string is not read: write f'...{name}...'");
    return value_unknown(line, true,
                         "arithmetic needs numbers on both sides (+ also joins two strings), but %s stands between %s "
                         "and %s",
                         operation, value_kind(a), value_kind(b));
}

void value_operate(const char *operation, value *a, const value *b, int line) {
    bool asked = a->asked || b->asked;
    if (a->type == VALUE_UNKNOWN) return;
    if (b->type == VALUE_UNKNOWN)
        *a = *b;
    else if (!value_is_number(a) || !value_is_number(b))
        *a = operate_text(operation, a, b, line);
    else if ((*operation == '/' || *operation == '%') && b->real == 0)
        *a = value_unknown(line, true, "division by zero");
    else if (!strcmp(operation, "**") && a->real == 0 && b->real < 0)
        *a = value_unknown(line, true, "division by zero: 0 to a negative power");
    else if (a->type == VALUE_BOOL && b->type == VALUE_BOOL && strchr("&|^", *operation))
        *a = value_bool(operate_whole(operation, a->integer, b->integer, line).integer != 0);
    else if (value_is_whole(a) && value_is_whole(b))
        *a = operate_whole(operation, a->integer, b->integer, line);
    else
        *a = operate_real(operation, a->real, b->real, line);
    a->asked = asked;
}

void value_sign(char operation, value *v, int line) {
    if (v->type == VALUE_UNKNOWN) return;
    bool asked = v->asked;
    if (operation == 'n')
        *v = value_bool(!value_truth(v));
    else if (!value_is_number(v) || (operation == '~' && !value_is_whole(v)))
        *v = value_unknown(line, true, "a sign stands before something that is not a number");
    else if (operation == '~')
        *v = whole_or_too_large(false, ~v->integer, line);
    else if (value_is_whole(v))
        *v = value_int(operation == '-' ? -v->integer : v->integer);
    else if (operation == '-')
        v->real = -v->real;
    v->asked = asked;
}

void value_round(char way, value *v, int line) {
    if (v->type != VALUE_REAL) return;
    double x = way == 'd' ? floor(v->real) : way == 'u' ? ceil(v->real) : way == 'e' ? rint(v->real) : trunc(v->real);
    *v = fabs(x) < 0x1p63 ? value_int((int64_t)x) : too_large(line);
}

/* ---- comparing ---- */

/* -1, 0 or 1. A long double holds every int64_t and every double exactly. */
static int order_of(const value *a, const value *b) {
    if (a->type == VALUE_TEXT) {
        int d = strcmp(a->text, b->text); /* in UTF-8 the order of bytes is that of characters */
        return (d > 0) - (d < 0);
    }
    long double x = value_is_whole(a) ? (long double)a->integer : (long double)a->real;
    long double y = value_is_whole(b) ? (long double)b->integer : (long double)b->real;
    return (x > y) - (x < y);
}

value value_compare(const char *comparison, const value *a, const value *b, int line) {
    if (a->type == VALUE_UNKNOWN) return *a;
    if (b->type == VALUE_UNKNOWN) return *b;
    bool not = comparison[0] == '!' || !strcmp(comparison, "isnot") || !strcmp(comparison, "notin");
    bool alike = (value_is_number(a) && value_is_number(b)) || (a->type == VALUE_TEXT && b->type == VALUE_TEXT);
    value v;
    if (!strncmp(comparison, "is", 2)) {
        if (a->type != VALUE_NONE && b->type != VALUE_NONE && a->type != VALUE_BOOL && b->type != VALUE_BOOL)
            return value_unknown(line, false, "`is` is read beside None, True and False only: write ==");
        v = value_bool((a->type == b->type && a->integer == b->integer) != not );
    } else if (strstr(comparison, "in")) {
        if (a->type != VALUE_TEXT || b->type != VALUE_TEXT)
            return value_unknown(line, false, "`in` is read in text, and in (...) or [...] that stands there");
        v = value_bool((strstr(b->text, a->text) != NULL) != not );
    } else if (*comparison == '=' || *comparison == '!') {
        bool same = alike ? order_of(a, b) == 0 : a->type == VALUE_NONE && b->type == VALUE_NONE;
        v = value_bool(same != not );
    } else if (!alike) {
        return value_unknown(line, true, "%s can't be compared with %s by %s", value_kind(a), value_kind(b),
                             comparison);
    } else {
        int d = order_of(a, b);
        v = value_bool((d < 0 && *comparison == '<') || (d > 0 && *comparison == '>') || (d == 0 && comparison[1]));
    }
    v.asked = a->asked || b->asked;
    return v;
}
