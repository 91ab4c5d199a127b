/* test_plan_command.c: what `plan` prints and draws: its JSON, its table, its map. */
#include "commands/plan_command.h"
#include "base/files.h"
#include "support_capture.h"
#include "support_json.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLAN(s, e, ...) CAPTURE(plan_run, s, e, __VA_ARGS__)

/* Settings of a model so small that MiB decide what fits. */
#define SMALL "--n_layer=4", "--n_head=2", "--n_embd=64", "--block_size=256", "--vocab_size=512", "--batch_size=4"

START_TEST(json_carries_the_whole_report) {
    status s;
    error e;
    char *text = PLAN(&s, &e, "--batch_size=16", "--gradient_accumulation_steps=32", "--vocab_size=50304",
                      "--vram_cap=10.5GiB", "--json=True");
    ck_assert_int_eq(s, OK);
    cJSON *root = cJSON_Parse(text), *asked = cJSON_GetObjectItem(root, "as_asked"), *options, *o;
    ck_assert_ptr_nonnull(root);
    ck_assert(number(root, "effective_batch") == 512 && truth(root, "fits"));
    ck_assert(number(root, "cap_bytes") == 10.5 * 0x1p30);
    ck_assert(number(root, "peak_bytes") <= number(root, "cap_bytes") && number(root, "missing_bytes") == 0);
    ck_assert(number(asked, "micro_batch_size") == 16 && truth(asked, "fits"));
    double sum = 0;
    cJSON_ArrayForEach(o, cJSON_GetObjectItem(asked, "bytes_at_peak")) sum += o->valuedouble;
    ck_assert(sum == number(asked, "peak_bytes"));
    options = cJSON_GetObjectItem(root, "options");
    bool half = false, narrower = false, eight = false;
    cJSON_ArrayForEach(o, options) {
        cJSON *m = cJSON_GetObjectItem(o, "model");
        ck_assert(truth(o, "fits") == (number(o, "peak_bytes") <= 10.5 * 0x1p30));
        ck_assert(fmod(number(m, "n_embd"), number(m, "n_head")) == 0);
        half = half || !strcmp(string(o, "training"), "OTHER: effective batch 256, noise x1.41");
        narrower = narrower || (number(m, "n_embd") == 512 && number(m, "n_head") == 8);
        eight = eight || (number(o, "micro_batch_size") == 8 && number(o, "micro_batches") == 64 &&
                          !strcmp(string(o, "training"), "the same"));
    }
    ck_assert(half && narrower && eight && truth(cJSON_GetArrayItem(options, 0), "chosen"));
    cJSON *nanogpt = cJSON_GetObjectItem(root, "nanogpt");
    ck_assert(number(nanogpt, "batch_size") * number(nanogpt, "gradient_accumulation_steps") == 512);
    cJSON_Delete(root);
    free(text);
}
END_TEST

/* What 16 bits save stands beside what was asked for, and is what a plan in them needs; on the CPU nothing is saved. */
START_TEST(the_saving_of_bfloat16_is_an_option) {
    status s;
    error e;
    double saved = 0, time = 0, peak;
    char *text = PLAN(&s, &e, "--batch_size=16", "--vocab_size=50304", "--recompute=none", "--json=True");
    cJSON *root = cJSON_Parse(text), *o;
    ck_assert_str_eq(string(root, "dtype"), "float32");
    peak = number(cJSON_GetObjectItem(root, "as_asked"), "peak_bytes");
    cJSON_ArrayForEach(o, cJSON_GetObjectItem(root, "options")) {
        if (strcmp(string(o, "dtype"), "bfloat16")) continue;
        ck_assert_str_eq(string(o, "training"), "other rounding: --dtype=bfloat16");
        saved = number(o, "saved_bytes"), time = number(o, "relative_time");
    }
    cJSON_Delete(root);
    free(text);
    text = PLAN(&s, &e, "--batch_size=16", "--vocab_size=50304", "--recompute=none", "--json=True", "--dtype=float16");
    root = cJSON_Parse(text);
    ck_assert_str_eq(string(root, "dtype"), "bfloat16"); /* float16 trains so */
    ck_assert(number(cJSON_GetObjectItem(root, "as_asked"), "peak_bytes") == peak - saved);
    ck_assert(saved > 3.9 * 0x1p30 && time > 0.3 && time < 0.8);
    cJSON_Delete(root);
    free(text);
    text = PLAN(&s, &e, "--batch_size=16", "--vocab_size=50304", "--recompute=none", "--device=cpu");
    ck_assert_ptr_null(strstr(text, "bfloat16"));
    free(text);
    text = PLAN(&s, &e, "--batch_size=16", "--vocab_size=50304", "--dtype=bfloat16", "--device=cpu");
    ck_assert_ptr_nonnull(strstr(text, "keeps each in a float"));
    free(text);
}
END_TEST

