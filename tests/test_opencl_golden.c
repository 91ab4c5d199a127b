/* test_opencl_golden.c: the commands `grads` and `train` on OpenCL against PyTorch's golden values (P5), and `devices
   --check`. */
#include "commands/devices_check.h"
#include "commands/grads.h"
#include "base/json_value.h"
#include "opencl_device.h"
#include "save/safetensors.h"
#include "run/train.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Runs a command as the program would, with what it prints going to `output`. Arguments end with NULL. */
static void command(status (*run)(const config *, error *), const char *output, ...) {
    char *arguments[32], device[TEXT_MAX];
    int n = 0;
    va_list list;
    va_start(list, output);
    for (char *a; (a = va_arg(list, char *)); arguments[n++] = a) ck_assert_int_lt(n, 31);
    va_end(list);
    const char *wanted = getenv("SNUG_TEST_DEVICE");
    snprintf(device, sizeof device, "--device=%s", wanted ? wanted : "opencl");
    arguments[n++] = device;
    error e = {""};
    config *c = xcalloc(1, sizeof *c);
    ck_assert_msg(config_parse(c, n, arguments, &e) == OK && config_check(c, &e) == OK, "%s", e.text);
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    ck_assert_ptr_nonnull(freopen(output, "w", stdout));
    status s = run(c, &e);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    ck_assert_msg(s == OK, "%s", e.text);
    config_free(c);
    free(c);
}

/* The largest ||got - want|| / ||want|| over the tensors of two files, which must have the same names and shapes.
   Tensors whose names have `but` in them don't count (NULL: all do). */
static double distance(const char *got_path, const char *want_path, const char *but) {
    error e = {""};
    st_file got, want;
    double worst = 0;
    ck_assert_msg(st_open(got_path, &got, &e) == OK && st_open(want_path, &want, &e) == OK, "%s", e.text);
    ck_assert_int_gt(want.n, 0);
    ck_assert_int_eq(got.n, want.n);
    for (int t = 0; t < want.n; t++) {
        const st_tensor *w = &want.tensors[t], *g = st_find(&got, w->name);
        ck_assert_msg(g && g->elements == w->elements, "%s", w->name);
        double off = 0, all = 0;
        for (int64_t i = 0; i < w->elements; i++) {
            double d = st_value(g, i) - st_value(w, i);
            off += d * d;
            all += st_value(w, i) * st_value(w, i);
        }
        ck_assert_msg(!isnan(off), "%s", w->name);
        if (!but || !strstr(w->name, but)) worst = fmax(worst, sqrt(off / all));
    }
    st_close(&got);
    st_close(&want);
    return worst;
}

static cJSON *read_expected(const char *folder) {
    error e = {""};
    cJSON *expected;
    char path[256];
    snprintf(path, sizeof path, "%s/expect.json", folder);
    ck_assert_msg(json_read_object(path, &expected, &e) == OK, "%s", e.text);
    return expected;
}

/* Writes PATH of a file in the folder into text and returns it. */
static char *in(const char *folder, const char *name, char text[256]) {
    snprintf(text, 256, "%s%s", folder, name);
    return text;
}

static void make_folder(char *folder) { ck_assert_ptr_nonnull(mkdtemp(folder)); }

static void remove_folder(const char *folder) {
    char line[256];
    snprintf(line, sizeof line, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(line), 0);
}

START_TEST(gradients_of_the_golden_cases_match_pytorch) {
    static const char *const cases[] = {"tests/golden/tanh-bias", "tests/golden/erf-nobias"};
    static const char *const splits[][2] = {{"--micro_batch_size=0", "--recompute=none"},
                                            {"--micro_batch_size=1", "--recompute=block"},
                                            {"--micro_batch_size=4", "--recompute=gelu"}};
    char folder[] = "/tmp/snug-golden-XXXXXX", text[256], got[256], want[256], batch[256] = "--batch=", out[256];
    make_folder(folder);
    cJSON *expected = read_expected(cases[_i % 2]);
    double loss = json_get(expected, "loss")->valuedouble, printed;
    snprintf(batch, sizeof batch, "--batch=%s/batch.safetensors", cases[_i % 2]);
    snprintf(out, sizeof out, "--out=%s/grads.safetensors", folder);
    bool bf16 = _i / 2;
    double tolerance = precision_table[bf16 ? PRECISION_BFLOAT16 : PRECISION_FLOAT32].tolerance;
    for (int i = bf16; i < (bf16 ? 2 : 3); i++) {
        in(folder, "/printed", text);
        command(grads_run, text, cases[_i % 2], batch, out, splits[i][0], splits[i][1],
                bf16 ? "--dtype=bfloat16" : "--dtype=float32", (char *)NULL);
        FILE *f = fopen(text, "r");
        ck_assert_int_eq(fscanf(f, "loss %lf", &printed), 1);
        fclose(f);
        ck_assert_msg(fabs(printed - loss) <= tolerance * loss, "loss %.9g, not %.9g", printed, loss);
        double off = distance(in(folder, "/grads.safetensors", got), in(cases[_i % 2], "/grads.safetensors", want),
                              bf16 ? "c_attn.bias" : NULL);
        ck_assert_msg(off <= tolerance && (!bf16 || off > 1e-5), "%s %s %s: %.3g", cases[_i % 2], splits[i][0],
                      splits[i][1], off);
    }
    cJSON_Delete(expected);
    remove_folder(folder);
}
END_TEST

