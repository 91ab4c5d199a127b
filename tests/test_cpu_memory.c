/* test_cpu_memory.c: the CPU backend's memory as others see it (P1). Twice: the kernel's count of resident bytes, and
   preload_memory.c's of what is asked of malloc and mmap. */
#include "run/model.h"
#include "support_steps.h"
#include <check.h>
#include <dlfcn.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIB = 1 << 20, SEQUENCES = 8, LENGTH = 64, VOCABULARY = 512 };

static const gpt_shape shape = {.layers = 4,
                                .heads = 4,
                                .channels = 128,
                                .positions = LENGTH,
                                .vocabulary = VOCABULARY,
                                .bias = true,
                                .norm_epsilon = 1e-5};

static void open_it(model *m, backend *b) {
    error e = {""};
    gpt_run run = steps_run(SEQUENCES, LENGTH, SEQUENCES, 0);
    ck_assert_msg(model_open(m, b, &shape, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(m, 1, &e) == OK, "%s", e.text);
}

static void three_steps(model *m, batch *x) {
    error e = {""};
    double loss, norm;
    for (int i = 0; i < 3; i++) {
        step_settings s = {.step = i, .lr = 1e-3, .seed = 1};
        ck_assert(model_gradients(m, x, &s, &loss, &e) == OK && model_finish(m, &s, &norm, &e) == OK);
    }
}

static batch some_batch(void) {
    batch x = batch_new(SEQUENCES, LENGTH);
    for (int i = 0; i < SEQUENCES * LENGTH; i++) x.x[i] = i * 7 % VOCABULARY, x.y[i] = i * 5 % VOCABULARY;
    return x;
}

/* ---- by the kernel ---- */

/* Bytes of a line of /proc/self/status: VmRSS, the memory in use, or VmHWM, the most that was. */
static int64_t process_bytes(const char *format) {
    char line[256];
    long long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) sscanf(line, format, &kib);
    if (f) fclose(f);
    return kib < 0 ? -1 : kib * 1024;
}

START_TEST(bind_takes_the_plan_and_steps_take_nothing) {
#ifdef __SANITIZE_ADDRESS__
    return; /* which maps its own as it goes */
#endif
    model m;
    omp_set_num_threads(1);
    backend *b = cpu_open(4, 0);
    int64_t before = process_bytes("VmRSS: %lld");
    if (before < 0) { /* no such file here */
        b->close(b);
        return;
    }
    open_it(&m, b);
    int64_t bound = process_bytes("VmRSS: %lld"), plan = (int64_t)m.plan.total;
    ck_assert_int_gt(plan, 16 * MIB);
    ck_assert_msg(bound - before >= plan && bound - before <= plan + 8 * MIB, "bind took %lld bytes, planned were %lld",
                  (long long)(bound - before), (long long)plan);
    batch x = some_batch();
    three_steps(&m, &x);
    int64_t most = process_bytes("VmHWM: %lld"); /* 8 MiB: what libraries for threads and matrices take at first */
    ck_assert_msg(most - bound <= 8 * MIB, "%lld bytes were taken after bind", (long long)(most - bound));
    batch_free(&x);
    model_close(&m);
}
END_TEST

/* ---- by the preloaded library ---- */

static void (*count_reset)(void);
static long long (*count)(int which);
enum { LIVE, PEAK }; /* which */

/* What the host takes beside the plan. Until the run is bound: the graph and the plan themselves, and 8 MiB through
   which the first weights are drawn. From then on: the graph, with room for 1024 tensors and ops, and the 128 KiB
   through which numbers come and go. In steps: what libgomp needs for each loop. */
enum { BESIDE_THE_PLAN = 3 * MIB, BESIDE_BETWEEN_STEPS = 400 << 10, BESIDE_IN_STEPS = 16 << 10 };

/* In a process of its own, since a library can be preloaded only there. */
static void repeat_under_the_library(void) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    ck_assert_int_gt(n, 0);
    path[n] = 0;
    char *folder = xprintf("%.*s", (int)(strrchr(path, '/') - path), path);
    char *command =
        xprintf("LD_PRELOAD='%s/preload_memory.so' CK_FORK=no CK_RUN_CASE=counted '%s' cpu_memory >&2", folder, path);
    const char *loaded = getenv("LD_PRELOAD");
    ck_assert_msg(!loaded || !strstr(loaded, "preload_memory"), "%s is there, and counts nothing", loaded);
    ck_assert_int_eq(system(command), 0);
    free(command);
    free(folder);
}

START_TEST(malloc_and_mmap_are_asked_for_the_plan_and_then_for_nothing) {
#ifdef __SANITIZE_ADDRESS__
    return; /* which has a malloc of its own */
#endif
    *(void **)&count_reset = dlsym(RTLD_DEFAULT, "memory_count_reset");
    *(void **)&count = dlsym(RTLD_DEFAULT, "memory_count");
    if (!count_reset || !count) {
        repeat_under_the_library();
        return;
    }
    model m;
    omp_set_num_threads(1);
    backend *b = cpu_open(4, 0);
    batch x = some_batch();
    open_it(&m, b);
    three_steps(&m, &x); /* what libraries take at their first use: OpenBLAS 128 MiB of address space */
    model_close(&m);
    b = cpu_open(4, 0);
    count_reset();
    open_it(&m, b);
    long long plan = (long long)m.plan.total, beside = count(PEAK) - plan, stays = count(LIVE) - plan;
    ck_assert_msg(stays >= 0 && stays <= BESIDE_BETWEEN_STEPS, "%lld bytes beside the plan of %lld stay", stays, plan);
    ck_assert_msg(beside >= stays && beside <= BESIDE_THE_PLAN, "%lld bytes beside the plan of %lld", beside, plan);
    count_reset();
    three_steps(&m, &x);
    ck_assert_msg(count(PEAK) > 0, "nothing is counted");
    ck_assert_msg(count(PEAK) <= BESIDE_IN_STEPS, "%lld bytes were taken in steps", count(PEAK));
    count_reset();
    three_steps(&m, &x);
    ck_assert_msg(count(LIVE) == 0 && count(PEAK) <= BESIDE_IN_STEPS, "later steps took %lld bytes and kept %lld",
                  count(PEAK), count(LIVE));
    batch_free(&x);
    model_close(&m);
}
END_TEST

Suite *cpu_memory_suite(void);
Suite *cpu_memory_suite(void) {
    Suite *s = suite_create("cpu_memory");
    TCase *t = tcase_create("memory");
    tcase_add_test(t, bind_takes_the_plan_and_steps_take_nothing);
    suite_add_tcase(s, t);
    t = tcase_create("counted");
    tcase_add_test(t, malloc_and_mmap_are_asked_for_the_plan_and_then_for_nothing);
    suite_add_tcase(s, t);
    return s;
}
