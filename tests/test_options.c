/* test_options.c: the option table, and what help makes of it. */
#include "config/config.h"
#include "config/help.h"
#include "config/help_text.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(options_are_read_by_commands_that_there_are) {
    ck_assert(option_read_by(&option_table[OPTION_out], "grads") &&
              option_read_by(&option_table[OPTION_out], "prepare"));
    ck_assert(!option_read_by(&option_table[OPTION_out], "train") &&
              !option_read_by(&option_table[OPTION_out], "grad"));
    ck_assert(help_reads_any("report") && !help_reads_any("version"));
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        char *left = xstrdup(option_table[id].readers), *at = left;
        ck_assert_msg(*left != 0, "nobody reads %s", option_table[id].name);
        for (char *name; (name = strsep(&at, " ")) != NULL;)
            ck_assert_msg(help_text_of(name) != NULL, "%s is read by <%s>", option_table[id].name, name);
        free(left);
    }
}
END_TEST

START_TEST(help_names_every_option_once_in_lines_that_fit) {
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    help_options(f, NULL);
    fclose(f);
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        char key[64];
        snprintf(key, sizeof key, "\n  --%s=", option_table[id].name);
        const char *first = strstr(text, key);
        ck_assert_msg(first && !strstr(first + 1, key), "%s", key);
        ck_assert_uint_eq(config_find(option_table[id].name), id);
    }
    ck_assert_ptr_nonnull(strstr(text, "checkpointing"));
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        ck_assert_msg(strcspn(line, "\n") <= 100, "%.120s", line);
    free(text);
}
END_TEST

/* Every default lies within its own limits: each, written out, is taken again. */
START_TEST(every_default_is_allowed) {
    config c, again;
    error e;
    config_defaults(&c);
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        char value[VALUE_TEXT_MAX], line[VALUE_TEXT_MAX + 64];
        if (!option_in_files(id)) continue;
        int n = snprintf(line, sizeof line, "%s = %s\n", option_table[id].name, config_value(&c, id, value));
        config_defaults(&again);
        ck_assert_msg(config_read_text(&again, "default", line, (unsigned long)n, &e) == OK, "%s", e.text);
        config_free(&again);
    }
}
END_TEST

Suite *options_suite(void);
Suite *options_suite(void) {
    Suite *suite = suite_create("options");
    TCase *t = tcase_create("options");
    tcase_add_test(t, options_are_read_by_commands_that_there_are);
    tcase_add_test(t, help_names_every_option_once_in_lines_that_fit);
    tcase_add_test(t, every_default_is_allowed);
    suite_add_tcase(suite, t);
    return suite;
}
