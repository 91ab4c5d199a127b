/* test_words.c: what a command's arguments get that it does not take or that name nothing, and the notes about settings
   that it does not read. */
#include "base/files.h"
#include "base/nearest.h"
#include "config/config.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

static char folder[64], before[512];

static void put(const char *name, const char *text) {
    error e;
    char *parent = xstrdup(name);
    if (strchr(parent, '/')) {
        *strrchr(parent, '/') = 0;
        ck_assert_int_eq(folder_make(parent, &e), OK);
    }
    free(parent);
    ck_assert_int_eq(file_write(name, text, strlen(text), false, NULL, &e), OK);
}

static void begin(void) {
    strcpy(folder, "/tmp/snug-words-XXXXXX");
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    put("README.md", "text");
    put("run.py", "n_layer = 3\n");
    put("config/train_shakespeare_char.py", "n_layer = 3\n");
    put("config/train_gpt2.py", "n_layer = 3\n");
    put("data/configs/gpt2_1558m.py", "n_layer = 3\n");
    put("out/note.txt", "x");
}

static void end(void) {
    error e;
    ck_assert_int_eq(chdir(before), 0);
    folder_remove(folder, &e);
}

static status parse(config *c, const char *command, int words, const char *a, const char *b, error *e) {
    char *argv[] = {(char *)a, (char *)b};
    e->text[0] = 0;
    return config_parse_for(c, command, words, b ? 2 : 1, argv, e);
}

/* ---- nearness ---- */

