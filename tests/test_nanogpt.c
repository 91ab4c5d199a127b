/* test_nanogpt.c: what `plan --for=nanogpt` computes, beside what PyTorch's autograd keeps
   (tests/golden/nanogpt_saved.txt, made by tests/nanogpt_saved.py) and what PyTorch allocated on a card; and what it
   says. */
#include "commands/plan_command.h"
#include "support_capture.h"
#include "support_json.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what modules keep ---- */

/* One line of a table: the run, and the n numbers after it. False: no more lines. */
static bool read_shape(FILE *f, nanogpt_run *r, double *numbers, int n_numbers) {
    int bias, flash;
    long vocabulary;
    double dropout;
    char dtype[16];
    *r = (nanogpt_run){.accumulates = true, .holds_logits = true};
    gpt_shape *s = &r->shape;
    int n = fscanf(f, "%d %d %d %d %d %ld %d %lf %d %15s", &r->micro_batch, &r->length, &s->layers, &s->heads,
                   &s->channels, &vocabulary, &bias, &dropout, &flash, dtype);
    if (n == EOF) return false;
    ck_assert_int_eq(n, 10);
    s->positions = r->length;
    s->vocabulary = vocabulary;
    s->bias = bias;
    r->dropout = dropout > 0;
    r->flash = flash;
    r->mixed = !strcmp(dtype, "bfloat16");
    for (int i = 0; i < n_numbers; i++) ck_assert_int_eq(fscanf(f, "%lf", &numbers[i]), 1);
    return true;
}

enum { KEPT_COLUMNS = 1 + NANOGPT_MODULE_COUNT };

/* Opens a table and checks that its columns after the run are `columns`. */
static FILE *open_table(const char *path, const char *columns) {
    char line[1000], expected[1000];
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert(fgets(line, sizeof line, f) && line[0] == '#');
    snprintf(expected, sizeof expected, "batch length layers heads channels vocabulary bias dropout flash dtype%s\n",
             columns);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, f));
    ck_assert_str_eq(line, expected);
    return f;
}

static FILE *open_kept(void) {
    char columns[600] = " copies";
    for (int i = 0; i < NANOGPT_MODULE_COUNT; i++) strcat(strcat(columns, " "), nanogpt_module_names[i]);
    return open_table("tests/golden/nanogpt_saved.txt", columns);
}

START_TEST(modules_keep_what_pytorch_keeps) {
    FILE *f = open_kept();
    nanogpt_run r;
    double there[KEPT_COLUMNS];
    int shapes = 0;
    for (; read_shape(f, &r, there, KEPT_COLUMNS); shapes++) {
        double sum = (double)nanogpt_copies(&r), sum_there = there[0];
        ck_assert_msg(sum == there[0], "shape %d: copies are %.0f bytes, not %.0f", shapes, there[0], sum);
        for (int i = 0; i < NANOGPT_MODULE_COUNT; i++) {
            double kept = (double)nanogpt_kept(&r, (nanogpt_module)i);
            ck_assert_msg(kept == there[1 + i], "shape %d: %s keeps %.0f bytes, not %.0f", shapes,
                          nanogpt_module_names[i], there[1 + i], kept);
            sum += kept;
            sum_there += there[1 + i];
        }
        ck_assert(fabs(sum - sum_there) <= 0.03 * sum_there);
    }
    ck_assert_int_ge(shapes, 30);
    fclose(f);
}
END_TEST

/* ---- peaks ---- */

/* GPT-2 124M, T = 1024, without bias and dropout, on an H100 with PyTorch 2.11 (docs/memory.md). */
static const struct {
    int micro_batch;
    bool accumulates, mixed, holds_logits;
    double allocated, reserved; /* 0: not known */
} CARD[] = {{16, true, true, true, 17735261696, 19595788288},
            {8, true, true, true, 10033143296, 11897143296},
            {4, true, true, true, 6187359744, 7247757312},
            {16, false, false, false, 21238612992, 0},
            {4, true, false, false, 6995536896, 0},
            {16, false, true, false, 15594469376, 0},
            {4, true, true, false, 5771010048, 0}};

static nanogpt_run gpt2(int micro_batch) {
    return (nanogpt_run){.shape = {.layers = 12, .heads = 12, .channels = 768, .positions = 1024, .vocabulary = 50304},
                         .length = 1024,
                         .micro_batch = micro_batch,
                         .accumulates = true,
                         .mixed = true,
                         .flash = true,
                         .holds_logits = true};
}