START_TEST(what_does_not_fit_says_so_and_fails) {
    status s;
    error e = {""};
    char *text = PLAN(&s, &e, "--n_layer=48", "--n_head=25", "--n_embd=1600", "--vocab_size=50304", "--vram_cap=12GiB",
                      "--json=True");
    cJSON *root = cJSON_Parse(text);
    char missing[64];
    ck_assert_int_eq(s, NO_MEMORY);
    ck_assert(!truth(root, "fits"));
    snprintf(missing, sizeof missing, "%.0f bytes more", number(root, "missing_bytes"));
    ck_assert_msg(strstr(e.text, missing) != NULL, "%s", e.text);
    ck_assert(number(root, "missing_bytes") == number(root, "peak_bytes") - number(root, "cap_bytes"));
    cJSON_Delete(root);
    free(text);
    text = PLAN(&s, &e, "--vocab_size=50304", "--batch_size=16", "--micro_batch_size=16", "--recompute=none",
                "--vram_cap=10.5GiB", "--offload=none");
    ck_assert_int_eq(s, NO_MEMORY);
    ck_assert_msg(strstr(e.text, "micro_batch_size 16") && strstr(text, "DOES NOT FIT"), "%s", e.text);
    free(text);
}
END_TEST

/* Of a policy that was asked for and fits with no micro-batch, the table says what would fit without it. */
START_TEST(what_fits_without_the_policy_asked_for_is_a_row) {
    status s;
    error e = {""};
    char *text = PLAN(&s, &e, SMALL, "--recompute=none", "--vram_cap=6MiB", "--offload=none", "--json=True");
    cJSON *root = cJSON_Parse(text), *o;
    int fitting = 0, chosen = 0, row = 0;
    ck_assert_int_eq(s, NO_MEMORY);
    cJSON_ArrayForEach(o, cJSON_GetObjectItem(root, "options")) {
        bool fits = number(o, "peak_bytes") <= 6 * 0x1p20;
        ck_assert(truth(o, "fits") == fits);
        ck_assert(truth(o, "chosen") == (row++ == 0));
        chosen += truth(o, "chosen");
        fitting += fits && !strcmp(string(o, "training"), "the same") && strcmp(string(o, "recompute"), "none");
    }
    ck_assert(chosen == 1 && fitting == 1);
    cJSON_Delete(root);
    free(text);
    /* Under less it fits with the moments on the host, and in 16 bits with the weights there as well. */
    text = PLAN(&s, &e, SMALL, "--recompute=none", "--vram_cap=5MiB", "--json=True");
    root = cJSON_Parse(text);
    ck_assert_int_eq(s, NO_MEMORY);
    int moments = 0, optimizer = 0;
    cJSON_ArrayForEach(o, cJSON_GetObjectItem(root, "options")) {
        bool bf16 = !strcmp(string(o, "dtype"), "bfloat16");
        moments += truth(o, "fits") && !bf16 && !strcmp(string(o, "offload"), "moments");
        optimizer += truth(o, "fits") && bf16 && !strcmp(string(o, "offload"), "optimizer");
    }
    ck_assert(moments == 1 && optimizer == 1);
    cJSON_Delete(root);
    free(text);
}
END_TEST

/* Where nothing is left to choose, the first row of the table is what was chosen and what the others compare with. */
START_TEST(the_first_row_is_the_one_asked_for_where_all_is_given) {
    status s;
    error e = {""};
    char *text =
        PLAN(&s, &e, "--n_layer=2", "--n_head=2", "--n_embd=64", "--block_size=64", "--vocab_size=512",
             "--batch_size=4", "--micro_batch_size=4", "--recompute=block", "--vram_cap=64MiB", "--offload=none");
    ck_assert_int_eq(s, OK);
    char *first = strstr(text, "\n> 4 x "), *end = first ? strchr(first + 1, '\n') : NULL;
    ck_assert_ptr_nonnull(end);
    *end = 0;
    ck_assert_msg(strstr(first, "block") && strstr(first, " - ") && strstr(first, "x1.00  the same"), "%s", first);
    ck_assert_ptr_nonnull(strstr(end + 1, "what you asked for: nothing was left to choose"));
    for (char *line = strtok(end + 1, "\n"); line; line = strtok(NULL, "\n")) /* it has no second row */
        ck_assert_msg(strncmp(line, "  4 x ", 6) != 0 || !strstr(line, "  the same"), "%s", line);
    free(text);
}
END_TEST

/* A batch of two has one size below it, and half as many sequences a step. */
START_TEST(a_batch_of_two_can_be_halved) {
    status s;
    error e = {""};
    int half = 0;
    char *text = PLAN(&s, &e, "--n_layer=1", "--n_head=1", "--n_embd=8", "--block_size=8", "--vocab_size=16",
                      "--batch_size=2", "--gradient_accumulation_steps=3", "--json=True");
    cJSON *root = cJSON_Parse(text), *o;
    cJSON_ArrayForEach(o, cJSON_GetObjectItem(root, "options")) {
        half += !strcmp(string(o, "training"), "OTHER: effective batch 3, noise x1.41");
    }
    ck_assert_int_eq(half, 1);
    cJSON_Delete(root);
    free(text);
}
END_TEST

