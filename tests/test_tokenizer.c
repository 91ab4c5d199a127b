/* test_tokenizer.c: encoding against a slow and obvious BPE, and the kinds of tokenizers. The comparison with Hugging
   Face and tiktoken is interop_tokenizers.py; their files are tested in test_tokenizer_files.c. */
#include "support_tokenizer.h"

/* ---- the three kinds ---- */

START_TEST(characters_are_numbered_by_code_point) {
    static const char text[] = "z\n\xc3\xa9"
                               "A\xf0\x9f\x98\x80z";
    static const uint32_t expected[] = {2, 0, 3, 1, 4, 2};
    tokenizer *t;
    uint32_t *ids;
    size_t n;
    ck_assert(tokenizer_from_characters(text, sizeof text - 1, &t, &e) == OK);
    ck_assert_int_eq(tokenizer_size(t), 5);
    ck_assert(tokenizer_encode(t, text, sizeof text - 1, &ids, &n, &e) == OK);
    ck_assert_uint_eq(n, 6);
    ck_assert_mem_eq(ids, expected, sizeof expected);
    decodes_to(t, ids, n, text, sizeof text - 1);
    free(ids);
    ck_assert_int_eq(tokenizer_encode(t, "zz\xc3\xaa", 4, &ids, &n, &e), BAD_INPUT);
    assert_clear("byte 2: the character U+00EA '\xc3\xaa' is not among");
    ck_assert_int_eq(tokenizer_encode(t, "zz\xc3", 3, &ids, &n, &e), BAD_INPUT);
    assert_clear("byte 2 (0xc3) is not UTF-8");
    tokenizer_close(t);
}
END_TEST

START_TEST(utf8_that_is_none_is_refused) {
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe4\xb8",
                                      "\xff"};
    int64_t characters;
    for (int i = 0; i < ROWS(bad); i++) ck_assert_uint_eq(utf8_valid(bad[i], strlen(bad[i]), &characters), 0);
    for (uint32_t code = 0; code < 0x110000; code += code == 0xd7ff ? 0x801 : 1) {
        char utf8[4];
        uint32_t back = 0;
        size_t length = utf8_put(code, utf8);
        if (utf8_next(utf8, length, &back) != length || back != code)
            ck_abort_msg("U+%04X came back as U+%04X", code, back);
    }
}
END_TEST

START_TEST(every_byte_is_its_own_id_and_letter) {
    tokenizer *t = tokenizer_bytes();
    bool seen[400] = {false};
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        uint32_t *ids, letter = letter_of_byte((unsigned char)b);
        size_t n;
        ck_assert(tokenizer_encode(t, &byte, 1, &ids, &n, &e) == OK);
        ck_assert(n == 1 && ids[0] == (uint32_t)b);
        free(ids);
        ck_assert(letter < 400 && !seen[letter]);
        seen[letter] = true;
        ck_assert_int_eq(byte_of_letter(letter), b);
    }
    ck_assert_uint_eq(letter_of_byte(' '), 0x120); /* the well-known ones */
    ck_assert_uint_eq(letter_of_byte('\n'), 0x10a);
    tokenizer_close(t);
}
END_TEST

/* ---- GPT-2's words ---- */

static const struct {
    const char *text, *words;
} splits[] = {
    {"it's  done", "it|'s| | done"},
    {"a \n\n b", "a| \n\n| b"},
    {"x  \ny  ", "x|  |\n|y|  "},
    {"12abc!?12", "12|abc|!?|12"},
    {"'tis we'd 's", "'t|is| we|'d| '|s"},
    {"na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87", "na\xc3\xafve| \xe4\xb8\xad\xe6\x96\x87"},
    {"e\xcc\x81!", "e|\xcc\x81!"},
    {"a\xe1\xa0\x8e"
     "b",
     "a|\xe1\xa0\x8e|b"}, /* U+180E is no white space */
    {"a\xe3\x80\x80\xe3\x80\x80"
     "b",
     "a|\xe3\x80\x80|\xe3\x80\x80|b"}, /* U+3000 is */
    {"\xf0\xb1\x8d\x90"
     "a",
     "\xf0\xb1\x8d\x90"
     "a"}, /* a letter since Unicode 15 */
};

START_TEST(words_are_those_of_gpt2) {
    splitter *rule = splitter_new();
    split_work *w = split_work_new(rule);
    const char *text = splits[_i].text;
    char got[200] = "";
    for (size_t at = 0, bytes = strlen(text), n; at < bytes; at += n) {
        n = split_next(w, text, bytes, at);
        ck_assert_uint_gt(n, 0);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", at ? "|" : "", (int)n, text + at);
    }
    ck_assert_str_eq(got, splits[_i].words);
    split_work_free(w);
    splitter_free(rule);
}
END_TEST

