/* test_run_faults.c: what a run has saved still loads, whatever is damaged, fails or is killed (P6, P7). */
#include "base/files.h"
#include "support_faultfs.h"
#include "support_runs.h"
#include <check.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- damage ---- */

/* Loads a folder that may be damaged: the status of the first step that notices. */
static status try_to_load(const char *folder) {
    run_state s;
    status result = run_load_state(folder, &s, &e);
    if (result != OK) return result;
    result = run_load_tensors(folder, &s, &small, &m, b, &e);
    run_state_free(&s);
    return result;
}

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

Suite *run_faults_suite(void);
Suite *run_faults_suite(void) {
    Suite *s = suite_create("run_faults");
    TCase *t = tcase_create("run_faults");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, damaged_checkpoint_is_named_and_the_one_before_offered, 0, 4 * 23);
    tcase_add_test(t, when_nothing_is_good_the_message_says_so);
    tcase_add_test(t, removing_a_run_leaves_no_half_of_one);
    tcase_add_loop_test(t, save_that_fails_at_any_call_leaves_the_older_ones, 0,
                        2 * (int)(sizeof faults / sizeof faults[0]));
    tcase_add_test(t, interrupted_and_short_calls_are_gone_on_with);
    tcase_add_test(t, run_killed_at_any_moment_loads);
    suite_add_tcase(s, t);
    return s;
}
