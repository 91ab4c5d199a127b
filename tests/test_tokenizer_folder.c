/* test_tokenizer_folder.c: folders of Hugging Face's, with what lies beside the vocabulary: the ids are those of
   transformers (tests/golden/tokenizers/make_tokenizers.py), and what is saved gives them again. */
#include "base/files.h"
#include "base/json_file.h"
#include "text/tokenizer.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

#define GOLDEN "tests/golden/tokenizers"
enum { CASES = 52 };

static char folder[] = "/tmp/snug-test-XXXXXX";
static error e;
static cJSON *golden;

static void begin(void) {
    strcpy(folder, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_msg(json_read(GOLDEN "/cases.json", &golden, &e) == OK, "%s", e.text);
}
static void end(void) {
    cJSON_Delete(golden);
    ck_assert_int_eq(folder_remove(folder, &e), OK);
}

static const cJSON *get(const cJSON *object, const char *key) { return cJSON_GetObjectItemCaseSensitive(object, key); }

/* Fills the folder with a base and the files beside it. */
static void make_case(const cJSON *c, const char *into) {
    const cJSON *name, *file;
    ck_assert(folder_make(into, &e) == OK);
    cJSON_ArrayForEach(name, get(get(golden, "bases"), get(c, "base")->valuestring)) {
        const char *own = strrchr(name->valuestring, '-');
        char *from = xprintf(GOLDEN "/base/%s", name->valuestring),
             *to = xprintf("%s/%s", into, own ? own + 1 : name->valuestring);
        ck_assert_msg(file_copy(from, to, NULL, &e) == OK, "%s", e.text);
        free(from);
        free(to);
    }
    cJSON_ArrayForEach(file, get(c, "files")) {
        char *to = xprintf("%s/%s", into, file->string), *text = cJSON_Print(file);
        ck_assert(file_write(to, text, strlen(text), false, NULL, &e) == OK);
        free(to);
        free(text);
    }
}

static void assert_ids(const tokenizer *t, const cJSON *c, const char *what) {
    const cJSON *text, *id;
    int row = 0;
    ck_assert_msg(tokenizer_size(t) == get(c, "size")->valueint, "%s: %lld ids", what, (long long)tokenizer_size(t));
    cJSON_ArrayForEach(text, get(golden, "texts")) {
        uint32_t *ids;
        size_t n, i = 0;
        ck_assert_msg(tokenizer_encode(t, text->valuestring, strlen(text->valuestring), &ids, &n, &e) == OK, "%s",
                      e.text);
        cJSON_ArrayForEach(id, cJSON_GetArrayItem(get(c, "ids"), row)) {
            ck_assert_msg(i < n && ids[i] == (uint32_t)id->valueint, "%s, text %d: id %zu is %d, not %d", what, row, i,
                          i < n ? (int)ids[i] : -1, id->valueint);
            i++;
        }
        ck_assert_msg(i == n, "%s, text %d: %zu ids too many", what, row, n - i);
        free(ids);
        row++;
    }
}

START_TEST(ids_are_those_of_transformers) {
    const cJSON *cases = get(golden, "cases"), *c = cJSON_GetArrayItem(cases, _i), *refused = get(c, "refused");
    tokenizer *t;
    ck_assert_int_eq(cJSON_GetArraySize(cases), CASES);
    make_case(c, folder);
    status s = tokenizer_open(folder, &t, &e);
    if (refused) {
        ck_assert_msg(s == BAD_INPUT && strstr(e.text, refused->valuestring) && !strchr(e.text, '\n'), "case %d: %s",
                      _i, s == OK ? "it was read" : e.text);
        return;
    }
    ck_assert_msg(s == OK, "case %d: %s", _i, e.text);
    assert_ids(t, c, "as read");
    /* Twice saved, into a folder that had another tokenizer and has no config.json. */
    char *data = xprintf("%s/data", folder), *again = xprintf("%s/again", folder);
    const cJSON *other = cJSON_GetArrayItem(cases, 18);
    make_case(other, data);
    ck_assert(folder_make(again, &e) == OK);
    char *path = xprintf("%s/config.json", data);
    unlink(path);
    free(path);
    ck_assert_msg(tokenizer_save_folder(t, data, &e) == OK, "%s", e.text);
    tokenizer_close(t);
    ck_assert_msg(tokenizer_open(data, &t, &e) == OK, "case %d, saved: %s", _i, e.text);
    assert_ids(t, c, "saved");
    ck_assert_msg(tokenizer_save_folder(t, again, &e) == OK, "%s", e.text);
    tokenizer_close(t);
    ck_assert_msg(tokenizer_open(again, &t, &e) == OK, "case %d, saved again: %s", _i, e.text);
    assert_ids(t, c, "saved again");
    tokenizer_close(t);
    free(data);
    free(again);
}
END_TEST

/* A text after which nothing is known: what a folder says of tokens that are in no text comes out as it went in. */
START_TEST(nothing_is_dropped_on_saving) {
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"};
    static const char *const texts[] = {
        ("{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"pad_token\": \"<|pad|>\", \"model_max_length\": 77,\n"
         " \"chat_template\": \"{{ x }}\", \"own\": [1, 2.5]}"),
        "{\"pad_token\": {\"content\": \"<|pad|>\", \"lstrip\": false}, \"note\": 1}", "{\"<|pad|>\": 272}"};
    char *data = xprintf("%s/data", folder), *text;
    size_t bytes;
    tokenizer *t;
    make_case(cJSON_GetArrayItem(get(golden, "cases"), 0), folder);
    for (int i = 0; i < 3; i++) {
        char *path = xprintf("%s/%s", folder, names[i]);
        ck_assert(file_write(path, texts[i], strlen(texts[i]), false, NULL, &e) == OK);
        free(path);
    }
    ck_assert(folder_make(data, &e) == OK);
    ck_assert_msg(tokenizer_open(folder, &t, &e) == OK, "%s", e.text);
    ck_assert_msg(tokenizer_save_folder(t, data, &e) == OK, "%s", e.text);
    for (int i = 0; i < 3; i++) {
        char *path = xprintf("%s/%s", data, names[i]);
        ck_assert_msg(file_read(path, 1 << 20, &text, &bytes, &e) == OK, "%s", e.text);
        ck_assert_str_eq(text, texts[i]);
        free(path);
        free(text);
    }
    tokenizer_close(t);
    free(data);
}
END_TEST

/* Another tokenizer's file beside tokenizer.json is removed. */
START_TEST(what_cannot_be_removed_is_named) {
    char *data = xprintf("%s/data", folder), *in_the_way = xprintf("%s/data/added_tokens.json", folder);
    tokenizer *t;
    make_case(cJSON_GetArrayItem(get(golden, "cases"), 0), folder);
    ck_assert(folder_make(in_the_way, &e) == OK && tokenizer_open(folder, &t, &e) == OK);
    ck_assert_int_eq(tokenizer_save_folder(t, data, &e), FAILED);
    ck_assert_msg(strstr(e.text, "data/added_tokens.json: cannot remove: ") != NULL, "%s", e.text);
    tokenizer_close(t);
    free(in_the_way);
    free(data);
}
END_TEST

/* With add_prefix_space a text has the ids that it has with a space before it. */
START_TEST(a_space_before_a_text_is_a_space_before_a_text) {
    static const char all_words[] = "the cat and a hat;\nthat is grün <|endoftext|> on the mat. ";
    const char *words =
        all_words + (_i ? strlen("the cat and a hat;\nthat is grün <|endoftext|> ") : 0); /* one piece */
    const cJSON *cases = get(golden, "cases");
    char *one = xprintf("%s/one", folder), *two = xprintf("%s/two", folder);
    tokenizer *plain, *spaced;
    make_case(cJSON_GetArrayItem(cases, 0), one);
    make_case(cJSON_GetArrayItem(cases, 3), two);
    ck_assert(tokenizer_open(one, &plain, &e) == OK && tokenizer_open(two, &spaced, &e) == OK);
    size_t length = 40000, lengths[] = {1, 2, 3, 4095, 4096, 4097, 20000, 40000};
    char *text = xcalloc(length + 2, 1);
    for (size_t i = 0; i <= length; i++) text[i] = i ? words[(i - 1) % strlen(words)] : ' ';
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint32_t *a, *b;
        size_t n, m;
        while ((text[lengths[i] + 1] & 0xc0) == 0x80) lengths[i]++;
        ck_assert(tokenizer_encode(plain, text, lengths[i] + 1, &a, &n, &e) == OK);
        ck_assert(tokenizer_encode(spaced, text + 1, lengths[i], &b, &m, &e) == OK);
        ck_assert_msg(n == m && !memcmp(a, b, n * sizeof *a), "%zu bytes: %zu and %zu ids", lengths[i], n, m);
        free(a);
        free(b);
    }
    text[5000] = '\xff';
    uint32_t *ids;
    size_t n;
    ck_assert_int_eq(tokenizer_encode(spaced, text + 1, length, &ids, &n, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "byte 4999 (0xff)") != NULL, "%s", e.text);
    text[3] = '\xff';
    ck_assert_int_eq(tokenizer_encode(spaced, text + 1, length, &ids, &n, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "byte 2 (0xff)") != NULL, "%s", e.text);
    free(text);
    free(one);
    free(two);
    tokenizer_close(plain);
    tokenizer_close(spaced);
}
END_TEST

Suite *tokenizer_folder_suite(void);
Suite *tokenizer_folder_suite(void) {
    Suite *s = suite_create("tokenizer_folder");
    TCase *t = tcase_create("tokenizer_folder");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, ids_are_those_of_transformers, 0, CASES);
    tcase_add_test(t, nothing_is_dropped_on_saving);
    tcase_add_test(t, what_cannot_be_removed_is_named);
    tcase_add_loop_test(t, a_space_before_a_text_is_a_space_before_a_text, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
