/* test_config.c: config files and --key=value: what is read, and the one clear line for what is not. */
#include "support_config.h"
#include <sys/stat.h>

/* ---- bad input ---- */

static const struct {
    const char *text, *argument, *says;
} bad[] = {
    /* keys */
    {"n_layers = 3\n", NULL, "run.py:1: unknown key n_layers: did you mean n_layer?"},
    {"\n\nlearning_rat = 1e-3", NULL, "run.py:3: unknown key learning_rat: did you mean learning_rate?"},
    {NULL, "--batch-size=4", "--batch-size: unknown option: did you mean --batch_size?"},
    {NULL, "--N_HEAD=4", "did you mean --n_head?"},
    {NULL, "--=4", "unknown option"},
    {NULL, "--vram=4GB", "--vram: unknown option"},
    {"a_key_that_is_so_long_that_no_message_should_ever_repeat_all_of_it_to_a_reader = 1", NULL, "..."},
    /* types */
    {"n_layer = '12'", NULL, "n_layer must be a whole number, not text"},
    {"n_layer = True", NULL, "n_layer must be a whole number, not True or False"},
    {"n_layer = 1.5", NULL, "n_layer is 1.5, but must be a whole number"},
    {"max_iters = 1e300", NULL, "must be a whole number"},
    {"n_layer = 12 / 5", NULL, "n_layer is 2.4"},
    {"dropout = 'none'", NULL, "dropout must be a number, not text"},
    {"bias = 1", NULL, "bias must be True or False, not a whole number"},
    {"bias = true", NULL, "true stands for nothing here: did you mean True?; bias must be True or False"},
    {"dataset = 12", NULL, "dataset must be text in quotes"},
    {"dataset = openwebtext", NULL, "dataset must be text in quotes"},
    {"n_layer = None", NULL, "n_layer can't be None: leave the line out"},
    {NULL, "--n_layer=twelve", "--n_layer: twelve stands for nothing here; n_layer must be a whole number"},
    {NULL, "--bias=yes", "yes stands for nothing here; write --bias=True"},
    {NULL, "--n_layer=", "a value is missing"},
    {NULL, "--n_layer=12 13", "can't read '13' after the value"},
    /* limits, named */
    {"n_layer = 0", NULL, "n_layer is 0, out of range: it must be 1 to 1024"},
    {"n_layer = -3", NULL, "n_layer is -3, out of range"},
    {"n_embd = 1_000_000", NULL, "it must be 1 to 65536"},
    {"dropout = 1.0", NULL, "dropout is 1, out of range: it must be 0 to 0.999"},
    {"beta2 = -0.1", NULL, "out of range"},
    {"ignore_token = -2", NULL, "it must be -1 to 4294967295"},
    {"block_size = 99999999999999999999", NULL, "too large"},
    {"learning_rate = 1e999", NULL, "too large"},
    {"n_layer = 9223372036854775807 * 2", NULL, "the result is too large"},
    {"activation = 'relu'", NULL, "activation is 'relu', but must be one of gelu|gelu_tanh"},
    {"recompute = 'gel'", NULL, "must be one of auto|none|gelu"},
    {"dtype = ''", NULL, "must be one of float32"},
    /* numbers and arithmetic */
    {"n_layer = 0x1G", NULL, "can't read the number 0x1G"},
    {"n_layer = 12abc", NULL, "can't read the number 12abc"},
    {"n_layer = 1__0", NULL, "can't read the number 1__0"},
    {"n_layer = 007", NULL, "can't read the number 007"},
    {"dropout = 1.2.3", NULL, "can't read the number 1.2.3"},
    {"n_layer = 12 / 0", NULL, "division by zero"},
    {"n_layer = 12 // (3 - 3)", NULL, "division by zero"},
    {"n_layer = 5 *", NULL, "a value is missing"},
    {"n_layer = (5", NULL, "run.py:1: a bracket opened here is never closed"},
    {"n_layer = 5)", NULL, "can't read ')'"},
    {"n_layer = 2 - 'a'", NULL, "arithmetic needs numbers"},
    {"n_layer = -'a'", NULL, "a sign stands before something that is not a number"},
    {"n_layer = vram_cap / 2", NULL, "can't be used in arithmetic"},
    {"n_layer = $5", NULL, "can't read '$5'"},
    /* strings */
    {"dataset = 'open", NULL, "has no end: add a '"},
    {"\n\ndataset = \"\"\"open\n\n", NULL, "run.py:3: the string that starts here has no end"},
    /* statements */
    {"exec(open('configurator.py').read())", NULL, "nothing is executed"},
    {"out_dir = time.ctime()", NULL, "nothing is executed"},
    {"out_dir = names[0]", NULL, "names[0] is not read"},
    {"n_layer = 3\n  n_head = 3", NULL, "run.py:2: the line is indented"},
    {"n_layer == 1", NULL, "is not a `key = value` line"},
    {"n_layer", NULL, "is not a `key = value` line"},
    {"n_layer =", NULL, "a value is missing"},
    {"wandb_log =", NULL, "a value is missing"},
    {"wandb_tags = ['a',\n'b'\n", NULL, "run.py:1: a bracket opened here is never closed"},
    {"= 5", NULL, "is not a `key = value` line"},
    {"}{", NULL, "is not a `key = value` line"},
    /* the cap */
    {"vram_cap = 12", NULL, "write vram_cap='10.5GiB' or '12GB'"},
    {"vram_cap = 10.5", NULL, "needs a size with its unit"},
    {"vram_cap = True", NULL, "needs a size with its unit"},
    {NULL, "--vram_cap=12", "--vram_cap: '12' has no unit: write 12GiB (2^30 bytes each) or 12GB (10^9)"},
    {NULL, "--vram_cap=12G", "unknown unit: write B, kB, MB, GB (1000), or KiB, MiB, GiB (1024)"},
    {NULL, "--vram_cap=-1GB", "is not a size"},
    {NULL, "--vram_cap=", "is not a size"},
    {NULL, "--vram_cap=.GB", "is not a size"},
    {NULL, "--vram_cap=99999999999GiB", "past 2^64 bytes"},
    {NULL, "--vram_cap=99999999999999999999999B", "past 2^64 bytes"},
    {NULL, "--vram_cap=0.5B", "less than a byte"},
    /* the command line */
    {NULL, "-n_layer=3", "options are written --key=value"},
    {NULL, "--n_layer", "write --n_layer=VALUE"},
    {NULL, "no-such-file.py", "no-such-file.py: No such file"},
};

