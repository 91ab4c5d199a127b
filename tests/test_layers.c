/* test_layers.c: a policy for the first layers alone beside the fastest policy for all of them, under five caps between
   the least and the most that a step needs: the choice fits, is predicted to be no slower, and gives the same bits.
   SNUG_LAYERS=NAME:T:TURNS (124m or 355m, positions, steps of each) build/tests layers measures both by turns on the
   CPU, with one sequence a step, and prints a table that is valid Markdown: some minutes, on a quiet machine. With 0
   turns it only predicts. */
#include "base/sort.h"
#include "base/timer.h"
#include "graph/fit.h"
#include "run/calibrate.h"
#include "run/device.h"
#include "support_steps.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const gpt_shape toy = {
    .layers = 6, .heads = 2, .channels = 32, .positions = 48, .vocabulary = 40, .norm_epsilon = 1e-5};
static const struct {
    const char *name;
    gpt_shape shape;
} sizes[] = {
    {"124m", {12, 12, 768, 1024, 50304, false, false, 1e-5}},
    {"355m", {24, 16, 1024, 1024, 50304, false, false, 1e-5}},
};

enum { CAPS = 5, TURNS_MOST = 9 };

/* One sequence a step, so that nothing but the policy is left to choose. */
static fit_request request_of(const gpt_shape *shape, int length, const cost_model *cost) {
    const backend_type *type = cpu_type(PRECISION_FLOAT32);
    fit_request r = {.shape = *shape,
                     .run = steps_run(1, length, 0, 0),
                     .type = type,
                     .cost = *cost,
                     .limits = type->limits(PRECISION_FLOAT32, 1)};
    if (shape != &toy) r.run.dropout = 0; /* as GPT-2's config has it */
    return r;
}

static uint64_t least_bytes(fit_request r) {
    fit_option o;
    error e;
    r.limits.cap = 1;
    ck_assert_int_eq(fit_choose(&r, &o, &e), NO_MEMORY); /* and o is the smallest plan */
    return o.peak;
}

static uint64_t whole_bytes(fit_request r) {
    fit_option o = {.micro_batch = 1, .policy = recompute_find("none")};
    ck_assert_int_eq(fit_measure(&r, &o, NULL), OK);
    return o.peak;
}

/* The fastest of those that fit with one policy for all layers. */
static bool fastest_for_all(const fit_request *r, fit_option *best) {
    bool found = false;
    for (int p = 0; p < RECOMPUTE_POLICIES; p++) {
        fit_option o = {.micro_batch = 1, .policy = &recompute_policies[p]};
        ck_assert_int_eq(fit_measure(r, &o, NULL), OK);
        if (o.peak > r->limits.cap || (found && o.seconds >= best->seconds)) continue;
        *best = o;
        found = true;
    }
    return found;
}

/* ---- both by turns ---- */

typedef struct {
    model m;
    double loss[TURNS_MOST], norm[TURNS_MOST], seconds[TURNS_MOST];
} runner;

