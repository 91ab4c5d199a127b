/* test_lanes.c: small models on the CPU, each thread on sequences of its own: the same bits as one thread alone, at
   every op, and only where the arena can be divided. */
#include "cpu/cpu.h"
#include "support_steps.h"
#include <check.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* T = 64: the logits of four sequences exist at once, fewer than a micro-batch of 8 has. */
enum { N = 11, T = 64 };
static const gpt_shape SHAPE = {
    .layers = 2, .heads = 2, .channels = 32, .positions = T, .vocabulary = 47, .bias = true, .norm_epsilon = 1e-5};
static error e;

/* Lanes that a training run gets. */
static int lanes_of(const gpt_shape *shape, const gpt_run *run, size_t real_bytes, int threads) {
    gpt m;
    plan p;
    memory_limits limits = {.real_bytes = real_bytes, .alignment = 64};
    ck_assert_msg(gpt_build(shape, run, cpu_type(PRECISION_FLOAT32)->scratch, real_bytes, &m, &e) == OK, "%s", e.text);
    ck_assert_msg(plan_make(m.graph, &limits, &p, &e) == OK, "%s", e.text);
    int lanes = lanes_choose(m.graph, &p, real_bytes, threads);
    plan_free(&p);
    gpt_free(&m);
    return lanes;
}

/* _i: 0 float32, 1 float64. Micro-batches of 4 and 8 leave a last one that fills some lanes, or part of one. */
START_TEST(lanes_never_change_bits) {
    size_t real_bytes = _i ? 8 : 4;
    char want[HASH_HEX], hash[HASH_HEX];
    gpt_run alone = steps_run(N, T, 1, 0);
    omp_set_num_threads(1);
    steps_train(cpu_open(real_bytes, 0), &SHAPE, &alone, want, NULL);
    static const int threads[] = {2, 4, 5}, lanes[] = {2, 4, 4};
    for (int t = 0; t < 3; t++)
        for (int micro = 4; micro <= 8; micro += 4)
            for (unsigned dropped = 0; dropped <= 1u << KIND_GELU; dropped += 1u << KIND_GELU) {
                gpt_run run = steps_run(N, T, micro, dropped);
                run.one_upload = (t + micro / 4) % 2;
                ck_assert_int_eq(lanes_of(&SHAPE, &run, real_bytes, threads[t]), lanes[t]);
                omp_set_num_threads(threads[t]);
                steps_train(cpu_open(real_bytes, 0), &SHAPE, &run, hash, NULL);
                ck_assert_msg(!strcmp(hash, want), "%d threads, micro-batch %d: other bits", threads[t], micro);
            }
}
END_TEST

