/* fuzz_tokenizer_folder.c: any texts as tokenizer_config.json, special_tokens_map.json and added_tokens.json beside a
   good tokenizer.json: refused in one line, or what is saved reads back the same. */
#include "support_fuzz_tokenizer.h"
#include <sys/stat.h>

static const char tokenizer_json[] =
    "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],\"pre_tokenizer\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"\xc4\xa0\":2,\"<s>\":3,\"ab\":4},\"merges\":[\"a b\"]}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error e = {""};
    tokenizer *t;
    size_t config, special, added;
    const uint8_t *next, *last;
    fuzz_split(data, size, &config, &next, &special);
    size_t left = special;
    fuzz_split(next, left, &special, &last, &added);
    char *path[] = {fuzz_file("tokenizer.json", tokenizer_json, sizeof tokenizer_json - 1),
                    fuzz_file("tokenizer_config.json", data, config),
                    fuzz_file("special_tokens_map.json", next, special), fuzz_file("added_tokens.json", last, added)};
    if (!config) unlink(path[1]);
    if (!special) unlink(path[2]);
    if (!added) unlink(path[3]);
    status s = tokenizer_open(fuzz_folder(), &t, &e);
    fuzz_check_error(s, &e);
    if (s == OK) {
        char *folder = xprintf("%s/saved", fuzz_folder());
        tokenizer *again;
        mkdir(folder, 0700);
        FUZZ_ASSERT(tokenizer_save_folder(t, folder, &e) == OK);
        s = tokenizer_open(folder, &again, &e);
        if (s != OK) fprintf(stderr, "%s\n", e.text);
        FUZZ_ASSERT(s == OK && tokenizer_same(t, again));
        uint32_t *ids;
        size_t n;
        if (tokenizer_encode(t, "ab <s>a", 7, &ids, &n, &e) == OK) free(ids);
        tokenizer_close(again);
        free(folder);
    }
    tokenizer_close(t);
    for (int i = 0; i < 4; i++) free(path[i]);
    return 0;
}