START_TEST(peaks_are_those_of_a_card) {
    for (size_t i = 0; i < sizeof CARD / sizeof *CARD; i++) {
        nanogpt_run r = gpt2(CARD[i].micro_batch);
        nanogpt_memory m;
        error e;
        r.accumulates = CARD[i].accumulates;
        r.mixed = CARD[i].mixed;
        r.holds_logits = CARD[i].holds_logits;
        ck_assert_int_eq(nanogpt_measure(&r, &m, &e), OK);
        double off = (double)m.allocated / CARD[i].allocated - 1;
        ck_assert_msg(fabs(off) < 0.011, "run %zu: allocated %.2f %% off", i, 100 * off); /* as the report says */
        off = CARD[i].reserved ? (double)m.reserved / CARD[i].reserved - 1 : 0;
        ck_assert_msg(fabs(off) < 0.04, "run %zu: reserved %.2f %% off", i, 100 * off);
    }
}
END_TEST

/* Of toys on the CPU, where the fullest moment is not always in the loss: it falls into all of these. What one norm
   keeps is 1 to 2 % of most of them. */
START_TEST(peaks_of_whole_steps_are_pytorch_s) {
    FILE *f = open_table("tests/golden/nanogpt_peaks.txt", " micro_batches peak");
    nanogpt_run r;
    double there[2];
    bool in_loss = false, in_mlp = false, in_attention = false, in_embeddings = false;
    while (read_shape(f, &r, there, 2)) {
        nanogpt_memory m;
        error e;
        r.accumulates = there[0] > 1;
        ck_assert_int_eq(nanogpt_measure(&r, &m, &e), OK);
        double peak = (double)(m.allocated - m.parts[NANOGPT_WORKSPACE]);
        ck_assert_msg(fabs(peak / there[1] - 1) < (r.flash ? 0.005 : 0.015),
                      "%d x %d, %d layers, %d heads: %.0f bytes in %s, not %.0f", r.micro_batch, r.length,
                      r.shape.layers, r.shape.heads, peak, m.moment, there[1]);
        in_loss = in_loss || strstr(m.moment, "loss");
        in_mlp = in_mlp || strstr(m.moment, "MLP");
        in_attention = in_attention || strstr(m.moment, "attention");
        in_embeddings = in_embeddings || strstr(m.moment, "embeddings");
    }
    ck_assert(in_loss && in_mlp && in_attention && in_embeddings);
    fclose(f);
}
END_TEST

START_TEST(a_card_of_12_gb_fits_4_and_is_at_its_edge_with_8) {
    const nanogpt_verdict expected[] = {NANOGPT_DOES_NOT_FIT, NANOGPT_AT_THE_EDGE, NANOGPT_FITS};
    for (int i = 0; i < 3; i++) {
        nanogpt_run r = gpt2(16 >> i);
        nanogpt_memory m;
        error e;
        ck_assert_int_eq(nanogpt_measure(&r, &m, &e), OK);
        ck_assert_int_eq(nanogpt_judge(&m, 12000000000), expected[i]);
    }
}
END_TEST

/* Whatever the run: its parts make up the peak, and another sequence, word, layer or dropout never needs less. */
START_TEST(parts_add_up_and_more_needs_more) {
    FILE *f = open_kept();
    nanogpt_run r;
    double unused[KEPT_COLUMNS];
    while (read_shape(f, &r, unused, KEPT_COLUMNS)) {
        nanogpt_memory m, more;
        error e;
        uint64_t sum = 0;
        ck_assert_int_eq(nanogpt_measure(&r, &m, &e), OK);
        for (int p = 0; p < NANOGPT_PART_COUNT; p++) sum += m.parts[p];
        ck_assert_uint_eq(sum, m.allocated);
        ck_assert_uint_ge(m.reserved, m.allocated);
        ck_assert(strncmp(m.moment, "the ", 4) == 0);
        for (int change = 0; change < 5; change++) {
            nanogpt_run larger = r;
            larger.micro_batch += change == 0;
            larger.shape.vocabulary += 128 * (change == 1);
            larger.shape.layers += change == 2;
            larger.dropout = larger.dropout || change == 3;
            larger.flash = larger.flash && change != 4;
            ck_assert_int_eq(nanogpt_measure(&larger, &more, &e), OK);
            ck_assert_uint_ge(more.allocated, m.allocated);
        }
    }
    fclose(f);
}
END_TEST

/* ---- the command ---- */

#define PLAN(s, e, ...) CAPTURE(plan_run, s, e, "--for=nanogpt", __VA_ARGS__)
#define GPT2 "data/configs/train_gpt2_124m.py"

static void expect(const char *text, const char *words) {
    ck_assert_msg(strstr(text, words) != NULL, "no '%s' in:\n%s", words, text);
}

