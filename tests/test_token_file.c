/* test_token_file.c: token files as NumPy, llm.c, nanoGPT and others write them (tests/golden/data, made by numpy), and
   the look at all ids before a run. */
#include "base/files.h"
#include "base/json_file.h"
#include "text/data.h"
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

#define GOLDEN "tests/golden/data"
#define ROWS(x) ((int)(sizeof(x) / sizeof *(x)))

static char folder[] = "/tmp/snug-test-XXXXXX";
static error e;

static void begin(void) {
    strcpy(folder, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}
static void end(void) { ck_assert_int_eq(folder_remove(folder, &e), OK); }

static void put(const char *name, const void *data, size_t bytes) {
    char *path = xprintf("%s/%s", folder, name);
    ck_assert_msg(file_write(path, data, bytes, false, NULL, &e) == OK, "%s", e.text);
    free(path);
}
static void put_golden(const char *from, const char *name) {
    char *path = xprintf(GOLDEN "/%s", from), *to = xprintf("%s/%s", folder, name);
    ck_assert_msg(file_copy(path, to, NULL, &e) == OK, "%s", e.text);
    free(path);
    free(to);
}

static void assert_refused(const char *name, const char *says) {
    token_file f;
    ck_assert_msg(token_file_open(folder, name, 1, &f, &e) == BAD_INPUT && strstr(e.text, says) != NULL,
                  "<%s> does not say <%s>", e.text, says);
    ck_assert_ptr_null(strchr(e.text, '\n'));
}

static void assert_golden_ids(const char *name, token_type type, bool guessed) {
    cJSON *expected;
    const cJSON *id;
    token_file f;
    int64_t i = 0;
    ck_assert(json_read(GOLDEN "/expected.json", &expected, &e) == OK);
    ck_assert_msg(token_file_open(folder, name, 1, &f, &e) == OK, "%s", e.text);
    ck_assert_msg(f.layout.type == type && f.layout.guessed == guessed, "read as %s", token_type_name(f.layout.type));
    cJSON_ArrayForEach(id, cJSON_GetObjectItem(expected, "ids")) {
        ck_assert_int_eq(token_at(&f, i++), (int64_t)id->valuedouble);
    }
    ck_assert_int_eq(f.tokens, i);
    token_file_close(&f);
    cJSON_Delete(expected);
}

static const struct {
    const char *golden;
    token_type type;
    bool guessed;
} kinds[] = {
    {"uint16.bin", TOKENS_UINT16, false}, {"uint32.bin", TOKENS_UINT32, true},  {"int32.bin", TOKENS_UINT32, true},
    {"int64.bin", TOKENS_INT64, true},    {"uint16.npy", TOKENS_UINT16, false}, {"uint32.npy", TOKENS_UINT32, false},
    {"int32.npy", TOKENS_INT32, false},   {"int64.npy", TOKENS_INT64, false},   {"version2.npy", TOKENS_UINT16, false},
    {"gpt2.bin", TOKENS_UINT16, false},   {"llama3.bin", TOKENS_UINT32, false}};

START_TEST(files_of_others_have_the_ids_that_were_written) {
    put_golden(kinds[_i].golden, "train.bin");
    put_golden(kinds[_i].golden, "val.bin");
    assert_golden_ids("train.bin", kinds[_i].type, kinds[_i].guessed);
    assert_golden_ids("val.bin", kinds[_i].type, kinds[_i].guessed);
}
END_TEST

static const struct {
    const char *golden, *says;
} refusals[] = {{"float.npy", "is a NumPy .npy file of '<f4'"},
                {"big-endian.npy", "is a NumPy .npy file of '>u2'"},
                {"table.npy", "of another shape than a list of ids; write the bare array instead: array.astype"}};

START_TEST(arrays_of_other_kinds_are_refused_with_the_conversion) {
    put_golden(refusals[_i].golden, "train.bin");
    assert_refused("train.bin", refusals[_i].says);
}
END_TEST

START_TEST(a_header_must_fit_its_file) {
    char *text, *path = xprintf("%s/train.bin", folder);
    size_t bytes;
    put_golden("gpt2.bin", "train.bin");
    ck_assert_int_eq(truncate(path, 1024 + 2 * 149), 0);
    assert_refused("train.bin", "149 tokens where its header says 150");
    ck_assert_int_eq(truncate(path, 1000), 0);
    assert_refused("train.bin", "cut off within llm.c's header");
    ck_assert(file_read(GOLDEN "/gpt2.bin", 1 << 20, &text, &bytes, &e) == OK);
    text[4] = 2;
    put("train.bin", text, bytes);
    assert_refused("train.bin", "but with version 2 instead of 1");
    put_golden("int64.npy", "train.bin");
    ck_assert_int_eq(truncate(path, 128 + 8 * 100), 0);
    assert_refused("train.bin", "100 tokens where its header says 150");
    free(text);
    free(path);
}
END_TEST

START_TEST(meta_json_says_more_than_a_guess) {
    put_golden("uint32.bin", "train.bin");
    put("meta.json", "{\"dtype\": \"uint16\"}", 19);
    token_file f;
    ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK);
    ck_assert(f.tokens == 300 && f.layout.type == TOKENS_UINT16 && !f.layout.guessed);
    token_file_close(&f);
    put("meta.json", "{\"dtype\": \"int64\"}", 18);
    ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK);
    ck_assert(f.tokens == 75 && f.layout.type == TOKENS_INT64);
    token_file_close(&f);
}
END_TEST

