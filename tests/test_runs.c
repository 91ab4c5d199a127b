/* test_runs.c: what a run has saved still loads, whatever fails, breaks or is killed (P6, P7). */
#include "base/files.h"
#include "save/runs.h"
#include "support_faultfs.h"
#include "support_memory_backend.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

static char out[64];
static error e;
static const gpt_shape small = {
    .layers = 1, .heads = 2, .channels = 8, .positions = 6, .vocabulary = 11, .bias = false, .norm_epsilon = 1e-5};
static gpt m;
static backend *b;
static run_folder r;

static void begin(void) {
    /* thousands of fsyncs: in memory where there is such a place */
    strcpy(out, access("/dev/shm", W_OK) ? "/tmp/snug-test-XXXXXX" : "/dev/shm/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(out));
    m = memory_gpt(&small, GRAPH_TRAIN);
    b = memory_backend_open(&m, 4);
    ck_assert_msg(run_open(out, &r, &e) == OK, "%s", e.text);
}

static void end(void) {
    run_close(&r);
    b->close(b);
    gpt_free(&m);
    ck_assert_msg(folder_remove(out, &e) == OK, "%s", e.text);
}

/* The numbers that are saved follow from `salt`, which the state carries along. */
static status save(int64_t iter, uint64_t salt, double val_loss, double best, int keep) {
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

static void must_save(int64_t iter, uint64_t salt, double val_loss, double best, int keep) {
    status s = save(iter, salt, val_loss, best, keep);
    ck_assert_msg(s == OK, "%s", e.text);
}

/* Loads a folder in full; returns the salt of what it holds. */
static uint64_t load_folder(const char *folder, int64_t *iter) {
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

/* The same of one that may be damaged: the status of the first step that notices. */
static status try_to_load(const char *folder) {
    run_state s;
    status result = run_load_state(folder, &s, &e);
    if (result != OK) return result;
    result = run_load_tensors(folder, &s, &small, &m, b, &e);
    run_state_free(&s);
    return result;
}

static uint64_t load_latest(int64_t *iter) {
    char *folder;
    ck_assert_msg(run_find_latest(out, &folder, &e) == OK, "%s", e.text);
    uint64_t salt = load_folder(folder, iter);
    free(folder);
    return salt;
}

static bool there(const char *name) {
    char *path = xprintf("%s/%s", out, name);
    struct stat s;
    bool yes = lstat(path, &s) == 0;
    free(path);
    return yes;
}

static int leftovers(void) {
    DIR *folder = opendir(out);
    int n = 0;
    const struct dirent *d;
    while ((d = readdir(folder))) n += !strncmp(d->d_name, ".snug-", 6) && strcmp(d->d_name, ".snug-lock");
    closedir(folder);
    return n;
}

/* ---- saving, finding, pruning ---- */

START_TEST(run_comes_back_as_it_was_saved) {
    run_state s = run_state_new("a \"device\"\n", "build 1", "MWG=64"), again;
    tokenizer *t = tokenizer_bytes(), *carried;
    char *folder;
    s.iter = 100;
    run_state_go_on(&s, "a \"device\"\n", "build 2", "MWG=64");
    s.iter = 250;
    s.evaluated = true;
    s.val_loss = 1.0 / 3;
    s.best_val_loss = 0.1;
    run_state_set(&s, "learning_rate", "0");
    run_state_set(&s, "dataset", "x\ty");
    run_state_set(&s, "learning_rate", "6e-4");
    memory_fill(b, &m, 5);
    ck_assert_msg(run_save(&r, &s, &small, &m, b, &(run_company){.tokenizer = t}, 2, &e) == OK, "%s", e.text);
    ck_assert_int_eq(run_find_latest(out, &folder, &e), OK);
    ck_assert(strstr(folder, "/ckpt-000250") && there("ckpt-000250/tokenizer_config.json") && leftovers() == 0);
    ck_assert_msg(tokenizer_open(folder, &carried, &e) == OK && tokenizer_same(t, carried), "%s", e.text);
    ck_assert_msg(run_load_state(folder, &again, &e) == OK, "%s", e.text);
    ck_assert(again.iter == 250 && again.serial == 1 && again.val_loss == 1.0 / 3 && again.best_val_loss == 0.1);
    ck_assert(again.n_parts == 2 && again.parts[0].from == 0 && again.parts[1].from == 100 && again.evaluated);
    ck_assert_str_eq(again.parts[0].device, "a \"device\"\n");
    ck_assert_str_eq(again.parts[0].gemm, "MWG=64");
    ck_assert_str_eq(again.parts[1].build, "build 2");
    ck_assert_str_eq(run_state_get(&again, "learning_rate"), "6e-4");
    ck_assert_str_eq(run_state_get(&again, "dataset"), "x\ty");
    ck_assert_ptr_null(run_state_get(&again, "none"));
    ck_assert_str_eq(again.sha256[RUN_MODEL], s.sha256[RUN_MODEL]);
    memory_fill(b, &m, 6);
    ck_assert_msg(run_load_tensors(folder, &again, &small, &m, b, &e) == OK, "%s", e.text);
    ck_assert(memory_holds(b, &m, 5));
    run_state_free(&s);
    run_state_free(&again);
    free(folder);
    tokenizer_close(t);
    tokenizer_close(carried);
}
END_TEST

static void go_on(run_state *s, int64_t iter, const char *build) {
    s->iter = iter;
    run_state_go_on(s, "some device", build, "");
}

/* Native, elsewhere, native: the part elsewhere stays on record; parts without a step are none (P4). */
START_TEST(parts_of_a_run_are_kept) {
    run_state s = run_state_new("some device", "native", "");
    go_on(&s, 0, "native");
    ck_assert_int_eq(s.n_parts, 1);
    go_on(&s, 0, "other");
    ck_assert(s.n_parts == 1 && !strcmp(s.parts[0].build, "other") && s.parts[0].from == 0);
    go_on(&s, 0, "native");
    go_on(&s, 10, "native");
    ck_assert_int_eq(s.n_parts, 1);
    go_on(&s, 20, "other");
    go_on(&s, 20, "third");
    go_on(&s, 30, "native");
    ck_assert(s.n_parts == 3 && s.parts[1].from == 20 && s.parts[2].from == 30);
    ck_assert_str_eq(s.parts[1].build, "third");
    go_on(&s, 30, "third"); /* native did nothing */
    ck_assert_int_eq(s.n_parts, 2);
    run_state_free(&s);
}
END_TEST

/* Such a checkpoint could not be loaded again, and good ones would be pruned for it. */
START_TEST(weights_and_moments_that_are_no_numbers_are_not_saved) {
    static const float bad[] = {NAN, INFINITY};
    must_save(10, 1, NAN, INFINITY, 1);
    for (int i = 0; i < 2; i++) {
        run_state s = run_state_new("some device", "some build", "");
        s.iter = 20;
        memory_fill(b, &m, 2);
        ck_assert_int_eq(b->write(b, i ? m.v[2] : 2, &bad[i], 4, 4, &e), OK);
        ck_assert_int_eq(run_save(&r, &s, &small, &m, b, NULL, 1, &e), FAILED);
        ck_assert_msg(strstr(e.text, i ? "v.transformer.wpe.weight has" : "transformer.wpe.weight has"), "%s", e.text);
        ck_assert(!there("ckpt-000020") && leftovers() == 0 && load_latest(NULL) == 1);
        run_state_free(&s);
    }
}
END_TEST

START_TEST(newest_best_and_latest_stay) {
    must_save(10, 1, 3.0, 3.0, 2);
    must_save(20, 2, 2.0, 2.0, 2);
    must_save(30, 3, 2.5, 2.0, 2);
    must_save(40, 4, NAN, 2.0, 2);
    must_save(50, 5, NAN, 2.0, 2);
    ck_assert(!there("ckpt-000010") && there("ckpt-000020") && !there("ckpt-000030"));
    ck_assert(there("ckpt-000040") && there("ckpt-000050"));
    ck_assert(load_latest(NULL) == 5);
    must_save(60, 6, 1.5, 1.5, 1);
    ck_assert(!there("ckpt-000020") && !there("ckpt-000040") && !there("ckpt-000050") && there("ckpt-000060"));
}
END_TEST

static int checkpoints(void) {
    DIR *folder = opendir(out);
    int n = 0;
    const struct dirent *d;
    while ((d = readdir(folder))) n += !strncmp(d->d_name, "ckpt-", 5);
    closedir(folder);
    return n;
}

/* Losses repeat: where nothing is learnt, and in 16-bit data sets of one batch. Only one of equals is the best. */
START_TEST(of_equal_losses_one_is_the_best) {
    must_save(1, 1, 1.5, 1.5, 1);
    for (int i = 2; i < 40; i++) {
        must_save(i, (uint64_t)i, i % 3 ? 2.0 : 1.5, 1.5, 1);
        ck_assert_int_le(checkpoints(), 2);
        ck_assert(load_latest(NULL) == (uint64_t)i);
    }
    ck_assert(there("ckpt-000039") && checkpoints() == 1); /* at once the newest and the best */
}
END_TEST

/* A run gone on with from an older checkpoint: its small numbers are the newest, and it does not delete them as old. */
START_TEST(run_that_went_back_keeps_its_own) {
    must_save(1000, 1, NAN, INFINITY, 2);
    must_save(2000, 2, NAN, INFINITY, 2);
    must_save(10, 3, NAN, INFINITY, 2);
    ck_assert(!there("ckpt-001000") && there("ckpt-002000") && there("ckpt-000010"));
    int64_t iter;
    ck_assert(load_latest(&iter) == 3 && iter == 10);
    must_save(20, 4, NAN, INFINITY, 2);
    ck_assert(!there("ckpt-002000") && there("ckpt-000010") && there("ckpt-000020"));
}
END_TEST

/* A new run is told what is there, and only what was asked for goes: other files stay. */
START_TEST(folder_that_holds_a_run_is_named_and_emptied_only_when_asked) {
    ck_assert_int_eq(run_check_empty(&r, &e), OK);
    must_save(10, 1, NAN, INFINITY, 2);
    ck_assert_int_eq(run_check_empty(&r, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "(1 checkpoint, the newest after step 10)") != NULL, "%s", e.text);
    must_save(20, 2, NAN, INFINITY, 2);
    ck_assert_int_eq(run_check_empty(&r, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "2 checkpoints, the newest after step 20") && strstr(e.text, "--init_from=resume") &&
                      strstr(e.text, "--out_dir=") && strstr(e.text, "--overwrite=True"),
                  "%s", e.text);
    ck_assert(load_latest(NULL) == 2);
    char *notes = xprintf("%s/notes.txt", out), *link = xprintf("%s/latest", out);
    ck_assert_int_eq(file_write(notes, "mine", 4, false, NULL, &e), OK);
    ck_assert_msg(run_remove_checkpoints(&r, &e) == OK, "%s", e.text);
    ck_assert(checkpoints() == 0 && leftovers() == 0 && !there("latest") && there("notes.txt"));
    ck_assert_int_eq(run_check_empty(&r, &e), OK);
    ck_assert_int_eq(symlink("ckpt-000077", link), 0); /* its checkpoints were moved away, perhaps for a while */
    ck_assert_int_eq(run_check_empty(&r, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "`latest` names ckpt-000077"), "%s", e.text);
    free(link);
    free(notes);
}
END_TEST

/* Whatever call fails or whenever the process ends: there is a run that loads, or none. */
START_TEST(removing_a_run_leaves_no_half_of_one) {
    for (int k = 1;; k++) {
        must_save(10, 1, 1.0, 1.0, 2);
        must_save(20, 2, 2.0, 1.0, 2);
        must_save(30, 3, 2.0, 1.0, 2);
        faultfs_arm(k, true, EIO);
        status s = run_remove_checkpoints(&r, &e);
        int calls = faultfs_disarm();
        ck_assert_msg((s == OK) == (calls < k), "k = %d: %s", k, e.text);
        if (checkpoints()) ck_assert(load_latest(NULL) == 3);
        if (calls < k) return;
    }
}
END_TEST

START_TEST(checkpoint_of_the_same_step_is_replaced) {
    must_save(10, 1, NAN, INFINITY, 2);
    must_save(10, 2, NAN, INFINITY, 2);
    ck_assert(load_latest(NULL) == 2);
    ck_assert_int_eq(leftovers(), 0);
}
END_TEST

START_TEST(what_killed_runs_left_is_cleared_away) {
    static const char *const left[] = {".snug-new-ckpt-000020/deep", ".snug-old-ckpt-000010/deep",
                                       ".snug-aside-ckpt-000040/x"};
    must_save(30, 1, NAN, INFINITY, 2);
    must_save(40, 2, NAN, INFINITY, 2);
    for (int i = 0; i < 3; i++) {
        char *path = xprintf("%s/%s", out, left[i]);
        ck_assert_int_eq(folder_make(path, &e), OK);
        free(path);
    }
    char *home = xprintf("%s/ckpt-000030", out), *aside = xprintf("%s/.snug-aside-ckpt-000030", out);
    ck_assert_int_eq(rename(home, aside), 0);
    run_close(&r);
    ck_assert_msg(run_open(out, &r, &e) == OK, "%s", e.text);
    ck_assert_int_eq(leftovers(), 0);
    ck_assert(load_folder(home, NULL) == 1 && load_latest(NULL) == 2);
    free(home);
    free(aside);
}
END_TEST

START_TEST(second_run_in_the_same_folder_is_refused) {
    run_folder other;
    ck_assert_int_eq(run_open(out, &other, &e), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "another run"));
    run_close(&r);
    ck_assert_int_eq(run_open(out, &r, &e), OK);
}
END_TEST

/* A pipe would be waited for, at the first save at the latest. */
START_TEST(what_is_no_file_where_a_run_writes_is_named_at_once) {
    static const char *const names[] = {".snug-lock", "log.jsonl", "run.json", "report.html", "latest"};
    must_save(10, 1, NAN, INFINITY, 2);
    run_close(&r);
    for (int i = 0; i < 10; i++) {
        char *path = xprintf("%s/%s", out, names[i / 2]);
        ck_assert_int_eq(folder_remove(path, &e), OK);
        ck_assert_int_eq(i % 2 ? mkfifo(path, 0666) : mkdir(path, 0777), 0);
        ck_assert_int_eq(run_open(out, &r, &e), BAD_INPUT);
        ck_assert_msg(strstr(e.text, path) == e.text && strstr(e.text, "move it away"), "%s", e.text);
        ck_assert(there(names[i / 2]) && checkpoints() == 1);
        ck_assert_int_eq(folder_remove(path, &e), OK);
        free(path);
    }
    ck_assert_int_eq(run_open(out, &r, &e), OK);
}
END_TEST

/* Only what was made, and only if nothing was put there. */
START_TEST(opening_and_closing_leaves_no_trace) {
    char *inner = xprintf("%s/new", out), *file = xprintf("%s/new/log.jsonl", out);
    run_folder other;
    ck_assert(run_open(inner, &other, &e) == OK && there("new/.snug-lock"));
    run_close(&other);
    ck_assert(!there("new"));
    ck_assert(run_open(inner, &other, &e) == OK && file_write(file, "{}", 2, false, NULL, &e) == OK);
    run_close(&other);
    ck_assert(there("new/log.jsonl") && !there("new/.snug-lock"));
    unlink(file);
    ck_assert_int_eq(run_open(inner, &other, &e), OK);
    run_close(&other);
    ck_assert(there("new"));
    free(inner);
    free(file);
}
END_TEST

START_TEST(without_latest_the_newest_complete_one_counts) {
    char *folder, *link = xprintf("%s/latest", out);
    ck_assert_int_eq(run_find_latest(out, &folder, &e), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "--init_from=scratch"));
    must_save(10, 1, NAN, INFINITY, 3);
    must_save(20, 2, NAN, INFINITY, 3);
    unlink(link);
    ck_assert(load_latest(NULL) == 2);
    ck_assert_int_eq(symlink("ckpt-000030", link), 0);
    ck_assert_int_eq(run_find_latest(out, &folder, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "names ckpt-000030, which is not there") && strstr(e.text, "ln -sfn ckpt-000020"),
                  "%s", e.text);
    free(link);
}
END_TEST

/* ---- damage ---- */

static const char *const run_files[] = {"config.json", "model.safetensors", "optimizer.safetensors", "state.json"};

/* how: 0 .. 19 flip a bit at so many twentieths of the file, 20 cut it, 21 append to it, 22 remove it. */
static void damage(const char *path, int how) {
    char *text;
    size_t bytes;
    ck_assert_int_eq(file_read(path, 1 << 24, &text, &bytes, &e), OK);
    unlink(path);
    if (how < 20) text[bytes * (size_t)how / 20] ^= 4;
    size_t now = how == 20 ? bytes / 2 : how == 21 ? bytes + 1 : bytes; /* a zero follows the text */
    if (how < 22) ck_assert_int_eq(file_write(path, text, now, false, NULL, &e), OK);
    free(text);
}

/* And the command that the message offers works when it is typed. */
START_TEST(damaged_checkpoint_is_named_and_the_one_before_offered) {
    int how = _i % 23;
    const char *name = run_files[_i / 23];
    must_save(10, 1, NAN, INFINITY, 3);
    must_save(20, 2, NAN, INFINITY, 3);
    must_save(30, 3, NAN, INFINITY, 3);
    char *newest = xprintf("%s/ckpt-000030", out), *path = xprintf("%s/%s", newest, name), *folder;
    char *older = xprintf("%s/ckpt-000020/model.safetensors", out);
    damage(path, how);
    if (how % 2) damage(older, how); /* the one before is bad too: then the one before that */
    ck_assert_int_eq(run_find_latest(out, &folder, &e), OK);
    ck_assert_str_eq(folder, newest);
    ck_assert_int_ne(try_to_load(folder), OK);
    ck_assert_msg(strstr(e.text, path) == e.text && !strchr(e.text, '\n'), "%s", e.text);
    const char *from = strstr(e.text, "type  ln "), *to = strstr(e.text, "  and resume");
    ck_assert_msg(from && to, "%s", e.text);
    char *command = xprintf("%.*s", (int)(to - from - 6), from + 6);
    ck_assert_int_eq(system(command), 0);
    ck_assert(load_latest(NULL) == (how % 2 ? 1 : 2));
    free(command);
    free(newest);
    free(path);
    free(older);
    free(folder);
}
END_TEST

START_TEST(when_nothing_is_good_the_message_says_so) {
    must_save(10, 1, NAN, INFINITY, 3);
    char *folder = xprintf("%s/ckpt-000010", out), *path = xprintf("%s/model.safetensors", folder);
    damage(path, 3);
    ck_assert_int_eq(try_to_load(folder), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "no other checkpoint here is good"));
    free(folder);
    free(path);
}
END_TEST