static void open_model(model *m, int threads) {
    gpt_run run = steps_run(4, T, 4, 0);
    omp_set_num_threads(threads);
    ck_assert_msg(model_open(m, cpu_open(4, 0), &SHAPE, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(m, 3, &e) == OK, "%s", e.text);
}

/* Runs op i of micro on b's sequences, and reads the first of what it wrote, in two parts; free() it. */
static char *run_one(model *m, int i, const batch *b, size_t *bytes) {
    backend *device = m->backend;
    step_args a;
    tensor_id t = m->gpt.graph->ops[i].arg[0];
    ck_assert_int_eq(model_upload(m, b, &e), OK);
    ck_assert_int_eq(model_load(m, b, &(step_settings){.seed = 5}, 0, b->sequences, 1.0 / 100, &a, &e), OK);
    ck_assert_int_eq(device->run(device, (span){i, i + 1}, &a, &e), OK);
    *bytes = tensor_bytes(&m->gpt.graph->tensors[t], 4);
    size_t first = *bytes / 3;
    char *out = xcalloc(*bytes, 1);
    ck_assert_int_eq(device->read(device, t, out, 0, first, &e), OK);
    ck_assert_int_eq(device->read(device, t, out + first, first, *bytes - first, &e), OK);
    return out;
}

START_TEST(every_op_gives_and_shows_the_same_in_lanes) {
    model one, two;
    open_model(&one, 1);
    open_model(&two, 2);
    batch b = batch_new(4, T);
    steps_batch(&b, SHAPE.vocabulary, 0);
    span micro = one.gpt.graph->micro;
    for (int i = micro.first; i < micro.end; i++) {
        size_t bytes;
        char *want = run_one(&one, i, &b, &bytes), *got = run_one(&two, i, &b, &bytes);
        ck_assert_msg(!memcmp(want, got, bytes), "op %d, %s", i, op_describe(one.gpt.graph->ops[i].code)->name);
        free(want);
        free(got);
    }
    batch_free(&b);
    model_close(&one);
    model_close(&two);
}
END_TEST

START_TEST(lanes_are_for_small_models_that_divide) {
    gpt_run run = steps_run(12, T, 12, 0);
    ck_assert_int_eq(lanes_of(&SHAPE, &run, 4, 1), 1);
    ck_assert_int_eq(lanes_of(&SHAPE, &run, 4, 3), 3);
    ck_assert_int_eq(lanes_of(&SHAPE, &run, 4, 5), 4);  /* as many as 12 sequences divide into */
    ck_assert_int_eq(lanes_of(&SHAPE, &run, 4, 12), 1); /* no lane would have the logits of a sequence */
    gpt_shape large = SHAPE, words = SHAPE;
    large.channels = 512;
    ck_assert_int_eq(lanes_of(&large, &run, 4, 2), 1);
    words.vocabulary = 4096;
    ck_assert_int_eq(lanes_of(&words, &run, 4, 2), 1);
    gpt_run other = steps_run(7, T, 7, 0);
    ck_assert_int_eq(lanes_of(&SHAPE, &other, 4, 4), 1); /* 7 don't */
    other = run;
    other.batch_invariant = false;
    ck_assert_int_eq(lanes_of(&SHAPE, &other, 4, 2), 1);
    other = run;
    other.length = 5; /* tensors of a lane that are no whole lines */
    ck_assert_int_eq(lanes_of(&SHAPE, &other, 4, 4), 1);
}
END_TEST

/* As nested layouts must: parts in order, none longer than its share, all within the block. */
START_TEST(lanes_share_the_block_without_overlap) {
    for (int lanes = 1; lanes <= 7; lanes++)
        for (uint64_t lines = 1; lines < 50; lines++) {
            uint64_t block = lines * 64 * (uint64_t)lanes + 64 * (lines % (uint64_t)lanes), end = 0;
            for (int l = 0; l < lanes; l++)
                for (uint64_t line = 0; line < lines; line++) { /* of tensors of one line in each lane */
                    uint64_t at = lane_offset(block, line * 64 * (uint64_t)lanes, lanes, l);
                    ck_assert(at % 64 == 0 && at >= end);
                    end = at + 64;
                }
            ck_assert(end <= block);
        }
}
END_TEST

/* ---- taking turns ---- */

/* How often this thread has given its core away to wait for something; looking and yielding do not count. */
static long thread_sleeps(void) {
    struct rusage r;
    getrusage(RUSAGE_THREAD, &r);
    return r.ru_nvcsw;
}

static void sleep_for(long nanoseconds) { nanosleep(&(struct timespec){0, nanoseconds}, NULL); }

/* The first lane passes `parts` turns, and rests before each `rests`-th; the second waits for each of them, and rests
   now and then itself. Returns how often the second has slept. */
static long take_turns(int parts, int rests, bool both, long nanoseconds) {
    op ops[1] = {{.code = OP_LINEAR_DW}};
    graph g = {.ops = ops, .n_ops = 1};
    lane *all = lanes_new(2);
    _Atomic int passed = 0;
    long sleeps = 0;
    lanes_start(all, 2);
#pragma omp parallel num_threads(2) shared(passed, sleeps)
    {
        cpu_call c = {.g = &g, .o = ops, .lanes = 2, .lane = lane_of(all, omp_get_thread_num())};
        long since = thread_sleeps();
        for (int i = 0; i < parts; i++)
            if (omp_get_thread_num() == 0) {
                if (i % rests == 0) sleep_for(nanoseconds);
                passed = i + 1;
                lane_pass(&c, i);
            } else {
                if (both && i % rests == rests / 2) sleep_for(nanoseconds);
                lane_wait(&c, i);
                ck_assert_int_gt(passed, i);
            }
        if (omp_get_thread_num() == 1) sleeps = thread_sleeps() - since;
    }
    lanes_free(all, 2);
    return sleeps;
}

/* What never wakes would end here by the test's limit of time. */
START_TEST(no_lane_goes_on_before_its_turn_or_sleeps_after_it) { take_turns(30000, 50, true, 20000); }
END_TEST

START_TEST(a_lane_that_waits_leaves_its_core_to_others) {
    long sleeps = take_turns(5, 1, false, 50000000);
    ck_assert_msg(sleeps >= 4, "five turns that came after 50 ms, and slept %ld times", sleeps);
}
END_TEST

Suite *lanes_suite(void);
Suite *lanes_suite(void) {
    Suite *s = suite_create("lanes");
    TCase *bits = tcase_create("bits"), *t = tcase_create("lanes");
    tcase_set_tags(bits, "once");
    tcase_add_loop_test(bits, lanes_never_change_bits, 0, 2);
    tcase_add_test(t, every_op_gives_and_shows_the_same_in_lanes);
    tcase_add_test(t, lanes_are_for_small_models_that_divide);
    tcase_add_test(t, lanes_share_the_block_without_overlap);
    tcase_add_test(t, no_lane_goes_on_before_its_turn_or_sleeps_after_it);
    tcase_add_test(t, a_lane_that_waits_leaves_its_core_to_others);
    suite_add_tcase(s, bits);
    suite_add_tcase(s, t);
    return s;
}
