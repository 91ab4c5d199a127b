/* test_prepare.c: text files to token files: numbers, division, folders, and what can't be done. */
#include "support_data.h"
#include "text/prepare.h"

static status prepare(const char *tokenizer, double val_fraction, const char *path, const char *second) {
    static config c;
    char *paths[] = {inside(path), second ? inside(second) : NULL}, *out = inside("out");
    c = (config){.positional = paths, .n_positional = second ? 2 : 1, .val_fraction = val_fraction};
    snprintf(c.tokenizer, sizeof c.tokenizer, "%s", tokenizer);
    snprintf(c.out, sizeof c.out, "%s", out);
    FILE *report = fopen("/dev/null", "w");
    status s = prepare_run(&c, report, &e);
    fclose(report);
    free(paths[0]);
    free(paths[1]);
    free(out);
    return s;
}

/* The ids of out/NAME as text: "0 1 2 ". */
static char *ids_of(const char *name) {
    char *out = inside("out"), *text = xcalloc(1 << 16, 1);
    token_file f;
    ck_assert_msg(token_file_open(out, name, -1, &f, &e) == OK, "%s", e.text);
    for (int64_t i = 0; i < f.tokens; i++) {
        unsigned id = (unsigned)token_at(&f, (int64_t)i);
        snprintf(text + strlen(text), 12, "%u ", id);
    }
    token_file_close(&f);
    free(out);
    return text;
}

static void assert_ids(const char *train, const char *val) {
    char *got = ids_of("train.bin");
    ck_assert_str_eq(got, train);
    free(got);
    char *path = inside("out/val.bin");
    ck_assert_int_eq(access(path, F_OK) == 0, *val != 0); /* nothing for it: no val.bin, and none of an older text */
    free(path);
    if (!*val) return;
    got = ids_of("val.bin");
    ck_assert_str_eq(got, val);
    free(got);
}

START_TEST(characters_are_numbered_and_divided_as_nanogpt_does) {
    put_text("text", "b\xc3\xa9"
                     "a\n\r\nb\ra\xf0\x9f\x98\x80z"); /* b e-acute a \n \n b \n a emoji z: ten characters */
    ck_assert_msg(prepare("char", 0.1, "text", NULL) == OK, "%s", e.text);
    assert_ids("2 4 1 0 0 2 0 1 5 ", "3 ");
    ck_assert(prepare("char", 0.25, "text", NULL) == OK); /* int(10 * 0.75) = 7 */
    assert_ids("2 4 1 0 0 2 0 ", "1 5 3 ");
    ck_assert(prepare("char", 0, "text", NULL) == OK);
    assert_ids("2 4 1 0 0 2 0 1 5 3 ", "");
}
END_TEST

START_TEST(bytes_keep_everything_and_need_no_utf8) {
    put("text", "\xff\r\n\0z", 5);
    ck_assert_msg(prepare("byte", 0.4, "text", NULL) == OK, "%s", e.text);
    assert_ids("255 13 10 ", "0 122 ");
}
END_TEST

/* More tokens than are gathered before they are written. */
START_TEST(a_long_text_comes_out_whole) {
    enum { N = 300007 };
    char *text = xcalloc(N, 1), *out = inside("out");
    token_file f;
    for (int i = 0; i < N; i++) text[i] = (char)(i * 7 % 251);
    put("text", text, N);
    ck_assert_msg(prepare("byte", 0, "text", NULL) == OK, "%s", e.text);
    ck_assert_msg(token_file_open(out, "train.bin", -1, &f, &e) == OK, "%s", e.text);
    ck_assert_int_eq(f.tokens, N);
    for (int i = 0; i < N; i++) ck_assert_int_eq(token_at(&f, i), i * 7 % 251);
    token_file_close(&f);
    free(text);
    free(out);
}
END_TEST

START_TEST(folders_are_read_by_name_and_what_is_no_text_is_left_out) {
    make_folder("texts/b");
    put_text("texts/c.txt", "c");
    put_text("texts/a.txt", "a");
    put_text("texts/b/z", "b");
    put_text("texts/b/.hidden", "x");
    put("texts/b/binary", "x\0x", 3);
    put_text("texts/b/latin1", "x\xe9x");
    put_text("texts/b/empty", "");
    put_text("more", "d");
    ck_assert_msg(prepare("char", 0, "texts", "more") == OK, "%s", e.text);
    assert_ids("0 1 2 3 ", "");
}
END_TEST

START_TEST(preparing_into_the_folder_that_is_read_leaves_the_output_out) {
    put_text("text", "ab");
    ck_assert(prepare("char", 0, "text", NULL) == OK);
    ck_assert(prepare("char", 0, ".", NULL) == OK);
    assert_ids("0 1 ", "");
}
END_TEST

