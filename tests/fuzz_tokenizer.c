/* fuzz_tokenizer.c: any text as a tokenizer.json: refused in one line, or it encodes, and saved reads back the same. */
#include "support_fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error e = {""};
    tokenizer *t;
    size_t first, rest;
    const uint8_t *text; /* the text to encode follows the JSON */
    fuzz_split(data, size, &first, &text, &rest);
    char *path = fuzz_file("tokenizer.json", data, first);
    status s = tokenizer_open(path, &t, &e);
    fuzz_check_error(s, &e);
    if (s == OK) fuzz_use_tokenizer(t, text, rest);
    tokenizer_close(t);
    free(path);
    return 0;
}
