/* tokenizer_open.c: which of the files that are there is the tokenizer. */
#include "text/meta_pickle.h"
#include "text/tokenizer_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has(const char *folder, const char *name) {
    char *path = xprintf("%s/%s", folder, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

bool tokenizer_is_in(const char *folder) {
    return has(folder, "tokenizer.json") || (has(folder, "vocab.json") && has(folder, "merges.txt"));
}

static bool ends_in_pkl(const char *path) {
    size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".pkl");
}

status tokenizer_open(const char *path, tokenizer **t, error *e) {
    struct stat info;
    *t = NULL;
    if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode))
        return ends_in_pkl(path) ? meta_pickle_tokenizer(path, t, e) : tokenizer_read_file(NULL, path, NULL, t, e);
    char *json = xprintf("%s/tokenizer.json", path), *vocabulary = xprintf("%s/vocab.json", path),
         *merges = xprintf("%s/merges.txt", path), *meta = xprintf("%s/meta.pkl", path);
    status s;
    if (access(json, F_OK) == 0)
        s = tokenizer_read_file(path, json, NULL, t, e);
    else if (access(vocabulary, F_OK) == 0)
        s = tokenizer_read_file(path, vocabulary, merges, t, e);
    else if (access(meta, F_OK) == 0)
        s = meta_pickle_tokenizer(meta, t, e);
    else if (access(path, F_OK) != 0)
        s = fail(e, BAD_INPUT, "tokenizer %s: no such file or folder", path);
    else
        s = fail(e, BAD_INPUT, "%s has neither tokenizer.json nor vocab.json and merges.txt nor nanoGPT's meta.pkl",
                 path);
    free(json);
    free(vocabulary);
    free(merges);
    free(meta);
    return s;
}
