/* test_meta_pickle.c: nanoGPT's meta.pkl, as Python's pickle writes it in each protocol (tests/golden/data), and what
   is no such file. */
#include "base/files.h"
#include "base/json_file.h"
#include "text/meta_pickle.h"
#include "text/pickle.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

#define GOLDEN "tests/golden/data"
#define ROWS(x) ((int)(sizeof(x) / sizeof *(x)))

static error e;

static const char *golden(const char *name) {
    static char path[200];
    snprintf(path, sizeof path, GOLDEN "/meta-%s.pkl", name);
    return path;
}

static const char *const good[] = {"2",           "3",           "4",      "5",      "itos-only-2", "itos-only-4",
                                   "stoi-only-2", "stoi-only-4", "list-2", "list-4", "more-2",      "more-4"};

START_TEST(the_letters_are_those_that_python_wrote) {
    cJSON *expected, *id;
    tokenizer *t;
    int64_t vocabulary;
    uint32_t *ids;
    size_t n, i = 0;
    ck_assert(json_read(GOLDEN "/expected.json", &expected, &e) == OK);
    const cJSON *letters = cJSON_GetObjectItem(expected, "letters");
    const char *text = cJSON_GetObjectItem(expected, "text")->valuestring;
    ck_assert_msg(meta_pickle_vocabulary(golden(good[_i]), &vocabulary, &e) == OK, "%s", e.text);
    ck_assert_int_eq(vocabulary, cJSON_GetArraySize(letters));
    ck_assert_msg(meta_pickle_tokenizer(golden(good[_i]), &t, &e) == OK, "%s", e.text);
    ck_assert_int_eq(tokenizer_size(t), vocabulary);
    for (int k = 0; k < vocabulary; k++) {
        size_t bytes;
        const char *letter = tokenizer_decode(t, (uint32_t)k, &bytes);
        ck_assert_str_eq(letter, cJSON_GetArrayItem(letters, k)->valuestring);
    }
    ck_assert_msg(tokenizer_encode(t, text, strlen(text), &ids, &n, &e) == OK, "%s", e.text);
    cJSON_ArrayForEach(id, cJSON_GetObjectItem(expected, "text_ids")) {
        ck_assert_int_eq(ids[i++], (int64_t)id->valuedouble);
    }
    ck_assert_uint_eq(i, n);
    free(ids);
    tokenizer_close(t);
    cJSON_Delete(expected);
}
END_TEST

START_TEST(vocab_size_may_be_more_than_the_letters) {
    for (int i = 0; i < 2; i++) {
        const char *path = golden(i ? "many-4" : "many-2");
        tokenizer *t;
        int64_t vocabulary;
        ck_assert_msg(meta_pickle_vocabulary(path, &vocabulary, &e) == OK, "%s", e.text);
        ck_assert_int_eq(vocabulary, 640);
        ck_assert(meta_pickle_tokenizer(path, &t, &e) == OK);
        ck_assert_int_eq(tokenizer_size(t), 600);
        ck_assert_int_eq(tokenizer_find(t, "\xe4\xb9\x97"), 87); /* U+4E57 */
        tokenizer_close(t);
    }
}
END_TEST

static const struct {
    const char *name, *says;
    bool has_vocabulary; /* only the text is missing or of another kind */
} bad[] = {{"size-only", "neither itos nor stoi", true},
           {"words", "the text of id 0, 'he', is not one character", true},
           {"surrogate", "the text of id 1", true},
           {"twice", "are the same character", true},
           {"object", "for something of Python's to be called, which is never done", false},
           {"set", "opcode 0x", false},
           {"hole", "itos has id 2, which leaves a hole among its 2 ids", false},
           {"contradiction", "itos and stoi contradict each other", false},
           {"too-few", "vocab_size is 1, but there are 2 ids", false},
           {"none", "no dict with vocab_size, itos or stoi", false},
           {"text", "no dict with vocab_size, itos or stoi", false},
           {"number-text", "itos is no dict of whole numbers and texts", false},
           {"size-text", "vocab_size is not a whole number", false},
           {"huge", "a number of more than 64 bits", false}};

START_TEST(other_pickles_are_one_clear_line) {
    char *name = xprintf("%s-%d", bad[_i / 2].name, _i % 2 ? 4 : 2);
    tokenizer *t;
    int64_t vocabulary;
    ck_assert_int_eq(meta_pickle_tokenizer(golden(name), &t, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, bad[_i / 2].says) && !strchr(e.text, '\n') && strlen(e.text) < 400, "%s: %s", name,
                  e.text);
    ck_assert_ptr_null(t);
    ck_assert_int_eq(meta_pickle_vocabulary(golden(name), &vocabulary, &e) == OK, bad[_i / 2].has_vocabulary);
    free(name);
}
END_TEST

/* A byte is counted from 0, as hexdump does: here behind the two of the protocol, and behind an empty dict. */
START_TEST(the_byte_that_is_refused_is_named) {
    static const struct {
        const char *bytes, *says;
    } files[] = {{"\x80\x02"
                  "c",
                  "at byte 2 (opcode 0x63) for something of Python's to be called"},
                 {"\x80\x02}\x8f", "at byte 3 (opcode 0x8f) something else than dicts"}};
    for (int i = 0; i < ROWS(files); i++) {
        char path[] = "/tmp/snug-test-XXXXXX";
        int64_t vocabulary;
        close(mkstemp(path));
        ck_assert(file_write(path, files[i].bytes, strlen(files[i].bytes), false, NULL, &e) == OK);
        ck_assert_int_eq(meta_pickle_vocabulary(path, &vocabulary, &e), BAD_INPUT);
        ck_assert_msg(strstr(e.text, files[i].says) != NULL, "%s", e.text);
        unlink(path);
    }
}
END_TEST

/* Every cut and every changed byte of good files: read or refused in one line, never worse. */
START_TEST(no_damage_crashes) {
    char *text, folder[] = "/tmp/snug-test-XXXXXX";
    size_t bytes;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char *path = xprintf("%s/meta.pkl", folder);
    ck_assert(file_read(golden(_i ? "4" : "2"), 1 << 20, &text, &bytes, &e) == OK);
    for (size_t i = 0; i < 2 * bytes; i++) {
        size_t at = i / 2;
        char was = text[at];
        tokenizer *t;
        text[at] = (char)(i % 2 ? text[at] : text[at] ^ (1 << i / 2 % 8));
        ck_assert(file_write(path, text, i % 2 ? at : bytes, false, NULL, &e) == OK);
        text[at] = was;
        status s = meta_pickle_tokenizer(path, &t, &e);
        ck_assert(s == OK || (s == BAD_INPUT && e.text[0] && !strchr(e.text, '\n')));
        tokenizer_close(t);
    }
    ck_assert(folder_remove(folder, &e) == OK);
    free(text);
    free(path);
}
END_TEST

Suite *meta_pickle_suite(void);
Suite *meta_pickle_suite(void) {
    Suite *s = suite_create("meta_pickle");
    TCase *t = tcase_create("meta_pickle");
    tcase_add_loop_test(t, the_letters_are_those_that_python_wrote, 0, ROWS(good));
    tcase_add_test(t, vocab_size_may_be_more_than_the_letters);
    tcase_add_loop_test(t, other_pickles_are_one_clear_line, 0, 2 * ROWS(bad));
    tcase_add_test(t, the_byte_that_is_refused_is_named);
    tcase_add_loop_test(t, no_damage_crashes, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