START_TEST(the_report_answers_in_nanogpt_s_words) {
    status s;
    error e = {""};
    char *text = PLAN(&s, &e, GPT2, "--vram_cap=12GB");
    ck_assert_int_eq(s, OK);
    expect(text, "batch_size 16 x gradient_accumulation_steps 32 = 512 sequences\n");
    expect(text, "dtype bfloat16 (nanoGPT's default)");
    expect(text, "11.18 GiB = 12.00 GB");
    expect(text, "DOES NOT FIT");
    expect(text, "at the edge");
    expect(text, "To paste into train_gpt2_124m.py:\n  batch_size = 4\n  gradient_accumulation_steps = 128\n");
    expect(text, "Not known: compile = True");
    ck_assert_ptr_null(strstr(text, "recompute"));
    free(text);
    text = PLAN(&s, &e, GPT2, "--vram_cap=80GB", "--compile=False");
    ck_assert_int_eq(s, OK);
    expect(text, "Nothing has to change:\n  batch_size = 16\n");
    ck_assert_ptr_null(strstr(text, "compile"));
    ck_assert_ptr_null(strstr(text, "Left out"));
    free(text);
    text = PLAN(&s, &e, GPT2, "--vram_cap=80GB", "--recompute=none", "--micro_batch_size=2");
    expect(text, "Nothing has to change:\n  batch_size = 16\n");
    expect(text, "Left out, since nanoGPT has no such setting: micro_batch_size, recompute.\n");
    free(text);
    text = PLAN(&s, &e, GPT2);
    ck_assert_int_eq(s, OK);
    expect(text, "not given");
    ck_assert_ptr_null(strstr(text, "fits ("));
    free(text);
}
END_TEST

START_TEST(json_is_of_the_config_as_it_stands) {
    status s;
    error e = {""};
    char *text = PLAN(&s, &e, GPT2, "--vram_cap=12GB", "--json", "--dropout=0.1", "--bias=True");
    ck_assert_int_eq(s, OK);
    cJSON *root = cJSON_Parse(text), *n = cJSON_GetObjectItem(root, "nanogpt"), *as, *o;
    nanogpt_run r = gpt2(16);
    nanogpt_memory m;
    r.dropout = r.shape.bias = true;
    ck_assert_int_eq(nanogpt_measure(&r, &m, &e), OK);
    ck_assert(number(n, "peak_allocated_bytes") == (double)m.allocated);
    ck_assert(number(n, "peak_reserved_bytes") == (double)m.reserved);
    ck_assert(number(n, "batch_size") == 4 && number(n, "gradient_accumulation_steps") == 128);
    ck_assert_str_eq(string(n, "verdict"), "does not fit");
    as = cJSON_GetObjectItem(n, "as_it_stands");
    ck_assert(number(as, "batch_size") == 16 && number(as, "dropout") == 0.1);
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(as, "compile")) && cJSON_IsTrue(cJSON_GetObjectItem(as, "bias")));
    ck_assert_str_eq(string(as, "dtype"), "bfloat16");
    double sum = 0;
    cJSON_ArrayForEach(o, cJSON_GetObjectItem(n, "bytes_at_peak")) sum += o->valuedouble;
    ck_assert(sum == (double)m.allocated);
    cJSON_ArrayForEach(o, cJSON_GetObjectItem(n, "splits")) {
        ck_assert(number(o, "batch_size") * number(o, "gradient_accumulation_steps") == 512);
    }
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(n, "unknown")), 1);
    cJSON_Delete(root);
    free(text);
}
END_TEST

/* What `dtype` says counts, though snug itself may compute in another; so do the settings that only nanoGPT reads. */
START_TEST(settings_mean_what_nanogpt_makes_of_them) {
    status s;
    error e = {""};
    char *text = PLAN(&s, &e, GPT2, "--dtype=float32");
    expect(text, "dtype float32,");
    expect(text, "tensors take up to 23.27 GiB (allocated)");
    ck_assert_ptr_null(strstr(text, "autocast"));
    free(text);
    text = PLAN(&s, &e, GPT2, "--dtype=float16");
    expect(text, "dtype float16,");
    expect(text, "Not known: float16");
    free(text);
    ck_assert_ptr_nonnull(text = PLAN(&s, &e, GPT2, "--dtype=float64"));
    ck_assert_int_eq(s, BAD_INPUT);
    ck_assert_str_eq(e.text, "--dtype: nanoGPT has no dtype float64: write float32, bfloat16 or float16");
    free(text);
    text = PLAN(&s, &e, "--init_from=gpt2-xl", "--batch_size=1", "--gradient_accumulation_steps=32");
    ck_assert_int_eq(s, OK);
    expect(text, "1558M parameters: n_layer 48, n_head 25, n_embd 1600, bias True");
    expect(text, "vocabulary 50257");
    free(text);
}
END_TEST

