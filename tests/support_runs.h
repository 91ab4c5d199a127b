/* support_runs.h: an open run in a folder for each test, checkpoints whose numbers follow from one, and what loads. */
#ifndef SNUG_SUPPORT_RUNS_H
#define SNUG_SUPPORT_RUNS_H

#include "base/files.h"
#include "save/runs.h"
#include "support_memory_backend.h"
#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

/* The folder of the run that is open, its model and a backend that holds it. */
static char out[64];
static error e;
static const gpt_shape small = {
    .layers = 1, .heads = 2, .channels = 8, .positions = 6, .vocabulary = 11, .bias = false, .norm_epsilon = 1e-5};
static gpt m;
static backend *b;
static run_folder r;

static inline void begin(void) {
    /* thousands of fsyncs: in memory where there is such a place */
    strcpy(out, access("/dev/shm", W_OK) ? "/tmp/snug-test-XXXXXX" : "/dev/shm/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(out));
    m = memory_gpt(&small, GRAPH_TRAIN);
    b = memory_backend_open(&m, 4);
    ck_assert_msg(run_open(out, &r, &e) == OK, "%s", e.text);
}

static inline void end(void) {
    run_close(&r);
    b->close(b);
    gpt_free(&m);
    ck_assert_msg(folder_remove(out, &e) == OK, "%s", e.text);
}

/* The numbers that are saved follow from `salt`, which the state carries along. */
static inline status save(int64_t iter, uint64_t salt, double val_loss, double best, int keep) {
    char text[32];
    run_state s = run_state_new("some device", "some build", "");
    snprintf(text, sizeof text, "%llu", (unsigned long long)salt);
    run_state_set(&s, "salt", text);
    s.iter = iter;
    s.val_loss = val_loss;
    s.best_val_loss = best;
    memory_fill(b, &m, salt);
    status result = run_save(&r, &s, &small, &m, b, NULL, keep, &e);
    run_state_free(&s);
    return result;
}

static inline void must_save(int64_t iter, uint64_t salt, double val_loss, double best, int keep) {
    status s = save(iter, salt, val_loss, best, keep);
    ck_assert_msg(s == OK, "%s", e.text);
}

/* Loads a folder in full; returns the salt of what it holds. */
static inline uint64_t load_folder(const char *folder, int64_t *iter) {
    run_state s;
    ck_assert_msg(run_load_state(folder, &s, &e) == OK, "%s", e.text);
    uint64_t salt = strtoull(run_state_get(&s, "salt"), NULL, 10);
    if (iter) *iter = s.iter;
    memory_fill(b, &m, 999999);
    ck_assert_msg(run_load_tensors(folder, &s, &small, &m, b, &e) == OK, "%s", e.text);
    run_state_free(&s);
    ck_assert(memory_holds(b, &m, salt));
    return salt;
}

/* The same of what `latest` names. */
static inline uint64_t load_latest(int64_t *iter) {
    char *folder;
    ck_assert_msg(run_find_latest(out, &folder, &e) == OK, "%s", e.text);
    uint64_t salt = load_folder(folder, iter);
    free(folder);
    return salt;
}

/* Is there such a file or link in the run's folder? */
static inline bool there(const char *name) {
    char *path = xprintf("%s/%s", out, name);
    struct stat s;
    bool yes = lstat(path, &s) == 0;
    free(path);
    return yes;
}

/* How many folders of saves that did not end are there. */
static inline int leftovers(void) {
    DIR *folder = opendir(out);
    int n = 0;
    const struct dirent *d;
    while ((d = readdir(folder))) n += !strncmp(d->d_name, ".snug-", 6) && strcmp(d->d_name, ".snug-lock");
    closedir(folder);
    return n;
}

static inline int checkpoints(void) {
    DIR *folder = opendir(out);
    int n = 0;
    const struct dirent *d;
    while ((d = readdir(folder))) n += !strncmp(d->d_name, "ckpt-", 5);
    closedir(folder);
    return n;
}

#endif