/* A file of uint16 is never taken for a wider one: every vocabulary from 2 to 65536 ids, in texts of random ids. */
START_TEST(nanogpts_own_files_stay_uint16) {
    enum { N = 400 };
    uint16_t ids[N];
    uint64_t random = 1;
    for (uint32_t vocabulary = 2; vocabulary <= 65536; vocabulary += 1 + vocabulary / 3) {
        for (int i = 0; i < N; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            ids[i] = (uint16_t)((random >> 33) % vocabulary);
        }
        put("train.bin", ids, sizeof ids);
        token_file f;
        ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK);
        ck_assert_msg(f.layout.type == TOKENS_UINT16, "%u ids: read as %s", vocabulary, token_type_name(f.layout.type));
        token_file_close(&f);
    }
    memset(ids, 0, sizeof ids);
    put("train.bin", ids, sizeof ids);
    token_file f;
    ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK && f.tokens == N);
    token_file_close(&f);
}
END_TEST

/* Ids past 65535, as in vocabularies of 128 thousand; and a val.bin that is too short to tell by itself. */
START_TEST(large_ids_and_short_files_are_read_as_train_bin_is) {
    uint32_t ids[200];
    for (uint32_t i = 0; i < 200; i++) ids[i] = i * 7919 % 128256;
    put("train.bin", ids, sizeof ids);
    put("val.bin", ids, 16);
    token_file f;
    for (int i = 0; i < 2; i++) {
        ck_assert(token_file_open(folder, i ? "val.bin" : "train.bin", 1, &f, &e) == OK);
        ck_assert(f.layout.type == TOKENS_UINT32 && f.tokens == (i ? 4 : 200) && token_at(&f, 3) == 3 * 7919);
        token_file_close(&f);
    }
}
END_TEST

START_TEST(a_file_under_another_tools_name_is_pointed_at) {
    put_golden("uint16.npy", "train.npy");
    assert_refused("train.bin", "but there is train.npy: rename it");
    put_golden("gpt2.bin", "fineweb_train_000001.bin");
    assert_refused("train.bin", "but there is fineweb_train_000001.bin: rename it");
}
END_TEST

/* ---- all ids ---- */

/* Wherever the bad id stands, and in each type; by brute force the first is found. */
START_TEST(one_bad_id_is_found_in_any_place) {
    enum { N = 3 << 20 };
    uint16_t *ids = xcalloc(N, sizeof *ids);
    const int64_t places[] = {0, 1, 31, N / 3, N - 2, N - 1};
    for (int i = 0; i < ROWS(places); i++) {
        ids[places[i]] = 777;
        put("train.bin", ids, (size_t)N * sizeof *ids);
        token_file f;
        ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK);
        ck_assert_int_eq(token_file_vocabulary(&f), 778);
        ck_assert(token_file_check(&f, 778, -1, &e) == OK && token_file_check(&f, 64, 777, &e) == OK);
        ck_assert_int_eq(token_file_check(&f, 777, -1, &e), BAD_INPUT);
        char *says = xprintf("token %lld has id 777, but the vocabulary ends at 776", (long long)places[i]);
        ck_assert_msg(strstr(e.text, says) != NULL, "%s", e.text);
        free(says);
        token_file_close(&f);
        ids[places[i]] = 5;
    }
    free(ids);
}
END_TEST