START_TEST(giving_up_equal_bits_is_offered_where_it_helps) {
    status s;
    error e;
    char *text = PLAN(&s, &e, "--n_layer=36", "--n_head=20", "--n_embd=1280", "--vocab_size=50304", "--vram_cap=12GiB",
                      "--offload=none");
    ck_assert_int_eq(s, NO_MEMORY);
    ck_assert_ptr_nonnull(strstr(text, "the same but for rounding (see below)\n"));
    ck_assert_ptr_nonnull(strstr(text, "snug train --n_layer=36 --n_head=20 --n_embd=1280 --vocab_size=50304 "
                                       "--vram_cap=12GiB --offload=none --batch_invariant=False\n"));
    free(text);
}
END_TEST

START_TEST(text_fits_in_100_columns_without_colors) {
    status s;
    error e;
    char *text = PLAN(&s, &e, "--n_layer=36", "--n_head=20", "--n_embd=1280", "--vocab_size=50304", "--batch_size=13",
                      "--micro_batch_size=7", "--vram_cap=12GiB");
    ck_assert_ptr_null(strchr(text, 27));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        int columns = 0;
        for (char *c = line; *c; c++) columns += (*c & 0xc0) != 0x80;
        ck_assert_msg(columns <= 100 || strstr(line, "snug train"), "%d columns: %s", columns, line);
    }
    free(text);
}
END_TEST

/* Weights of (64 + 32 + 12 x 32) x 32 + 3 x 32 numbers of 4 bytes, and what alignment adds: 60.4 KiB and some; tokens
   would be 0.02 MiB. */
START_TEST(parts_of_a_small_plan_have_digits_that_tell) {
    status s;
    error e;
    char *text = PLAN(&s, &e, "--n_layer=1", "--n_head=1", "--n_embd=32", "--block_size=32", "--vocab_size=64",
                      "--batch_size=4", "--gradient_accumulation_steps=1", "--vram_cap=1GiB", "--recompute=none");
    double weights = 0;
    char unit[4] = "";
    const char *at = strstr(text, "  weights ");
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, " weights %lf %3s", &weights, unit), 2);
    ck_assert_msg(!strcmp(unit, "KiB") && weights > 60.37 && weights < 80, "%g %s", weights, unit);
    free(text);
}
END_TEST

START_TEST(the_map_draws_every_tensor_of_a_step_once) {
    status s;
    error e;
    char svg[] = "/tmp/snug-test-XXXXXX", option[64], *picture;
    size_t bytes, rects = 0, titles = 0;
    close(mkstemp(svg));
    snprintf(option, sizeof option, "--svg=%s", svg);
    free(PLAN(&s, &e, "--n_layer=2", "--vocab_size=300", "--block_size=64", "--vram_cap=1GiB", option));
    ck_assert_msg(s == OK && file_read(svg, 1 << 24, &picture, &bytes, &e) == OK, "%s", e.text);
    for (char *at = picture; (at = strstr(at, "<rect class=\"t ")); at++) rects++;
    for (char *at = picture; (at = strstr(at, "<rect class=\"u ")); at++) rects++;
    for (char *at = picture; (at = strstr(at, " bytes at ")); at++) titles++;
    ck_assert_uint_eq(rects, titles);
    ck_assert_uint_gt(rects, 4 * 13); /* the parameters four times over, and the activations */
    ck_assert(strstr(picture, "prefers-color-scheme:dark") && strstr(picture, "cap 1.00 GiB") &&
              strstr(picture, "qkv[1]: queries, keys, values, ["));
    free(picture);
    unlink(svg);
}
END_TEST

Suite *plan_command_suite(void);
Suite *plan_command_suite(void) {
    Suite *s = suite_create("plan_command");
    TCase *t = tcase_create("plan_command");
    tcase_add_test(t, json_carries_the_whole_report);
    tcase_add_test(t, the_saving_of_bfloat16_is_an_option);
    tcase_add_test(t, what_does_not_fit_says_so_and_fails);
    tcase_add_test(t, what_fits_without_the_policy_asked_for_is_a_row);
    tcase_add_test(t, the_first_row_is_the_one_asked_for_where_all_is_given);
    tcase_add_test(t, a_batch_of_two_can_be_halved);
    tcase_add_test(t, giving_up_equal_bits_is_offered_where_it_helps);
    tcase_add_test(t, text_fits_in_100_columns_without_colors);
    tcase_add_test(t, parts_of_a_small_plan_have_digits_that_tell);
    tcase_add_test(t, the_map_draws_every_tensor_of_a_step_once);
    suite_add_tcase(s, t);
    return s;
}