START_TEST(cutting_a_text_never_changes_its_words) {
    splitter *rule = splitter_new();
    split_work *w = split_work_new(rule);
    size_t bytes;
    char *text = mixed_text(11, 20000, &bytes);
    bool *starts = xcalloc(bytes + 1, 1);
    for (size_t at = 0; at < bytes; at += split_next(w, text, bytes, at)) starts[at] = true;
    for (size_t begin_at = 0, cut; begin_at < bytes; begin_at = cut) {
        cut = split_cut(text, begin_at, bytes, 100);
        for (size_t at = begin_at; at < cut; at += split_next(w, text + begin_at, cut - begin_at, at - begin_at))
            ck_assert_msg(starts[at], "another word at %zu, cut at %zu", at, begin_at);
        ck_assert(cut == bytes || starts[cut]);
    }
    free(starts);
    free(text);
    split_work_free(w);
    splitter_free(rule);
}
END_TEST

/* ---- BPE ---- */

/* BPE by its definition, slowly: while any neighbours have a merge, apply the one of lowest rank, at its leftmost
   place. */
static size_t slow_word(const tokenizer *t, const char *word, size_t bytes, uint32_t *ids) {
    size_t n = bytes;
    for (size_t i = 0; i < bytes; i++) ids[i] = t->id_of_byte[(unsigned char)word[i]];
    for (;;) {
        uint32_t best = NO_ID;
        size_t where = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (uint32_t rank = 0; rank < t->n_merges && rank < best; rank++)
                if (t->merges[rank].left == ids[i] && t->merges[rank].right == ids[i + 1]) {
                    best = rank;
                    where = i;
                }
        if (best == NO_ID) return n;
        ids[where] = t->merges[best].id;
        memmove(ids + where + 1, ids + where + 2, (n - where - 2) * sizeof *ids);
        n--;
    }
}

static size_t slow_encode(const tokenizer *t, const char *text, size_t bytes, uint32_t *ids) {
    split_work *w = split_work_new(t->split);
    size_t n = 0, special = t->added[0].bytes;
    for (size_t at = 0; at < bytes;) {
        const char *next = memmem(text + at, bytes - at, t->added[0].content, special);
        size_t stop = next ? (size_t)(next - text) : bytes;
        for (size_t k; at < stop; at += k) {
            k = split_next(w, text, stop, at);
            n += slow_word(t, text + at, k, ids + n);
        }
        if (!next) break;
        ids[n++] = t->added[0].id;
        at += special;
    }
    split_work_free(w);
    return n;
}

START_TEST(encoding_is_that_of_the_definition) {
    tokenizer *t = trained(3, 600);
    size_t bytes, n, n_slow;
    char *text = mixed_text(4, 30000, &bytes);
    uint32_t *ids, *slow = xcalloc(bytes, sizeof *slow);
    ck_assert_msg(tokenizer_encode(t, text, bytes, &ids, &n, &e) == OK, "%s", e.text);
    n_slow = slow_encode(t, text, bytes, slow);
    ck_assert_uint_eq(n, n_slow);
    ck_assert_mem_eq(ids, slow, n * sizeof *ids);
    decodes_to(t, ids, n, text, bytes);
    free(ids);
    free(slow);
    free(text);
    tokenizer_close(t);
}
END_TEST

/* Over several blocks and threads: the same ids as piece by piece. */
START_TEST(long_texts_are_encoded_as_short_ones) {
    tokenizer *t = trained(3, 600);
    size_t bytes, n, at = 0, done = 0;
    char *text = mixed_text(5, 1500000, &bytes);
    uint32_t *ids, *part;
    ck_assert(tokenizer_encode(t, text, bytes, &ids, &n, &e) == OK);
    while (done < bytes) {
        size_t cut = split_cut(text, done, bytes, 5000), k;
        ck_assert(tokenizer_encode(t, text + done, cut - done, &part, &k, &e) == OK);
        ck_assert(at + k <= n);
        ck_assert_mem_eq(ids + at, part, k * sizeof *part);
        free(part);
        at += k;
        done = cut;
    }
    ck_assert_uint_eq(at, n);
    size_t bad = bytes - 1;
    while (text[bad] & 0x80) bad--; /* a character of its own */
    text[bad] = (char)0xff;
    uint32_t *none;
    ck_assert_int_eq(tokenizer_encode(t, text, bytes, &none, &n, &e), BAD_INPUT);
    char *says = xprintf("byte %zu (0xff) is not UTF-8", bad);
    assert_clear(says);
    free(says);
    free(ids);
    free(text);
    tokenizer_close(t);
}
END_TEST

/* One word of a megabyte: quadratic time would take hours. */
START_TEST(a_huge_word_takes_no_quadratic_time) {
    tokenizer *t = trained(3, 600);
    enum { N = 1 << 20 };
    char *text = xcalloc(N, 1);
    uint32_t *ids;
    size_t n;
    for (int k = 0; k < 2; k++) {
        memset(text, k ? ' ' : 'a', N);
        ck_assert_msg(tokenizer_encode(t, text, N, &ids, &n, &e) == OK, "%s", e.text);
        decodes_to(t, ids, n, text, N);
        free(ids);
    }
    free(text);
    tokenizer_close(t);
}
END_TEST