/* ---- failing disks ---- */

static const struct {
    int number;
    bool sticky;
} faults[] = {{ENOSPC, true}, {ENOSPC, false}, {EIO, false}, {EROFS, true}};

/* Saves over {10, 20}, as a new step or as 20 again, with the k-th call failing: for every k, until a save makes fewer
   calls than that. */
static void fail_at_every_call(int64_t iter, int number, bool sticky) {
    for (int k = 1;; k++) {
        must_save(10, 1, NAN, INFINITY, 3);
        must_save(20, 2, NAN, INFINITY, 3);
        faultfs_arm(k, sticky, number);
        status s = save(iter, 3, NAN, INFINITY, 3);
        int calls = faultfs_disarm();
        char *ten = xprintf("%s/ckpt-000010", out);
        ck_assert_msg(load_folder(ten, NULL) == 1, "k = %d", k);
        free(ten);
        uint64_t latest = load_latest(NULL);
        ck_assert_msg(latest == 3 || (s != OK && latest == 2), "k = %d: latest holds %d", k, (int)latest);
        ck_assert_msg(leftovers() == 0 || sticky || s == OK, "k = %d: something is left", k);
        if (s != OK)
            ck_assert_msg(strstr(e.text, strerror(number)) && strstr(e.text, out) && !strchr(e.text, '\n'), "%s",
                          e.text);
        if (calls < k) {
            ck_assert(s == OK && k > 20);
            return;
        }
    }
}

