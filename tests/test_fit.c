/* test_fit.c: fit against brute force over every micro-batch and policy; the numbers that the GPT-2 sizes must reach;
   and a run under a cap. */
#include "base/files.h"
#include "run/model.h"
#include "text/prepare.h"
#include "run/sample.h"
#include "run/device.h"
#include "run/open.h"
#include "support_capture.h"
#include "run/train.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t next(uint64_t *s) { /* splitmix64 */
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static int below(uint64_t *s, int n) { return (int)(next(s) % (uint64_t)n); }

/* ---- against brute force ---- */

static fit_request random_request(uint64_t *s) {
    int heads = 1 + below(s, 3), length = 4 << below(s, 4);
    fit_request r = {.shape = {.layers = 1 + below(s, 3),
                               .heads = heads,
                               .channels = heads * (4 << below(s, 3)),
                               .positions = length,
                               .vocabulary = 16 + below(s, 300),
                               .bias = below(s, 2),
                               .norm_epsilon = 1e-5},
                     .run = {.purpose = GRAPH_TRAIN,
                             .length = length,
                             .sequences = 1 + below(s, 14),
                             .batch_invariant = below(s, 2),
                             .dropout = below(s, 2) * 0.1,
                             .beta1 = 0.9,
                             .beta2 = 0.95},
                     .limits = {.real_bytes = 4, .alignment = 64},
                     .type = below(s, 2) ? cpu_type(PRECISION_FLOAT32) : opencl_type(PRECISION_FLOAT32),
                     .cost = below(s, 2) ? cpu_type(PRECISION_FLOAT32)->cost : opencl_type(PRECISION_FLOAT32)->cost};
    if (!below(s, 4)) r.limits.max_block = 30000 + next(s) % 60000;
    if (!below(s, 4)) r.micro_batch = 1 + below(s, (int)r.run.sequences);
    if (!below(s, 4)) r.policy = &recompute_policies[below(s, RECOMPUTE_POLICIES)];
    r.limits.cap_is_shared = !below(s, 4);
    if (!below(s, 3)) open_shards(&r, 1 + below(s, 16)); /* drawn last: the other requests are what they were */
    return r;
}

typedef struct {
    fit_option all[2 * 16 * 3 * RECOMPUTE_POLICIES];
    int n;
    uint64_t least, most; /* peaks */
} brute;

/* Sequence i is in the shard s for which floor(sN/S) <= i < floor((s+1)N/S). Returns the sequences from `first` to the
   end of its shard. */
static int left_in_shard(const fit_request *r, int first) {
    int shards = r->run.shards > 1 ? r->run.shards : 1, s = 0, n = (int)r->run.sequences;
    while ((s + 1) * n / shards <= first) s++;
    return (s + 1) * n / shards - first;
}

static int largest_shard(const fit_request *r) {
    int most = 0;
    for (int i = 0; i < r->run.sequences; i++)
        if (left_in_shard(r, i) > most) most = left_in_shard(r, i);
    return most;
}

/* How many micro-batches a step has by walking through it. */
static int64_t count_parts(const fit_request *r, int micro_batch) {
    int64_t n = 0;
    for (int first = 0, left; first < r->run.sequences; first += left < micro_batch ? left : micro_batch, n++)
        left = left_in_shard(r, first);
    return n;
}

static brute every_plan(const fit_request *r) {
    brute b = {.least = UINT64_MAX};
    for (int k = 1; k <= largest_shard(r); k++)
        for (int p = 0; p < 3 * 2 * RECOMPUTE_POLICIES; p++) {
            fit_option o = {.micro_batch = k,
                            .policy = &recompute_policies[p / 2 % RECOMPUTE_POLICIES],
                            .layers = p / 2 / RECOMPUTE_POLICIES,
                            .one_upload = p % 2};
            if (o.layers && (r->policy || !o.policy->dropped || o.layers >= r->shape.layers)) continue;
            if (k == r->run.sequences && !o.one_upload) continue; /* it is one in any case */
            if ((r->micro_batch && k != r->micro_batch) || (r->policy && o.policy != r->policy)) continue;
            if (fit_measure_as(r, &o, NULL) != OK) continue;
            b.all[b.n++] = o;
            if (o.peak < b.least) b.least = o.peak;
            if (o.peak > b.most) b.most = o.peak;
        }
    return b;
}

