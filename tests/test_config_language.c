/* test_config_language.c: what of Python is read in a config file, and the line that the rest gets. The right values
   are written down by hand here; tests/test_config_python.c asks Python itself, where there is one. */
#include "config/config.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static status read_text(config *c, const char *text, error *e) {
    config_defaults(c);
    return config_read_text(c, "run.py", text, strlen(text), e);
}

/* ---- values ---- */

/* What repr() of the expression is. */
static const struct {
    const char *expression, *value;
} values[] = {
    {"2**3**2", "512"},
    {"-2**2", "-4"},
    {"2**-1", "0.5"},
    {"7 // -2", "-4"},
    {"-7 % 3", "2"},
    {"7 % -3", "-2"},
    {"7.5 % -2", "-0.5"},
    {"-7.5 // 2", "-4.0"},
    {"-1e-20 % 3", "3.0"},
    {"0xC + 0o14 + 0b1100 + 1_000", "1036"},
    {"1 << 10 | 3 & 6 ^ 1", "1027"},
    {"-8 >> 1", "-4"},
    {"9223372036854775807", "9223372036854775807"},
    {"9007199254740993 / 1", "9007199254740992.0"},
    {"9223372036854775807 / 3", "3.0744573456182584e+18"},
    {"1e16", "1e+16"},
    {"1e15", "1000000000000000.0"},
    {"0.0001", "0.0001"},
    {"0.00001", "1e-05"},
    {"True + True", "2"},
    {"True & False", "False"},
    {"1 < 2 < 3", "True"},
    {"1 < 2 > 5 / 0 if False else 4", "4"},
    {"3 > 2 > 2", "False"},
    {"1 == 1.0 == True", "True"},
    {"9007199254740993 == 9007199254740992.0", "False"},
    {"'a' < 'b' and not 1 > 2", "True"},
    {"not 1 == 2", "True"},
    {"0 or 'x'", "'x'"},
    {"'' or None", "None"},
    {"1 and 0.0", "0.0"},
    {"5 if n_layer == 12 else nothing_here", "5"},
    {"(1 or nothing_here) + (0 and 1 / 0)", "1"},
    {"1 if 0 else 2 if 0 else 3", "3"},
    {"None is None", "True"},
    {"dataset is not None", "True"},
    {"n_layer in (6, 12, 24) and n_head not in [1, 2]", "True"},
    {"'web' in dataset", "True"},
    {"int(-6.7) + int('1_2') + int(True)", "7"},
    {"float('3e-4') + float(1)", "1.0003"},
    {"min(3, 2.5, 4)", "2.5"},
    {"max('a', 'c', 'b')", "'c'"},
    {"round(2.5) + round(3.5) + round(-0.4)", "6"},
    {"round(2.675, 2)", "2.67"},
    {"abs(-3) + len('h\xc3\xa9')", "5"},
    {"str(6e-5) + str(12) + str(None)", "'6e-0512None'"},
    {"'ab' * 3 + -1 * 'x'", "'ababab'"},
    {"'a' \"b\" 'c'", "'abc'"},
    {"r'\\n' '\\x41\\101\\u00e9\\t'", "'\\\\nAA\xc3\xa9\\t'"},
    {"'it\\'s'", "\"it's\""},
    {"f'{n_layer}-{learning_rate}-{bias}'", "'12-0.0006-False'"},
    {"f'{n_layer:04d}|{0.5:.2f}|{6e-4:.0e}|{1234567:,}|{\"a\":>3}|{0.25:.1%}'",
     "'0012|0.50|6e-04|1,234,567|  a|25.0%'"},
    {"f'{n_layer!r}{dataset!r} {n_layer=} {{}}'", "\"12'openwebtext' n_layer=12 {}\""},
    {"f'{(1 if bias else 2) + 1}'", "'3'"},
    {"rf'\\d{1 + 1}'", "'\\\\d2'"},
    {"(\n 5 # five\n * 8\n)", "40"},
    {"torch.cuda.is_available()", "True"},
    {"math.ceil(2.1) + math.floor(-2.1)", "0"},
};

START_TEST(expressions_have_pythons_values) {
    config c;
    error e = {{0}};
    char *text = xprintf("start = repr(%s)\n", values[_i].expression);
    status s = read_text(&c, text, &e);
    ck_assert_msg(s == OK, "%s: %s", values[_i].expression, e.text);
    ck_assert_msg(!strcmp(c.start, values[_i].value), "%s is %s, not %s", values[_i].expression, c.start,
                  values[_i].value);
    config_free(&c);
    free(text);
}
END_TEST

/* ---- statements ---- */

