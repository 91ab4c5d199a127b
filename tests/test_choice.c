/* test_choice.c: what `plan` chooses is the best, by the rule of fit.h, of all settings that it prints when each is
   asked for. The rule is written here once more, over printed numbers. And of the costs that it chooses by: launches.
 */
#include "base/files.h"
#include "commands/plan_command.h"
#include "run/calibrate.h"
#include "run/device.h"
#include "run/open.h"
#include "support_capture.h"
#include "support_json.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    int micro_batch, policy, layers, parts;
    double peak, seconds;
} printed;

static cJSON *plan_of(char *cap, char *batch, char *micro_batch, char *recompute) {
    status s;
    error e;
    char *text =
        CAPTURE(plan_run, &s, &e, "--device=cpu", "--n_layer=3", "--n_head=2", "--n_embd=32", "--block_size=32",
                "--vocab_size=70", "--gradient_accumulation_steps=1", "--json", cap, batch, micro_batch, recompute);
    ck_assert_msg(s == OK || s == NO_MEMORY, "%s", e.text);
    cJSON *root = cJSON_Parse(text);
    free(text);
    return root;
}

static printed printed_of(const cJSON *root, int n) {
    printed x = {.micro_batch = (int)number(root, "micro_batch_size"),
                 .peak = number(root, "peak_bytes"),
                 .seconds = number(root, "seconds_per_step")};
    x.parts = (n + x.micro_batch - 1) / x.micro_batch;
    x.policy = (int)(recompute_read(string(root, "recompute"), &x.layers) - recompute_policies);
    return x;
}

/* Of all micro-batches and policies of n sequences, each asked for and printed by itself, under one cap. */
static int all_that_fit(char *cap, char *batch, int n, printed *all) {
    int found = 0;
    for (int k = 1; k <= n; k++)
        for (int p = 0; p < RECOMPUTE_POLICIES; p++) {
            char micro_batch[40], recompute[40];
            snprintf(micro_batch, sizeof micro_batch, "--micro_batch_size=%d", k);
            snprintf(recompute, sizeof recompute, "--recompute=%s", recompute_policies[p].name);
            cJSON *root = plan_of(cap, batch, micro_batch, recompute);
            if (truth(root, "fits")) all[found++] = printed_of(root, n);
            cJSON_Delete(root);
        }
    return found;
}

/* The largest of those that are quick and leave a fifth; a divisor before any that is less than twice as large; with
   the least recomputation. Where none leaves a fifth: the least bytes. */
static printed by_the_rule(const printed *all, int count, int n, double cap) {
    double fastest = 1e300;
    printed largest = {0}, divisor = {0}, least = {.peak = 1e300};
    for (int i = 0; i < count; i++)
        if (all[i].seconds < fastest) fastest = all[i].seconds;
    for (int i = 0; i < count; i++) { /* ascending, each from the one that keeps most */
        if (all[i].seconds > 1.05 * fastest) continue;
        if (all[i].peak < least.peak) least = all[i];
        if (all[i].peak > 0.8 * cap) continue;
        if (all[i].micro_batch > largest.micro_batch && (!largest.parts || all[i].parts < largest.parts))
            largest = all[i];
        if (all[i].micro_batch > divisor.micro_batch && n % all[i].micro_batch == 0) divisor = all[i];
    }
    if (!largest.micro_batch) return least;
    return 2 * divisor.micro_batch > largest.micro_batch ? divisor : largest;
}

START_TEST(plan_chooses_by_the_rule_from_all_that_it_prints) {
    static const int sequences[] = {12, 13};
    int n = sequences[_i], leave_a_fifth = 0, in_part = 0;
    char folder[] = "/tmp/snug-test-XXXXXX", batch[40];
    printed all[13 * RECOMPUTE_POLICIES];
    cost_model cost;
    error e;
    config *c = xcalloc(1, sizeof *c);
    backend *b;
    config_defaults(c);
    strcpy(c->device, "cpu");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
    ck_assert_int_eq(backend_open(c, &b, NULL, &e), OK);
    ck_assert_int_eq(calibrate_ensure(c, b, NULL, &cost, &e), OK); /* seconds are printed for measured devices only */
    b->close(b);
    snprintf(batch, sizeof batch, "--batch_size=%d", n);
    for (int cap = 500; cap <= 4100; cap += 450) { /* KiB: from hardly anything to everything */
        char option[40];
        snprintf(option, sizeof option, "--vram_cap=%dKiB", cap);
        int count = all_that_fit(option, batch, n, all);
        cJSON *root = plan_of(option, batch, "--micro_batch_size=0", "--recompute=auto");
        ck_assert_int_eq(count > 0, truth(root, "fits"));
        if (count) {
            printed want = by_the_rule(all, count, n, 1024.0 * cap), got = printed_of(root, n);
            bool whole = got.policy == want.policy && !got.layers;
            double fastest = 1e300;
            for (int i = 0; i < count; i++) fastest = all[i].seconds < fastest ? all[i].seconds : fastest;
            if (got.layers) in_part++, whole = got.seconds < 0.99 * fastest && got.peak <= 1024.0 * cap;
            ck_assert_msg(got.micro_batch == want.micro_batch && whole, "%s: %d with policy %d, not %d with %d", option,
                          got.micro_batch, got.policy, want.micro_batch, want.policy);
            leave_a_fifth += got.peak <= 0.8 * 1024 * cap;
        }
        cJSON_Delete(root);
    }
    ck_assert_int_gt(leave_a_fifth, 1);
    ck_assert_int_lt(in_part, 5);
    ck_assert_int_eq(folder_remove(folder, NULL), OK);
    free(c);
}
END_TEST