static void open_runner(runner *x, const fit_request *r, const fit_option *o) {
    error e = {""};
    gpt_run run = fit_run(r, o);
    ck_assert_msg(model_open(&x->m, cpu_open(4, r->limits.cap), &r->shape, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(&x->m, 7, &e) == OK, "%s", e.text);
}

static void take_step(runner *x, const batch *b, int step) {
    error e = {""};
    step_settings s = {.step = step, .lr = 1e-3, .seed = 99};
    double began = seconds_now();
    ck_assert_msg(model_gradients(&x->m, b, &s, &x->loss[step], &e) == OK, "%s", e.text);
    ck_assert_msg(model_finish(&x->m, &s, &x->norm[step], &e) == OK, "%s", e.text);
    x->seconds[step] = seconds_now() - began;
}

/* So many steps of each, every second time the other one first. The same losses and norms to the last bit. */
static void by_turns(runner x[2], const fit_request *r, int turns) {
    batch b = batch_new(1, r->run.length);
    for (int step = 0; step < turns; step++) {
        steps_batch(&b, r->shape.vocabulary, step);
        for (int i = 0; i < 2; i++) take_step(&x[(step + i) % 2], &b, step);
        ck_assert(x[0].loss[step] == x[1].loss[step] && x[0].norm[step] == x[1].norm[step]);
    }
    batch_free(&b);
}

static double median(const double *x, int n) {
    double sorted[TURNS_MOST];
    memcpy(sorted, x, sizeof *x * (size_t)n);
    sort_doubles(sorted, (size_t)n);
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

/* ---- the table ---- */

static void print_row(const fit_request *r, const fit_option o[2], const runner x[2], int turns) {
    double saved[TURNS_MOST] = {0};
    char policy[32];
    printf("| %.2f GiB |", (double)r->limits.cap / 0x1p30);
    for (int i = 0; i < 2; i++) {
        recompute_print(o[i].policy, o[i].layers, r->shape.layers, policy, sizeof policy);
        printf(" %s | %.2f |", policy, o[i].seconds);
        if (turns) printf(" %.2f |", median(x[i].seconds, turns));
    }
    for (int i = 0; i < turns; i++) saved[i] = 100 * (1 - x[1].seconds[i] / x[0].seconds[i]);
    printf(" %.1f %% |", 100 * (1 - o[1].seconds / o[0].seconds));
    if (turns) printf(" %.1f %% |", median(saved, turns));
    for (int i = 0; i < turns; i++) printf(" %.1f", saved[i]);
    printf("%s\n", turns ? " |" : "");
    fflush(stdout);
}

/* Under each cap turns of both, unless fit takes one policy for all. Returns how often it does not. */
static int compare(const gpt_shape *shape, int length, int turns, const cost_model *cost, bool print) {
    fit_request r = request_of(shape, length, cost);
    uint64_t least = least_bytes(r), whole = whole_bytes(r);
    int in_part = 0;
    for (int i = 0; i < CAPS; i++) {
        fit_option o[2];
        error e = {""};
        runner x[2];
        r.limits.cap = least + (whole - least) * (uint64_t)(2 * i + 1) / (2 * CAPS);
        ck_assert_msg(fit_choose(&r, &o[1], &e) == OK, "%s", e.text);
        if (!fastest_for_all(&r, &o[0])) o[0] = o[1]; /* nothing else fits */
        ck_assert(o[1].peak <= r.limits.cap);
        if (!o[1].layers) {
            if (print)
                printf("| %.2f GiB | %s | %.2f | the same |\n", (double)r.limits.cap / 0x1p30, o[1].policy->name,
                       o[1].seconds);
            continue;
        }
        in_part++;
        ck_assert(o[1].seconds <= o[0].seconds);
        for (int k = 0; k < 2 && turns; k++) open_runner(&x[k], &r, &o[k]);
        if (turns) by_turns(x, &r, turns);
        if (print) print_row(&r, o, x, turns);
        for (int k = 0; k < 2 && turns; k++) model_close(&x[k].m);
    }
    return in_part;
}

START_TEST(some_layers_fit_where_all_would_be_slower_and_keep_the_bits) {
    ck_assert_int_ge(compare(&toy, 48, 3, &cpu_type(PRECISION_FLOAT32)->cost, false), 3);
}
END_TEST

/* What this machine's constants are; stated ones where nothing is to be measured. */
static cost_model constants(bool measured) {
    error e = {""};
    config c;
    cost_model cost = cpu_type(PRECISION_FLOAT32)->cost;
    if (!measured) return cost;
    config_defaults(&c);
    strcpy(c.device, "cpu");
    backend *b = cpu_open(4, 0);
    ck_assert_msg(calibrate_ensure(&c, b, NULL, &cost, &e) == OK, "%s", e.text);
    b->close(b);
    config_free(&c);
    return cost;
}

START_TEST(seconds_of_some_layers_beside_all) {
    char name[8];
    int length, turns;
    ck_assert_int_eq(sscanf(getenv("SNUG_LAYERS"), "%7[^:]:%d:%d", name, &length, &turns), 3);
    ck_assert_int_le(turns, TURNS_MOST);
    cost_model cost = constants(turns > 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (strcmp(sizes[i].name, name) != 0) continue;
        printf("\nGPT-2 %s, T = %d: seconds of a step%s\n\n", name, length,
               cost.measured ? "" : ", by stated constants: only their ratios say something");
        if (turns)
            printf("| cap | fastest for all layers | predicted | measured | for some | predicted | measured | saved, "
                   "predicted | measured | in each turn, %% |\n|--:|---|--:|--:|---|--:|--:|--:|--:|---|\n");
        else
            printf("| cap | fastest for all layers | predicted | for some | predicted | saved, predicted |\n"
                   "|--:|---|--:|---|--:|--:|\n");
        compare(&sizes[i].shape, length, turns, &cost, true);
    }
}
END_TEST

Suite *layers_suite(void);
Suite *layers_suite(void) {
    Suite *suite = suite_create("layers");
    TCase *t = tcase_create("layers");
    tcase_add_test(t, some_layers_fit_where_all_would_be_slower_and_keep_the_bits);
    suite_add_tcase(suite, t);
    if (!getenv("SNUG_LAYERS")) return suite;
    t = tcase_create("times");
    tcase_set_timeout(t, 3600);
    tcase_add_test(t, seconds_of_some_layers_beside_all);
    suite_add_tcase(suite, t);
    return suite;
}