static const struct {
    const char *text;
    int n_layer, n_head;
} files[] = {
    {"gpus = 3; n_layer = gpus * 2", 6, 12},
    {"n_layer = n_head = 5", 5, 5},
    {"n_layer, n_head = 7, 8", 7, 8},
    {"n_layer, n_head, = 7, 8,", 7, 8},
    {"n_layer = 0\nn_layer = 3\nn_layer += 1; n_head //= 5", 4, 2},
    {"n_layer **= 2; n_head %= 5", 144, 2},
    {"n_layer: int = 3\nn_head: 'any[thing, x=1]'\n", 3, 12},
    {"if n_layer == 12:\n    n_layer = 2\n    n_head = 1\nelse:\n    n_layer = 3\n", 2, 1},
    {"if bias: n_layer = 1\nelif n_head > 20: n_layer = 2\nelse: n_layer = 3; n_head = 3\nn_layer += 1", 4, 3},
    {"if bias:\n  for x in range(3):\n    print(x)\n  n_layer = nothing()\nelif 1:\n\tif 1:\n\t\tn_layer = 4\n\tn_head "
     "= 2\n",
     4, 2},
    {"if 0:\n  n_layer = 1\nelif 0:\n  n_layer = 2\n\n# a comment\nn_head = 3", 12, 3},
    {"import os, sys as system\nfrom a.b import (c,\n  d as e,)\nn_layer = 5", 5, 12},
    {"assert n_layer == 12, 'no'; n_layer = 3", 3, 12},
    {"print(f'{n_layer}', open('x'))\npass\nn_layer = 3", 3, 12},
    {"x = [1, 2, {3: 4}]; y = lambda a, b=(1, 2): a; z = foo.bar(x)[3]\nn_layer = 3", 3, 12},
    {"stamp = time.time()\nrun = f'{stamp}'\nn_layer = 3 if True else run", 3, 12},
    {"\"\"\"doc\"\"\" 'more'\n('a'\n'b')\nn_layer = 9", 9, 12},
    {"batch = 3\nn_layer = batch", 3, 12},
    {"n_layer = 4 \\\n  + 1", 5, 12},
    {"wandb_tags = ['a', *b] @ 3\nn_layer = 3 if wandb_log else 4", 4, 12},
    {"\xc4\x80 = 3\nn_layer = \xc4\x80", 3, 12}, /* in UTF-8 its last byte is 0x80, the first that is not ASCII */
    {"wandb_run_name = 'r7'; n_layer = int(wandb_run_name == 'r7') + 1", 2, 12},
};

START_TEST(statements_do_what_pythons_do) {
    config c;
    error e = {{0}};
    config_defaults(&c);
    c.command = "train"; /* `batch` is an option of another command, and so no more than a name here */
    status s = config_read_text(&c, "run.py", files[_i].text, strlen(files[_i].text), &e);
    ck_assert_msg(s == OK, "%s: %s", files[_i].text, e.text);
    ck_assert_msg(c.n_layer == files[_i].n_layer && c.n_head == files[_i].n_head, "%s: n_layer %d, n_head %d",
                  files[_i].text, (int)c.n_layer, (int)c.n_head);
    config_free(&c);
}
END_TEST

/* ---- what is not read ---- */

static const struct {
    const char *text, *says;
} refused[] = {
    {"\nn_layer = os.cpu_count()", "run.py:2: os.cpu_count() is not read, because nothing is executed"},
    {"stamp = time.time()\nout_dir = f'out-{stamp}'", "run.py:1: time.time() is not read"},
    {"from base import n_layer", "n_layer comes from an import, and nothing is imported"},
    {"from base import *", "nothing is imported: write the lines of that file here"},
    {"n_layer = sizes['small']", "sizes['small'] is not read"},
    {"n_layer = [1, 2]", "[1, 2] is not read: only numbers, strings"},
    {"n_layer = (1, 2)", "(1, 2) is not read"},
    {"n_layer = 12,", "run.py:1: can't read ',' after the value: a comma would make a tuple"},
    {"n_layer, n_head = 1, 2, 3", "there are 2 names for more values"},
    {"n_layer, n_head = 1", "there are 2 names for 1 value"},
    {"n_layer, n_head = f()", "f() is not read"},
    {"n_layer = lambda: 3", "lambda: 3 is not read"},
    {"n_layer = n_layers", "n_layers stands for nothing here: did you mean n_layer?; n_layer must be a whole number"},
    {"x = nothing", "run.py:1: nothing stands for nothing here"},
    {"x = 1 +", "a value is missing"},
    {"x = 5 5", "can't read '5' after the value"},
    {"n_layer = 1 if bias", "'else' is missing at the end of the line"},
    {"n_layer = 1 / 0 if 1 else 2", "division by zero"},
    {"x = 2 ** 63", "the result is too large"},
    {"x = 1e308 * 10", "the result is too large"},
    {"x = 9223372036854775808", "is too large: at most 9223372036854775807"},
    {"x = (-1) ** 0.5; n_layer = x", "a negative number to the power of a fraction"},
    {"x = 'a' < 1", "text can't be compared with a whole number by <"},
    {"x = 1 << -1", "a shift by a negative number"},
    {"x = int('a')", "int('a'): that is no whole number"},
    {"n_layer = max(3)", "max(...) is read with 2 values or more"},
    {"n_layer = int(x=3)", "int(x=3) is not read"},
    {"n_layer = '%d' % 3", "% after a string is not read"},
    {"n_layer = f'{n_layer:>{3}}'", "in an f-string"},
    {"x = f'{n_layer'", "in an f-string"},
    {"x = f'{1 2}'", "a ) is missing before '2)'"},
    {"x = f'}'", "a single } in an f-string"},
    {"x = b'a'", "bytes (b'...') are not read"},
    {"x = q'a'", "is no string: before its quote may stand f or r"},
    {"x = '\\N{BULLET}'", "\\N in a string is not read"},
    {"x = '\\ud800'", "that character can't stand in a setting"},
    {"x = '\\x4'", "\\x in a string needs 2 hexadecimal digits"},
    {"for i in range(3):\n  n_layer = i", "'for i in range(3):' is not a `key = value` line"},
    {"def f(): pass", "nothing is executed"},
    {"if os.environ.get('X'):\n  n_layer = 3", "run.py:1: os.environ.get('X') is not read"},
    {"if 1:\nn_layer = 3", "run.py:2: an indented line is missing after the colon"},
    {"if 1:\n    n_layer = 3\n  n_head = 3", "run.py:3: the line is indented otherwise"},
    {"if 1\n  n_layer = 3", "':' is missing at the end of the line"},
    {"assert n_layer == 13, 'too few'", "'assert n_layer == 13, 'too few'' does not hold: too few"},
    {"os.makedirs('folder')", "nothing is executed"},
    {"globals()['n_layer'] = 3", "nothing is executed"},
    {"del n_layer", "is not a `key = value` line"},
    {"n_layers += 1", "n_layers stands for nothing here: did you mean n_layer?"},
    {"vram_cap *= 2", "can't be used in arithmetic"},
    {"n_layer = 3 @ 4", "can't read '@ 4' after the value"},
    {"n_layer = 1j", "can't read the number 1j"},
};

