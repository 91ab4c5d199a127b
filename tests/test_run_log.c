/* test_run_log.c: a run's log, and files that are being written beside it: never torn, cut back to the checkpoint, and
   what killed processes left cleared away (P6). */
#include "base/files.h"
#include "save/run_log.h"
#include "support_faultfs.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

static char out[64];
static error e;

static void begin(void) {
    strcpy(out, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(out));
}

static void end(void) { ck_assert_msg(folder_remove(out, &e) == OK, "%s", e.text); }

static bool there(const char *name) {
    char *path = xprintf("%s/%s", out, name);
    bool yes = file_exists(path);
    free(path);
    return yes;
}

/* ---- the log ---- */

static void log_is(const char *expected) {
    char *path = xprintf("%s/log.jsonl", out), *text;
    size_t bytes;
    ck_assert_int_eq(file_read(path, 10000, &text, &bytes, &e), OK);
    ck_assert_str_eq(text, expected);
    free(text);
    free(path);
}

#define STEP(i) "{\"iter\": " #i ", \"loss\": 2.5}"
#define EVAL(i) "{\"iter\": " #i ", \"train_loss\": 2, \"val_loss\": 3}"

START_TEST(log_is_cut_back_to_the_checkpoint) {
    run_log l;
    ck_assert_int_eq(run_log_cut(out, 3, true, &e), OK); /* no log yet */
    ck_assert_int_eq(run_log_open(out, &l, &e), OK);
    static const char *const lines[] = {EVAL(0), STEP(0), STEP(1), EVAL(2), STEP(2), STEP(3), EVAL(4)};
    for (int i = 0; i < 7; i++) ck_assert_int_eq(run_log_line(&l, lines[i], &e), OK);
    ck_assert_int_eq(write(l.fd, "{\"iter\": 1, \"lo", 15), 15); /* torn by a kill */
    run_log_close(&l);
    ck_assert_msg(run_log_cut(out, 2, true, &e) == OK, "%s", e.text);
    log_is(EVAL(0) "\n" STEP(0) "\n" STEP(1) "\n" EVAL(2) "\n");
    ck_assert_int_eq(run_log_cut(out, 2, false, &e), OK); /* its evaluation will come again */
    log_is(EVAL(0) "\n" STEP(0) "\n" STEP(1) "\n");
    ck_assert_int_eq(run_log_cut(out, -1, true, &e), OK);
    log_is("");
}
END_TEST

/* What was written by someone else: each line is read alone, though two of them together would be one of ours. */
START_TEST(a_line_that_ends_too_early_does_not_stay) {
    char *path = xprintf("%s/log.jsonl", out);
    static const char text[] = STEP(0) "\n{\"iter\": 1,\n\"loss\": 2.5}\n";
    ck_assert_int_eq(file_write(path, text, strlen(text), false, NULL, &e), OK);
    ck_assert_int_eq(run_log_cut(out, 5, true, &e), OK);
    log_is(STEP(0) "\n");
    ck_assert_int_eq(file_write(path, STEP(0) "\n\n", sizeof STEP(0) + 1, false, NULL, &e), OK);
    ck_assert_int_eq(run_log_cut(out, 5, true, &e), OK);
    log_is(STEP(0) "\n");
    free(path);
}
END_TEST

START_TEST(log_never_has_a_torn_line) {
    run_log l;
    ck_assert_int_eq(run_log_open(out, &l, &e), OK);
    ck_assert_int_eq(run_log_line(&l, STEP(0), &e), OK);
    faultfs_arm(1, true, FAULT_SHORT_WRITE);
    ck_assert_int_eq(run_log_line(&l, STEP(1), &e), OK);
    faultfs_arm(1, false, EINTR);
    ck_assert_int_eq(run_log_line(&l, STEP(2), &e), OK);
    faultfs_arm(1, false, ENOSPC);
    ck_assert_int_eq(run_log_line(&l, STEP(3), &e), FAILED);
    faultfs_disarm();
    ck_assert_ptr_nonnull(strstr(e.text, "log.jsonl: cannot write: No space left"));
    log_is(STEP(0) "\n" STEP(1) "\n" STEP(2) "\n");
    for (int k = 1; k <= 6; k++) {
        faultfs_arm(k, true, EIO);
        status s = run_log_cut(out, 1, true, &e);
        int calls = faultfs_disarm();
        ck_assert(s != OK || calls < k);
        log_is(k < 4 ? STEP(0) "\n" STEP(1) "\n" STEP(2) "\n" : STEP(0) "\n");
    }
    run_log_close(&l);
}
END_TEST