/* Where snug's own graph can't fit nanoGPT's may, and the other way round: each is asked for itself. */
START_TEST(what_fits_nowhere_says_so_and_fails) {
    status s;
    error e = {""};
    char *text = PLAN(&s, &e, "data/configs/gpt2_1558m.py", "--vram_cap=24GiB");
    ck_assert_int_eq(s, NO_MEMORY);
    expect(text, "No batch_size fits");
    expect(e.text, "no batch_size fits nanoGPT into 24.00 GiB");
    free(text);
    text = PLAN(&s, &e, GPT2, "--vram_cap=1MiB", "--json");
    ck_assert_int_eq(s, NO_MEMORY);
    cJSON *root = cJSON_Parse(text), *n = cJSON_GetObjectItem(root, "nanogpt");
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(n, "batch_size")) && number(n, "peak_allocated_bytes") > 17e9);
    cJSON_Delete(root);
    free(text);
    text = PLAN(&s, &e, "--n_embd=65536", "--n_head=1", "--vocab_size=16777216", "--batch_size=1000000",
                "--gradient_accumulation_steps=16", "--block_size=1048576", "--n_layer=1", "--micro_batch_size=1");
    ck_assert_int_eq(s, BAD_INPUT);
    expect(e.text, "past what can be counted");
    free(text);
}
END_TEST

/* Many divisors: the table is full, and the largest that fits is still found. */
START_TEST(the_largest_batch_size_that_fits_is_found) {
    status s;
    error e = {""};
    char *text =
        PLAN(&s, &e, GPT2, "--batch_size=5040", "--gradient_accumulation_steps=1", "--vram_cap=16GB", "--json");
    ck_assert_int_eq(s, OK);
    cJSON *root = cJSON_Parse(text), *n = cJSON_GetObjectItem(root, "nanogpt");
    int best = (int)number(n, "batch_size"), expected = 0;
    for (int k = 1; k < 5040; k++) {
        nanogpt_run r = gpt2(k);
        nanogpt_memory m;
        if (5040 % k) continue;
        ck_assert_int_eq(nanogpt_measure(&r, &m, &e), OK);
        if (nanogpt_judge(&m, 16000000000) == NANOGPT_FITS) expected = k;
    }
    ck_assert_int_eq(best, expected);
    ck_assert(number(n, "gradient_accumulation_steps") == 5040 / best);
    cJSON_Delete(root);
    free(text);
}
END_TEST

/* `plan` without --for says it in short, where snug's own plan does not fit as well. */
START_TEST(plan_says_it_in_short) {
    status s;
    error e = {""};
    char *text = CAPTURE(plan_run, &s, &e, GPT2, "--vram_cap=12GB");
    expect(text,
           "In nanoGPT (PyTorch) batch_size 16 allocates 16.47 GiB and reserves about 18.94 GiB: does not fit.\n");
    expect(text, "  batch_size = 4\n  gradient_accumulation_steps = 128\n");
    free(text);
    text = CAPTURE(plan_run, &s, &e, "data/configs/gpt2_1558m.py", "--vram_cap=8GiB");
    ck_assert_int_eq(s, NO_MEMORY);
    expect(text, "Nothing with the same effective batch fits there");
    free(text);
}
END_TEST

Suite *nanogpt_suite(void);
Suite *nanogpt_suite(void) {
    Suite *suite = suite_create("nanogpt");
    TCase *t = tcase_create("memory");
    tcase_add_test(t, modules_keep_what_pytorch_keeps);
    tcase_add_test(t, peaks_are_those_of_a_card);
    tcase_add_test(t, peaks_of_whole_steps_are_pytorch_s);
    tcase_add_test(t, a_card_of_12_gb_fits_4_and_is_at_its_edge_with_8);
    tcase_add_test(t, parts_add_up_and_more_needs_more);
    suite_add_tcase(suite, t);
    t = tcase_create("command");
    tcase_add_test(t, the_report_answers_in_nanogpt_s_words);
    tcase_add_test(t, json_is_of_the_config_as_it_stands);
    tcase_add_test(t, settings_mean_what_nanogpt_makes_of_them);
    tcase_add_test(t, what_fits_nowhere_says_so_and_fails);
    tcase_add_test(t, the_largest_batch_size_that_fits_is_found);
    tcase_add_test(t, plan_says_it_in_short);
    suite_add_tcase(suite, t);
    return suite;
}