/* Of 16 sequences, 6 at once would leave 4 at the end; 4 divide 16 and are more than half of 6. Times are all equal. */
START_TEST(a_divisor_comes_before_what_is_less_than_twice_as_large) {
    fit_request r = {
        .shape = {.layers = 2, .heads = 2, .channels = 16, .positions = 16, .vocabulary = 50, .norm_epsilon = 1e-5},
        .run = {.purpose = GRAPH_TRAIN, .length = 16, .sequences = 16, .beta1 = 0.9, .beta2 = 0.95},
        .type = cpu_type(PRECISION_FLOAT32),
        .policy = &recompute_policies[0],
        .limits = {.real_bytes = 4, .alignment = 64}};
    fit_option six = {.micro_batch = 6, .policy = r.policy, .one_upload = true}, o;
    error e = {""};
    r.cost = r.type->cost;
    r.cost.launch = r.cost.byte = 0;
    ck_assert_int_eq(fit_measure_as(&r, &six, &e), OK);
    r.limits.cap = six.peak * 5 / 4 + 64; /* of which a fifth stays free */
    ck_assert_msg(fit_choose(&r, &o, &e) == OK, "%s", e.text);
    ck_assert_int_eq(o.micro_batch, 4);
}
END_TEST

/* ---- its words ---- */

static char *words_of(char *size, char *cap, char *recompute) {
    status s;
    error e;
    char *text = CAPTURE(plan_run, &s, &e, "--n_layer=3", "--n_head=2", size, "--block_size=64", "--vocab_size=70",
                         "--batch_size=6", "--gradient_accumulation_steps=2", cap, recompute);
    ck_assert_msg(s == OK, "%s", e.text);
    return text;
}

/* How many blocks the longest bar but the last has, which is that of all together. */
static int longest_bar(const char *text) {
    int longest = 0, bar = 0, before = 0;
    for (const char *at = strstr(text, "Alive at its peak"); *at; at++) {
        if (*at == '#') bar++;
        if (*at != '\n') continue;
        if (bar && before > longest) longest = before;
        if (bar) before = bar;
        bar = 0;
    }
    return longest;
}

START_TEST(plan_says_what_it_means) {
    char folder[] = "/tmp/snug-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1); /* nothing was measured */
    setenv("LC_ALL", "C", 1);            /* bars of # */
    char *small = words_of("--n_embd=32", "--vram_cap=4.4MiB", "--recompute=auto"),
         *tiny = words_of("--n_embd=2", "--vram_cap=1GiB", "--recompute=block");
    ck_assert(strstr(small, "  guess  training\n") && strstr(small, "no device was measured yet"));
    ck_assert(strstr(small, " MiB ") && strstr(small, "compare with 6 x 2, recompute none.\n"));
    ck_assert(strstr(small, "  snug train --n_layer=3") && strstr(small, " --vram_cap=4.4MiB"));
    ck_assert(strstr(tiny, " KiB ") && strstr(tiny, "compare with 6 x 2, recompute block.\n"));
    ck_assert_ptr_null(strstr(tiny, "keeping all"));
    for (const char *at = small, *end; (at = strstr(at, "s asked")) != NULL; at = end) /* one thing: the verdict's */
        ck_assert_msg((end = strchr(at, '\n')) && !strncmp(at, "s asked: micro-batch 6 x 2", 26), "%.60s", at);
    ck_assert_int_gt(longest_bar(small), 3);
    ck_assert_int_gt(longest_bar(tiny), 3); /* though the cap is a thousand times the peak */
    char *some = words_of("--n_embd=32", "--vram_cap=1GiB", "--recompute=block:2");
    ck_assert(strstr(some, "recompute block:2: ") &&
              strstr(some, "\nblock:2: block for 2 of 3 layers, the first ones"));
    free(some);
    free(small);
    free(tiny);
    ck_assert_int_eq(folder_remove(folder, NULL), OK);
}
END_TEST