START_TEST(bad_input_gets_one_clear_line) {
    config c;
    error e;
    status s = parse(&c, bad[_i].text, bad[_i].argument, NULL, NULL, &e);
    ck_assert_msg(s == BAD_INPUT, "accepted: <%s>", bad[_i].text ? bad[_i].text : bad[_i].argument);
    assert_clear_of(&e, bad[_i].says, bad[_i].text ? bad[_i].text : bad[_i].argument);
    ck_assert_ptr_null(c.positional);
    config_free(&c);
}
END_TEST

START_TEST(a_value_after_a_space_is_answered_with_the_right_spelling) {
    config c;
    error e;
    ck_assert_int_eq(parse(&c, NULL, "--n_layer", "12", NULL, &e), BAD_INPUT);
    assert_clear_of(&e, "without a space: write --n_layer=12", "--n_layer 12");
    ck_assert_int_eq(parse(&c, NULL, "--bias", "False", NULL, &e), BAD_INPUT);
    assert_clear_of(&e, "write --bias=False", "--bias False");
}
END_TEST

/* A file of `count` times that text. */
static void assert_damaged(const char *part, size_t bytes, size_t count, const char *says) {
    config c;
    error e = {{0}};
    char *text = malloc(bytes * count), *argv[] = {path};
    for (size_t i = 0; i < count; i++) memcpy(text + i * bytes, part, bytes);
    write_file(text, bytes * count);
    free(text);
    ck_assert_int_eq(config_parse(&c, 1, argv, &e), BAD_INPUT);
    assert_clear_of(&e, says, part);
}