/* May x be chosen? It has to fit, and without a whole step's tokens only where they don't fit. */
static bool may_be_chosen(const fit_request *r, const brute *b, const fit_option *x) {
    if (x->peak > r->limits.cap) return false;
    for (int i = 0; i < b->n && !x->one_upload; i++) {
        const fit_option *y = &b->all[i];
        if (y->one_upload && y->micro_batch == x->micro_batch && y->policy == x->policy && y->layers == x->layers &&
            y->peak <= r->limits.cap)
            return false;
    }
    return true;
}

/* The second half of the rule: a policy for some layers is chosen where, and only where, that is 1 % faster than all
   with one for every layer, and leaves as much free; the fastest of those at the same micro-batch. */
static void check_layers(const fit_request *r, const brute *b, const fit_option *o, double fastest, double most,
                         const char *what) {
    bool roomy = (double)o->peak <= most, micro_batch_is_of_the_rule = fastest > 1e299;
    if (o->layers)
        ck_assert_msg(o->seconds < 0.99 * fastest, "%s: %s:%d gains nothing", what, o->policy->name, o->layers);
    for (int i = 0; i < b->n; i++) {
        const fit_option *x = &b->all[i];
        if (x->micro_batch != o->micro_batch || !may_be_chosen(r, b, x)) continue;
        if (!x->layers) micro_batch_is_of_the_rule |= x->seconds <= 1.05 * fastest;
        if (!x->layers || (roomy && (double)x->peak > most)) continue;
        ck_assert_msg(x->seconds >= (o->layers ? o->seconds : 0.99 * fastest) * (1 - 1e-12), "%s: %s:%d is faster",
                      what, x->policy->name, x->layers);
    }
    ck_assert_msg(micro_batch_is_of_the_rule, "%s: micro-batch %d", what, o->micro_batch);
}

/* The rule, in the words of fit.h: is there anything that should have been chosen before o? */
static void check_choice(const fit_request *r, const brute *b, const fit_option *o, const char *what) {
    double fastest = 1e300, most = (double)r->limits.cap * (r->limits.cap_is_shared ? 0.5 : 0.8);
    int largest = 0;
    for (int i = 0; i < b->n; i++)
        if (!b->all[i].layers && may_be_chosen(r, b, &b->all[i]) && b->all[i].seconds < fastest)
            fastest = b->all[i].seconds;
    check_layers(r, b, o, fastest, most, what);
    if (o->layers) return;
    for (int i = 0; i < b->n; i++) {
        const fit_option *x = &b->all[i];
        if (x->layers || x->seconds > 1.05 * fastest || (double)x->peak > most) continue;
        if (!may_be_chosen(r, b, x)) continue;
        if (x->micro_batch > largest) largest = x->micro_batch;
    }
    ck_assert_msg(o->seconds <= 1.05 * fastest * (1 + 1e-12), "%s: too slow", what);
    ck_assert_msg(!largest || (double)o->peak <= most, "%s: the reserve could have been left", what);
    for (int i = 0; i < b->n; i++) {
        const fit_option *x = &b->all[i];
        if (x->layers || x->seconds > 1.05 * fastest || !may_be_chosen(r, b, x)) continue;
        ck_assert_msg(largest || x->peak >= o->peak, "%s: %llu bytes chosen, %llu would do", what,
                      (unsigned long long)o->peak, (unsigned long long)x->peak);
        if (!largest || (double)x->peak > most) continue;
        ck_assert_msg(x->micro_batch != o->micro_batch || x->policy >= o->policy, "%s: less recomputation fits", what);
        bool in_question = x->parts_are_even ? 2 * x->micro_batch > largest : x->micro_batch == largest;
        if (!in_question) continue;
        ck_assert_msg(o->parts_are_even || !x->parts_are_even, "%s: %d divides the batch", what, x->micro_batch);
        /* Sizes that need as many micro-batches as a smaller one are not tried. */
        int n = largest_shard(r), parts = (n + x->micro_batch - 1) / x->micro_batch;
        if (x->parts_are_even == o->parts_are_even)
            ck_assert_msg(o->micro_batch >= x->micro_batch || (n + o->micro_batch - 1) / o->micro_batch == parts,
                          "%s: micro-batch %d chosen, %d fits", what, o->micro_batch, x->micro_batch);
    }
}

