/* test_schedule.c: the learning rate of each step, and that the effective batch is what the config says for every
   micro-batch (P3). */
#include "run/model.h"
#include "run/train.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the learning rate, by nanoGPT's formula ---- */

static config schedule(double rate, double least, int64_t warmup, int64_t decay) {
    config c;
    config_defaults(&c);
    c.learning_rate = rate;
    c.min_lr = least;
    c.warmup_iters = warmup;
    c.lr_decay_iters = decay;
    return c;
}

static void expect_rate(const config *c, int64_t step, double want) {
    double got = train_rate(c, step);
    ck_assert_msg(fabs(got - want) <= 1e-15 + 1e-12 * fabs(want), "step %lld: %.17g, not %.17g", (long long)step, got,
                  want);
}

START_TEST(warm_up_starts_above_zero_and_ends_at_the_full_rate) {
    config c = schedule(6e-4, 6e-5, 2000, 600000);
    expect_rate(&c, 0, 6e-4 / 2001);
    expect_rate(&c, 1, 6e-4 * 2 / 2001);
    expect_rate(&c, 1999, 6e-4 * 2000 / 2001);
    expect_rate(&c, 2000, 6e-4);
}
END_TEST

START_TEST(the_cosine_passes_the_middle_and_ends_at_the_least) {
    config c = schedule(1e-3, 1e-4, 100, 1100);
    expect_rate(&c, 100, 1e-3);
    expect_rate(&c, 350, 1e-4 + 9e-4 * (2 + sqrt(2)) / 4); /* a quarter of the way: (1 + cos 45 degrees) / 2 */
    expect_rate(&c, 600, 5.5e-4);
    expect_rate(&c, 850, 1e-4 + 9e-4 * (2 - sqrt(2)) / 4);
    expect_rate(&c, 1100, 1e-4);
    expect_rate(&c, 1101, 1e-4);
    expect_rate(&c, 1000000, 1e-4);
    for (int64_t i = 100; i < 1100; i++) ck_assert(train_rate(&c, i + 1) < train_rate(&c, i));
    for (int64_t i = 0; i < 100; i++) ck_assert(train_rate(&c, i + 1) > train_rate(&c, i));
}
END_TEST

START_TEST(schedules_without_warm_up_or_decay_stay_finite) {
    config c = schedule(1e-3, 1e-4, 0, 10);
    expect_rate(&c, 0, 1e-3);
    expect_rate(&c, 10, 1e-4);
    c = schedule(1e-3, 1e-4, 0, 0); /* nothing to divide by */
    expect_rate(&c, 0, 1e-3);
    expect_rate(&c, 1, 1e-4);
    c = schedule(1e-3, 1e-4, 10, 10);
    expect_rate(&c, 9, 1e-3 * 10 / 11);
    expect_rate(&c, 10, 1e-3);
    expect_rate(&c, 11, 1e-4);
    c.decay_lr = false;
    expect_rate(&c, 0, 1e-3);
    expect_rate(&c, 1000, 1e-3);
}
END_TEST

/* ---- splits, seen by a backend that only writes down what it is given ---- */

enum { LENGTH = 3, MOST = 40 };

typedef struct {
    backend base; /* first, so that a backend * is a recorder * */
    const graph *g;
    int32_t tokens[MOST * LENGTH], targets[MOST * LENGTH]; /* what the next run finds */
    int seen[MOST], runs, largest, writes;
    double inv_targets;
    const batch *expected;
} recorder;

static uint64_t no_scratch(const graph *g, const op *o, size_t real_bytes, tensor_kind *kind) {
    (void)g, (void)o, (void)real_bytes, (void)kind;
    return 0;
}

static status record_bind(backend *b, const graph *g, const plan *p, error *e) {
    (void)p, (void)e;
    ((recorder *)b)->g = g;
    return OK;
}

static status record_write(backend *b, tensor_id t, const void *data, size_t offset, size_t bytes, error *e) {
    recorder *r = (recorder *)b;
    (void)e;
    ck_assert(offset == 0 && bytes <= tensor_bytes(&r->g->tensors[t], 4));
    if (r->g->tensors[t].type != TYPE_INT32) return OK;
    memcpy(!strcmp(r->g->tensors[t].name, "tokens") ? r->tokens : r->targets, data, bytes);
    r->writes++;
    return OK;
}