START_TEST(save_that_fails_at_any_call_leaves_the_older_ones) {
    fail_at_every_call(_i % 2 ? 20 : 30, faults[_i / 2].number, faults[_i / 2].sticky);
}
END_TEST

START_TEST(interrupted_and_short_calls_are_gone_on_with) {
    faultfs_arm(0, false, 0);
    must_save(10, 1, NAN, INFINITY, 3);
    int calls = faultfs_disarm();
    for (int k = 1; k <= calls; k++) {
        faultfs_arm(k, true, FAULT_SHORT_WRITE);
        must_save(10 + k, (uint64_t)k, NAN, INFINITY, 2);
        faultfs_disarm();
        ck_assert(load_latest(NULL) == (uint64_t)k);
    }
    char *path = xprintf("%s/x", out), *text;
    file_out f;
    size_t bytes;
    ck_assert_int_eq(file_create(&f, path, &e), OK);
    faultfs_arm(1, false, EINTR);
    ck_assert_int_eq(file_put(&f, "hello", 5, &e), OK);
    faultfs_arm(1, false, EINTR);
    ck_assert_int_eq(file_finish(&f, true, NULL, &e), OK);
    faultfs_disarm();
    ck_assert_int_eq(file_read(path, 100, &text, &bytes, &e), OK);
    ck_assert_str_eq(text, "hello");
    free(text);
    free(path);
}
END_TEST