START_TEST(ids_below_zero_are_refused) {
    int64_t wide[40] = {0};
    int32_t narrow[40] = {0};
    wide[7] = -100;
    narrow[9] = -1;
    token_file f;
    put("meta.json", "{\"dtype\":\"int64\"}", 17);
    put("train.bin", wide, sizeof wide);
    ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK);
    ck_assert(token_file_check(&f, 100, -1, &e) == BAD_INPUT && strstr(e.text, "token 7 has id -100"));
    token_file_close(&f);
    put("meta.json", "{\"dtype\":\"int32\"}", 17);
    put("train.bin", narrow, sizeof narrow);
    ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK);
    ck_assert(token_file_check(&f, 100, -1, &e) == BAD_INPUT && strstr(e.text, "token 9 has id -1"));
    token_file_close(&f);
}
END_TEST

static char *kept_file_name(void) {
    char *place = xprintf("%s/cache/snug", folder), *command = xprintf("ls %s/tokens-*.json", place), line[300] = "";
    FILE *p = popen(command, "r");
    if (fgets(line, sizeof line, p)) line[strcspn(line, "\n")] = 0;
    pclose(p);
    free(place);
    free(command);
    return xstrdup(line);
}

/* A large file is read once: what was found is believed while size and times are the same, and no longer. */
START_TEST(what_was_found_holds_until_the_file_changes) {
    char *cache = xprintf("%s/cache", folder), *path = xprintf("%s/train.bin", folder), *text;
    size_t bytes;
    token_file f;
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", cache, 1), 0);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(ftruncate(fd, 16 << 20), 0); /* zeros, and a hole: it takes no place */
    ck_assert_int_eq(pwrite(fd, &(uint16_t){300}, 2, 1 << 20), 2);
    ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK);
    ck_assert_int_eq(token_file_vocabulary(&f), 301);
    char *kept = kept_file_name();
    ck_assert_msg(*kept, "nothing is kept in %s", cache);
    ck_assert(file_read(kept, 1 << 16, &text, &bytes, &e) == OK);
    char *number = strstr(text, "300");
    ck_assert_ptr_nonnull(number);
    memcpy(number, "299", 3);
    ck_assert(file_write(kept, text, bytes, false, NULL, &e) == OK);
    ck_assert_int_eq(token_file_vocabulary(&f), 300); /* so it was not read again */
    token_file_close(&f);
    ck_assert_int_eq(pwrite(fd, &(uint16_t){400}, 2, 2 << 20), 2); /* the same size, another time */
    ck_assert_int_eq(futimens(fd, (struct timespec[2]){{1700000000, 5}, {1700000000, 5}}), 0);
    ck_assert(token_file_open(folder, "train.bin", 1, &f, &e) == OK);
    ck_assert_int_eq(token_file_vocabulary(&f), 401);
    ck_assert(file_write(kept, "{", 1, false, NULL, &e) == OK);
    ck_assert_int_eq(token_file_vocabulary(&f), 401); /* a damaged note costs one more look */
    token_file_close(&f);
    close(fd);
    free(text);
    free(kept);
    free(cache);
    free(path);
}
END_TEST

Suite *token_file_suite(void);
Suite *token_file_suite(void) {
    Suite *s = suite_create("token_file");
    TCase *t = tcase_create("token_file");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, files_of_others_have_the_ids_that_were_written, 0, ROWS(kinds));
    tcase_add_loop_test(t, arrays_of_other_kinds_are_refused_with_the_conversion, 0, ROWS(refusals));
    tcase_add_test(t, a_header_must_fit_its_file);
    tcase_add_test(t, meta_json_says_more_than_a_guess);
    tcase_add_test(t, nanogpts_own_files_stay_uint16);
    tcase_add_test(t, large_ids_and_short_files_are_read_as_train_bin_is);
    tcase_add_test(t, a_file_under_another_tools_name_is_pointed_at);
    tcase_add_test(t, one_bad_id_is_found_in_any_place);
    tcase_add_test(t, ids_below_zero_are_refused);
    tcase_add_test(t, what_was_found_holds_until_the_file_changes);
    suite_add_tcase(s, t);
    return s;
}
