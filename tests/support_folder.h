/* support_folder.h: a folder as a fixture (begin, end), and a message, which has to be clear. */
#ifndef SNUG_TEST_SUPPORT_FOLDER_H
#define SNUG_TEST_SUPPORT_FOLDER_H

#include "base/files.h"
#include "support_clear.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ROWS(table) ((int)(sizeof table / sizeof *table))

static char folder[64];
static error e;

static inline void begin(void) {
    strcpy(folder, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    e.text[0] = 0;
}

static inline void end(void) { ck_assert(folder_remove(folder, NULL) == OK); }

static inline char *inside(const char *name) { return xprintf("%s/%s", folder, name); }

static inline void assert_clear(const char *says) { assert_clear_of(&e, says, folder); }

#endif