static double sum_over_ops(const fit_request *r, const graph *g, span s, int sequences, double *flops) {
    double seconds = 0;
    for (int i = s.first; i < s.end; i++) {
        seconds += cost_seconds(g, &g->ops[i], sequences, r->limits.real_bytes, &r->cost);
        *flops += op_flops(g, &g->ops[i], sequences);
    }
    return seconds;
}

/* Seconds and operations of a step are those of all its ops, each asked for its own. */
static void check_costs(const fit_request *r, const fit_option *o, const graph *g, const char *what) {
    double flops = 0, seconds = sum_over_ops(r, g, g->begin, 0, &flops) + sum_over_ops(r, g, g->finish, 0, &flops);
    for (int done = 0, n; done < r->run.sequences; done += n) {
        int left = left_in_shard(r, done);
        n = left < o->micro_batch ? left : o->micro_batch;
        seconds += sum_over_ops(r, g, g->micro, n, &flops);
    }
    for (int s = 0; s < r->run.shards; s++)
        seconds += sum_over_ops(r, g, g->shard_begin, 0, &flops) + sum_over_ops(r, g, g->shard_end, 0, &flops);
    ck_assert_int_eq(fit_parts(r, o->micro_batch), count_parts(r, o->micro_batch));
    ck_assert_msg(fabs(o->seconds - seconds) < 1e-9 * seconds, "%s: %g seconds, not %g", what, o->seconds, seconds);
    ck_assert_msg(fabs(o->flops - flops) < 1e-9 * flops, "%s: %g operations, not %g", what, o->flops, flops);
}

START_TEST(fit_agrees_with_every_plan_there_is) {
    int fitted = 0, refused = 0, in_part = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t s = seed;
        fit_request r = random_request(&s);
        brute b = every_plan(&r);
        fit_option o = {0};
        error e = {""};
        char what[64];
        if (!b.n) {
            ck_assert_int_eq(fit_choose(&r, &o, &e), BAD_INPUT);
            continue;
        }
        r.limits.cap = b.least - b.least / 16 + next(&s) % (b.most - b.least + b.least / 8);
        snprintf(what, sizeof what, "seed %llu, cap %llu", (unsigned long long)seed, (unsigned long long)r.limits.cap);
        status found = fit_choose(&r, &o, &e);
        if (found == OK) {
            gpt m;
            plan p;
            fitted++;
            in_part += o.layers != 0;
            ck_assert_int_eq(fit_plan(&r, &o, &m, &p, &e), OK);
            ck_assert_msg(plan_check(m.graph, &p, &r.limits, &e), "%s: %s", what, e.text);
            ck_assert_uint_eq(p.total, o.peak);
            ck_assert_uint_le(p.total, r.limits.cap);
            check_choice(&r, &b, &o, what);
            check_costs(&r, &o, m.graph, what);
            plan_free(&p);
            gpt_free(&m);
        } else {
            refused++;
            ck_assert_msg(found == NO_MEMORY, "%s: %s", what, e.text);
            ck_assert_msg(b.least > r.limits.cap, "%s: %llu bytes would fit", what, (unsigned long long)b.least);
            ck_assert_uint_eq(o.peak, b.least);
        }
    }
    ck_assert_int_gt(fitted, 50);
    ck_assert_int_gt(in_part, 5);
    ck_assert_int_gt(refused, 10);
}
END_TEST