/* ---- kills ---- */

static void save_until_killed(uint64_t from) {
    for (uint64_t salt = from;; salt++)
        if (save((int64_t)(salt / 2), salt, NAN, INFINITY, 2) != OK) _exit(1); /* each step twice: replaced, too */
}

START_TEST(run_killed_at_any_moment_loads) {
    uint64_t last = 1;
    srand(1);
    must_save(0, last, NAN, INFINITY, 2);
    /* On a busy machine all of them may come before a first save: then some more. */
    for (int i = 0; i < 100 || (last == 1 && i < 2000); i++) {
        pid_t child = fork();
        if (child == 0) save_until_killed(last + 1);
        usleep((useconds_t)(rand() % 15000));
        kill(child, SIGKILL);
        int how;
        waitpid(child, &how, 0);
        ck_assert_msg(WIFSIGNALED(how), "a save failed before the kill");
        run_close(&r);
        ck_assert_msg(run_open(out, &r, &e) == OK, "%s", e.text);
        ck_assert_int_eq(leftovers(), 0);
        int64_t iter;
        uint64_t salt = load_latest(&iter);
        ck_assert(salt >= last && iter == (int64_t)(salt / 2));
        last = salt;
    }
    ck_assert_uint_gt(last, 1); /* the kills did not all come before the first save */
}
END_TEST