START_TEST(damaged_and_hostile_files_get_one_clear_line) {
    assert_damaged("n_layer = 3\0\n", 13, 1, "run.py:1: byte 0x00 is not text");
    assert_damaged("# fine\n\x7f"
                   "ELF\x02\x01",
                   13, 1, "run.py:2: byte 0x7f is not text");
    assert_damaged("dataset = '\xff\xfe'\n", 15, 1, "byte 0xff is not text");
    assert_damaged("out_dir='\xc3", 10, 1, "byte 0xc3 is not text");
    assert_damaged("# a comment\n", 12, 100000, "larger than 1 MiB");
    assert_damaged("x", 1, 1 << 20, "xxx...");
    assert_damaged("(", 1, 1 << 20, "nested more than 64 deep");
    assert_damaged("dataset = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 75, 1, "has no end");
    assert_damaged("\"\"\"\n", 4, 3, "run.py:3: the string");
}
END_TEST

/* key = then `count` times `part`. */
static void assert_value_refused(const char *key, const char *part, size_t count, const char *says) {
    config c;
    error e = {{0}};
    size_t n = strlen(key), bytes = strlen(part);
    char *text = malloc(n + bytes * count);
    memcpy(text, key, n);
    for (size_t i = 0; i < count; i++) memcpy(text + n + i * bytes, part, bytes);
    config_defaults(&c);
    ck_assert_int_eq(config_read_text(&c, "run.py", text, n + bytes * count, &e), BAD_INPUT);
    assert_clear_of(&e, says, key);
    config_free(&c);
    free(text);
}

START_TEST(values_without_end_cannot_exhaust_the_stack) {
    assert_value_refused("n_layer = ", "(", 1000000, "nested more than 64 deep");
    assert_value_refused("n_layer = ", "-", 1000000, "nested more than 64 deep");
    assert_value_refused("n_layer = ", "1 in [", 150000, "nested more than 64 deep");
    assert_value_refused("n_layer = ", "1", 1000000, "too long");
    assert_value_refused("n_layer = 1", "*9", 1000, "too large");
    assert_value_refused("dropout = 0.", "1", 1000000, "too long");
    assert_value_refused("dataset = '", "a", 1000000, "has no end: add a '");
    assert_value_refused("wandb_x = ", "[", 1000000, "never closed");
    assert_value_refused("n_layer = 3 ", " oh", 300000, "after the value");
}
END_TEST

START_TEST(what_is_no_file_is_named) {
    config c;
    error e;
    char *argv[] = {path};
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(config_parse(&c, 1, argv, &e), BAD_INPUT);
    assert_clear_of(&e, "run.py: this is a folder: give the path of a config file", path);
    rmdir(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(config_parse(&c, 1, argv, &e), BAD_INPUT);
    assert_clear_of(&e, "not a regular file", path);
    unlink(path);
    if (geteuid() == 0) return; /* root may read everything */
    write_file("n_layer = 3", 11);
    chmod(path, 0);
    ck_assert_int_eq(config_parse(&c, 1, argv, &e), BAD_INPUT);
    assert_clear_of(&e, "Permission denied: make it readable", path);
}
END_TEST

START_TEST(any_prefix_and_any_flipped_byte_is_read_or_refused) {
    static const char text[] =
        "\"\"\"doc\"\"\"\nimport time\nwandb_run_name = 'ft-' + str(time.time())\nn_layer = (5 * 8)"
        " // 4 - -1\ndataset = 'a\\n' + \"b\" # c\nbias = True\nvram_cap = '10.5GiB'\n";
    for (size_t n = 0; n < sizeof text; n++)
        for (int flip = 0; flip < 256; flip += n ? 5 : 256) {
            config c;
            error e = {{0}};
            char *copy = malloc(n + 1); /* to the byte, for the sanitizer */
            memcpy(copy, text, n);
            if (n) copy[n - 1] ^= (char)flip;
            config_defaults(&c);
            if (config_read_text(&c, "run.py", copy, n, &e) != OK) assert_clear_of(&e, "run.py:", copy);
            config_free(&c);
            free(copy);
        }
}
END_TEST

/* ---- good input ---- */

static const struct {
    const char *text;
    double n_layer, learning_rate;
} arithmetic[] = {
    {"n_layer = 5 * 8", 40, 6e-4},
    {"n_layer = 2 + 3 * 4", 14, 6e-4},
    {"n_layer = (2 + 3) * 4", 20, 6e-4},
    {"n_layer = 20 - 3 - 4", 13, 6e-4},
    {"n_layer = 100 // 7 // 2", 7, 6e-4},
    {"n_layer = -7 // 2 + 5", 1, 6e-4},
    {"n_layer = 7 // -2 + 5", 1, 6e-4},
    {"n_layer = -7.0 // 2 + 5", 1, 6e-4},
    {"n_layer = 24 / 2", 12, 6e-4},
    {"n_layer = --+3", 3, 6e-4},
    {"n_layer = 1e1", 10, 6e-4},
    {"n_layer = 1_0_2", 102, 6e-4},
    {"n_layer = (\n  5 # five\n  * 8\n)", 40, 6e-4},
    {"n_layer = 5 * \\\n 8", 40, 6e-4},
    {"n_layer=7#seven", 7, 6e-4},
    {"n_layer = 3\nn_layer = n_layer + 1", 4, 6e-4},
    {"n_layer = n_head // 2", 6, 6e-4},
    {"learning_rate = 1e-3", 12, 1e-3},
    {"learning_rate = 1", 12, 1},
    {"learning_rate = .5", 12, 0.5},
    {"learning_rate = 5.", 12, 5},
    {"learning_rate = 1.5E+2", 12, 150},
    {"learning_rate = 1 / 4", 12, 0.25},
    {"learning_rate = 6e-4 / 10 * 2", 12, 6e-4 / 10 * 2},
    {"min_lr = 2\nlearning_rate = min_lr * n_layer", 12, 24},
};

START_TEST(arithmetic_is_pythons) {
    config c;
    parse_well(&c, arithmetic[_i].text, NULL, NULL, NULL);
    ck_assert_msg((double)c.n_layer == arithmetic[_i].n_layer && c.learning_rate == arithmetic[_i].learning_rate,
                  "<%s> gave %d, %g", arithmetic[_i].text, (int)c.n_layer, c.learning_rate);
    config_free(&c);
}
END_TEST

static const struct {
    const char *text, *dataset;
} strings[] = {
    {"dataset = 'a'", "a"},
    {"dataset = \"it's\"", "it's"},
    {"dataset = 'it\\'s'", "it's"},
    {"dataset = 'a#b' # c", "a#b"},
    {"dataset = 'a\\n\\t\\\\'", "a\n\t\\"},
    {"dataset = 'C:\\data'", "C:\\data"},
    {"dataset = '\\x41'", "A"},
    {"dataset = '''two\nlines'''", "two\nlines"},
    {"dataset = 'a' + \"b\"", "ab"},
    {"dataset = out_dir + '-x'", "out-x"},
    {"dataset = 'Stra\xc3\x9f"
     "e'",
     "Stra\xc3\x9f"
     "e"},
    {"\xef\xbb\xbf"
     "dataset = 'mark'\r\n",
     "mark"},
    {"n_layer = 3\r\ndataset = 'crlf'\r\n", "crlf"},
    {"n_layer = 3\rdataset = 'cr'", "cr"},
};

START_TEST(strings_are_pythons) {
    config c;
    parse_well(&c, strings[_i].text, NULL, NULL, NULL);
    ck_assert_str_eq(c.dataset, strings[_i].dataset);
    config_free(&c);
}
END_TEST

/* Of the same making as nanoGPT's own configs: every kind of line that stands in one of them. */
START_TEST(nanogpt_configs_work_as_they_are) {
    config c;
    parse_well(&c,
               "# how to launch this\nimport time\n\n\"\"\"\nn_layer = 99\n\"\"\"\n"
               "wandb_log = False # off\nwandb_run_name='mini-gpt' + str(time.time())\n"
               "gradient_accumulation_steps = 5 * 8\nbatch_size = 12\nmax_iters = 600000\nlr_decay_iters = max_iters\n"
               "weight_decay = 1e-1\nalways_save_checkpoint = False\n  # a comment may be indented\n \t\n"
               "dataset = 'shakespeare_char'\ndevice = 'cpu'\ncompile = False\nbackend = 'nccl'\nwandb_log = True",
               NULL, NULL, NULL);
    ck_assert_int_eq(c.gradient_accumulation_steps, 40);
    ck_assert_int_eq(c.lr_decay_iters, 600000);
    ck_assert_int_eq(c.n_layer, 12);
    ck_assert(c.weight_decay == 0.1 && !c.always_save_checkpoint);
    ck_assert_str_eq(c.dataset, "shakespeare_char");
    ck_assert_str_eq(c.config_file, path);
    ck_assert(c.compile_is_off);
    ck_assert_int_eq(c.n_notes, 1);
    ck_assert_str_eq(c.notes[0],
                     "skipped, because they mean nothing here: wandb_log, wandb_run_name, compile, backend");
    config_free(&c);
}
END_TEST

START_TEST(values_of_keys_that_mean_nothing_here_need_not_make_sense) {
    config c;
    parse_well(&c, "wandb_tags = ['a', # ]\n  'b)', f(\"\"\"x\n]\"\"\")]\nwandb_x = lambda: {1: (2, 3)}\nn_layer = 5\n",
               "--wandb_log", "--compile=no", "--wandb_project=x y");
    ck_assert_int_eq(c.n_layer, 5);
    ck_assert(has_note(&c, "wandb_tags, wandb_x, wandb_log, compile, wandb_project"));
    ck_assert(c.compile_is_off);
    config_free(&c);
}
END_TEST

START_TEST(many_ignored_keys_make_a_note_of_bounded_length) {
    config c;
    for (int all = 16; all <= 200; all += 184) { /* as many as it names, and more */
        char text[8192] = "";
        for (int i = 0; i < all; i++) snprintf(text + strlen(text), 40, "wandb_%d = %d\n", i, i);
        parse_well(&c, text, NULL, NULL, NULL);
        ck_assert(has_note(&c, "wandb_15") && has_note(&c, "wandb_15 and others") == (all > 16));
        config_free(&c);
    }
}
END_TEST

START_TEST(a_later_value_wins_and_its_origin_is_kept) {
    config c;
    char where[80];
    parse_well(&c, "n_layer = 3\n\nn_head = 2\n", "--n_layer=5", "--n_layer=6", NULL);
    snprintf(where, sizeof where, "%s:3", path);
    ck_assert_int_eq(c.n_layer, 6);
    ck_assert_str_eq(c.given[OPTION_n_layer], "--n_layer");
    ck_assert_str_eq(c.given[OPTION_n_head], where);
    ck_assert_ptr_null(c.given[OPTION_n_embd]);
    config_free(&c);
    char *argv[] = {"--n_head=4", path};
    error e;
    ck_assert_int_eq(config_parse(&c, 2, argv, &e), OK);
    ck_assert_int_eq(c.n_head, 2);
    config_free(&c);
}
END_TEST

/* A name in an argument stands for what came last, be it the config file's or another argument's. */
START_TEST(an_argument_may_name_what_came_before) {
    config c;
    parse_well(&c, "learning_rate = 6e-4\n", "--min_lr=learning_rate / 10", NULL, NULL);
    ck_assert_double_eq_tol(c.min_lr, 6e-5, 1e-18);
    config_free(&c);
    parse_well(&c, "learning_rate = 6e-4\n", "--learning_rate=1e-3", "--min_lr=learning_rate / 10", NULL);
    ck_assert_double_eq_tol(c.min_lr, 1e-4, 1e-18);
    config_free(&c);
}
END_TEST

START_TEST(option_strings_need_no_quotes_and_switches_no_value) {
    config c;
    parse_well(&c, NULL, "--dataset=my data=1", "--out_dir='quoted'", "--bias");
    ck_assert_str_eq(c.dataset, "my data=1");
    ck_assert_str_eq(c.out_dir, "quoted");
    ck_assert(c.bias);
    config_free(&c);
    parse_well(&c, NULL, "--always_save_checkpoint=False", "--gradient_accumulation_steps=5*8", "--start=");
    ck_assert(!c.always_save_checkpoint && c.gradient_accumulation_steps == 40 && !*c.start);
    config_free(&c);
}
END_TEST

START_TEST(other_arguments_are_positional_and_all_after_two_dashes) {
    config c;
    error e;
    char *argv[] = {"a.txt", "--n_layer=3", "some/folder", "-", "--", "--n_head=5", "b.py"};
    ck_assert_int_eq(config_parse(&c, 7, argv, &e), OK);
    ck_assert_int_eq(c.n_positional, 5);
    ck_assert_str_eq(c.positional[1], "some/folder");
    ck_assert_str_eq(c.positional[3], "--n_head=5");
    ck_assert_str_eq(c.positional[4], "b.py");
    ck_assert(c.n_layer == 3 && c.n_head == 12);
    config_free(&c);
}
END_TEST

START_TEST(what_takes_effect_is_said_once) {
    config c;
    parse_well(&c, "dtype = 'bfloat16'\n", NULL, NULL, NULL); /* is done, and needs no note */
    ck_assert(c.n_notes == 0 && !strcmp(c.dtype, "bfloat16"));
    config_free(&c);
    parse_well(&c, "dtype = 'bfloat16'\n", "--matmul_precision=high", NULL, NULL);
    ck_assert(c.n_notes == 1 && has_note(&c, "'high' means nothing with dtype=bfloat16"));
    config_free(&c);
    parse_well(&c, "dtype = 'float16'\ndevice = 'cuda:0'\n", NULL, NULL, NULL);
    ck_assert(has_note(&c, "dtype 'float16': trains in bfloat16") && has_note(&c, "the first OpenCL GPU"));
    ck_assert_str_eq(c.dtype, "bfloat16");
    ck_assert_str_eq(c.device, "cuda");
    config_free(&c);
    parse_well(&c, "dtype = 'float16'\ndevice = 'cuda:3'\n", "--dtype=float64", NULL, NULL);
    ck_assert_int_eq(c.n_notes, 1); /* the float16 was overridden */
    ck_assert_str_eq(c.device, "opencl:3");
    config_free(&c);
    parse_well(&c, NULL, "--device=mps", "--learning_rate=1e-5", NULL);
    ck_assert(has_note(&c, "'mps' means the first OpenCL GPU") && has_note(&c, "min_lr 6e-05 is above"));
    config_free(&c);
}
END_TEST

Suite *config_suite(void);
Suite *config_suite(void) {
    Suite *suite = suite_create("config");
    TCase *t = tcase_create("config"), *large = tcase_create("large");
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_checked_fixture(large, make_folder, remove_folder);
    tcase_set_timeout(t, 60);
    tcase_set_timeout(large, 60);
    tcase_set_tags(large, "large");
#define ROWS(table) (int)(sizeof table / sizeof *table)
    tcase_add_loop_test(t, bad_input_gets_one_clear_line, 0, ROWS(bad));
    tcase_add_test(t, a_value_after_a_space_is_answered_with_the_right_spelling);
    tcase_add_test(t, damaged_and_hostile_files_get_one_clear_line);
    tcase_add_test(large, values_without_end_cannot_exhaust_the_stack);
    tcase_add_test(t, what_is_no_file_is_named);
    tcase_add_test(t, any_prefix_and_any_flipped_byte_is_read_or_refused);
    tcase_add_loop_test(t, arithmetic_is_pythons, 0, ROWS(arithmetic));
    tcase_add_loop_test(t, strings_are_pythons, 0, ROWS(strings));
    tcase_add_test(t, nanogpt_configs_work_as_they_are);
    tcase_add_test(t, values_of_keys_that_mean_nothing_here_need_not_make_sense);
    tcase_add_test(t, many_ignored_keys_make_a_note_of_bounded_length);
    tcase_add_test(t, a_later_value_wins_and_its_origin_is_kept);
    tcase_add_test(t, an_argument_may_name_what_came_before);
    tcase_add_test(t, option_strings_need_no_quotes_and_switches_no_value);
    tcase_add_test(t, other_arguments_are_positional_and_all_after_two_dashes);
    tcase_add_test(t, what_takes_effect_is_said_once);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, large);
    return suite;
}