START_TEST(training_merges_the_most_frequent_pair_first) {
    static const char text[] = "ab ab ab abc abc bc bc xy";
    word_counts *w = word_counts_new();
    tokenizer *t;
    size_t bytes;
    ck_assert(word_counts_add(w, text, 0, sizeof text - 1, &e) == OK);
    ck_assert(tokenizer_train(w, 300, &t, &e) == OK);
    /* a+b occurs 5 times, then " "+ab 4 times; of those with 2 the smallest ids come first: b+c, " "+bc, " ab"+c. x+y
       occurs once. */
    static const char *const expected[] = {"ab", " ab", "bc", " bc", " abc"};
    ck_assert_uint_eq(t->n_merges, ROWS(expected));
    for (uint32_t i = 0; i < ROWS(expected); i++)
        ck_assert_str_eq(tokenizer_decode(t, t->merges[i].id, &bytes), expected[i]);
    ck_assert_int_eq(tokenizer_size(t), 256 + ROWS(expected) + 1);
    ck_assert_int_eq(tokenizer_find(t, "<|endoftext|>"), 256 + ROWS(expected));
    tokenizer_close(t);
    word_counts_free(w);
}
END_TEST

/* Words of ASCII's and Chinese letters, which have more than 8192 different pairs of bytes. */
static char *words_of_many_pairs(size_t *bytes) {
    char *text = xcalloc(100000, 1), *at = text;
    for (uint32_t i = 0; i < 24000; i++) {
        uint32_t letter = draw(11, i, 52), code = 0x4e00 + draw(12, i, 0x5000);
        if (i % 8 == 0) *at++ = ' ';
        if (draw(13, i, 3))
            *at++ = (char)(letter < 26 ? 'a' + letter : 'A' + letter - 26);
        else
            at += sprintf(at, "%c%c%c", 0xe0 | code >> 12, 0x80 | (code >> 6 & 63), 0x80 | (code & 63));
    }
    *bytes = (size_t)(at - text);
    return text;
}

/* Counts all pairs of neighbours within words anew for each merge. Each word is written out, with a 0 behind it. */
START_TEST(many_different_pairs_are_merged_by_the_definition) {
    enum { SIZE = 256 + 25, MOST = SIZE * SIZE };
    size_t bytes, n = 0, different = 0;
    char *text = words_of_many_pairs(&bytes);
    word_counts *w = word_counts_new();
    tokenizer *t;
    uint32_t *ids = xcalloc(2 * bytes + 2, sizeof *ids);
    int *count = xcalloc(MOST, sizeof *count);
    ck_assert(word_counts_add(w, text, 0, bytes, &e) == OK);
    ck_assert_msg(tokenizer_train(w, SIZE, &t, &e) == OK, "%s", e.text);
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == ' ') ids[n++] = NO_ID;
        ids[n++] = t->id_of_byte[(unsigned char)text[i]];
    }
    ck_assert_uint_eq(t->n_merges, SIZE - 1 - 256);
    for (uint32_t k = 0; k < t->n_merges; k++) {
        size_t kept = 0;
        int best = -1;
        memset(count, 0, MOST * sizeof *count);
        for (size_t i = 0; i + 1 < n; i++)
            if (ids[i] != NO_ID && ids[i + 1] != NO_ID) different += count[ids[i] * SIZE + ids[i + 1]]++ == 0 && k == 0;
        for (int pair = 0; pair < MOST; pair++)
            if (best < 0 || count[pair] > count[best]) best = pair;
        merge m = t->merges[k];
        ck_assert_msg((int)(m.left * SIZE + m.right) == best, "merge %u: %u %u, not %d %d", k, m.left, m.right,
                      best / SIZE, best % SIZE);
        for (size_t i = 0; i < n; i++) {
            bool both = i + 1 < n && ids[i] == m.left && ids[i + 1] == m.right;
            ids[kept++] = both ? m.id : ids[i];
            i += both;
        }
        n = kept;
    }
    ck_assert_uint_gt(different, 8192);
    tokenizer_close(t);
    word_counts_free(w);
    free(count);
    free(ids);
    free(text);
}
END_TEST

Suite *tokenizer_suite(void);
Suite *tokenizer_suite(void) {
    Suite *s = suite_create("tokenizer");
    TCase *t = tcase_create("tokenizer"), *large = tcase_create("large");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_checked_fixture(large, begin, end);
    tcase_set_timeout(t, 60);
    tcase_set_timeout(large, 60);
    tcase_set_tags(large, "large");
    tcase_add_test(t, characters_are_numbered_by_code_point);
    tcase_add_test(t, utf8_that_is_none_is_refused);
    tcase_add_test(t, every_byte_is_its_own_id_and_letter);
    tcase_add_loop_test(t, words_are_those_of_gpt2, 0, ROWS(splits));
    tcase_add_test(t, cutting_a_text_never_changes_its_words);
    tcase_add_test(t, encoding_is_that_of_the_definition);
    tcase_add_test(large, long_texts_are_encoded_as_short_ones);
    tcase_add_test(large, a_huge_word_takes_no_quadratic_time);
    tcase_add_test(t, training_merges_the_most_frequent_pair_first);
    tcase_add_test(t, many_different_pairs_are_merged_by_the_definition);
    suite_add_tcase(s, t);
    suite_add_tcase(s, large);
    return s;
}
