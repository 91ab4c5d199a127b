/* test_resume.c: what a resumed run says of the parts of it that were made elsewhere (P4). */
#include "base/version.h"
#include "run/resume.h"
#include "support_memory_backend.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static config c;
static run_state s;
static gpt m;
static backend *b;

static void begin(void) {
    static const gpt_shape small = {
        .layers = 1, .heads = 2, .channels = 8, .positions = 6, .vocabulary = 11, .norm_epsilon = 1e-5};
    m = memory_gpt(&small, GRAPH_TRAIN);
    b = memory_backend_open(&m, 4);
    config_defaults(&c);
    s = run_state_new(b->device, snug_build(), b->gemm);
}

static void end(void) {
    run_state_free(&s);
    b->close(b);
    gpt_free(&m);
}

static void go_on(int64_t iter, const char *device, const char *build, const char *gemm) {
    s.iter = iter;
    run_state_go_on(&s, device ? device : b->device, build ? build : snug_build(), gemm ? gemm : b->gemm);
}

static char *notes(void) {
    char *text;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    resume_notes(&c, &s, b, f);
    fclose(f);
    return text;
}

static void says(const char *expected) {
    char *text = notes();
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(run_made_here_alone_says_nothing) {
    s.iter = 10;
    says("");
    go_on(10, NULL, NULL, NULL);
    s.iter = 20;
    says("");
}
END_TEST

START_TEST(part_made_elsewhere_is_told_though_the_last_was_made_here) {
    go_on(10, NULL, "other", NULL);
    go_on(20, NULL, NULL, NULL);
    s.iter = 30;
    char *expected =
        xprintf("note: this run's steps 10 to 19 were made on '%s' by build 'other': the bits may differ\n", b->device);
    says(expected);
    free(expected);
}
END_TEST

START_TEST(other_products_are_told_unless_the_setting_says_it) {
    go_on(10, "a card", NULL, "these products");
    s.iter = 12;
    char *text = notes();
    ck_assert_msg(strstr(text, "steps 10 to 11 were made on 'a card'") &&
                      strstr(text, "with products by 'these products'"),
                  "%s", text);
    free(text);
    go_on(12, NULL, NULL, "these products");
    s.iter = 15;
    text = notes();
    ck_assert_msg(strstr(text, "steps 12 to 14 were made"), "%s", text);
    free(text);
    run_state_set(&s, "matmul_precision", "'high'");
    text = notes();
    ck_assert_msg(!strstr(text, "steps 12 to 14") && strstr(text, "matmul_precision is 'highest', was 'high'"), "%s",
                  text);
    free(text);
}
END_TEST

START_TEST(many_parts_are_few_lines) {
    char build[20];
    for (int i = 1; i < 40; i++) {
        snprintf(build, sizeof build, "build %d", i % 7);
        go_on(i, NULL, build, NULL);
    }
    s.iter = 40;
    char *text = notes();
    int lines = 0;
    for (const char *at = text; *at; at++) lines += *at == '\n';
    ck_assert_msg(lines == 4 && strstr(text, "7 in all: state.json lists them"), "%s", text);
    free(text);
}
END_TEST

/* The list stands here again, by hand, so that an option cannot lose its column unseen. */
START_TEST(changed_settings_are_told_if_bits_depend_on_them_and_only_then) {
    static const char bits[] =
        " block_size dropout dataset data_order ignore_token learning_rate decay_lr warmup_iters "
        "lr_decay_iters min_lr weight_decay beta1 beta2 grad_clip seed dtype batch_invariant "
        "matmul_precision gradient_shards ";
    c.given[OPTION_block_size] = xstrdup("--block_size"); /* else the run's own is taken */
    c.gradient_shards = 1;
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        const char *name = option_table[id].name;
        char *word = xprintf(" %s ", name), *told = xprintf("settings have changed: %s is ", name);
        bool decides = strstr(bits, word) != NULL;
        run_state_free(&s);
        s = run_state_new(b->device, snug_build(), b->gemm);
        run_state_set(&s, name, "another value");
        char *text = notes();
        ck_assert_msg(decides ? strstr(text, told) != NULL : !*text, "%s: <%s>", name, text);
        ck_assert_msg(option_table[id].decides_bits == decides, "%s", name);
        free(text);
        free(told);
        free(word);
    }
    config_free(&c);
}
END_TEST

Suite *resume_suite(void);
Suite *resume_suite(void) {
    Suite *suite = suite_create("resume");
    TCase *t = tcase_create("resume");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, run_made_here_alone_says_nothing);
    tcase_add_test(t, part_made_elsewhere_is_told_though_the_last_was_made_here);
    tcase_add_test(t, other_products_are_told_unless_the_setting_says_it);
    tcase_add_test(t, many_parts_are_few_lines);
    tcase_add_test(t, changed_settings_are_told_if_bits_depend_on_them_and_only_then);
    suite_add_tcase(suite, t);
    return suite;
}
