/* fuzz_pickle.c: any bytes as nanoGPT's meta.pkl: refused in one line, or they make a vocabulary, and perhaps a
   tokenizer whose saved file reads back the same. */
#include "support_fuzz_tokenizer.h"
#include "text/meta_pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t text[] = "hello \xe6\x97\xa5";
    error e = {""};
    tokenizer *t;
    int64_t vocabulary;
    char *path = fuzz_file("meta.pkl", data, size);
    status s = meta_pickle_vocabulary(path, &vocabulary, &e);
    fuzz_check_error(s, &e);
    FUZZ_ASSERT(s != OK || vocabulary >= 1);
    status made = meta_pickle_tokenizer(path, &t, &e);
    fuzz_check_error(made, &e);
    FUZZ_ASSERT(made != OK || (s == OK && tokenizer_size(t) <= vocabulary));
    if (made == OK) fuzz_use_tokenizer(t, text, sizeof text - 1);
    tokenizer_close(t);
    free(path);
    return 0;
}