static void copy(const char *from, const char *to) {
    char line[600];
    snprintf(line, sizeof line, "cp '%s' '%s'", from, to);
    ck_assert_int_eq(system(line), 0);
}

/* Step i of log.jsonl against the expected losses and norms. */
static int check_line(const char *line, const cJSON *losses, const cJSON *norms) {
    cJSON *step = cJSON_Parse(line);
    const cJSON *loss = json_get(step, "loss");
    int found = 0;
    if (loss) {
        int i = json_get(step, "iter")->valueint;
        double want = cJSON_GetArrayItem(losses, i)->valuedouble, norm = cJSON_GetArrayItem(norms, i)->valuedouble,
               got = json_get(step, "grad_norm")->valuedouble;
        ck_assert_msg(fabs(loss->valuedouble - want) <= 1e-4 * want, "step %d: loss %.9g, not %.9g", i,
                      loss->valuedouble, want);
        ck_assert_msg(fabs(got - norm) <= 1e-4 * norm, "step %d: norm %.9g, not %.9g", i, got, norm);
        found = 1;
    }
    cJSON_Delete(step);
    return found;
}

START_TEST(twenty_steps_of_train_follow_pytorch) {
    char folder[] = "/tmp/snug-golden-XXXXXX", text[256], data[256], out[256], line[1024];
    int steps = 0;
    make_folder(folder);
    copy("tests/golden/train/stream.bin", in(folder, "/train.bin", text));
    snprintf(data, sizeof data, "--dataset=%s", folder);
    snprintf(out, sizeof out, "--out_dir=%s/out", folder);
    command(train_run, in(folder, "/printed", text), data, out, "--init_from=tests/golden/train",
            "--data_order=sequential", "--batch_size=6", "--gradient_accumulation_steps=1", "--micro_batch_size=4",
            "--max_iters=20", "--learning_rate=1e-3", "--min_lr=1e-4", "--warmup_iters=5", "--lr_decay_iters=20",
            "--weight_decay=0.1", "--beta1=0.9", "--beta2=0.95", "--grad_clip=1", "--eval_interval=1000",
            "--eval_iters=1", (char *)NULL);
    cJSON *expected = read_expected("tests/golden/train");
    FILE *f = fopen(in(folder, "/out/log.jsonl", text), "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f))
        steps += check_line(line, json_get(expected, "losses"), json_get(expected, "grad_norms"));
    fclose(f);
    cJSON_Delete(expected);
    ck_assert_int_eq(steps, 20);
    /* A bias of the keys shifts all scores of a query alike: its gradient is nothing but rounding, and Adam makes whole
       steps of it. */
    double off = distance(in(folder, "/out/latest/model.safetensors", text), "tests/golden/train/train.safetensors",
                          "c_attn.bias");
    ck_assert_msg(off <= 1e-5, "final weights: %.3g", off);
    remove_folder(folder);
}
END_TEST

static status check_device(const config *c, error *e) { return devices_check_run(c, stdout, e); }

START_TEST(devices_check_proves_the_device) {
    char folder[] = "/tmp/snug-golden-XXXXXX", text[4096] = "", path[256];
    make_folder(folder);
    command(check_device, in(folder, "/printed", path), "--check", (char *)NULL);
    FILE *f = fopen(path, "r");
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, f), 0);
    fclose(f);
    static const char *const lines[] = {"gradients  odd: ", "cap        even: holds exactly",
                                        "splits     even: weights ", "by 12, 5, 2, 1\n", "all as it should be\n"};
    for (int i = 0; i < 5; i++) ck_assert_msg(strstr(text, lines[i]) != NULL, "no '%s' in:\n%s", lines[i], text);
    remove_folder(folder);
}
END_TEST

Suite *opencl_golden_suite(void);
Suite *opencl_golden_suite(void) {
    Suite *suite = suite_create("opencl_golden");
    TCase *t = tcase_create("opencl_golden");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, gradients_of_the_golden_cases_match_pytorch, 0, 4);
    tcase_add_test(t, twenty_steps_of_train_follow_pytorch);
    tcase_add_test(t, devices_check_proves_the_device);
    suite_add_tcase(suite, t);
    return suite;
}
