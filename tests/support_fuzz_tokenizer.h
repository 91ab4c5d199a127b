/* support_fuzz_tokenizer.h: what must hold for every tokenizer that was accepted; for the two targets that read
   tokenizers. */
#ifndef SNUG_SUPPORT_FUZZ_TOKENIZER_H
#define SNUG_SUPPORT_FUZZ_TOKENIZER_H

#include "text/tokenizer.h"
#include "support_fuzz.h"

/* What is saved reads back as the same; a text that has ids decodes to itself. */
static inline void fuzz_use_tokenizer(const tokenizer *t, const uint8_t *text, size_t bytes) {
    error e = {""};
    tokenizer *again = NULL;
    uint32_t *ids;
    size_t n;
    char *path = xprintf("%s/saved.json", fuzz_folder());
    FUZZ_ASSERT(tokenizer_save(t, path, &e) == OK);
    status s = tokenizer_open(path, &again, &e);
    if (s != OK) fprintf(stderr, "%s\n", e.text);
    FUZZ_ASSERT(s == OK && tokenizer_same(t, again));
    s = tokenizer_encode(t, (const char *)text, bytes, &ids, &n, &e);
    fuzz_check_error(s, &e);
    if (s == OK) {
        uint32_t *second;
        size_t m;
        FUZZ_ASSERT(tokenizer_encode(again, (const char *)text, bytes, &second, &m, &e) == OK);
        FUZZ_ASSERT(m == n && (!n || !memcmp(ids, second, n * sizeof *ids)));
        size_t total = 0;
        for (size_t i = 0; i < n; i++) {
            size_t length;
            const char *part = tokenizer_decode(t, ids[i], &length);
            FUZZ_ASSERT(total + length <= bytes || ids[i] < tokenizer_size(t));
            (void)part;
            total += length;
        }
        free(ids);
        free(second);
    }
    tokenizer_close(again);
    free(path);
}

#endif
