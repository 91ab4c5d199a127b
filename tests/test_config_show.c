/* test_config_show.c: sizes with a unit, checks across options, and what is printed of a config. */
#include "run/shape.h"
#include "support_config.h"

/* ---- sizes ---- */

static const struct {
    const char *text;
    uint64_t bytes;
} sizes[] = {
    {"0", 0},
    {"0.0", 0},
    {"0GB", 0},
    {"1B", 1},
    {"1kB", 1000},
    {"1KB", 1000},
    {"1kib", 1024},
    {"2MB", 2000000},
    {"1.5MiB", 1572864},
    {"12GB", 12000000000},
    {"12 GB", 12000000000},
    {"10.5GiB", 11274289152},
    {"10.5gib", 11274289152},
    {".5KiB", 512},
    {"1.9999B", 1},
    {"0.1GiB", 107374182},
    {"18446744073709551615B", UINT64_MAX},
    {"17179869183GiB", 18446744072635809792u},
    {"0.333333333333333333333333333333GB", 333333333},
};

START_TEST(sizes_are_exact_to_the_byte_and_rounded_down) {
    uint64_t bytes = 7;
    error e;
    ck_assert_msg(config_bytes(sizes[_i].text, &bytes, &e) == OK, "%s: %s", sizes[_i].text, e.text);
    ck_assert_uint_eq(bytes, sizes[_i].bytes);
}
END_TEST

START_TEST(bytes_print_as_people_read_them) {
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {{0, "0 B"},
                {1023, "1023 B"},
                {1024, "1.00 KiB"},
                {1048575, "1.00 MiB"},
                {11274289152, "10.50 GiB"},
                {UINT64_MAX, "16.00 EiB"}};
    char text[32];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_str_eq(bytes_print(rows[i].bytes, text, sizeof text), rows[i].text);
    ck_assert_str_eq(bytes_print(UINT64_MAX, text, 4), "16.");
}
END_TEST

/* ---- checks across options ---- */

static const struct {
    const char *a, *b, *says;
} conflicts[] = {
    {"--n_head=7", NULL, "n_embd 768 is not divisible by n_head 7"},
    {"--batch_size=1000000", "--gradient_accumulation_steps=1000000", "at most 16777216"},
    {"--micro_batch_size=481", NULL, "micro_batch_size 481 is more than the effective batch of 480"},
    {"--n_embd=49152", "--block_size=1048576", "past what can be counted"},
    {"--dtype=float64", "--device=opencl", "dtype float64 runs on the CPU only"},
    {"--init_from=gpt2", NULL, "--init_from: init_from 'gpt2': nothing is downloaded: get its folder"},
    {"--init_from=gpt2-xl", NULL, "hf download openai-community/gpt2-xl config.json model.safetensors"},
    {"--init_from=scrach", NULL, "is not a folder: did you mean scratch? Else write scratch, resume, or a folder"},
    {"--dataset=", NULL, "--dataset: dataset is empty"},
    {"--out_dir=", NULL, "out_dir is empty"},
    {"--device=", NULL, "device is empty"},
};

START_TEST(options_that_contradict_each_other_are_refused) {
    config c;
    error e;
    parse_well(&c, NULL, conflicts[_i].a, conflicts[_i].b, _i == 3 ? "--n_layer=1024" : NULL);
    status s = config_check(&c, &e);
    if (s == OK) s = shape_check_source(&c, &e);
    ck_assert_int_eq(s, BAD_INPUT);
    assert_clear_of(&e, conflicts[_i].says, conflicts[_i].a);
    config_free(&c);
}
END_TEST

START_TEST(defaults_and_an_existing_folder_pass_the_checks) {
    config c;
    error e;
    char from[80];
    config_defaults(&c);
    ck_assert_int_eq(config_check(&c, &e), OK);
    snprintf(from, sizeof from, "--init_from=%s", folder);
    parse_well(&c, NULL, from, "--dtype=float64", NULL);
    ck_assert_int_eq(config_check(&c, &e), OK);
    ck_assert_int_eq(shape_check_source(&c, &e), OK);
    config_free(&c);
}
END_TEST

