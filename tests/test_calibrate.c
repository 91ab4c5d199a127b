/* test_calibrate.c: the constants by which fit predicts times: measured once, kept, doubted; and, where timing is asked
   for, how well they predict. */
#include "run/calibrate.h"
#include "base/host.h"
#include "run/device.h"
#include "run/model.h"
#include <check.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- measured constants ---- */

static config *cpu_config(void) {
    config *c = xcalloc(1, sizeof *c);
    config_defaults(c);
    strcpy(c->device, "cpu");
    c->vram_cap = 2ull << 30;
    return c;
}

static double own_seconds(const model *m, const cost_model *c) {
    fit_request r = {
        .shape = m->shape, .run = m->run, .limits = m->backend->limits, .type = m->backend->type, .cost = *c};
    const recompute_policy *policy = recompute_policies;
    while (policy->dropped != m->run.recompute) policy++;
    fit_option o = {.micro_batch = m->run.micro_batch, .policy = policy};
    ck_assert_int_eq(fit_measure(&r, &o, NULL), OK);
    return o.seconds;
}

START_TEST(constants_are_measured_once_and_kept) {
    char folder[] = "/tmp/snug-test-XXXXXX", shell[128];
    error e;
    cost_model first, again, none;
    config *c = cpu_config();
    backend *b;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
    ck_assert(!calibrate_recall(c, cpu_type(PRECISION_FLOAT32), NULL, &none));
    ck_assert_int_eq(backend_open(c, &b, NULL, &e), OK);
    ck_assert_msg(calibrate_ensure(c, b, NULL, &first, &e) == OK, "%s", e.text);
    for (int w = 0; w < WORK_KINDS;
         w++) /* more than 10 million operations a second, and less than 100 million million */
        ck_assert_msg(first.flop[w] > 1e-14 && first.flop[w] < 1e-7, "%d: %g", w, first.flop[w]);
    ck_assert(first.measured && first.launch > 0 && first.byte > 0);
    for (int w = 0; w < WORK_KINDS; w++) ck_assert(first.flop[w] > 0 && first.flop[w] < 1e-7);
    ck_assert(calibrate_recall(c, cpu_type(PRECISION_FLOAT32), b, &again));
    ck_assert(calibrate_recall(c, cpu_type(PRECISION_FLOAT32), NULL, &again));
    ck_assert_double_eq_tol(again.launch / first.launch, 1, 1e-12); /* through 15 to 17 digits of text */
    ck_assert_double_eq_tol(again.flop[WORK_MATRIX] / first.flop[WORK_MATRIX], 1, 1e-12);
    backend other = *b;
    other.threads++;
    ck_assert(!calibrate_recall(c, cpu_type(PRECISION_FLOAT32), &other, &none) &&
              !calibrate_recall(c, opencl_type(PRECISION_FLOAT32), NULL, &none));
    other = *b;
    strcpy(other.gemm, "tuned since");
    ck_assert(!calibrate_recall(c, cpu_type(PRECISION_FLOAT32), &other, &none));
    /* What was measured on a busy machine is measured again once that is quiet. */
    snprintf(shell, sizeof shell, "sed -i 's/\"busy\":.*/\"busy\": true/; s/\"launch\":.*/\"launch\": 1,/' %s/snug/*",
             folder);
    ck_assert_int_eq(system(shell), 0);
    ck_assert(calibrate_recall(c, cpu_type(PRECISION_FLOAT32), b, &again) && again.busy && again.launch == 1);
    bool busy = host_is_busy();
    ck_assert_int_eq(calibrate_ensure(c, b, NULL, &again, &e), OK);
    ck_assert(again.busy == busy && (again.launch == 1) == busy);
    ck_assert(!calibrate_doubt(c, b, 1, 0.6) && !calibrate_doubt(c, b, 1, 30)); /* as predicted, or slow now */
    ck_assert(calibrate_recall(c, cpu_type(PRECISION_FLOAT32), b, &again));
    ck_assert(calibrate_doubt(c, b, 1, 0.4) && !calibrate_recall(c, cpu_type(PRECISION_FLOAT32), b, &again));
    ck_assert_int_eq(calibrate_ensure(c, b, NULL, &first, &e), OK);
    snprintf(shell, sizeof shell, "for f in %s/snug/*; do echo '{\"launch\": -1}' >$f; done", folder);
    ck_assert_int_eq(system(shell), 0);
    ck_assert(!calibrate_recall(c, cpu_type(PRECISION_FLOAT32), NULL, &none));
    b->limits.cap = 1 << 20; /* too small to measure in: stated constants, no failure */
    ck_assert_int_eq(calibrate_ensure(c, b, NULL, &none, &e), OK);
    ck_assert(!none.measured && none.byte == b->type->cost.byte && none.launch == b->type->cost.launch);
    b->close(b);
    free(c);
    snprintf(shell, sizeof shell, "rm -r %s", folder);
    ck_assert_int_eq(system(shell), 0);
}
END_TEST