Suite *runs_suite(void);
Suite *runs_suite(void) {
    Suite *s = suite_create("runs");
    TCase *t = tcase_create("runs");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, run_comes_back_as_it_was_saved);
    tcase_add_test(t, parts_of_a_run_are_kept);
    tcase_add_test(t, weights_and_moments_that_are_no_numbers_are_not_saved);
    tcase_add_test(t, newest_best_and_latest_stay);
    tcase_add_test(t, of_equal_losses_one_is_the_best);
    tcase_add_test(t, run_that_went_back_keeps_its_own);
    tcase_add_test(t, folder_that_holds_a_run_is_named_and_emptied_only_when_asked);
    tcase_add_test(t, removing_a_run_leaves_no_half_of_one);
    tcase_add_test(t, checkpoint_of_the_same_step_is_replaced);
    tcase_add_test(t, what_killed_runs_left_is_cleared_away);
    tcase_add_test(t, second_run_in_the_same_folder_is_refused);
    tcase_add_test(t, what_is_no_file_where_a_run_writes_is_named_at_once);
    tcase_add_test(t, opening_and_closing_leaves_no_trace);
    tcase_add_test(t, without_latest_the_newest_complete_one_counts);
    tcase_add_loop_test(t, damaged_checkpoint_is_named_and_the_one_before_offered, 0, 4 * 23);
    tcase_add_test(t, when_nothing_is_good_the_message_says_so);
    tcase_add_loop_test(t, save_that_fails_at_any_call_leaves_the_older_ones, 0,
                        2 * (int)(sizeof faults / sizeof faults[0]));
    tcase_add_test(t, interrupted_and_short_calls_are_gone_on_with);
    tcase_add_test(t, run_killed_at_any_moment_loads);
    suite_add_tcase(s, t);
    return s;
}
