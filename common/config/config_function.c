/* config_function.c: see config_function.h. */
#include "config/config_function.h"
#include "base/utf8.h"
#include "config/config_format.h"
#include "config/config_literal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct function {
    const char *name;
    int least, most; /* arguments; most 0: any number */
};
static const function functions[] = {
    {"int", 1, 1}, {"float", 1, 1},     {"str", 1, 1},        {"bool", 1, 1},      {"repr", 1, 1},
    {"len", 1, 1}, {"abs", 1, 1},       {"round", 1, 2},      {"min", 2, 0},       {"max", 2, 0},
    {"pow", 2, 2}, {"math.ceil", 1, 1}, {"math.floor", 1, 1}, {"math.sqrt", 1, 1},
};

const function *function_find(const char *name, size_t bytes) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strlen(functions[i].name) == bytes && !strncmp(functions[i].name, name, bytes)) return &functions[i];
    return NULL;
}

bool function_asks_for_gpu(const char *text, size_t bytes) {
    static const char *const questions[] = {"torch.cuda.is_available()", "torch.cuda.is_bf16_supported()",
                                            "torch.backends.mps.is_available()"};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (strlen(questions[i]) == bytes && !strncmp(text, questions[i], bytes)) return true;
    return false;
}

static value refused(const function *f, const value *v, int line) {
    return value_unknown(line, true, "%s(...) can't take %s", f->name, value_kind(v));
}

static value length_of(const function *f, const value *v, int line) {
    int64_t characters;
    if (v->type != VALUE_TEXT) return refused(f, v, line);
    utf8_valid(v->text, strlen(v->text), &characters);
    return value_int(characters);
}

/* round(x, digits): the nearest decimal, as printf and Python write it. */
static value round_to(const function *f, const value *v, const value *digits, int line) {
    char s[400];
    if (!value_is_number(v) || !value_is_whole(digits)) return refused(f, value_is_number(v) ? digits : v, line);
    if (digits->integer < 0 || digits->integer > 20)
        return value_unknown(line, false, "round(...) to %lld digits is not read", (long long)digits->integer);
    if (value_is_whole(v)) return value_int(v->integer);
    snprintf(s, sizeof s, "%.*f", (int)digits->integer, v->real);
    return value_real(strtod(s, NULL));
}

static value extreme(const function *f, const value arguments[], int n, int line) {
    const char *better = f->name[1] == 'i' ? "<" : ">";
    int best = 0;
    for (int i = 1; i < n; i++) {
        value v = value_compare(better, &arguments[i], &arguments[best], line);
        if (v.type == VALUE_UNKNOWN) return v;
        if (value_truth(&v)) best = i;
    }
    return arguments[best];
}

/* The functions of one number. */
static value of_number(const function *f, const value *x, int line) {
    value v = *x;
    if (!value_is_number(x)) return refused(f, x, line);
    if (!strcmp(f->name, "math.sqrt"))
        return x->real < 0 ? value_unknown(line, true, "math.sqrt of a negative number") : value_real(sqrt(x->real));
    if (value_is_whole(x)) v = value_int(x->integer);
    if (!strcmp(f->name, "abs"))
        value_sign(signbit(v.real) ? '-' : '+', &v, line);
    else
        value_round(!strcmp(f->name, "math.ceil")    ? 'u'
                    : !strcmp(f->name, "math.floor") ? 'd'
                    : *f->name == 'r'                ? 'e'
                                                     : '0',
                    &v, line);
    return v;
}

static value call(const function *f, const value arguments[], int n, int line) {
    if (n < f->least || (f->most && n > f->most))
        return value_unknown(line, false, "%s(...) is read with %d %s%s", f->name, f->least,
                             f->least == 1 ? "value" : "values", f->most ? "" : " or more");
    const value *x = &arguments[0];
    if (!strcmp(f->name, "str")) return format_str(x, line);
    if (!strcmp(f->name, "repr")) return format_repr(x, line);
    if (!strcmp(f->name, "bool")) return value_bool(value_truth(x));
    if (!strcmp(f->name, "len")) return length_of(f, x, line);
    if (!strcmp(f->name, "int") && x->type == VALUE_TEXT) return literal_int(x->text, line);
    if (!strcmp(f->name, "float"))
        return x->type == VALUE_TEXT ? literal_float(x->text, line)
               : value_is_number(x)  ? value_real(x->real)
                                     : refused(f, x, line);
    if (!strcmp(f->name, "min") || !strcmp(f->name, "max")) return extreme(f, arguments, n, line);
    if (!strcmp(f->name, "round") && n == 2) return round_to(f, x, &arguments[1], line);
    if (!strcmp(f->name, "pow")) {
        value v = *x;
        value_operate("**", &v, &arguments[1], line);
        return v;
    }
    return of_number(f, x, line);
}

value function_call(const function *f, const value arguments[], int n, int line) {
    bool asked = false;
    for (int i = 0; i < n; i++) {
        if (arguments[i].type == VALUE_UNKNOWN) return arguments[i];
        asked = asked || arguments[i].asked;
    }
    value v = call(f, arguments, n, line);
    v.asked = asked;
    return v;
}
