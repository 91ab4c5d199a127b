/* support_config.h: for tests of configs: a folder with a file run.py, which is parsed together with arguments; and
   what a message has to be like. Needs make_folder and remove_folder as a fixture. */
#ifndef SNUG_TEST_SUPPORT_CONFIG_H
#define SNUG_TEST_SUPPORT_CONFIG_H

#include "config/config.h"
#include "support_clear.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/snug-config-XXXXXX", path[64];

static inline void make_folder(void) {
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/run.py", folder);
}

static inline void remove_folder(void) {
    unlink(path);
    rmdir(folder);
}

static inline void write_file(const char *text, size_t bytes) {
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, bytes, f), bytes);
    ck_assert_int_eq(fclose(f), 0);
}

/* Parses a file with this text (NULL: none) and then up to three arguments. */
static inline status parse(config *c, const char *text, const char *a, const char *b, const char *d, error *e) {
    char *argv[4];
    int n = 0;
    const char *given[] = {text ? path : NULL, a, b, d};
    if (text) write_file(text, strlen(text));
    for (int i = 0; i < 4; i++)
        if (given[i]) argv[n++] = (char *)given[i];
    e->text[0] = 0;
    return config_parse(c, n, argv, e);
}

static inline void parse_well(config *c, const char *text, const char *a, const char *b, const char *d) {
    error e;
    ck_assert_msg(parse(c, text, a, b, d, &e) == OK, "%s", e.text);
}

static inline bool has_note(const config *c, const char *words) {
    for (int i = 0; i < c->n_notes; i++)
        if (strstr(c->notes[i], words)) return true;
    return false;
}

#endif