/* From one byte too little for the smallest plan to no cap at all: whatever fits with a micro-batch's tokens is taken,
   and as soon as there is room, with the whole step's; the peak is that of the plan made of it. */
START_TEST(a_steps_tokens_are_there_wherever_they_fit) {
    uint64_t s = 5, peaks[2];
    fit_request r = random_request(&s);
    error e = {""};
    fit_option o = {.micro_batch = 3, .policy = &recompute_policies[0]};
    r.limits = (memory_limits){.real_bytes = 4, .alignment = 64};
    r.run.sequences = 40;
    r.micro_batch = 3;
    r.policy = o.policy;
    for (int one = 0; one < 2; one++) {
        o.one_upload = one;
        ck_assert_int_eq(fit_measure_as(&r, &o, &e), OK);
        peaks[one] = o.peak;
    }
    uint64_t rows[2] = {3, 40}, tokens[2];
    for (int one = 0; one < 2; one++) tokens[one] = 2 * ((rows[one] * (uint64_t)r.run.length * 4 + 63) / 64 * 64);
    ck_assert_uint_eq(peaks[1] - peaks[0], tokens[1] - tokens[0]);
    const struct {
        uint64_t cap;
        bool fits, one_upload;
    } cases[] = {{peaks[0] - 1, false, false},
                 {peaks[0], true, false},
                 {peaks[1] - 1, true, false},
                 {peaks[1], true, true},
                 {0, true, true}};
    for (int i = 0; i < 5; i++) {
        gpt m;
        plan p;
        r.limits.cap = cases[i].cap;
        ck_assert_int_eq(fit_choose(&r, &o, &e), cases[i].fits ? OK : NO_MEMORY);
        ck_assert_msg(o.one_upload == cases[i].one_upload, "case %d", i);
        ck_assert_uint_eq(o.peak, peaks[o.one_upload]);
        ck_assert_int_eq(fit_plan(&r, &o, &m, &p, &e), OK);
        ck_assert_uint_eq(p.total, o.peak);
        plan_free(&p);
        gpt_free(&m);
    }
    r.limits.cap = 0;
    r.limits.max_block = tokens[1] / 2 - 64; /* the step's tokens are too large for one allocation */
    while (r.limits.max_block < 40000) r.run.sequences *= 2, r.limits.max_block *= 2;
    ck_assert_msg(fit_choose(&r, &o, &e) == OK, "%s", e.text);
    ck_assert(!o.one_upload);
}
END_TEST

/* A fifth of a cap of one's own stays free, half of memory that others use as well, and without a cap there is none. */
START_TEST(the_reserve_is_to_the_byte) {
    for (int shared = 0; shared < 2; shared++) {
        fit_request r = {.limits = {.cap = 1000, .cap_is_shared = shared}};
        uint64_t most = shared ? 500 : 800;
        ck_assert(fit_leaves_reserve(&r, most) && !fit_leaves_reserve(&r, most + 1));
        r.limits.cap = 0;
        ck_assert(!fit_leaves_reserve(&r, 1));
    }
}
END_TEST

/* ---- a run under a cap ---- */

static status prepare(const config *c, error *e) { return prepare_run(c, stdout, e); }