START_TEST(what_is_not_read_gets_a_line_with_the_spot) {
    config c;
    error e = {{0}};
    ck_assert_msg(read_text(&c, refused[_i].text, &e) == BAD_INPUT, "accepted: %s", refused[_i].text);
    ck_assert_msg(strstr(e.text, refused[_i].says) && !strchr(e.text, '\n') && strlen(e.text) < 400,
                  "%s: <%s> does not say <%s>", refused[_i].text, e.text, refused[_i].says);
    ck_assert_msg(strstr(e.text, "run.py:") == e.text, "no place: %s", e.text);
    config_free(&c);
}
END_TEST

/* Wherever 64 levels are passed, also within a call: LeakSanitizer sees what is then forgotten. */
START_TEST(what_is_nested_too_deep_is_refused_at_any_level) {
    static const char *const last[] = {"int(12)", "(12)", "12 ** 1", "min(12, (12))", "(12 if 1 in (1, 2) else 3)"};
    char text[200];
    int refused_ones = 0;
    for (int signs = 50; signs < 70; signs++) {
        config c;
        error e = {{0}};
        snprintf(text, sizeof text, "n_layer = %.*s %s", signs,
                 "++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++", last[_i]);
        if (read_text(&c, text, &e) != OK) refused_ones++;
        if (*e.text) ck_assert_msg(strstr(e.text, "nested more than 64 deep") != NULL, "%s: %s", text, e.text);
        config_free(&c);
    }
    ck_assert_int_gt(refused_ones, 3);
    ck_assert_int_lt(refused_ones, 20);
}
END_TEST

START_TEST(a_thousand_names_are_enough) {
    config c;
    error e = {{0}};
    char *text = xcalloc(1, 20 * 1100), *at = text;
    for (int i = 0; i < 1001; i++) at += sprintf(at, "name_%d = %d\n", i, i);
    ck_assert_int_eq(read_text(&c, text, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "more than 1000 names") != NULL, "%s", e.text);
    config_free(&c);
    free(text);
}
END_TEST

START_TEST(a_name_has_at_most_63_bytes) {
    char name[65], text[200];
    config c;
    error e = {{0}};
    memset(name, 'a', 64);
    name[64] = 0;
    snprintf(text, sizeof text, "%s = 3; n_layer = %s", name + 1, name + 1);
    ck_assert_msg(read_text(&c, text, &e) == OK && c.n_layer == 3, "%s", e.text);
    config_free(&c);
    snprintf(text, sizeof text, "%s = 3", name);
    ck_assert(read_text(&c, text, &e) == BAD_INPUT && strstr(e.text, "run.py:1: unknown key aaa"));
    config_free(&c);
}
END_TEST

Suite *config_language_suite(void);
Suite *config_language_suite(void) {
    Suite *suite = suite_create("config_language");
    TCase *t = tcase_create("config_language");
#define ROWS(table) (int)(sizeof table / sizeof *table)
    tcase_add_loop_test(t, expressions_have_pythons_values, 0, ROWS(values));
    tcase_add_loop_test(t, statements_do_what_pythons_do, 0, ROWS(files));
    tcase_add_loop_test(t, what_is_not_read_gets_a_line_with_the_spot, 0, ROWS(refused));
    tcase_add_test(t, a_name_has_at_most_63_bytes);
    tcase_add_loop_test(t, what_is_nested_too_deep_is_refused_at_any_level, 0, 5);
    tcase_add_test(t, a_thousand_names_are_enough);
    suite_add_tcase(suite, t);
    return suite;
}