/* In the span micro, notes which sequences ran and that their tokens are those of the step. */
static status record_run(backend *b, span s, const step_args *a, error *e) {
    recorder *r = (recorder *)b;
    (void)e;
    if (s.first != r->g->micro.first || s.end == s.first) return OK;
    ck_assert(a->sequences >= 1 && a->sequences <= r->g->micro_batch && a->length == LENGTH && a->step == 5);
    for (int i = 0; i < a->sequences; i++) {
        int n = a->first_sequence + i;
        int at = r->g->tensors[r->g->ops[s.first].arg[1]].dim[0] > r->g->micro_batch ? n : i; /* EMBED's tokens */
        size_t row = LENGTH * sizeof(int32_t);
        ck_assert(n < r->expected->sequences && !memcmp(r->tokens + at * LENGTH, r->expected->x + n * LENGTH, row) &&
                  !memcmp(r->targets + at * LENGTH, r->expected->y + n * LENGTH, row));
        r->seen[n]++;
    }
    if (a->sequences > r->largest) r->largest = a->sequences;
    ck_assert(!r->runs++ || r->inv_targets == a->inv_targets);
    r->inv_targets = a->inv_targets;
    return OK;
}

static status record_read(backend *b, tensor_id t, void *data, size_t offset, size_t bytes, error *e) {
    (void)b, (void)t, (void)offset, (void)e;
    memset(data, 0, bytes);
    return OK;
}

static void record_nothing(backend *b) { (void)b; }

static void check_split(int sequences, int micro, bool ignore, bool one_upload) {
    static const gpt_shape shape = {1, 1, 2, LENGTH, MOST * LENGTH, false, false, 1e-5};
    gpt_run run = {.purpose = GRAPH_GRADS,
                   .micro_batch = micro,
                   .length = LENGTH,
                   .sequences = sequences,
                   .one_upload = one_upload,
                   .batch_invariant = true};
    batch b = batch_new(sequences, LENGTH);
    static const backend_type type = {.name = "recorder", .scratch = no_scratch};
    recorder r = {.base = {.type = &type,
                           .limits = {.real_bytes = 4, .alignment = 64},
                           .bind = record_bind,
                           .run = record_run,
                           .write = record_write,
                           .read = record_read,
                           .unbind = record_nothing,
                           .close = record_nothing},
                  .expected = &b};
    model m;
    error e = {""};
    double loss;
    int counted = 0;
    for (int i = 0; i < sequences * LENGTH; i++) {
        b.x[i] = i;
        b.y[i] = ignore && i % 5 < 2 ? -1 : i + 1;
        counted += b.y[i] >= 0;
    }
    ck_assert_msg(model_open(&m, &r.base, &shape, &run, &e) == OK, "%s", e.text);
    ck_assert(model_gradients(&m, &b, &(step_settings){.step = 5}, &loss, &e) == OK);
    for (int i = 0; i < sequences; i++) ck_assert_msg(r.seen[i] == 1, "%d of %d by %d", i, sequences, micro);
    ck_assert_int_eq(r.runs, (sequences + micro - 1) / micro);
    ck_assert_int_eq(r.writes, one_upload ? 2 : 2 * r.runs); /* tokens and targets */
    ck_assert_int_eq(m.gpt.graph->tensors[m.gpt.tokens].dim[0], one_upload ? sequences : micro);
    ck_assert_int_eq(r.largest, micro);
    ck_assert(r.inv_targets == 1.0 / counted); /* R5: of the step, not of the micro-batch */
    model_close(&m);
    batch_free(&b);
}

START_TEST(every_split_runs_each_sequence_once_and_counts_the_steps_targets) {
    static const int batches[] = {1, 2, 6, 7, 13, 36, 37, 40};
    for (int i = 0; i < (int)(sizeof batches / sizeof *batches); i++)
        for (int micro = 1; micro <= batches[i]; micro++)
            for (int how = 0; how < 4; how++) check_split(batches[i], micro, how & 1, how & 2);
}
END_TEST

Suite *schedule_suite(void);
Suite *schedule_suite(void) {
    Suite *s = suite_create("schedule");
    TCase *rate = tcase_create("rate"), *splits = tcase_create("splits");
    tcase_add_test(rate, warm_up_starts_above_zero_and_ends_at_the_full_rate);
    tcase_add_test(rate, the_cosine_passes_the_middle_and_ends_at_the_least);
    tcase_add_test(rate, schedules_without_warm_up_or_decay_stay_finite);
    tcase_add_test(splits, every_split_runs_each_sequence_once_and_counts_the_steps_targets);
    suite_add_tcase(s, rate);
    suite_add_tcase(s, splits);
    return s;
}