START_TEST(distances_are_damerau_and_levenshteins) {
    static const struct {
        const char *a, *b;
        int distance;
    } rows[] = {
        {"plan", "plan", 0},
        {"plna", "plan", 1},
        {"", "abc", 3},
        {"abc", "", 3},
        {"kitten", "sitting", 3},
        {"n-layer", "N_LAYER", 0},
        {"ab", "ba", 1},
        {"abcd", "badc", 2},
        {"ca", "abc", 3},
        {"train", "trains", 1},
        {"learning_rat", "learning_rate", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg(nearest_distance(rows[i].a, rows[i].b) == rows[i].distance, "%s, %s: %d", rows[i].a, rows[i].b,
                      nearest_distance(rows[i].a, rows[i].b));
        ck_assert_int_eq(nearest_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
}
END_TEST

START_TEST(the_nearest_path_is_found_part_by_part) {
    static const struct {
        const char *path, *near;
    } rows[] = {
        {"confg/train_gpt2.py", "config/train_gpt2.py"},
        {"config/train_gtp2.py", "config/train_gpt2.py"},
        {"config/train_gpt2", "config/train_gpt2.py"},
        {"config/shakespeare", "config/train_shakespeare_char.py"},
        {"./conifg//train_gpt2", "./config/train_gpt2.py"},
        {"rnu.py", "run.py"},
        {"run.py", NULL}, /* is there */
        {"nothing_like_it.py", NULL},
        {"config/x.py", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *near = nearest_path(rows[i].path, ".py");
        ck_assert_msg(near && rows[i].near ? !strcmp(near, rows[i].near) : near == rows[i].near, "%s: %s", rows[i].path,
                      near ? near : "nothing");
        free(near);
    }
}
END_TEST

/* ---- words that are refused ---- */

static const struct {
    const char *command;
    int words;
    const char *a, *b, *says;
} refused[] = {
    {"plan", 0, "1558M", NULL, "1558M: unknown argument: did you mean data/configs/gpt2_1558m.py?"},
    {"plan", 0, "README.md", NULL, "README.md: unknown argument: this is not a config file, whose name ends in .py"},
    {"train", 0, "config/train_shakespeare_char", NULL, "did you mean config/train_shakespeare_char.py?"},
    {"train", 0, "train_gpt2.py", NULL, "train_gpt2.py: No such file or directory: did you mean config/train_gpt2.py?"},
    {"train", 0, "train_gpt2", NULL, "did you mean config/train_gpt2.py?"},
    {"bench", 0, "confg/train_gpt2.py", NULL, "did you mean config/train_gpt2.py?"},
    {"equivalence", 0, "run", NULL, "did you mean run.py?"},
    {"tune", 0, "xyz", NULL, "xyz: unknown argument: `snug help tune` says what it takes"},
    {"gradcheck", 0, "out", NULL, "out: unknown argument: gradcheck takes no folder"},
    {"train", 0, "n_layer=3", NULL, "did you mean --n_layer=3?"},
    {"train", 0, "n_layers=3", NULL, "did you mean --n_layer=3?"},
    {"train", 0, "--compile", "False", "--compile: the value must follow an =, without a space: write --compile=False"},
    {"train", 0, "--wandb_log", "true", "write --wandb_log=True"},
    {"train", 0, "--bias=true", NULL, "--bias: true stands for nothing here: did you mean True?; write --bias=True"},
    {"train", 0, "--bias=no", NULL, "write --bias=False"},
    {"train", 0, "--bias=1", NULL, "--bias: bias must be True or False, not a whole number"},
    {"train", 0, "--beta2=1", NULL, "--beta2: beta2 is 1, out of range: it must be 0 to 0.9999999"},
    {"train", 0, "--beta2=0.99999999", NULL, "beta2 is 0.99999999, out of range"},
    {"train", 0, "--n_layer=n_laye", NULL,
     "n_laye stands for nothing here: did you mean n_layer?; n_layer must be a whole"},
    {"devices", 0, "chek", NULL, "`snug help devices` says what it takes"},
    {"devices", 0, "check", NULL, "check: unknown argument: did you mean --check=VALUE?"},
    {"version", 0, "now", NULL, "`snug help version` says"},
    {"sample", 1, "ot", NULL, "ot: No such file or directory: did you mean out?"},
    {"eval", 1, "out", "run", "run: unknown argument: eval takes 1 without --"},
    {"prepare", 1000, "READEM.md", NULL, "READEM.md: No such file or directory: did you mean README.md?"},
};

START_TEST(words_that_name_nothing_are_refused) {
    config c;
    error e;
    status s = parse(&c, refused[_i].command, refused[_i].words, refused[_i].a, refused[_i].b, &e);
    ck_assert_msg(s == BAD_INPUT, "%s %s is accepted", refused[_i].command, refused[_i].a);
    ck_assert_msg(strstr(e.text, refused[_i].says) && strlen(e.text) < 400, "%s %s: %s", refused[_i].command,
                  refused[_i].a, e.text);
}
END_TEST

/* ---- notes ---- */

static const struct {
    const char *command, *text, *argument, *note; /* note NULL: there is none */
} notes[] = {
    {"train", "num_gpus = 8\n", NULL, "nothing in the file reads them: num_gpus"},
    {"train", "num_gpus = 8\nn_layer = num_gpus\n", NULL, NULL},
    {"train", "import os\nn_layer = 3\n", NULL, NULL},
    {"train", "use_rope = True\n", NULL, "no settings of snug and nothing in the file reads them: use_rope"},
    {"train", "steps = 5\nmax_iters = steps\n", NULL, NULL}, /* `steps` is equivalence's, but here only a name */
    {"train", "steps = 5\n", NULL, "train does not use steps"},
    {"train", "n_layer = 3\n", "--steps=5", "train does not use --steps"},
    {"eval", "n_layer = 3\nlearning_rate = 1e-3\n", NULL, "eval does not use learning_rate"},
    {"eval", "n_layer = 3\n", NULL, NULL}, /* is compared with the checkpoint's */
    {"report", "n_layer = 3\n", NULL, "report does not use n_layer"},
    {"plan", "device = 'cuda' if torch.cuda.is_available() else 'cpu'\n", NULL, "counts as True"},
};

START_TEST(settings_without_effect_are_named) {
    config c;
    error e;
    put("run.py", notes[_i].text);
    ck_assert_msg(parse(&c, notes[_i].command, 0, "run.py", notes[_i].argument, &e) == OK, "%s", e.text);
    bool found = false;
    for (int i = 0; i < c.n_notes; i++) found = found || (notes[_i].note && strstr(c.notes[i], notes[_i].note));
    ck_assert_msg(notes[_i].note ? found : c.n_notes == 0, "%s %s: %d notes, the first: %s", notes[_i].command,
                  notes[_i].text, c.n_notes, c.n_notes ? c.notes[0] : "");
    config_free(&c);
}
END_TEST

START_TEST(a_question_for_the_gpu_means_auto) {
    config c;
    error e;
    put("run.py",
        "device = 'cuda' if torch.cuda.is_available() else 'cpu'\n"
        "dtype = 'bfloat16' if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else 'float16'\n");
    ck_assert_msg(parse(&c, "train", 0, "run.py", NULL, &e) == OK, "%s", e.text);
    ck_assert_str_eq(c.device, "auto");
    ck_assert_str_eq(c.dtype, "bfloat16");
    config_free(&c);
    put("run.py", "if torch.cuda.is_available():\n    device = 'cuda'\nelse:\n    device = 'cpu'\n");
    ck_assert_msg(parse(&c, "train", 0, "run.py", NULL, &e) == OK, "%s", e.text);
    ck_assert_str_eq(c.device, "auto");
    config_free(&c);
}
END_TEST

Suite *words_suite(void);
Suite *words_suite(void) {
    Suite *suite = suite_create("words");
    TCase *t = tcase_create("words");
#define ROWS(table) (int)(sizeof table / sizeof *table)
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, distances_are_damerau_and_levenshteins);
    tcase_add_test(t, the_nearest_path_is_found_part_by_part);
    tcase_add_loop_test(t, words_that_name_nothing_are_refused, 0, ROWS(refused));
    tcase_add_loop_test(t, settings_without_effect_are_named, 0, ROWS(notes));
    tcase_add_test(t, a_question_for_the_gpu_means_auto);
    suite_add_tcase(suite, t);
    return suite;
}