START_TEST(end_of_text_stands_after_each_of_several_files) {
    put_text("one", "aa");
    put_text("two", "bb");
    ck_assert(prepare("bpe:257", 0.25, "one", "two") == OK);
    assert_ids("64 64 256 65 ", "65 256 ");
    ck_assert(prepare("bpe:257", 0.25, "one", NULL) == OK);
    assert_ids("64 ", "64 ");
}
END_TEST

START_TEST(more_than_65535_ids_are_written_as_uint32) {
    char *text = xcalloc(70000 * 4, 1), *at = text;
    for (uint32_t c = 0x10000; c < 0x10000 + 65536; c++, at += 4) {
        const char utf8[] = {(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 63)), (char)(0x80 | (c >> 6 & 63)),
                             (char)(0x80 | (c & 63))};
        memcpy(at, utf8, 4);
    }
    put("text", text, 65536 * 4);
    free(text);
    ck_assert_msg(prepare("char", 0, "text", NULL) == OK, "%s", e.text);
    char *out = inside("out");
    token_file f;
    ck_assert_msg(token_file_open(out, "train.bin", 4, &f, &e) == OK, "%s", e.text);
    ck_assert_int_eq(f.layout.type, TOKENS_UINT32);
    ck_assert_int_eq(f.tokens, 65536);
    ck_assert_int_eq(token_file_vocabulary(&f), 65536);
    token_file_close(&f);
    free(out);
}
END_TEST

static const struct {
    const char *tokenizer, *path, *says;
} bad_prepare[] = {
    {"char", "missing", "missing: No such file"},
    {"char", "latin1", "latin1: byte 1 (0xe9) is not UTF-8"},
    {"bpe:300", "latin1", "latin1: byte 1 (0xe9) is not UTF-8"},
    {"char", "empty", "no text found in"},
    {"byte", "empty", "no text found in"},
    {"char", "model.gguf", "is a GGUF model"},
    {"bpe:12", "good", "the number of ids, 257 to"},
    {"bpe:", "good", "as in bpe:4096"},
    {"bpe:99999999999999999999", "good", "as in bpe:4096"},
    {"words", "good", "none of char, byte, bpe:SIZE"},
};

START_TEST(what_prepare_cannot_do_is_one_clear_line) {
    put_text("good", "some text");
    put_text("latin1", "x\xe9x");
    put_text("empty", "");
    put_text("model.gguf", "GGUF\x03");
    ck_assert_int_eq(prepare(bad_prepare[_i].tokenizer, 0.1, bad_prepare[_i].path, NULL), BAD_INPUT);
    assert_clear(bad_prepare[_i].says);
    char *out = inside("out");
    ck_assert_msg(access(out, F_OK) != 0, "a refused prepare must leave nothing");
    free(out);
}
END_TEST

START_TEST(a_failed_prepare_leaves_the_older_files) {
    put_text("text", "abc");
    put_text("other", "abcd");
    ck_assert(prepare("char", 0, "text", NULL) == OK);
    char *vocabulary = inside("out/tokenizer.json"), *copy = inside("kept.json");
    ck_assert(file_copy(vocabulary, copy, NULL, &e) == OK);
    ck_assert_int_eq(prepare(copy, 0, "other", NULL), BAD_INPUT);
    assert_clear("other: byte 3: the character U+0064 'd' is not among the vocabulary's 3");
    assert_ids("0 1 2 ", "");
    free(vocabulary);
    free(copy);
}
END_TEST

Suite *prepare_suite(void);
Suite *prepare_suite(void) {
    Suite *s = suite_create("prepare");
    TCase *t = tcase_create("prepare");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, characters_are_numbered_and_divided_as_nanogpt_does);
    tcase_add_test(t, bytes_keep_everything_and_need_no_utf8);
    tcase_add_test(t, a_long_text_comes_out_whole);
    tcase_add_test(t, folders_are_read_by_name_and_what_is_no_text_is_left_out);
    tcase_add_test(t, preparing_into_the_folder_that_is_read_leaves_the_output_out);
    tcase_add_test(t, end_of_text_stands_after_each_of_several_files);
    tcase_add_test(t, more_than_65535_ids_are_written_as_uint32);
    tcase_add_loop_test(t, what_prepare_cannot_do_is_one_clear_line, 0, ROWS(bad_prepare));
    tcase_add_test(t, a_failed_prepare_leaves_the_older_files);
    suite_add_tcase(s, t);
    return s;
}
