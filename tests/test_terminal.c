/* test_terminal.c: what comes from files and names is shown on a terminal, and does not steer it. */
#include "base/status.h"
#include "base/terminal.h"
#include "base/utf8.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

#undef fail /* Check has a macro of this name */

static const struct {
    const char *from, *clean, *shown;
} cases[] = {
    {"plain, \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "plain, \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
     "plain, \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"a\033[2Jb", "a?[2Jb", "a\\x1b[2Jb"},
    {"\a\b\r\x7f", "????", "\\x07\\x08\\x0d\\x7f"},
    {"x\xc2\x9b"
     "2J \xc2\x80\xc2\x9f\xc2\xa0",
     "x?2J ??\xc2\xa0", "x\\u009b2J \\u0080\\u009f\xc2\xa0"},
    {"\x9b"
     "2J\xff",
     "?2J?", "\\x9b2J\\xff"},
    {"\xe2\x82 \xe2\xc2\x9b\xf0\x9f", "?? ????", "\\xe2\\x82 \\xe2\\u009b\\xf0\\x9f"},
    {"\xed\xa0\x80\xc0\x80", "?????", "\\xed\\xa0\\x80\\xc0\\x80"},
};
enum { CASES = sizeof cases / sizeof *cases };

START_TEST(control_characters_become_question_marks) {
    for (int i = 0; i < CASES; i++) {
        char text[100];
        strcpy(text, cases[i].from);
        utf8_clean(text, true);
        ck_assert_str_eq(text, cases[i].clean);
        for (const char *at = text; *at; at++) ck_assert((unsigned char)*at >= 0x20);
    }
    char two[] = "a\nb\tc\xc2\x85"
                 "d";
    utf8_clean(two, true);
    ck_assert_str_eq(two, "a\nb\tc?d");
    utf8_clean(two, false);
    ck_assert_str_eq(two, "a?b?c?d");
}
END_TEST

START_TEST(error_lines_hold_no_control_characters) {
    error e;
    fail(&e, BAD_INPUT, "%s: no \xc3\xa9", "a\033]0;x\a\xc2\x9b\n\x9b");
    ck_assert_str_eq(e.text, "a?]0;x????: no \xc3\xa9");
    fail(&e, BAD_INPUT, "log:\n%s", "\033");
    ck_assert_str_eq(e.text, "log:\n?");
}
END_TEST

/* Whatever the pieces in which the text comes. */
START_TEST(sampled_text_is_escaped_on_a_terminal_alone) {
    for (int i = 0; i < CASES; i++)
        for (size_t piece = 1; piece < 9; piece++)
            for (int escapes = 0; escapes < 2; escapes++) {
                char *text;
                size_t bytes, n = strlen(cases[i].from);
                FILE *f = open_memstream(&text, &bytes);
                text_stream to = text_stream_to(f);
                ck_assert(!to.escapes);
                to.escapes = escapes;
                for (size_t at = 0; at < n; at += piece)
                    text_stream_put(&to, cases[i].from + at, n - at < piece ? n - at : piece);
                text_stream_end(&to);
                fclose(f);
                ck_assert_str_eq(text, escapes ? cases[i].shown : cases[i].from);
                free(text);
            }
}
END_TEST

Suite *terminal_suite(void);
Suite *terminal_suite(void) {
    Suite *s = suite_create("terminal");
    TCase *t = tcase_create("terminal");
    tcase_add_test(t, control_characters_become_question_marks);
    tcase_add_test(t, error_lines_hold_no_control_characters);
    tcase_add_test(t, sampled_text_is_escaped_on_a_terminal_alone);
    suite_add_tcase(s, t);
    return s;
}
