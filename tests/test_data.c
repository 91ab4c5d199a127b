/* test_data.c: token files that are right and wrong, and which sequences a step sees. */
#include "run/shape.h"
#include "support_data.h"
#include <math.h>
#include <sys/stat.h>

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
    suite_add_tcase(s, t);
    return s;
}
