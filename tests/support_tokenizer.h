/* support_tokenizer.h: for tests of tokenizers: files in a folder (support_folder.h), text of every sort, and a
   tokenizer that was trained on it. */
#ifndef SNUG_TEST_SUPPORT_TOKENIZER_H
#define SNUG_TEST_SUPPORT_TOKENIZER_H

#include "support_folder.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "text/tokenizer_internal.h"

#undef fail /* Check has a macro of this name */

static inline void put(const char *name, const char *text) {
    char *path = inside(name);
    ck_assert(file_write(path, text, strlen(text), false, NULL, &e) == OK);
    free(path);
}

static inline uint32_t draw(uint64_t seed, uint32_t i, uint32_t below) {
    uint32_t w[4];
    philox(seed, i, 0, 0, 0, w);
    return w[0] % below;
}

/* Text of every sort, the same for a seed; about n bytes, and never much more than 80 past them. */
static inline char *mixed_text(uint64_t seed, size_t n, size_t *bytes) {
    static const char *const parts[] = {" ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        "\t ",
                                        "the",
                                        " the",
                                        "'s",
                                        "'ll",
                                        "'x",
                                        "don't",
                                        "42",
                                        " 7",
                                        "...",
                                        " -- ",
                                        "a",
                                        "aaaa",
                                        "abab",
                                        "\xc3\xa9",
                                        " \xe4\xb8\xad\xe6\x96\x87",
                                        "\xe3\x80\x80",
                                        "\xc2\x85",
                                        "\xf0\x9f\x98\x80",
                                        "e\xcc\x81",
                                        "\xd0\xb6\xd0\xb6",
                                        "<|endoftext|>",
                                        "<|end",
                                        "|>",
                                        "\xe2\x80\x8b",
                                        "#include <x.h>"};
    char *text = xcalloc(n + 128, 1);
    size_t at = 0;
    for (uint32_t i = 0; at < n; i++) {
        const char *p = parts[draw(seed, i, ROWS(parts))];
        memcpy(text + at, p, strlen(p));
        at += strlen(p);
        if (draw(seed + 1, i, 8) == 0) at += utf8_put(0xa0 + draw(seed + 2, i, 0xd700), text + at);
    }
    *bytes = at;
    return text;
}

static inline tokenizer *trained(uint64_t seed, int64_t size) {
    size_t bytes;
    char *text = mixed_text(seed, 50000, &bytes);
    word_counts *w = word_counts_new();
    tokenizer *t;
    ck_assert_msg(word_counts_add(w, text, 0, bytes, &e) == OK, "%s", e.text);
    ck_assert_msg(tokenizer_train(w, size, &t, &e) == OK, "%s", e.text);
    word_counts_free(w);
    free(text);
    return t;
}

static inline void decodes_to(const tokenizer *t, const uint32_t *ids, size_t n, const char *text, size_t bytes) {
    size_t at = 0, length;
    for (size_t i = 0; i < n; i++) {
        const char *part = tokenizer_decode(t, ids[i], &length);
        ck_assert(at + length <= bytes);
        ck_assert_mem_eq(part, text + at, length);
        at += length;
    }
    ck_assert_uint_eq(at, bytes);
}

#endif