/* One line says what was chosen, every line of the log carries it, and eval and sample take the same cap. */
START_TEST(a_run_keeps_its_cap_from_choice_to_sampling) {
    char folder[] = "/tmp/snug-test-XXXXXX", choice[200], recompute[16];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
    char *text = xprintf("%s/text", folder), *data = xprintf("--dataset=%s/data", folder),
         *made = xprintf("--out=%s/data", folder), *out = xprintf("--out_dir=%s/run", folder),
         *log = xprintf("%s/run/log.jsonl", folder), *lines;
    error e = {""};
    status s;
    int micro_batch, parts, with_loss = 0;
    size_t bytes;
    char words[6001];
    for (int i = 0; i < 6000; i++) words[i] = "a cap is a cap, and no byte goes past it\n"[i * 7 % 41];
    ck_assert_int_eq(file_write(text, words, 6000, false, NULL, &e), OK);
    free(CAPTURE(prepare, &s, &e, text, made));
    ck_assert_msg(s == OK, "%s", e.text);
    lines = CAPTURE(train_run, &s, &e, data, out, "--device=cpu", "--n_layer=2", "--n_head=2", "--n_embd=32",
                    "--block_size=32", "--batch_size=16", "--gradient_accumulation_steps=2", "--max_iters=2",
                    "--eval_interval=1", "--eval_iters=2", "--vram_cap=1200KiB");
    ck_assert_msg(s == OK, "%s", e.text);
    char *plan = strstr(lines, "plan: micro-batch ");
    ck_assert_ptr_nonnull(plan);
    ck_assert_int_eq(sscanf(plan, "plan: micro-batch %d x %d", &micro_batch, &parts), 2); /* the last may be short */
    ck_assert_int_eq(sscanf(strstr(plan, ", recompute "), ", recompute %15[a-z], ", recompute), 1);
    ck_assert(micro_batch < 32 && parts == (32 + micro_batch - 1) / micro_batch); /* all at once would not fit */
    free(lines);
    ck_assert_int_eq(file_read(log, 1 << 20, &lines, &bytes, &e), OK);
    snprintf(choice, sizeof choice, "\"micro_batch\":%d,\"recompute\":\"%s\",\"vram_cap_bytes\":1228800,", micro_batch,
             recompute);
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
        char *peak = strstr(line, "\"vram_peak_bytes\":");
        if (!strstr(line, "\"loss\"")) continue;
        ck_assert(strstr(line, choice) && peak && strtoull(peak + 18, NULL, 10) <= 1228800);
        with_loss++;
    }
    ck_assert_int_eq(with_loss, 2);
    free(lines);
    free(CAPTURE(eval_run, &s, &e, data, out, "--device=cpu", "--eval_iters=2", "--vram_cap=1200KiB"));
    ck_assert_msg(s == OK, "%s", e.text);
    free(CAPTURE(sample_run, &s, &e, out, "--device=cpu", "--num_samples=1", "--max_new_tokens=8",
                 "--vram_cap=1200KiB"));
    ck_assert_msg(s == OK, "%s", e.text);
    free(CAPTURE(sample_run, &s, &e, out, "--device=cpu", "--num_samples=1", "--vram_cap=50KiB"));
    ck_assert_msg(s == NO_MEMORY && strstr(e.text, "bytes more"), "%s", e.text);
    free(CAPTURE(train_run, &s, &e, data, out, "--device=cpu", "--overwrite=True", "--n_layer=2", "--n_head=2",
                 "--n_embd=32", "--block_size=32", "--batch_size=32", "--micro_batch_size=32", "--vram_cap=1200KiB"));
    ck_assert_msg(s == NO_MEMORY && strstr(e.text, "micro_batch_size 32"), "%s", e.text);
    ck_assert_int_eq(folder_remove(folder, NULL), OK);
    char *const all[] = {text, data, made, out, log};
    for (int i = 0; i < 5; i++) free(all[i]);
}
END_TEST

Suite *fit_suite(void) {
    Suite *s = suite_create("fit");
    TCase *search = tcase_create("search"), *run = tcase_create("run"), *all = tcase_create("all");
    tcase_set_tags(all, "once");
    tcase_set_timeout(all, 120); /* other programs may be running */
    tcase_add_test(all, fit_agrees_with_every_plan_there_is);
    tcase_add_test(search, the_reserve_is_to_the_byte);
    tcase_add_test(search, a_steps_tokens_are_there_wherever_they_fit);
    tcase_add_test(run, a_run_keeps_its_cap_from_choice_to_sampling);
    tcase_set_timeout(search, 120);
    tcase_set_timeout(run, 120);
    suite_add_tcase(s, all);
    suite_add_tcase(s, search);
    suite_add_tcase(s, run);
    return s;
}
