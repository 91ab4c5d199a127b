/* test_report.c: the report page: it has what a run leaves; neither text in it nor half-written files can break it. */
#include "report/chart.h"
#include "base/files.h"
#include "report/memory_map.h"
#include "report/report.h"
#include "report/run_facts.h"
#include "run/model.h"
#include "report/svg.h"
#include "support_page.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char out[] = "/tmp/snug-report-XXXXXX";

static void make_folder(void) {
    strcpy(out + sizeof out - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(out));
}

static void remove_folder(void) { ck_assert_int_eq(folder_remove(out, NULL), OK); }

static void write_file(const char *name, const char *text) {
    char *path = xprintf("%s/%s", out, name);
    ck_assert_int_eq(file_write(path, text, strlen(text), false, NULL, NULL), OK);
    free(path);
}

/* The page, or NULL with e. The caller frees it. */
static char *page(error *e) {
    char *path = xprintf("%s/report.html", out), *text = NULL;
    size_t bytes;
    if (report_write(out, e) == OK) ck_assert_int_eq(file_read(path, 1 << 26, &text, &bytes, e), OK);
    free(path);
    return text;
}

static const char LOG[] =
    "{\"iter\":0,\"train_loss\":4.5,\"val_loss\":4.625}\n"
    "{\"iter\":0,\"loss\":4.5,\"lr\":0.001,\"grad_norm\":2,\"ms\":10,\"tokens_per_s\":1000,\"vram_peak_bytes\":77}\n"
    "{\"iter\":1,\"loss\":3.5,\"lr\":0.002,\"grad_norm\":1,\"ms\":10,\"tokens_per_s\":3000,\"vram_peak_bytes\":77}\n"
    "{\"iter\":2,\"train_loss\":3.25,\"val_loss\":3.375}\n"
    "{\"iter\":2,\"sample\":\"<script>alert('x')</script> & so on\"}\n";

