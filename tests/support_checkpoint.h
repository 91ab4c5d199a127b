/* support_checkpoint.h: a folder for each test, and a small model. */
#ifndef SNUG_SUPPORT_CHECKPOINT_H
#define SNUG_SUPPORT_CHECKPOINT_H

#include "base/files.h"
#include "graph/gpt.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/snug-test-XXXXXX";
static error e;
static const gpt_shape small = {
    .layers = 2, .heads = 2, .channels = 8, .positions = 6, .vocabulary = 11, .bias = true, .norm_epsilon = 1e-5};

static inline void make_folder(void) {
    strcpy(folder, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline void remove_folder(void) { ck_assert_int_eq(folder_remove(folder, &e), OK); }

/* The path of NAME in it; the one before stays valid too. */
static inline char *in_folder(const char *name) {
    static char path[2][200];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

#endif
