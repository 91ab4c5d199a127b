/* fuzz_tokens.c: any bytes as meta.json and train.bin: refused in one line, or every sequence drawn from them has ids
   below the vocabulary. */
#include "text/data.h"
#include "support_fuzz.h"

enum { LENGTH = 4, VOCABULARY = 300 };

static void draw(const token_file *f, bool sequential) {
    data_order order = {.sequential = sequential,
                        .seed = 7,
                        .sequences = 3,
                        .length = LENGTH,
                        .ignore_token = 5,
                        .vocabulary = VOCABULARY};
    for (int64_t step = 0; step < 1ll << 40; step = step * 977 + 1) {
        int32_t x[LENGTH], y[LENGTH];
        error e = {""};
        status s = data_sequence(f, &order, 0, step, step % 3, x, y, &e);
        fuzz_check_error(s, &e);
        for (int i = 0; s == OK && i < LENGTH; i++)
            FUZZ_ASSERT(x[i] >= 0 && x[i] < VOCABULARY && y[i] >= -1 && y[i] < VOCABULARY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error e = {""};
    token_file f;
    size_t first, rest;
    const uint8_t *tokens;
    int64_t vocabulary;
    fuzz_split(data, size, &first, &tokens, &rest);
    char *meta = fuzz_file("meta.json", data, first), *path = fuzz_file("train.bin", tokens, rest);
    if (!first) unlink(meta);
    status s = token_file_open(fuzz_folder(), "train.bin", LENGTH, &f, &e);
    fuzz_check_error(s, &e);
    if (s == OK) {
        FUZZ_ASSERT(token_file_vocabulary(&f) >= 1 && f.tokens > LENGTH);
        draw(&f, false);
        draw(&f, true);
        token_file_close(&f);
    }
    fuzz_check_error(data_vocabulary_of(fuzz_folder(), &vocabulary, &e), &e);
    free(meta);
    free(path);
    return 0;
}