START_TEST(the_configs_that_come_along_are_read_and_pass_the_checks) {
    static const struct {
        const char *name;
        int64_t effective_batch, n_layer;
    } rows[] = {
        {"data/configs/train_gpt2_124m.py", 512, 12}, {"data/configs/gpt2_355m.py", 512, 24},
        {"data/configs/gpt2_774m.py", 512, 36},       {"data/configs/gpt2_1558m.py", 512, 48},
        {"data/configs/shakespeare_char.py", 64, 6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        config c;
        error e = {{0}};
        char *argv[] = {(char *)rows[i].name};
        ck_assert_msg(config_parse(&c, 1, argv, &e) == OK && config_check(&c, &e) == OK, "%s", e.text);
        ck_assert_int_eq(c.batch_size * c.gradient_accumulation_steps, rows[i].effective_batch);
        ck_assert_int_eq(c.n_layer, rows[i].n_layer);
        ck_assert(c.min_lr < c.learning_rate && c.lr_decay_iters == c.max_iters && c.n_notes == 0);
        config_free(&c);
    }
}
END_TEST

/* ---- what is printed ---- */

static char *print(const config *c) {
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    config_print(c, f);
    fclose(f);
    return text;
}

START_TEST(caps_come_back_as_typed) {
    static const char *const typed[] = {"2.2GiB", "0.5GiB", "512MiB", "12GB", "10.50 GiB", "2362232013B", "1536 mib"};
    char text[32];
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
        config c;
        char *option = xprintf("--vram_cap=%s", typed[i]);
        parse_well(&c, "", option, NULL, NULL);
        ck_assert_str_eq(config_cap_print(&c, text, sizeof text), typed[i]);
        c.vram_cap = 1200 << 10; /* no longer what was typed */
        ck_assert_str_eq(config_cap_print(&c, text, sizeof text), "1200KiB");
        c.vram_cap = 2362232012; /* 2.2 GiB, rounded down */
        ck_assert(i == 0 || !strcmp(config_cap_print(&c, text, sizeof text), "2.2GiB"));
        c.vram_cap = 2362232017;
        ck_assert_str_eq(config_cap_print(&c, text, sizeof text), "2362232017B");
        config_free(&c);
        free(option);
    }
}
END_TEST

/* Of a cap that nobody typed: the largest unit that says it in a whole number, of 1024 before those of 1000. */
START_TEST(caps_that_were_not_typed_get_a_unit) {
    static const struct {
        uint64_t bytes;
        const char *says;
    } caps[] = {{2ull << 30, "2GiB"},    {12000000000, "12GB"}, {3 << 20, "3MiB"},          {7000000, "7MB"},
                {1536 << 10, "1536KiB"}, {500000, "500kB"},     {1100ull << 20, "1100MiB"}, {1, "1B"}};
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        char text[32];
        config c;
        parse_well(&c, "", NULL, NULL, NULL);
        c.vram_cap = caps[i].bytes;
        ck_assert_str_eq(config_cap_print(&c, text, sizeof text), caps[i].says);
        config_free(&c);
    }
}
END_TEST

START_TEST(the_echo_reads_back_to_the_same_values) {
    config c, again;
    parse_well(&c,
               "learning_rate = 1 / 3\nstart = 'it\\'s\\n\\x01\\\\ \"ok\"'\nbias = True\nseed = 9223372036854775807\n",
               "--vram_cap=10.5GiB", "--ignore_token=-1", NULL);
    char *echo = print(&c);
    ck_assert_msg(strstr(echo, "vram_cap = '10.5GiB'  # 10.50 GiB, 11.27 GB\n") != NULL, "%s", echo);
    ck_assert_ptr_null(strstr(echo, "n_layer"));
    parse_well(&again, echo, NULL, NULL, NULL);
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        char a[VALUE_TEXT_MAX], b[VALUE_TEXT_MAX];
        ck_assert_str_eq(config_value(&c, id, a), config_value(&again, id, b));
    }
    ck_assert(again.learning_rate == 1.0 / 3);
    free(echo);
    config_free(&c);
    config_free(&again);
}
END_TEST

START_TEST(the_defaults_echo_nothing) {
    config c;
    config_defaults(&c);
    char *echo = print(&c);
    ck_assert_str_eq(echo, "");
    free(echo);
}
END_TEST

Suite *config_show_suite(void);
Suite *config_show_suite(void) {
    Suite *suite = suite_create("config_show");
    TCase *t = tcase_create("config_show");
    tcase_add_checked_fixture(t, make_folder, remove_folder);
#define ROWS(table) (int)(sizeof table / sizeof *table)
    tcase_add_loop_test(t, sizes_are_exact_to_the_byte_and_rounded_down, 0, ROWS(sizes));
    tcase_add_test(t, bytes_print_as_people_read_them);
    tcase_add_loop_test(t, options_that_contradict_each_other_are_refused, 0, ROWS(conflicts));
    tcase_add_test(t, defaults_and_an_existing_folder_pass_the_checks);
    tcase_add_test(t, the_configs_that_come_along_are_read_and_pass_the_checks);
    tcase_add_test(t, the_echo_reads_back_to_the_same_values);
    tcase_add_test(t, caps_come_back_as_typed);
    tcase_add_test(t, caps_that_were_not_typed_get_a_unit);
    tcase_add_test(t, the_defaults_echo_nothing);
    suite_add_tcase(suite, t);
    return suite;
}
