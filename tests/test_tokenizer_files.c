/* test_tokenizer_files.c: tokenizers' files that come back the same, added tokens in them, and damaged ones. */
#include "support_tokenizer.h"

static void comes_back_the_same(const tokenizer *t) {
    char *path = xprintf("%s/tokenizer.json", folder), *again_path = xprintf("%s/again.json", folder), *first, *second;
    size_t n_first, n_second, a, b;
    tokenizer *back;
    ck_assert_msg(tokenizer_save_folder(t, folder, &e) == OK, "%s", e.text);
    ck_assert_msg(tokenizer_open(folder, &back, &e) == OK, "%s", e.text);
    ck_assert_str_eq(tokenizer_kind_name(back), tokenizer_kind_name(t));
    ck_assert_int_eq(tokenizer_size(back), tokenizer_size(t));
    for (uint32_t id = 0; id < t->size; id++) {
        const char *left = tokenizer_decode(t, id, &a), *right = tokenizer_decode(back, id, &b);
        ck_assert(a == b && memcmp(left, right, a) == 0);
    }
    ck_assert(tokenizer_save(back, again_path, &e) == OK);
    ck_assert(file_read(path, 1 << 24, &first, &n_first, &e) == OK);
    ck_assert(file_read(again_path, 1 << 24, &second, &n_second, &e) == OK);
    ck_assert(n_first == n_second && memcmp(first, second, n_first) == 0);
    free(first);
    free(second);
    free(path);
    free(again_path);
    tokenizer_close(back);
}

START_TEST(saved_tokenizers_come_back_the_same) {
    static const char text[] = "\0\x01\x1f \"\\/\x7f\n\xc2\x85\xe2\x80\xa8\xef\xbb\xbf\xf4\x8f\xbf\xbf{}";
    tokenizer *t;
    ck_assert(tokenizer_from_characters(text, sizeof text - 1, &t, &e) == OK);
    comes_back_the_same(t);
    tokenizer_close(t);
    t = tokenizer_bytes();
    comes_back_the_same(t);
    tokenizer_close(t);
    t = trained(9, 500);
    comes_back_the_same(t);
    tokenizer_close(t);
}
END_TEST

#define HEAD "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
#define MODEL(vocabulary, merges) "\"model\":{\"type\":\"BPE\",\"vocab\":" vocabulary ",\"merges\":" merges "}}"
#define ADDED(list) "\"added_tokens\":" list ","

