/* test_data.c: token files that are right and wrong, which sequences a step sees, and `prepare` from text to tokens. */
#include "text/data.h"
#include "run/shape.h"
#include "base/files.h"
#include "text/prepare.h"
#include "text/tokenizer.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS(table) ((int)(sizeof table / sizeof *table))

static char folder[64];
static error e;

static void begin(void) {
    strcpy(folder, "/tmp/snug-data-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    e.text[0] = 0;
}

static void end(void) { ck_assert(folder_remove(folder, NULL) == OK); }

static char *inside(const char *name) { return xprintf("%s/%s", folder, name); }

static void put(const char *name, const void *data, size_t bytes) {
    char *path = inside(name);
    ck_assert(file_write(path, data, bytes, false, NULL, &e) == OK);
    free(path);
}

static void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

/* n tokens: 0, 1, 2, ... */
static void put_counting(const char *name, int n) {
    uint16_t *ids = xcalloc((unsigned long)n, sizeof *ids);
    for (int i = 0; i < n; i++) ids[i] = (uint16_t)i;
    put(name, ids, (size_t)n * sizeof *ids);
    free(ids);
}

static void make_folder(const char *name) {
    char *path = inside(name);
    ck_assert(folder_make(path, &e) == OK);
    free(path);
}

static void assert_clear(const char *says) {
    ck_assert_msg(strstr(e.text, says) != NULL, "<%s> does not say <%s>", e.text, says);
    ck_assert_msg(strpbrk(e.text, "\n\r") == NULL, "more than one line: <%s>", e.text);
    ck_assert_msg(strlen(e.text) < 400, "long-winded: <%s>", e.text);
}

/* ---- token files ---- */

static void opens_badly(const char *says, int64_t length) {
    token_file f;
    ck_assert_int_eq(token_file_open(folder, "train.bin", length, &f, &e), BAD_INPUT);
    assert_clear(says);
}

START_TEST(a_missing_file_says_how_to_make_it) { opens_badly("train.bin does not exist; `snug prepare", 4); }
END_TEST

START_TEST(an_odd_length_is_no_token_file) {
    put("train.bin", "abcde", 5);
    opens_badly("5 bytes, not a whole number of 2-byte tokens", 1);
}
END_TEST

START_TEST(a_short_file_says_how_long_it_must_be) {
    token_file f;
    put_counting("train.bin", 8);
    opens_badly("8 tokens, but one sequence needs block_size + 1 = 9", 8);
    ck_assert(token_file_open(folder, "train.bin", 7, &f, &e) == OK);
    token_file_close(&f);
    put("train.bin", "", 0);
    opens_badly("0 tokens", 8);
}
END_TEST

START_TEST(a_file_shorter_than_meta_json_says_was_cut_off) {
    put_counting("train.bin", 100);
    put_text("meta.json", "{\"dtype\": \"uint16\", \"train_tokens\": 101}");
    opens_badly("100 tokens where meta.json says 101", 4);
}
END_TEST

START_TEST(a_damaged_meta_json_names_its_line) {
    put_counting("train.bin", 100);
    put_text("meta.json", "{\"dtype\":\n\n}");
    opens_badly("meta.json is damaged: no JSON at line 3", 4);
    put_text("meta.json", "{\"dtype\": \"int8\"}");
    opens_badly("dtype is 'int8'", 4);
}
END_TEST

START_TEST(a_folder_where_the_file_belongs_is_named) {
    make_folder("train.bin");
    opens_badly("is a folder", 4);
}
END_TEST

START_TEST(numpys_own_format_is_recognized) {
    put_text("train.bin", "\x93NUMPY and more");
    opens_badly("a NumPy .npy file", 1);
}
END_TEST

START_TEST(a_file_without_permission_says_so) {
    put_counting("train.bin", 100);
    char *path = inside("train.bin");
    ck_assert_int_eq(chmod(path, 0), 0);
    if (access(path, R_OK) != 0)
        opens_badly("cannot be read: Permission denied", 4); /* root may read it all the same */
    free(path);
}
END_TEST

START_TEST(a_link_to_itself_cannot_be_read) {
    char *path = inside("train.bin");
    ck_assert_int_eq(symlink("train.bin", path), 0);
    opens_badly("train.bin cannot be read: Too many levels of symbolic links", 4);
    free(path);
}
END_TEST

START_TEST(uint32_files_are_read_as_meta_json_says) {
    uint32_t ids[] = {1, 70000, 3, 4};
    token_file f;
    put("train.bin", ids, sizeof ids);
    put_text("meta.json", "{\"dtype\": \"uint32\", \"train_tokens\": 4}");
    ck_assert(token_file_open(folder, "train.bin", 3, &f, &e) == OK);
    ck_assert_int_eq(f.tokens, 4);
    ck_assert_int_eq(token_file_vocabulary(&f), 70001);
    token_file_close(&f);
}
END_TEST

START_TEST(the_vocabulary_comes_from_tokenizer_then_data_or_is_unknown) {
    int64_t v;
    uint16_t val[] = {2, 64, 1};
    put_counting("train.bin", 60);
    put("val.bin", val, sizeof val);
    ck_assert(data_vocabulary_of(folder, &v, &e) == OK);
    ck_assert_int_eq(v, 0);
    put_text("meta.json", "{\"vocab_size\": 64}");
    ck_assert(data_vocabulary_of(folder, &v, &e) == OK);
    ck_assert_int_eq(v, 64);
    put("meta.pkl", "\x80\x02}X\x0a\0\0\0vocab_sizeKAs.", 22); /* {"vocab_size": 65} */
    ck_assert_msg(data_vocabulary_of(folder, &v, &e) == OK, "%s", e.text);
    ck_assert_int_eq(v, 65);
    tokenizer *t = tokenizer_bytes();
    char *path = inside("tokenizer.json");
    ck_assert(tokenizer_save(t, path, &e) == OK);
    tokenizer_close(t);
    free(path);
    ck_assert(data_vocabulary_of(folder, &v, &e) == OK);
    ck_assert_int_eq(v, 256);
}
END_TEST

START_TEST(a_given_vocabulary_must_hold_what_the_data_is_known_to_need) {
    config *c = xcalloc(1, sizeof *c);
    gpt_shape shape;
    int length;
    config_defaults(c);
    ck_assert(shape_new(c, 0, &shape, &length, &e) == OK && shape.vocabulary == 50304);
    ck_assert(shape_new(c, 65, &shape, &length, &e) == OK && shape.vocabulary == 65);
    c->vocab_size = 300;
    ck_assert(shape_new(c, 0, &shape, &length, &e) == OK && shape.vocabulary == 300);
    ck_assert(shape_new(c, 300, &shape, &length, &e) == OK && shape.vocabulary == 300);
    ck_assert(shape_new(c, 301, &shape, &length, &e) == BAD_INPUT && strstr(e.text, "301"));
    free(c);
}
END_TEST

static void found_at(const config *c, const char *expected) {
    char *got, *path = inside(expected);
    ck_assert_msg(data_folder(c, &got, &e) == OK, "%s", e.text);
    ck_assert_str_eq(got, path);
    free(got);
    free(path);
}

START_TEST(a_dataset_is_found_beside_the_config_file) {
    static config c;
    make_folder("project/config/../data/shakes");
    c.config_file = inside("project/config/train.py");
    strcpy(c.dataset, "shakes");
    found_at(&c, "project/config/../data/shakes"); /* a folder without data: better than none */
    make_folder("project/config/shakes");
    put_counting("project/config/shakes/train.bin", 9);
    found_at(&c, "project/config/shakes");
    snprintf(c.dataset, sizeof c.dataset, "%s/project/data/shakes", folder);
    found_at(&c, "project/data/shakes");
    strcpy(c.dataset, "nowhere");
    char *got;
    ck_assert_int_eq(data_folder(&c, &got, &e), BAD_INPUT);
    assert_clear("dataset 'nowhere'");
    free(c.config_file);
}
END_TEST

/* ---- sequences ---- */

enum { T = 5 };

START_TEST(sequential_order_wraps_at_the_last_token) {
    token_file f;
    enum { N = 3, TOKENS = 17 };
    int32_t x[T], y[T];
    put_counting("train.bin", TOKENS);
    ck_assert(token_file_open(folder, "train.bin", T, &f, &e) == OK);
    data_order order = {.sequential = true, .sequences = N, .length = T, .ignore_token = -1, .vocabulary = TOKENS};
    for (int64_t step = 0; step < 40; step++)
        for (int64_t number = 0; number < N; number++) {
            ck_assert(data_sequence(&f, &order, 0, step, number, x, y, &e) == OK);
            for (int64_t i = 0; i < T; i++) {
                ck_assert_int_eq(x[i], ((step * N + number) * T + i) % TOKENS);
                ck_assert_int_eq(y[i], ((step * N + number) * T + i + 1) % TOKENS);
            }
        }
    ck_assert(data_sequence(&f, &order, 0, INT64_C(1000000000000), 2, x, y, &e) == OK); /* far steps: no overflow */
    order.sequences = INT64_C(1) << 40;
    order.length = T;
    ck_assert(data_sequence(&f, &order, 0, INT64_C(1000000000000), 2, x, y, &e) == OK);
    token_file_close(&f);
}
END_TEST

START_TEST(random_order_draws_every_place_equally_often) {
    token_file f;
    enum { TOKENS = 25, PLACES = TOKENS - T, DRAWS = 40000 };
    int32_t x[T], y[T];
    int count[PLACES] = {0};
    put_counting("train.bin", TOKENS);
    ck_assert(token_file_open(folder, "train.bin", T, &f, &e) == OK);
    data_order order = {.seed = 1337, .sequences = 4, .length = T, .ignore_token = -1, .vocabulary = TOKENS};
    for (int i = 0; i < DRAWS; i++) {
        ck_assert(data_sequence(&f, &order, 0, i / 4, i % 4, x, y, &e) == OK);
        ck_assert(x[0] >= 0 && x[0] < PLACES);
        ck_assert_int_eq(y[T - 1], x[0] + T);
        count[x[0]]++;
    }
    double chi_squared = 0, expected = (double)DRAWS / PLACES;
    for (int i = 0; i < PLACES; i++) chi_squared += (count[i] - expected) * (count[i] - expected) / expected;
    ck_assert_double_le(chi_squared, 43.8); /* 19 degrees of freedom, 0.1 % */
    token_file_close(&f);
}
END_TEST

START_TEST(a_sequence_depends_on_its_number_step_stream_and_seed_alone) {
    token_file f;
    int32_t x[T], again[T], y[T];
    put_counting("train.bin", 60000);
    ck_assert(token_file_open(folder, "train.bin", T, &f, &e) == OK);
    data_order order = {.seed = 5, .sequences = 8, .length = T, .ignore_token = -1, .vocabulary = 65536}, other = order;
    ck_assert(data_sequence(&f, &order, 0, 3, 2, x, y, &e) == OK);
    ck_assert(data_sequence(&f, &order, 0, 2, 7, again, y, &e) == OK);
    ck_assert_int_ne(x[0], again[0]);
    ck_assert(data_sequence(&f, &order, 1, 3, 2, again, y, &e) == OK);
    ck_assert_int_ne(x[0], again[0]);
    ck_assert(data_sequence(&f, &order, 0, 3 + (INT64_C(1) << 32), 2, again, y, &e) == OK);
    ck_assert_int_ne(x[0], again[0]);
    other.seed = 6;
    ck_assert(data_sequence(&f, &other, 0, 3, 2, again, y, &e) == OK);
    ck_assert_int_ne(x[0], again[0]);
    other.seed = 5;
    other.sequences = 1000; /* a larger step starts with the same sequences */
    ck_assert(data_sequence(&f, &other, 0, 3, 2, again, y, &e) == OK);
    ck_assert_mem_eq(x, again, sizeof x);
    token_file_close(&f);
}
END_TEST

START_TEST(ignored_targets_become_minus_one_and_stay_inputs) {
    token_file f;
    int32_t x[T], y[T];
    put_counting("train.bin", T + 1);
    ck_assert(token_file_open(folder, "train.bin", T, &f, &e) == OK);
    data_order order = {.sequential = true, .sequences = 1, .length = T, .ignore_token = 3, .vocabulary = 6};
    ck_assert(data_sequence(&f, &order, 0, 0, 0, x, y, &e) == OK);
    for (int i = 0; i < T; i++) {
        ck_assert_int_eq(x[i], i);
        ck_assert_int_eq(y[i], i + 1 == 3 ? -1 : i + 1);
    }
    token_file_close(&f);
}
END_TEST

START_TEST(an_id_past_the_vocabulary_is_named_with_its_place) {
    token_file f;
    int32_t x[T], y[T];
    put_counting("train.bin", T + 1);
    ck_assert(token_file_open(folder, "train.bin", T, &f, &e) == OK);
    data_order order = {.sequential = true, .sequences = 1, .length = T, .ignore_token = -1, .vocabulary = 5};
    ck_assert_int_eq(data_sequence(&f, &order, 0, 0, 0, x, y, &e), BAD_INPUT); /* only y's last is 5 */
    assert_clear("token 5 has id 5, but the vocabulary ends at 4; give --vocab_size=6");
    order.ignore_token = 5;
    ck_assert(data_sequence(&f, &order, 0, 0, 0, x, y, &e) == OK);
    ck_assert_int_eq(y[T - 1], -1);
    order.vocabulary = 4;
    ck_assert_int_eq(data_sequence(&f, &order, 0, 0, 0, x, y, &e), BAD_INPUT);
    assert_clear("token 4 has id 4");
    token_file_close(&f);
}
END_TEST

/* ---- prepare ---- */

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

Suite *data_suite(void);
Suite *data_suite(void) {
    Suite *s = suite_create("data");
    TCase *t = tcase_create("data");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_missing_file_says_how_to_make_it);
    tcase_add_test(t, an_odd_length_is_no_token_file);
    tcase_add_test(t, a_short_file_says_how_long_it_must_be);
    tcase_add_test(t, a_file_shorter_than_meta_json_says_was_cut_off);
    tcase_add_test(t, a_damaged_meta_json_names_its_line);
    tcase_add_test(t, a_folder_where_the_file_belongs_is_named);
    tcase_add_test(t, numpys_own_format_is_recognized);
    tcase_add_test(t, a_link_to_itself_cannot_be_read);
    tcase_add_test(t, a_file_without_permission_says_so);
    tcase_add_test(t, uint32_files_are_read_as_meta_json_says);
    tcase_add_test(t, the_vocabulary_comes_from_tokenizer_then_data_or_is_unknown);
    tcase_add_test(t, a_given_vocabulary_must_hold_what_the_data_is_known_to_need);
    tcase_add_test(t, a_dataset_is_found_beside_the_config_file);
    tcase_add_test(t, sequential_order_wraps_at_the_last_token);
    tcase_add_test(t, random_order_draws_every_place_equally_often);
    tcase_add_test(t, a_sequence_depends_on_its_number_step_stream_and_seed_alone);
    tcase_add_test(t, ignored_targets_become_minus_one_and_stay_inputs);
    tcase_add_test(t, an_id_past_the_vocabulary_is_named_with_its_place);
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
