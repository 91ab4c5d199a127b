/* test_golden_runs.c: whole commands against what PyTorch and an independent Philox say that they give
   (tests/golden/make_runs.py): each loss, norm and rate of a run's log; `eval`; what `sample` writes. In float64. */
#include "base/files.h"
#include "base/json_file.h"
#include "run/sample.h"
#include "run/train.h"
#include "support_capture.h"
#include "text/prepare.h"
#include <check.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/golden/runs"

static char folder[32], out_option[64];
static error e;

static void make_folder(void) {
    omp_set_num_threads(1);
    strcpy(folder, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(out_option, sizeof out_option, "--out_dir=%s/out", folder);
}
static void remove_folder(void) { ck_assert_int_eq(folder_remove(folder, NULL), OK); }

/* ---- training ---- */

/* The next line of f that has a loss; NULL at the end. */
static cJSON *next_line(FILE *f) {
    char line[4096];
    while (fgets(line, sizeof line, f)) {
        cJSON *o = cJSON_Parse(line);
        if (cJSON_GetObjectItem(o, "loss") || cJSON_GetObjectItem(o, "train_loss")) return o;
        cJSON_Delete(o);
    }
    return NULL;
}

/* What a step's line says of its speed. tokens: of a step. */
static void check_speed(const cJSON *line, double tokens) {
    const cJSON *ms = cJSON_GetObjectItem(line, "ms"), *speed = cJSON_GetObjectItem(line, "tokens_per_s");
    if (!cJSON_GetObjectItem(line, "loss")) return;
    ck_assert(cJSON_IsNumber(ms) && cJSON_IsNumber(speed));
    ck_assert_double_eq_tol(speed->valuedouble * ms->valuedouble / 1000, tokens, 0.01 * tokens);
}

static void compare_logs(const char *wanted, const char *got, double tokens) {
    FILE *a = fopen(wanted, "r"), *b = fopen(got, "r");
    cJSON *want, *line;
    const cJSON *value;
    int lines = 0;
    ck_assert_msg(a && b, "%s, %s", wanted, got);
    while ((want = next_line(a))) {
        ck_assert_msg((line = next_line(b)) != NULL, "the log ends after %d lines", lines);
        double iter = cJSON_GetObjectItem(want, "iter")->valuedouble;
        cJSON_ArrayForEach(value, want) {
            const cJSON *x = cJSON_GetObjectItem(line, value->string);
            ck_assert_msg(cJSON_IsNumber(x), "step %g: no %s", iter, value->string);
            ck_assert_msg(fabs(x->valuedouble - value->valuedouble) <= 1e-9 * fabs(value->valuedouble),
                          "step %g: %s is %.17g, not %.17g", iter, value->string, x->valuedouble, value->valuedouble);
        }
        check_speed(line, tokens);
        cJSON_Delete(want);
        cJSON_Delete(line);
        lines++;
    }
    ck_assert_msg(lines > 15 && !next_line(b), "the log goes on after %d lines", lines);
    fclose(a);
    fclose(b);
}

/* `eval` takes from the run what decides its sequences, and so prints what the log's last evaluation has. */
static void eval_says_the_same(const char *wanted) {
    char says[128] = "", out[64], state[128];
    double val_loss = NAN;
    FILE *f = fopen(wanted, "r");
    status s;
    for (cJSON *line; (line = next_line(f)); cJSON_Delete(line))
        if (cJSON_GetObjectItem(line, "train_loss")) {
            val_loss = cJSON_GetObjectItem(line, "val_loss")->valuedouble;
            snprintf(says, sizeof says, "step %.0f: train loss %.4f, val loss %.4f\n",
                     cJSON_GetObjectItem(line, "iter")->valuedouble,
                     cJSON_GetObjectItem(line, "train_loss")->valuedouble, val_loss);
        }
    fclose(f);
    snprintf(out, sizeof out, "%s/out", folder);
    char *text = CAPTURE(eval_run, &s, &e, out, "--device=cpu");
    ck_assert_msg(s == OK, "%s", e.text);
    ck_assert_msg(*says && strstr(text, says), "%s, not %s", text, says);
    free(text);
    /* The checkpoint knows it too: by it the best one is kept. */
    cJSON *root;
    snprintf(state, sizeof state, "%s/latest/state.json", out);
    ck_assert_msg(json_read(state, &root, &e) == OK, "%s", e.text);
    ck_assert_double_eq_tol(cJSON_GetObjectItem(root, "val_loss")->valuedouble, val_loss, 1e-9 * val_loss);
    cJSON_Delete(root);
}

static const struct {
    const char *name;
    double tokens; /* of a step: batch_size * gradient_accumulation_steps * block_size */
} runs[] = {{"sequential", 3 * 3 * 24}, {"dropout", 2 * 3 * 17}, {"plain", 5 * 3 * 8}};

START_TEST(each_logged_number_of_a_run_is_pytorchs) {
    char config[64], wanted[64], log[64];
    status s;
    snprintf(config, sizeof config, GOLDEN "/%s.py", runs[_i].name);
    snprintf(wanted, sizeof wanted, GOLDEN "/%s.jsonl", runs[_i].name);
    snprintf(log, sizeof log, "%s/out/log.jsonl", folder);
    free(CAPTURE(train_run, &s, &e, config, out_option));
    ck_assert_msg(s == OK, "%s", e.text);
    compare_logs(wanted, log, runs[_i].tokens);
    eval_says_the_same(wanted);
}
END_TEST

/* ---- evaluation ---- */

static cJSON *golden(const char *name) {
    char path[64];
    cJSON *root;
    snprintf(path, sizeof path, GOLDEN "/%s", name);
    ck_assert_msg(json_read(path, &root, &e) == OK, "%s", e.text);
    return root;
}

START_TEST(eval_prints_the_losses_of_the_weights_it_was_given) {
    char says[128];
    status s;
    cJSON *want = golden("eval.json");
    snprintf(says, sizeof says, "step 0: train loss %.4f, val loss %.4f\n",
             cJSON_GetObjectItem(want, "train_loss")->valuedouble, cJSON_GetObjectItem(want, "val_loss")->valuedouble);
    char *text = CAPTURE(eval_run, &s, &e, "tests/golden/tanh-bias", "--dataset=" GOLDEN, "--device=cpu",
                         "--dtype=float64", "--batch_size=12", "--eval_iters=3", "--seed=9", "--block_size=24");
    ck_assert_msg(s == OK, "%s", e.text);
    ck_assert_msg(strstr(text, says) != NULL, "%s, not %s", text, says);
    cJSON_Delete(want);
    free(text);
}
END_TEST

/* ---- samples ---- */

enum { V = 64, FIRST = '?', DRAWS = 20000 }; /* id i is the character FIRST + i */

/* A run of known weights in the folder's `out`, with a tokenizer. */
static void make_run(void) {
    char text[128], data[128], out[64], line[V + 2] = "";
    status s;
    config c;
    make_folder();
    snprintf(text, sizeof text, "%s/text", folder);
    snprintf(out, sizeof out, "--out=%s/data", folder);
    snprintf(data, sizeof data, "--dataset=%s/data", folder);
    for (int i = 0; i < V; i++) line[i] = (char)(FIRST + i);
    FILE *f = fopen(text, "w"), *none = fopen("/dev/null", "w");
    fprintf(f, "%s%s%s%s", line, line, line, line);
    fclose(f);
    ck_assert(config_parse(&c, 3, (char *[]){text, out, "--val_fraction=0.5"}, &e) == OK);
    ck_assert_msg(prepare_run(&c, none, &e) == OK, "%s", e.text);
    config_free(&c);
    fclose(none);
    free(CAPTURE(train_run, &s, &e, data, out_option, "--init_from=tests/golden/erf-nobias", "--device=cpu",
                 "--max_iters=0", "--eval_iters=1", "--batch_size=1", "--gradient_accumulation_steps=1",
                 "--micro_batch_size=1", "--recompute=none"));
    ck_assert_msg(s == OK, "%s", e.text);
}

/* What sample writes with these options, which begins with the known start. */
static char *sampled(const cJSON *want, char *temperature, char *top_k, char *samples, char *tokens) {
    char start[64] = "--start=", out[64];
    const cJSON *id;
    status s;
    size_t n = strlen(start);
    cJSON_ArrayForEach(id, cJSON_GetObjectItem(want, "start")) start[n++] = (char)(FIRST + id->valueint);
    snprintf(out, sizeof out, "%s/out", folder);
    char *text =
        CAPTURE(sample_run, &s, &e, out, "--device=cpu", "--dtype=float64", start, temperature, top_k, samples, tokens);
    ck_assert_msg(s == OK, "%s", e.text);
    ck_assert_msg(!strncmp(text, start + 8, 3), "%s", text);
    return text;
}

START_TEST(at_temperature_0_each_id_is_the_likeliest) {
    cJSON *want = golden("sample.json");
    char expected[64] = "";
    const cJSON *id;
    int n = 0;
    cJSON_ArrayForEach(id, cJSON_GetObjectItem(want, "likeliest")) expected[n++] = (char)(FIRST + id->valueint);
    char *text = sampled(want, "--temperature=0", "--top_k=0", "--num_samples=1", "--max_new_tokens=24");
    ck_assert_int_eq(n, 24);
    ck_assert_msg(!strncmp(text + 3, expected, (size_t)n), "%s, not %s", text, expected);
    free(text);
    cJSON_Delete(want);
}
END_TEST

/* The model sees 8 positions, so that of a longer start its last 8 count. */
START_TEST(of_a_long_start_the_end_counts) {
    char out[64], *text[2], *starts[] = {"--start=ABCDEFGHIJKLM", "--start=FGHIJKLM"};
    status s;
    snprintf(out, sizeof out, "%s/out", folder);
    for (int i = 0; i < 2; i++) {
        text[i] = CAPTURE(sample_run, &s, &e, out, "--device=cpu", starts[i], "--temperature=0", "--num_samples=1",
                          "--max_new_tokens=6");
        ck_assert_msg(s == OK, "%s", e.text);
    }
    ck_assert_str_eq(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}
END_TEST

START_TEST(each_seed_draws_other_texts_and_the_same_again) {
    cJSON *want = golden("sample.json");
    char *text[3], *seeds[] = {"--seed=1337", "--seed=1338", "--seed=1337"};
    for (int i = 0; i < 3; i++)
        text[i] = sampled(want, "--temperature=2", seeds[i], "--num_samples=2", "--max_new_tokens=20");
    ck_assert_str_eq(text[0], text[2]);
    ck_assert_str_ne(text[0], text[1]);
    for (int i = 0; i < 3; i++) free(text[i]);
    cJSON_Delete(want);
}
END_TEST

/* How often each id has to come in DRAWS draws. */
static void expectations(const cJSON *want, double temperature, int k, double expected[V]) {
    const cJSON *logits = cJSON_GetObjectItem(want, "logits");
    double x[V], sum = 0;
    ck_assert_int_eq(cJSON_GetArraySize(logits), V);
    for (int i = 0; i < V; i++) x[i] = cJSON_GetArrayItem(logits, i)->valuedouble;
    for (int i = 0; i < V; i++) {
        int above = 0;
        for (int j = 0; j < V; j++) above += x[j] > x[i];
        sum += expected[i] = above < k ? exp(x[i] / temperature) : 0;
    }
    for (int i = 0; i < V; i++) expected[i] *= DRAWS / sum;
}

/* The seed is sample's default, so that this never fails by chance; ids that are too rare to be counted go together. */
START_TEST(ids_come_as_often_as_the_logits_say) {
    static const struct {
        char *temperature, *top_k;
        double t;
        int k;
    } cases[] = {{"--temperature=0.8", "--top_k=6", 0.8, 6}, {"--temperature=2", "--top_k=0", 2, V}};
    cJSON *want = golden("sample.json");
    double expected[V], chi = 0, rare = 0, rare_count = 0;
    int count[V] = {0}, degrees = -1, draws = 0;
    expectations(want, cases[_i].t, cases[_i].k, expected);
    char *text = sampled(want, cases[_i].temperature, cases[_i].top_k, "--num_samples=20000", "--max_new_tokens=1");
    char *at = text;
    for (; (at = strstr(at, "\n---------------\n")); at += 17, draws++) count[at[-1] - FIRST]++;
    ck_assert_int_eq(draws, DRAWS);
    for (int i = 0; i < V; i++) {
        ck_assert_msg(expected[i] > 0 || count[i] == 0, "id %d was drawn %d times", i, count[i]);
        if (expected[i] < 5) {
            rare += expected[i], rare_count += count[i];
            continue;
        }
        chi += (count[i] - expected[i]) * (count[i] - expected[i]) / expected[i];
        degrees++;
    }
    if (rare > 5) chi += (rare_count - rare) * (rare_count - rare) / rare, degrees++;
    ck_assert_msg(chi < degrees + 4 * sqrt(2.0 * degrees), "chi-square %.1f for %d degrees of freedom", chi, degrees);
    free(text);
    cJSON_Delete(want);
}
END_TEST

Suite *golden_runs_suite(void);
Suite *golden_runs_suite(void) {
    Suite *s = suite_create("golden_runs");
    TCase *train = tcase_create("train"), *eval = tcase_create("eval"), *sample = tcase_create("sample");
    tcase_add_checked_fixture(train, make_folder, remove_folder);
    tcase_add_checked_fixture(eval, make_folder, remove_folder);
    tcase_add_checked_fixture(sample, make_run, remove_folder);
    tcase_add_loop_test(train, each_logged_number_of_a_run_is_pytorchs, 0, (int)(sizeof runs / sizeof *runs));
    tcase_add_test(eval, eval_prints_the_losses_of_the_weights_it_was_given);
    tcase_add_test(sample, at_temperature_0_each_id_is_the_likeliest);
    tcase_add_test(sample, each_seed_draws_other_texts_and_the_same_again);
    tcase_add_test(sample, of_a_long_start_the_end_counts);
    tcase_add_loop_test(sample, ids_come_as_often_as_the_logits_say, 0, 2);
    tcase_set_timeout(train, 300);
    tcase_set_timeout(sample, 300);
    tcase_set_tags(sample, "once");
    suite_add_tcase(s, train);
    suite_add_tcase(s, eval);
    suite_add_tcase(s, sample);
    return s;
}