/* Of 16 sequences, which CLBlast and the CPU multiply one by one. */
START_TEST(weight_gradients_by_snugs_own_products_are_one_launch) {
    const backend_type *own[] = {opencl_type_own(PRECISION_FLOAT32), opencl_type(PRECISION_TF32),
                                 opencl_type(PRECISION_BF16)};
    const backend_type *other[] = {opencl_type(PRECISION_FLOAT32), cpu_type(PRECISION_FLOAT32)};
    const gpt_shape shape = {.layers = 1, .heads = 1, .channels = 8, .positions = 8, .vocabulary = 16};
    const gpt_run run = {
        .purpose = GRAPH_GRADS, .micro_batch = 16, .length = 8, .sequences = 16, .batch_invariant = true};
    gpt m;
    ck_assert_int_eq(gpt_build(&shape, &run, NULL, 4, &m, NULL), OK);
    for (int i = 0; i < m.graph->n_ops; i++) {
        if (m.graph->ops[i].code != OP_LINEAR_DW) continue;
        for (int t = 0; t < 3; t++) ck_assert(cost_launches(m.graph, &m.graph->ops[i], 16, &own[t]->cost) == 1);
        for (int t = 0; t < 2; t++) ck_assert(cost_launches(m.graph, &m.graph->ops[i], 16, &other[t]->cost) == 16);
    }
    gpt_free(&m);
}
END_TEST

/* ---- the GPT-2 sizes ---- */

/* N = 512 sequences of 1024, for a device that is not open: "auto" by OpenCL's stated bounds, or "cpu". */
static fit_request gpt2(const char *device, int layers, int heads, int channels, double cap_gib, bool invariant) {
    config *c = xcalloc(1, sizeof *c);
    fit_request r;
    error e;
    gpt_shape shape = {layers, heads, channels, 1024, 50304, false, false, 1e-5};
    config_defaults(c);
    snprintf(c->device, sizeof c->device, "%s", device);
    c->batch_invariant = invariant;
    c->vram_cap = (uint64_t)(cap_gib * 0x1p30);
    open_request(c, &shape, GRAPH_TRAIN, 1024, 512, &r);
    ck_assert_int_eq(open_limits(c, &r, &e), OK);
    r.cost = opencl_type(PRECISION_FLOAT32)->cost;
    free(c);
    return r;
}

