/* fuzz_merges.c: any two texts as vocab.json and merges.txt: refused in one line, or they make a tokenizer. */
#include "support_fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error e = {""};
    tokenizer *t;
    size_t first, rest;
    const uint8_t *merges;
    fuzz_split(data, size, &first, &merges, &rest);
    char *vocabulary = fuzz_file("vocab.json", data, first), *path = fuzz_file("merges.txt", merges, rest);
    status s = tokenizer_open(fuzz_folder(), &t, &e);
    fuzz_check_error(s, &e);
    if (s == OK) fuzz_use_tokenizer(t, merges, rest);
    tokenizer_close(t);
    free(vocabulary);
    free(path);
    return 0;
}
