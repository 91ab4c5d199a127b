/* test_cpu_memory.c: the CPU backend's memory as the kernel counts it (P1): bind takes the plan, and steps take no more
   than the libraries for threads and matrices do at their first use. */
#include "run/model.h"
#include "support_steps.h"
#include <check.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

/* Bytes of a line of /proc/self/status: VmRSS, the memory in use, or VmHWM, the most that was. */
static int64_t process_bytes(const char *format) {
    char line[256];
    long long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) sscanf(line, format, &kib);
    if (f) fclose(f);
    return kib < 0 ? -1 : kib * 1024;
}

enum { MIB = 1 << 20, STEPS_MAY_TAKE = 8 * MIB };

START_TEST(bind_takes_the_plan_and_steps_take_nothing) {
#ifdef __SANITIZE_ADDRESS__
    return; /* which maps its own as it goes */
#endif
    static const gpt_shape shape = {.layers = 4,
                                    .heads = 4,
                                    .channels = 128,
                                    .positions = 64,
                                    .vocabulary = 512,
                                    .bias = true,
                                    .norm_epsilon = 1e-5};
    error e = {""};
    model m;
    double loss, norm;
    gpt_run run = steps_run(8, 64, 8, 0);
    omp_set_num_threads(1);
    backend *b = cpu_open(4, 0);
    int64_t before = process_bytes("VmRSS: %lld");
    if (before < 0) { /* no such file here */
        b->close(b);
        return;
    }
    ck_assert_msg(model_open(&m, b, &shape, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(&m, 1, &e) == OK, "%s", e.text);
    int64_t bound = process_bytes("VmRSS: %lld"), plan = (int64_t)m.plan.total;
    ck_assert_int_gt(plan, 16 * MIB);
    ck_assert_msg(bound - before >= plan && bound - before <= plan + 8 * MIB, "bind took %lld bytes, planned were %lld",
                  (long long)(bound - before), (long long)plan);
    batch x = batch_new(8, 64);
    for (int i = 0; i < 8 * 64; i++) x.x[i] = i * 7 % 512, x.y[i] = i * 5 % 512;
    for (int i = 0; i < 3; i++) {
        step_settings s = {.step = i, .lr = 1e-3, .seed = 1};
        ck_assert(model_gradients(&m, &x, &s, &loss, &e) == OK && model_finish(&m, &s, &norm, &e) == OK);
    }
    int64_t most = process_bytes("VmHWM: %lld");
    ck_assert_msg(most - bound <= STEPS_MAY_TAKE, "%lld bytes were taken after bind", (long long)(most - bound));
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
    return s;
}