START_TEST(page_has_every_curve_and_sample_of_the_log) {
    error e;
    write_file("log.jsonl", LOG);
    char *text = page(&e);
    ck_assert_msg(text != NULL, "%s", e.text);
    assert_well_formed(text);
    static const char *const says[] = {
        "nats per token", "optimizer step", "val, evaluated",           "Learning rate", "L2 norm",
        "tokens/s",       "step 2: 3.375",  "val loss, evaluated last", "after 2 steps", "prefers-color-scheme",
        "<b>3.3750</b>"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        ck_assert_msg(strstr(text, says[i]) != NULL, "the page lacks: %s", says[i]);
    ck_assert_int_eq(count(text, "class=\"chart\""), 5);         /* the loss twice: desktop and phone */
    ck_assert_int_eq(count(text, "class=\"mark\""), 0);          /* there is no cap */
    ck_assert_int_eq(count(text, "stroke-dashoffset=\"0\""), 2); /* train, twice, and val in its gaps */
    ck_assert_int_eq(count(text, "stroke-dashoffset=\"-9\""), 2);
    free(text);
}
END_TEST

START_TEST(text_of_users_is_escaped_everywhere) {
    error e;
    write_file("log.jsonl", LOG);
    write_file("run.json",
               "{\"device\":\"<b>'\\\"&\",\"build\":\"<i>\",\"settings\":{\"<u>\":\"<s>\",\"start\":\"\\u0001\"},"
               "\"given\":{\"<u>\":\"<em>\"}}");
    char *text = page(&e);
    ck_assert_msg(text != NULL, "%s", e.text);
    assert_well_formed(text);
    ck_assert_ptr_null(strstr(text, "<script"));
    ck_assert_ptr_nonnull(strstr(text, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; so on"));
    ck_assert_ptr_nonnull(strstr(text, "&lt;b&gt;&#39;&quot;&amp;"));
    ck_assert_ptr_nonnull(strstr(text, "&lt;u&gt;</code></td><td>&lt;s&gt;</td><td class=\"dim\">&lt;em&gt;</td>"));
    free(text);
}
END_TEST

/* With a single step there is nothing to draw, and no box is drawn around nothing. */
START_TEST(one_step_is_no_curve) {
    error e;
    char *one = xstrdup(LOG), *end = strchr(strchr(one, '\n') + 1, '\n');
    end[1] = 0;
    write_file("log.jsonl", strchr(one, '\n') + 1);
    char *text = page(&e);
    assert_well_formed(text);
    ck_assert_int_eq(count(text, "class=\"chart\""), 0);
    ck_assert_ptr_nonnull(strstr(text, "One step so far"));
    free(text);
    write_file("log.jsonl", one); /* an evaluation before it */
    text = page(&e);
    ck_assert_int_eq(count(text, "class=\"chart\""), 0);
    free(text);
    /* Between two evaluations the step is a dot, since no line would show it; a blank sample says that it is. */
    char *three =
        xprintf("%s{\"iter\":1,\"train_loss\":3.25,\"val_loss\":3.375}\n{\"iter\":1,\"sample\":\"\\n \\n\"}\n", one);
    write_file("log.jsonl", three);
    text = page(&e);
    assert_well_formed(text);
    ck_assert_int_eq(count(text, "<circle class=\"dot c4\""), 2); /* the loss: desktop and phone */
    ck_assert_ptr_nonnull(strstr(text, "after 1 step: only spaces and line ends"));
    free(text);
    free(three);
    free(one);
}
END_TEST

/* Two starts of one run, of which the second begins anew: 90 + 30 seconds. What is to be typed next depends on whether
   the run has reached its end. */
START_TEST(page_says_how_long_it_ran_and_what_comes_next) {
    error e;
    write_file("log.jsonl", "{\"iter\":0,\"loss\":4,\"run_s\":50}\n{\"iter\":1,\"loss\":4,\"run_s\":90}\n"
                            "{\"iter\":2,\"loss\":4,\"run_s\":10}\n"
                            "{\"iter\":3,\"train_loss\":3.5,\"val_loss\":3.75,\"run_s\":30}\n");
    for (int most = 3; most <= 9; most += 6) {
        char facts[200];
        snprintf(facts, sizeof facts, "{%s\"settings\":{\"out_dir\":\"'my out'\",\"max_iters\":\"%d\"}}",
                 most == 3 ? "\"program\":\"~/b/snug\"," : "", most);
        write_file("run.json", facts);
        char *text = page(&e);
        assert_well_formed(text);
        ck_assert_ptr_nonnull(strstr(text, "<b>120 s</b>it has run"));
        ck_assert_ptr_nonnull(strstr(text, "<b>3.5000</b>train loss, evaluated last</div>\n<div class=\"tile\">"
                                           "<b>3.7500</b>val loss, evaluated last"));
        ck_assert_ptr_nonnull(strstr(text, most == 3
                                               ? "<code>~/b/snug sample --out_dir=&#39;my out&#39;"
                                               : "<code>snug train --init_from=resume --out_dir=&#39;my out&#39;"));
        free(text);
    }
}
END_TEST

/* In the light and in the dark: kinds of tensors have colours that can be told apart. */
START_TEST(colours_of_the_map_differ) {
    char *style = NULL;
    size_t bytes;
    FILE *f = open_memstream(&style, &bytes);
    memory_map_style(f);
    fclose(f);
    const char *at = style;
    for (int dark = 0; dark < 2; dark++) {
        unsigned color[KIND_COUNT][3];
        for (int k = 0; k < KIND_COUNT; k++) {
            char name[32];
            snprintf(name, sizeof name, ".map .k%d{fill:#", k);
            ck_assert_ptr_nonnull(at = strstr(at, name));
            ck_assert_int_eq(sscanf(at + strlen(name), "%2x%2x%2x", &color[k][0], &color[k][1], &color[k][2]), 3);
        }
        for (int k = 0; k < KIND_COUNT; k++)
            for (int other = 0; other < k; other++) {
                double square = 0;
                for (int c = 0; c < 3; c++) square += pow((double)color[k][c] - color[other][c], 2);
                ck_assert_msg(sqrt(square) > 45, "%s and %s, %s: %.0f", kind_names[k], kind_names[other],
                              dark ? "dark" : "light", sqrt(square));
            }
    }
    free(style);
}
END_TEST

START_TEST(torn_lines_and_nulls_cost_only_themselves) {
    error e;
    char *text =
        xprintf("garbage\n[]\n{\"iter\":\"x\",\"loss\":1}\n%s{\"iter\":3,\"loss\":null}\n{\"iter\":4,\"lo", LOG);
    write_file("log.jsonl", text);
    free(text);
    text = page(&e);
    ck_assert_msg(text != NULL, "%s", e.text);
    assert_well_formed(text);
    ck_assert_ptr_nonnull(strstr(text, "<b>2 of "));
    free(text);
}
END_TEST

static void append(const char *name, const char *text) {
    char *path = xprintf("%s/%s", out, name);
    FILE *f = fopen(path, "a");
    ck_assert_ptr_nonnull(f);
    int put = fputs(text, f), closed = fclose(f);
    ck_assert(put >= 0 && closed == 0);
    free(path);
}

/* A log of so many steps from `first` on, with an evaluation every 100. */
static char *steps(int first, int n) {
    char *text;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    for (int i = first; i < first + n; i++) {
        fprintf(f, "{\"iter\":%d,\"loss\":%.6f,\"lr\":0.001,\"grad_norm\":%d,\"ms\":1,\"tokens_per_s\":%d}\n", i,
                i == 4321 ? 77 : 3 + sin(i), i % 7, 1000 + i % 13);
        if (i % 100 == 0) fprintf(f, "{\"iter\":%d,\"train_loss\":3,\"val_loss\":%d}\n", i, i % 900 / 100);
    }
    fclose(f);
    return text;
}

/* Writes it anew and by what d kept: both pages have to be the same. Returns it. */
static char *both(report_data *d) {
    error e;
    char *path = xprintf("%s/report.html", out), *text, *fresh = page(&e);
    size_t bytes;
    ck_assert_msg(fresh && report_update(out, d, &e) == OK, "%s", e.text);
    ck_assert_int_eq(file_read(path, 1 << 26, &text, &bytes, &e), OK);
    ck_assert_str_eq(text, fresh);
    free(fresh);
    free(path);
    return text;
}

/* A run writes its page at every save. What it costs follows from the lines that are new: the old ones are not read
   again, and the page does not grow. The highest loss of all stays on it. */
START_TEST(page_of_a_long_log_is_made_of_what_is_new) {
    report_data d = {0};
    size_t sizes[3];
    for (int i = 0; i < 3; i++) {
        char *lines = steps(i * 20000, 20000), *text;
        append("log.jsonl", lines);
        free(lines);
        append("log.jsonl", "{\"iter\":"); /* of a line that is being written */
        text = both(&d);
        append("log.jsonl", "1,\"x\":1}\n");
        sizes[i] = strlen(text);
        ck_assert_ptr_nonnull(strstr(text, ">80<")); /* a tick above 77 */
        free(text);
    }
    ck_assert_uint_lt(sizes[2], sizes[0] * 3 / 2); /* where the log grew threefold */
    char *path = xprintf("%s/log.jsonl", out), *log, *before = both(&d), *after;
    size_t bytes;
    error e;
    ck_assert_int_eq(file_read(path, 1 << 26, &log, &bytes, &e), OK);
    FILE *f = fopen(path, "r+"); /* the same file, and nothing in it that could be read again */
    for (size_t i = 0; i < bytes; i++) fputc('x', f);
    fclose(f);
    ck_assert_int_eq(report_update(out, &d, &e), OK);
    char *html = xprintf("%s/report.html", out);
    ck_assert_int_eq(file_read(html, 1 << 26, &after, &bytes, &e), OK);
    ck_assert_str_eq(after, before);
    free(after);
    free(before);
    free(log);
    report_free(&d);
    free(html);
    free(path);
}
END_TEST

/* A log that was replaced or cut back is read anew. */
START_TEST(page_follows_a_log_that_was_replaced) {
    report_data d = {0};
    static const int lengths[] = {3000, 5, 6000, 700};
    for (int i = 0; i < 4; i++) {
        char *lines = steps(i, lengths[i]), *path = xprintf("%s/log.jsonl", out);
        if (i == 3)
            ck_assert_int_eq(truncate(path, 200), 0);
        else
            write_file("log.jsonl", lines);
        free(both(&d));
        free(lines);
        free(path);
    }
    report_free(&d);
}
END_TEST

START_TEST(empty_folder_and_damaged_files_are_named) {
    error e;
    ck_assert_ptr_null(page(&e));
    ck_assert_ptr_nonnull(strstr(e.text, "no log.jsonl"));
    write_file("run.json", "{\"plan\":");
    ck_assert_ptr_null(page(&e));
    ck_assert_ptr_nonnull(strstr(e.text, "run.json is damaged"));
    write_file("run.json", "{\"plan\":{\"layers\":0}}"); /* costs the map, not the page */
    char *text = page(&e);
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(strstr(text, "plan.layers is not a number from 1 to 1024"));
    free(text);
}
END_TEST

START_TEST(equivalence_alone_makes_a_page_with_all_its_splits) {
    error e;
    write_file("equivalence.json",
               "{\"device\":\"CPU\",\"build\":\"b\",\"built_in\":true,\"effective_batch\":4,\"steps\":2,"
               "\"batch_invariant\":true,\"splits\":["
               "{\"micro_batch\":4,\"parts\":1,\"recompute\":\"none\",\"peak_bytes\":8783808,\"ms_per_step\":1.5,"
               "\"loss\":3.5,\"sha256\":\"0123456789\",\"losses\":[4.5,3.5]},"
               "{\"micro_batch\":1,\"parts\":4,\"recompute\":\"block\",\"peak_bytes\":1048576,\"ms_per_step\":2,"
               "\"loss\":3.5,\"sha256\":\"0123456789\",\"losses\":[4.5,null]}],\"identical\":false,"
               "\"first_difference\":{\"micro_batch\":1,\"step\":2,\"tensor\":\"<wte>\"},\"gradient_parts\":2,"
               "\"gradient_errors\":[{\"name\":\"mean of means\",\"how\":\"h\",\"verdict\":\"WRONG\",\"error\":0.24}],"
               "\"noise\":null}");
    char *text = page(&e);
    ck_assert_msg(text != NULL, "%s", e.text);
    assert_well_formed(text);
    static const char *const says[] = {"8,783,808", "1,048,576",      "4 x 1 none", "1 x 4 block", "peak, MiB",
                                       "Different", "in &lt;wte&gt;", "0.24",       "step 2: 3.5"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        ck_assert_msg(strstr(text, says[i]) != NULL, "the page lacks: %s", says[i]);
    free(text);
}
END_TEST

/* run.json says enough to make the bound plan again, to the byte; also one with the working space of OpenCL. */
START_TEST(run_json_gives_the_bound_plan_again) {
    error e;
    gpt_shape shape = {
        .layers = 2, .heads = 2, .channels = 16, .positions = 12, .vocabulary = 65, .norm_epsilon = 1e-5};
    gpt_run run = {.purpose = GRAPH_TRAIN,
                   .micro_batch = 3,
                   .length = 8,
                   .sequences = 7,
                   .one_upload = _i % 2,
                   .batch_invariant = true,
                   .dropout = 0.25,
                   .recompute = recompute_find("block")->dropped};
    fit_option chosen = {.micro_batch = 3, .policy = recompute_find("block"), .layers = _i % 3 % 2}, again;
    config c;
    model m;
    fit_request r;
    cJSON *facts;
    config_defaults(&c);
    backend *b = cpu_open(4, 64 << 20);
    const backend_type *const types[] = {cpu_type(PRECISION_FLOAT32),        opencl_type(PRECISION_FLOAT32),
                                         opencl_type(PRECISION_TF32),        opencl_type(PRECISION_BF16),
                                         opencl_type_own(PRECISION_FLOAT32), opencl_type(PRECISION_BFLOAT16),
                                         cpu_type(PRECISION_BFLOAT16)};
    b->type = types[_i / 2];
    run.recompute_layers = chosen.layers;
    ck_assert_msg(model_open(&m, b, &shape, &run, &e) == OK, "%s", e.text);
    fit_request asked = {.shape = shape, .run = run, .limits = b->limits, .type = b->type};
    chosen.one_upload = run.one_upload;
    chosen.peak = m.plan.total;
    ck_assert_int_eq(run_facts_write(out, &c, b->device, &asked, &chosen, &e), OK);
    char *path = xprintf("%s/run.json", out), *text;
    ck_assert_int_eq(json_read_object(path, &facts, &e), OK);
    ck_assert_msg(run_facts_plan(facts, &r, &again, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(again.peak, m.plan.total);
    ck_assert_uint_eq(again.peak, b->allocated);
    ck_assert_ptr_eq(again.policy, chosen.policy);
    ck_assert_int_eq(again.layers, chosen.layers);
    ck_assert_ptr_eq(r.type, b->type);
    cJSON_Delete(facts);
    free(path);
    model_close(&m);
    text = page(&e); /* run.json alone: the map and the settings */
    ck_assert_msg(text != NULL, "%s", e.text);
    assert_well_formed(text);
    ck_assert_int_eq(count(text, "class=\"map"), 2);
    free(text);
}
END_TEST

Suite *report_suite(void);
Suite *report_suite(void) {
    Suite *s = suite_create("report");
    TCase *t = tcase_create("report");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_test(t, page_has_every_curve_and_sample_of_the_log);
    tcase_add_test(t, text_of_users_is_escaped_everywhere);
    tcase_add_test(t, torn_lines_and_nulls_cost_only_themselves);
    tcase_add_test(t, one_step_is_no_curve);
    tcase_add_test(t, page_says_how_long_it_ran_and_what_comes_next);
    tcase_add_test(t, colours_of_the_map_differ);
    tcase_add_test(t, empty_folder_and_damaged_files_are_named);
    tcase_add_test(t, equivalence_alone_makes_a_page_with_all_its_splits);
    tcase_add_loop_test(t, run_json_gives_the_bound_plan_again, 0, 14);
    tcase_add_test(t, page_of_a_long_log_is_made_of_what_is_new);
    tcase_add_test(t, page_follows_a_log_that_was_replaced);
    suite_add_tcase(s, t);
    return s;
}
