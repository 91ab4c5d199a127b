/* support_data.h: for tests of data: a folder as a fixture (begin, end), files in it, and what a message has to be
 * like. */
#ifndef SNUG_TEST_SUPPORT_DATA_H
#define SNUG_TEST_SUPPORT_DATA_H

#include "base/files.h"
#include "text/data.h"
#include "text/tokenizer.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS(table) ((int)(sizeof table / sizeof *table))

static char folder[64];
static error e;

static inline void begin(void) {
    strcpy(folder, "/tmp/snug-data-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    e.text[0] = 0;
}

static inline void end(void) { ck_assert(folder_remove(folder, NULL) == OK); }

static inline char *inside(const char *name) { return xprintf("%s/%s", folder, name); }

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

static inline void assert_clear(const char *says) {
    ck_assert_msg(strstr(e.text, says) != NULL, "<%s> does not say <%s>", e.text, says);
    ck_assert_msg(strpbrk(e.text, "\n\r") == NULL, "more than one line: <%s>", e.text);
    ck_assert_msg(strlen(e.text) < 400, "long-winded: <%s>", e.text);
}

#endif
