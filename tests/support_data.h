/* support_data.h: for tests of data: files in a folder (support_folder.h). */
#ifndef SNUG_TEST_SUPPORT_DATA_H
#define SNUG_TEST_SUPPORT_DATA_H

#include "support_folder.h"
#include "text/data.h"
#include "text/tokenizer.h"
#include <unistd.h>

static inline void put(const char *name, const void *data, size_t bytes) {
    char *path = inside(name);
    ck_assert(file_write(path, data, bytes, false, NULL, &e) == OK);
    free(path);
}

static inline void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

/* n tokens: 0, 1, 2, ... */
static inline void put_counting(const char *name, int n) {
    uint16_t *ids = xcalloc((unsigned long)n, sizeof *ids);
    for (int i = 0; i < n; i++) ids[i] = (uint16_t)i;
    put(name, ids, (size_t)n * sizeof *ids);
    free(ids);
}

static inline void make_folder(const char *name) {
    char *path = inside(name);
    ck_assert(folder_make(path, &e) == OK);
    free(path);
}

#endif