/* Whoever clears away a log under a run that goes on loses what was in it, and nothing more. */
START_TEST(log_that_was_deleted_is_made_anew) {
    run_log l;
    char *path = xprintf("%s/log.jsonl", out), *other = xprintf("%s/other", out);
    ck_assert_int_eq(run_log_open(out, &l, &e), OK);
    ck_assert_int_eq(run_log_line(&l, STEP(0), &e), OK);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(run_log_line(&l, STEP(1), &e), OK);
    ck_assert_int_eq(run_log_line(&l, STEP(2), &e), OK);
    log_is(STEP(1) "\n" STEP(2) "\n");
    ck_assert(rename(path, other) == 0 && run_log_line(&l, STEP(3), &e) == OK);
    log_is(STEP(3) "\n");
    ck_assert(unlink(path) == 0 && mkfifo(path, 0666) == 0);
    ck_assert_int_eq(run_log_line(&l, STEP(4), &e), BAD_INPUT);
    run_log_close(&l);
    free(path);
    free(other);
}
END_TEST

/* However long it has become, a log is cut back by reading its end. */
START_TEST(cutting_a_long_log_reads_only_its_end) {
    enum { LINES = 300000, TAIL = 40 };
    char *path = xprintf("%s/log.jsonl", out);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < LINES; i++)
        fputs("{\"iter\": 0, \"loss\": 2.5, \"sample\": \"\"\n", f); /* no JSON: else all is read */
    fputs(STEP(1) "\n", f);
    for (int i = 0; i < TAIL; i++) fputs(STEP(2) "\n", f);
    fclose(f);
    struct stat before, after;
    ck_assert_int_eq(stat(path, &before), 0);
    ck_assert_int_eq(run_log_cut(out, 2, true, &e), OK);
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_int_eq(before.st_size - after.st_size, TAIL * (int)strlen(STEP(2) "\n"));
    free(path);
}
END_TEST

/* ---- temporary files ---- */

/* Of a killed process they go, of one at work they stay; files that only look alike are nobody's business. */
START_TEST(temporary_files_of_the_dead_are_cleared) {
    static const char *const names[] = {"x.json.tmp-1", "x.json.tmp-99999999", "x.json.tmp-",  "x.json.tmp-12a",
                                        "x.json.tmp",   "y.json.tmp-1",        "ax.json.tmp-1"};
    char *path = xprintf("%s/x.json", out);
    int held = -1;
    for (int i = 0; i < 7; i++) {
        char *name = xprintf("%s/%s", out, names[i]);
        int fd = open(name, O_WRONLY | O_CREAT, 0666);
        if (i == 1) ck_assert_int_eq(flock(held = fd, LOCK_EX), 0); /* its writer lives */
        if (i != 1) close(fd);
        free(name);
    }
    ck_assert_int_eq(file_write(path, "{}", 2, false, NULL, &e), OK);
    for (int i = 0; i < 7; i++) ck_assert_msg(there(names[i]) == (i != 0), "%s", names[i]);
    close(held);
    ck_assert_int_eq(file_write(path, "{}", 2, false, NULL, &e), OK);
    ck_assert(!there(names[1]) && there("x.json"));
    free(path);
}
END_TEST

START_TEST(two_writers_of_one_file_leave_each_other_alone) {
    char *path = xprintf("%s/x.json", out);
    file_out first;
    ck_assert_int_eq(file_create(&first, path, &e), OK);
    pid_t child = fork();
    if (child == 0) _exit(file_write(path, "child", 5, false, NULL, &e) == OK ? 0 : 1);
    int how;
    waitpid(child, &how, 0);
    ck_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0 && there("x.json"));
    ck_assert_int_eq(file_put(&first, "first", 5, &e), OK);
    ck_assert_msg(file_finish(&first, false, NULL, &e) == OK, "%s", e.text);
    free(path);
}
END_TEST

Suite *run_log_suite(void);
Suite *run_log_suite(void) {
    Suite *s = suite_create("run_log");
    TCase *t = tcase_create("run_log");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, log_is_cut_back_to_the_checkpoint);
    tcase_add_test(t, a_line_that_ends_too_early_does_not_stay);
    tcase_add_test(t, log_never_has_a_torn_line);
    tcase_add_test(t, log_that_was_deleted_is_made_anew);
    tcase_add_test(t, cutting_a_long_log_reads_only_its_end);
    tcase_add_test(t, temporary_files_of_the_dead_are_cleared);
    tcase_add_test(t, two_writers_of_one_file_leave_each_other_alone);
    suite_add_tcase(s, t);
    return s;
}
