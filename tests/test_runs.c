/* test_runs.c: what a run saves: found, pruned, told apart, and cleared away. When something fails: test_run_faults.c.
 */
#include "base/files.h"
#include "save/runs.h"
#include "support_runs.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    tcase_add_test(t, checkpoint_of_the_same_step_is_replaced);
    tcase_add_test(t, what_killed_runs_left_is_cleared_away);
    tcase_add_test(t, second_run_in_the_same_folder_is_refused);
    tcase_add_test(t, what_is_no_file_where_a_run_writes_is_named_at_once);
    tcase_add_test(t, opening_and_closing_leaves_no_trace);
    tcase_add_test(t, without_latest_the_newest_complete_one_counts);
    suite_add_tcase(s, t);
    return s;
}