START_TEST(added_tokens_are_found_as_hugging_face_finds_them) {
    put("tokenizer.json",
        HEAD ADDED("[{\"id\":3,\"content\":\"<s>\"},{\"id\":4,\"content\":\"<s>x\",\"lstrip\":true,\"rstrip\":true}]")
            MODEL("{\"a\":0,\"x\":1,\"\xc4\xa0\":2}", "[]"));
    tokenizer *t;
    uint32_t *ids;
    size_t n;
    ck_assert_msg(tokenizer_open(folder, &t, &e) == OK, "%s", e.text);
    ck_assert_int_eq(tokenizer_size(t), 5);
    static const char text[] =
        "a <s> a  <s>x  a"; /* the longest of two that start at one place; space taken on both sides */
    static const uint32_t expected[] = {0, 2, 3, 2, 0, 4, 0};
    ck_assert_msg(tokenizer_encode(t, text, sizeof text - 1, &ids, &n, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(n, ROWS(expected));
    ck_assert_mem_eq(ids, expected, sizeof expected);
    free(ids);
    ck_assert_int_eq(tokenizer_encode(t, "aab", 3, &ids, &n, &e), BAD_INPUT);
    assert_clear("byte 2: the vocabulary has no token for the byte 0x62");
    tokenizer_close(t);
}
END_TEST

START_TEST(vocab_json_and_merges_txt_do_as_well) {
    tokenizer *t;
    uint32_t *ids;
    size_t n;
    put("vocab.json", "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3}");
    ck_assert_int_eq(tokenizer_open(folder, &t, &e), BAD_INPUT);
    assert_clear("merges.txt does not exist");
    put("merges.txt", "#version: 0.2\r\na b\r\n");
    ck_assert_msg(tokenizer_open(folder, &t, &e) == OK, "%s", e.text);
    static const char text[] = "aab<|endoftext|>ba";
    static const uint32_t expected[] = {0, 2, 3, 1, 0};
    ck_assert(tokenizer_encode(t, text, sizeof text - 1, &ids, &n, &e) == OK);
    ck_assert_uint_eq(n, ROWS(expected));
    ck_assert_mem_eq(ids, expected, sizeof expected);
    free(ids);
    tokenizer_close(t);
    put("merges.txt", "a b\nab");
    ck_assert_int_eq(tokenizer_open(folder, &t, &e), BAD_INPUT);
    assert_clear("line 2, 'ab', is not two tokens");
}
END_TEST

static const struct {
    const char *text, *says;
} damaged[] = {
    {"", "no JSON at line 1"},
    {"{\"model\":\n{", "no JSON at line 2"},
    {"\x80\x04pickle", "is a Python pickle, not JSON"},
    {"GGUF\x03", "is a GGUF model of llama.cpp, not JSON"},
    {"[1]", "has no \"model\""},
    {"{\"a\":0}", "has no \"model\""},
    {"{\"model\":{\"type\":\"WordPiece\"}}", "the model is WordPiece"},
    {HEAD MODEL("[]", "[]"), "there is no vocabulary"},
    {HEAD MODEL("{}", "[]"), "there is no vocabulary"},
    {HEAD MODEL("{\"a\":0,\"b\":0}", "[]"), "'a' and 'b' have the same id 0"},
    {HEAD MODEL("{\"a\":0,\"a\":1}", "[]"), "token 'a' stands in the vocabulary twice"},
    {HEAD MODEL("{\"a\":0,\"b\":2}", "[]"), "token 'b' has no id from 0 to 1"},
    {HEAD MODEL("{\"a\":0,\"b\":-1}", "[]"), "token 'b' has no id"},
    {HEAD MODEL("{\"a\":0,\"b\":0.5}", "[]"), "token 'b' has no id"},
    {HEAD MODEL("{\"a\":0,\"b\":1e300}", "[]"), "token 'b' has no id"},
    {HEAD MODEL("{\"a\":0,\"b\":\"1\"}", "[]"), "token 'b' has no id"},
    {HEAD MODEL("{\"a\":0,\"b c\":1}", "[]"), "token 'b c' (id 1) is not written in GPT-2's byte alphabet"},
    {HEAD MODEL("{\"a\":0,\"\":1}", "[]"), "is not written in GPT-2's byte alphabet"},
    {HEAD MODEL("{\"a\":0,\"\xff\":1}", "[]"), "is not written in GPT-2's byte alphabet"},
    {HEAD MODEL("{\"a\":0,\"b\":1}", "{}"), "model.merges is missing or no list"},
    {HEAD MODEL("{\"a\":0,\"b\":1}", "[\"ab\"]"), "merge 1, 'ab', is not two tokens"},
    {HEAD MODEL("{\"a\":0,\"b\":1,\"ab\":2}", "[\"a b\",\"a  b\"]"), "merge 2, 'a  b', is not two tokens"},
    {HEAD MODEL("{\"a\":0,\"b\":1}", "[\"a b\"]"), "the vocabulary lacks the token they make"},
    {HEAD MODEL("{\"a\":0,\"b\":1}", "[[\"a\",\"c\"]]"), "the vocabulary lacks one of them"},
    {HEAD MODEL("{\"a\":0,\"b\":1}", "[[\"a\",\"b\",\"c\"]]"), "merge 1 is neither"},
    {HEAD MODEL("{\"a\":0,\"b\":1}", "[7]"), "merge 1 is neither"},
    {HEAD ADDED("[{\"id\":5,\"content\":\"<s>\"}]") MODEL("{\"a\":0}", "[]"), "id 5, which leaves a hole"},
    {HEAD ADDED("[{\"id\":1}]") MODEL("{\"a\":0}", "[]"), "without a content"},
    {HEAD ADDED("[{\"id\":99999999999,\"content\":\"x\"}]") MODEL("{\"a\":0}", "[]"), "id that is none below"},
    {HEAD ADDED("[{\"id\":0,\"content\":\"x\"}]") MODEL("{\"a\":0}", "[]"), "id 0 is both 'a' and the added token 'x'"},
    {HEAD ADDED("[{\"id\":1,\"content\":\"\"}]") MODEL("{\"a\":0}", "[]"), "an added token is empty"},
    {HEAD ADDED("[{\"id\":1,\"content\":\"x\",\"single_word\":true}]") MODEL("{\"a\":0}", "[]"),
     "asks for single_word"},
    {"{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL("{\"a\":0}", "[]"),
     "the pre_tokenizer is not GPT-2's ByteLevel"},
    {HEAD
     "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}]}," MODEL(
         "{\"a\":0}", "[]"),
     "puts tokens around each text (<s>)"},
    {"{\"normalizer\":{\"type\":\"NFC\"}," MODEL("{\"a\":0}", "[]"), "has a normalizer"},
    {"{" MODEL("{\"a\":0,\"bc\":1}", "[]"), "token 'bc' is not one character"},
};

START_TEST(damaged_files_are_one_clear_line) {
    tokenizer *t;
    put("tokenizer.json", damaged[_i].text);
    ck_assert_int_eq(tokenizer_open(folder, &t, &e), BAD_INPUT);
    assert_clear(damaged[_i].says);
    ck_assert_ptr_null(t);
}
END_TEST

/* Every cut and many single-byte changes of a good file: opened or refused, never worse. */
START_TEST(no_damage_crashes) {
    tokenizer *t = trained(2, 270);
    char *path = xprintf("%s/tokenizer.json", folder), *text;
    size_t bytes;
    ck_assert(tokenizer_save(t, path, &e) == OK);
    tokenizer_close(t);
    ck_assert(file_read(path, 1 << 24, &text, &bytes, &e) == OK);
    for (uint32_t i = 0; i < 1000; i++) {
        size_t at = draw(1, i, (uint32_t)bytes), length = i % 3 ? bytes : at;
        char was = text[at];
        text[at] = "\"{}[],:0123456789 a\\\xff"[draw(2, i, 22)];
        ck_assert(file_write(path, text, length, false, NULL, &e) == OK);
        text[at] = was;
        if (tokenizer_open(path, &t, &e) != OK) continue;
        uint32_t *ids;
        size_t n;
        if (tokenizer_encode(t, "the <|endoftext|> 42", 20, &ids, &n, &e) == OK) free(ids);
        tokenizer_close(t);
    }
    free(text);
    free(path);
}
END_TEST

Suite *tokenizer_files_suite(void);
Suite *tokenizer_files_suite(void) {
    Suite *s = suite_create("tokenizer_files");
    TCase *t = tcase_create("tokenizer_files");
    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, saved_tokenizers_come_back_the_same);
    tcase_add_test(t, added_tokens_are_found_as_hugging_face_finds_them);
    tcase_add_test(t, vocab_json_and_merges_txt_do_as_well);
    tcase_add_loop_test(t, damaged_files_are_one_clear_line, 0, ROWS(damaged));
    tcase_add_test(t, no_damage_crashes);
    suite_add_tcase(s, t);
    return s;
}
