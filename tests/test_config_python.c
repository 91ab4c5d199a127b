/* test_config_python.c: config files and expressions mean what Python says they mean, which is asked: tests/configs is
   read by both, and so are expressions made at random. Where there is no python3 a line says that this was skipped. */
#include "base/files.h"
#include "config/config.h"
#include <check.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

static char folder[64];
static glob_t files;

static void begin(void) {
    error e;
    strcpy(folder, "/tmp/snug-python-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(glob("tests/configs/*.py", 0, NULL, &files), 0);
    char *to = xprintf("%s/read", folder);
    ck_assert_int_eq(folder_make(to, &e), OK);
    free(to);
}

static void end(void) {
    error e;
    globfree(&files);
    folder_remove(folder, &e);
}

/* Runs a command line; its output goes to `output`. False, with a line for people: there is no python3. */
static bool python(const char *arguments, const char *output) {
    if (system("python3 -c pass >/dev/null 2>&1") != 0) {
        puts("config_python: no python3 here, skipped");
        return false;
    }
    char *command = xprintf("python3 -W ignore tests/config_python.py %s >%s/%s 2>&1", arguments, folder, output);
    int status = system(command);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        char *show = xprintf("cat %s/%s", folder, output);
        ck_assert_int_ne(system(show), -1);
        free(show);
    }
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", command);
    free(command);
    return true;
}

/* Writes every setting as a line of Python. */
static void write_settings(const config *c, const char *name) {
    char *path = xprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        char text[VALUE_TEXT_MAX];
        if (!option_in_files(id)) continue;
        config_value(c, id, text);
        bool point = option_table[id].type == OPTION_REAL && !strpbrk(text, ".e"); /* 1 is an int for Python */
        fprintf(f, "%s = %s%s\n", option_table[id].name, text, point ? ".0" : "");
    }
    ck_assert_int_eq(fclose(f), 0);
    free(path);
}

START_TEST(config_files_mean_what_python_says) {
    config c;
    error e;
    char *list = xstrdup("");
    ck_assert_uint_ge(files.gl_pathc, 23); /* nanoGPT's 7, and of 16 forks */
    config_defaults(&c);
    write_settings(&c, "defaults.py");
    for (size_t i = 0; i < files.gl_pathc; i++) {
        config_defaults(&c);
        ck_assert_msg(config_read(&c, files.gl_pathv[i], &e) == OK, "%s", e.text);
        char *name = xprintf("read/%s", strrchr(files.gl_pathv[i], '/') + 1);
        write_settings(&c, name);
        config_free(&c);
        free(name);
        char *longer = xprintf("%s %s", list, files.gl_pathv[i]);
        free(list);
        list = longer;
    }
    char *arguments = xprintf("files %s/defaults.py %s/read%s", folder, folder, list);
    python(arguments, "result");
    free(arguments);
    free(list);
}
END_TEST

/* What snug takes an expression for, as Python writes it; NULL: it is refused, and e says why. */
static const char *value_of(config *c, const char *expression, error *e) {
    char *line = xprintf("start = repr(%s)\n", expression);
    config_defaults(c);
    status s = config_read_text(c, "expression", line, strlen(line), e);
    free(line);
    return s == OK ? c->start : NULL;
}

START_TEST(expressions_mean_what_python_says) {
    enum { COUNT = 4000 };
    config c;
    error e;
    int same = 0, refused = 0, failed = 0;
    char *line = NULL, *arguments = xprintf("expressions %d %s/defaults.py", COUNT, folder);
    size_t room = 0;
    config_defaults(&c);
    write_settings(&c, "defaults.py");
    bool there = python(arguments, "expressions");
    free(arguments);
    if (!there) return;
    char *path = xprintf("%s/expressions", folder);
    FILE *f = fopen(path, "r");
    free(path);
    ck_assert_ptr_nonnull(f);
    while (getline(&line, &room, f) > 0) {
        char *expected = strchr(line, '\t');
        ck_assert_ptr_nonnull(expected);
        *expected++ = 0;
        expected[strcspn(expected, "\n")] = 0;
        const char *got = value_of(&c, line, &e);
        if (*expected == '!')
            ck_assert_msg(!got, "%s has a value for snug, %s, but not for Python", line, got), failed++;
        else if (got)
            ck_assert_msg(!strcmp(got, expected), "%s is %s, but snug reads %s", line, expected, got), same++;
        else
            refused++;
        config_free(&c);
    }
    free(line);
    fclose(f);
    ck_assert_int_eq(same + refused + failed, COUNT);
    ck_assert_msg(same > COUNT / 3 && refused < same / 10, "%d the same, %d refused by snug alone, %d by both", same,
                  refused, failed);
}
END_TEST

Suite *config_python_suite(void);
Suite *config_python_suite(void) {
    Suite *suite = suite_create("config_python");
    TCase *t = tcase_create("config_python");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, config_files_mean_what_python_says);
    tcase_add_test(t, expressions_mean_what_python_says);
    suite_add_tcase(suite, t);
    return suite;
}