START_TEST(gpt2_sizes_fit_where_promised) {
    static const struct {
        int layers, heads, channels, micro_batch;
        double cap;
        bool invariant, fits;
    } cases[] = {
        {12, 12, 768, 16, 10.5, true, true},   {12, 12, 768, 0, 2.2, true, true},  {24, 16, 1024, 0, 5.8, true, true},
        {36, 20, 1280, 0, 12, false, true},    {36, 20, 1280, 0, 12, true, false}, {48, 25, 1600, 0, 12, true, false},
        {12, 12, 768, 128, 10.5, true, false}, {12, 12, 768, 0, 1.9, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fit_request r = gpt2(_i ? "cpu" : "auto", cases[i].layers, cases[i].heads, cases[i].channels, cases[i].cap,
                             cases[i].invariant);
        fit_option o;
        error e = {""};
        r.micro_batch = cases[i].micro_batch;
        r.may_offload = false;
        status s = fit_choose(&r, &o, &e);
        ck_assert_msg((s == OK) == cases[i].fits, "%d layers in %g GiB: %s", cases[i].layers, cases[i].cap, e.text);
        if (s == OK) continue;
        char missing[64];
        snprintf(missing, sizeof missing, "%llu bytes more", (unsigned long long)(o.peak - r.limits.cap));
        ck_assert_msg(s == NO_MEMORY && strstr(e.text, missing), "%s", e.text);
    }
}
END_TEST

START_TEST(the_search_takes_less_than_200_ms) {
    double caps[] = {0, 2.2, 5, 10.5, 40};
    for (int i = 0; i < 5; i++) {
        fit_request r = gpt2("auto", 12, 12, 768, caps[i], true);
        fit_option o;
        error e;
        clock_t start = clock();
        ck_assert_int_eq(fit_choose(&r, &o, &e), OK);
        double ms = (double)(clock() - start) * 1e3 / CLOCKS_PER_SEC;
#ifndef __SANITIZE_ADDRESS__
        ck_assert_msg(ms < 200, "%g GiB: %.0f ms", caps[i], ms);
#endif
        (void)ms;
    }
}
END_TEST

/* ---- what lies on the host ---- */

static cJSON *offload_plan(char *config, char *device, char *cap, char *offload) {
    status s;
    error e;
    char *text = CAPTURE(plan_run, &s, &e, config, device, cap, offload, "--json");
    ck_assert_msg(s == OK || s == NO_MEMORY, "%s", e.text);
    cJSON *root = cJSON_Parse(text);
    free(text);
    return root;
}

/* Two moments of 4 bytes a parameter leave the device, but only where that is what makes it fit. */
START_TEST(moments_go_to_the_host_where_nothing_else_fits) {
    static char configs[][40] = {"data/configs/train_gpt2_124m.py", "data/configs/gpt2_774m.py"},
                whole[][40] = {"--vram_cap=2.2GiB", "--vram_cap=12.5GiB"},
                small[][40] = {"--vram_cap=1.3GiB", "--vram_cap=6.5GiB"};
    cJSON *p = offload_plan(configs[_i], "--device=auto", whole[_i], "--offload=auto");
    ck_assert(truth(p, "fits") && number(p, "host_bytes") == 0);
    ck_assert_str_eq(string(p, "offload"), "none");
    cJSON_Delete(p);
    p = offload_plan(configs[_i], "--device=auto", small[_i], "--offload=auto");
    double moments = 8 * number(cJSON_GetObjectItem(p, "model"), "parameters");
    ck_assert(truth(p, "fits") && number(p, "peak_bytes") <= number(p, "cap_bytes"));
    ck_assert_str_eq(string(p, "offload"), "moments");
    ck_assert_double_eq_tol(number(p, "host_bytes"), moments, 1e-3 * moments); /* slots are rounded up */
    cJSON_Delete(p);
    p = offload_plan(configs[_i], "--device=auto", small[_i], "--offload=none");
    ck_assert(!truth(p, "fits"));
    cJSON_Delete(p);
    p = offload_plan(configs[_i], "--device=cpu", small[_i], "--offload=moments"); /* its memory is the host's */
    ck_assert(!truth(p, "fits") && number(p, "host_bytes") == 0);
    cJSON_Delete(p);
}
END_TEST

/* 1558M on a card of 12 GB: bfloat16 weights on the device, 12 bytes a parameter on the host. */
START_TEST(weights_of_1558m_go_to_the_host_too) {
    cJSON *p = offload_plan("data/configs/gpt2_1558m.py", "--device=auto", "--vram_cap=10.4GiB", "--offload=auto");
    double float32 = 12 * number(cJSON_GetObjectItem(p, "model"), "parameters");
    ck_assert(truth(p, "fits"));
    ck_assert_str_eq(string(p, "offload"), "optimizer");
    ck_assert_double_eq_tol(number(p, "host_bytes"), float32, 1e-3 * float32);
    cJSON_Delete(p);
}
END_TEST

/* ---- measured constants ---- */

START_TEST(of_two_measurements_the_less_counts_and_a_busy_moment_shows) {
    cost_model a = {.launch = 2, .flop = {1, 1, 1, 1}, .byte = 1},
               b = {.launch = 1, .flop = {1.2, 0.9, 1, 1}, .byte = 1.1};
    ck_assert_uint_eq(calibrate_merge(&a, &b), 0);
    ck_assert(a.launch == 1 && a.flop[0] == 1 && a.flop[1] == 0.9 && a.byte == 1);
    b.flop[2] = 40;
    ck_assert(calibrate_merge(&a, &b) == 1 << 2 && a.flop[2] == 1);
    b = a;
    a.byte = 9;
    ck_assert(calibrate_merge(&a, &b) == 1 << WORK_KINDS && a.byte == 1 && !calibrate_merge(&a, &b));
}
END_TEST

Suite *choice_suite(void);
Suite *choice_suite(void) {
    Suite *s = suite_create("choice");
    TCase *all = tcase_create("all"), *t = tcase_create("rule");
    tcase_set_tags(all, "once");
    tcase_set_timeout(all, 120); /* other programs may be running */
    tcase_add_test(all, of_two_measurements_the_less_counts_and_a_busy_moment_shows);
    tcase_add_loop_test(all, plan_chooses_by_the_rule_from_all_that_it_prints, 0, 2);
    suite_add_tcase(s, all);
    tcase_add_test(t, a_divisor_comes_before_what_is_less_than_twice_as_large);
    tcase_add_test(t, plan_says_what_it_means);
    tcase_add_test(t, weight_gradients_by_snugs_own_products_are_one_launch);
    tcase_add_loop_test(t, moments_go_to_the_host_where_nothing_else_fits, 0, 2);
    tcase_add_loop_test(t, gpt2_sizes_fit_where_promised, 0, 2);
    tcase_add_test(t, the_search_takes_less_than_200_ms);
    tcase_add_test(t, weights_of_1558m_go_to_the_host_too);
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}
