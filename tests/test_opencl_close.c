/* test_opencl_close.c: a process that opens and closes devices again and again holds no handle more and no more memory.
   Does nothing unless preload_count_handles.c is preloaded: tests/outside_count.sh does it. */
#include "run/model.h"
#include "opencl_device.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static long (*count)(char *text, size_t size);

static bool counting(void) {
    *(void **)&count = dlsym(RTLD_DEFAULT, "count_handles");
    return count != NULL;
}

/* Resident bytes of this process. */
static long resident(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert(f && fscanf(f, "%*s %ld", &pages) == 1);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* A step of a small model on b, which stays open. micro_batch: another plan, and other launches. */
static void step(backend *b, int micro_batch) {
    error e = {""};
    double loss, norm;
    model m;
    gpt_shape shape = {
        .layers = 1, .heads = 2, .channels = 16, .positions = 12, .vocabulary = 40, .norm_epsilon = 1e-5};
    gpt_run run = {.purpose = GRAPH_TRAIN,
                   .micro_batch = micro_batch,
                   .length = 12,
                   .sequences = 3,
                   .batch_invariant = true,
                   .beta1 = 0.9,
                   .beta2 = 0.95,
                   .grad_clip = 1};
    ck_assert_msg(model_open(&m, b, &shape, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(&m, 1, &e) == OK, "%s", e.text);
    batch x = batch_new(3, 12);
    step_settings s = {.lr = 1e-3};
    ck_assert_msg(model_gradients(&m, &x, &s, &loss, &e) == OK, "%s", e.text);
    ck_assert_msg(model_finish(&m, &s, &norm, &e) == OK, "%s", e.text);
    batch_free(&x);
    model_unbind(&m);
}

static void expect_none(int round) {
    char text[256];
    ck_assert_msg(count(text, sizeof text) == 0, "round %d left%s", round, text);
}

/* Each round opens, binds twice, with and without a profile, and closes. The driver's own growth counts too: PoCL's is
   what the bound leaves room for. */
START_TEST(a_hundred_rounds_leave_no_handle_and_no_memory) {
    enum { ROUNDS = 100, WARM = 10, BYTES_A_ROUND = 64 << 10 };
    long after_warm = 0;
    if (!counting()) return;
    for (int round = 1; round <= ROUNDS; round++) {
        backend *b = open_device(round % 2 ? ALWAYS_INDIRECT : ALWAYS_DIRECT, 0);
        step(b, 1 + round % 3);
        b->profile = true;
        step(b, 3);
        b->close(b);
        expect_none(round);
        if (round == WARM) after_warm = resident();
    }
    long grown = resident() - after_warm;
    printf("opencl_close: %ld bytes more after %d rounds than after %d\n", grown, ROUNDS, WARM);
    ck_assert_msg(grown <= (ROUNDS - WARM) * (long)BYTES_A_ROUND, "%ld bytes more after %d rounds than after %d", grown,
                  ROUNDS, WARM);
}
END_TEST

/* Matrix units with their proof, and refusals: a cap that is too small. */
START_TEST(matrix_units_and_refusals_leave_no_handle) {
    if (!counting()) return;
    for (int round = 0; round < 3; round++) {
        error e = {""};
        backend *b = open_own(PRECISION_TF32, true, 0);
        step(b, 2);
        b->close(b);
        expect_none(round);
        opencl_options o = {
            .selector = test_device(), .cap = 4096, .precision = PRECISION_TF32, .mma = MMA_EMULATED_AND_PROVED};
        ck_assert_int_ne(opencl_open(&o, &b, &e), OK);
        expect_none(round);
    }
}
END_TEST

Suite *opencl_close_suite(void) {
    Suite *suite = suite_create("opencl_close");
    TCase *t = tcase_create("opencl_close");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, a_hundred_rounds_leave_no_handle_and_no_memory);
    suite_add_tcase(suite, t);
    t = tcase_create("units"); /* emulated ones run longer than they compile */
    tcase_set_timeout(t, 600);
    tcase_add_test(t, matrix_units_and_refusals_leave_no_handle);
    suite_add_tcase(suite, t);
    return suite;
}