/* ---- measured against predicted: only where timing is asked for (tests/predict.sh) ---- */

typedef struct {
    const char *name;
    int layers, channels, micro_batch, policy;
    double measured, predicted;
} setting;

/* The processor's time: with one thread it is the step's, and other programs do not count. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void time_setting(setting *x, const cost_model *cost) {
    gpt_shape shape = {x->layers, x->channels / 64, x->channels, 256, 2048, false, false, 1e-5};
    gpt_run run = {.purpose = GRAPH_TRAIN,
                   .micro_batch = x->micro_batch,
                   .length = 128,
                   .sequences = 4,
                   .batch_invariant = true,
                   .beta1 = 0.9,
                   .beta2 = 0.95,
                   .grad_clip = 1,
                   .recompute = recompute_policies[x->policy].dropped};
    model m;
    error e;
    step_settings settings = {.lr = 1e-4};
    batch b = batch_new(4, 128);
    double loss, norm;
    for (int i = 0; i < 4 * 128; i++) b.x[i] = i * 7 % 2048, b.y[i] = i * 11 % 2048;
    ck_assert_msg(model_open(&m, cpu_open(4, 0), &shape, &run, &e) == OK && model_init(&m, 1, &e) == OK, "%s", e.text);
    for (int i = 0; i < 2; i++) {
        double start = now();
        ck_assert_int_eq(model_gradients(&m, &b, &settings, &loss, &e), OK);
        ck_assert_int_eq(model_finish(&m, &settings, &norm, &e), OK);
        double took = now() - start;
        if (i && (!x->measured || took < x->measured)) x->measured = took; /* the first one warms up */
    }
    x->predicted = own_seconds(&m, cost);
    batch_free(&b);
    model_close(&m);
}

START_TEST(predicted_times_are_in_the_order_of_measured_ones) {
    setting all[] = {
        {"4 layers, 256 channels", 4, 256, 4, 0, 0, 0}, {"micro-batch 1", 4, 256, 1, 0, 0, 0},
        {"micro-batch 3, uneven", 4, 256, 3, 0, 0, 0},  {"recompute gelu", 4, 256, 4, 1, 0, 0},
        {"recompute norm", 4, 256, 4, 2, 0, 0},         {"recompute attention", 4, 256, 2, 3, 0, 0},
        {"recompute block", 4, 256, 4, 4, 0, 0},        {"3 layers", 3, 256, 4, 0, 0, 0},
        {"192 channels", 4, 192, 4, 0, 0, 0},           {"384 channels", 4, 384, 4, 0, 0, 0},
        {"384 channels, block", 4, 384, 1, 4, 0, 0},    {"6 layers, attention", 6, 256, 1, 3, 0, 0},
    };
    enum { N = sizeof all / sizeof *all };
    cost_model cost;
    error e;
    int wrong = 0;
    if (!getenv("SNUG_TEST_TIMING")) return;
    omp_set_num_threads(1);
    ck_assert_msg(calibrate_measure(cpu_open(4, 0), &cost, &e) == OK, "%s", e.text);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) time_setting(&all[i], &cost);
    for (int i = 0; i < N; i++)
        printf("%-24s measured %6.1f ms   predicted %6.1f ms   %.2f\n", all[i].name, 1e3 * all[i].measured,
               1e3 * all[i].predicted, all[i].predicted / all[i].measured);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            if (all[i].measured > 1.1 * all[j].measured && all[i].predicted <= all[j].predicted) {
                printf("wrong order: %s and %s\n", all[i].name, all[j].name);
                wrong++;
            }
    ck_assert_int_eq(wrong, 0);
}
END_TEST

Suite *calibrate_suite(void) {
    Suite *s = suite_create("calibrate");
    TCase *t = tcase_create("calibrate");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, constants_are_measured_once_and_kept);
    tcase_add_test(t, predicted_times_are_in_the_order_of_measured_ones);
    suite_add_tcase(s, t);
    return s;
}
