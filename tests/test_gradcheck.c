/* test_gradcheck.c: the command `gradcheck` on every kind of graph: the backward pass is the derivative of the forward
   pass (P5). That it notices when it isn't is shown by planted_errors.sh. And `devices --check`, which compares
   gradients too. */
#include "commands/gradcheck.h"
#include "commands/devices_check.h"
#include "support_capture.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ARGS = 12 };

/* Runs it with these arguments (NULL ends them); returns what it printed, for the caller to free. */
static char *gradcheck(const char *const *arguments, status *s, error *e) {
    config c;
    char *argv[MAX_ARGS], *text;
    size_t bytes;
    int n = 0;
    while (arguments[n]) argv[n] = (char *)arguments[n], n++;
    ck_assert_msg(config_parse(&c, n, argv, e) == OK && config_check(&c, e) == OK, "%s", e->text);
    FILE *out = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(out);
    *s = gradcheck_run(&c, out, e);
    fclose(out);
    config_free(&c);
    return text;
}

/* The lines after the heading that holds `heading`: how many, each at most `tolerance`. */
static int lines_within(const char *text, const char *heading, double tolerance) {
    const char *at = strstr(text, heading);
    int n = 0;
    ck_assert_msg(at != NULL, "no '%s' in: %s", heading, text);
    while ((at = strchr(at, '\n')) && !strncmp(++at, "transformer.", 12)) {
        double off = strtod(strchr(at, ' '), NULL);
        ck_assert_msg(off >= 0 && off <= tolerance, "%.60s", at);
        n++;
    }
    return n;
}

/* Smaller than the default, to be quick under sanitizers too: about 600 parameters. */
#define SMALLER "--device=cpu", "--n_head=2", "--n_embd=4", "--vocab_size=7", "--block_size=5"

static const struct {
    const char *arguments[MAX_ARGS];
    int tensors;
} variants[] = {
    {{"--device=cpu"}, 28},
    {{SMALLER, "--activation=gelu_tanh", "--seed=7"}, 28},
    {{SMALLER, "--bias=False"}, 15},
    {{SMALLER, "--dropout=0"}, 28},
    {{SMALLER, "--batch_invariant=False"}, 28},
    {{SMALLER, "--recompute=gelu"}, 28},
    {{SMALLER, "--recompute=norm"}, 28},
    {{SMALLER, "--recompute=attention"}, 28},
    {{SMALLER, "--recompute=block", "--bias=False", "--batch_invariant=False", "--activation=gelu_tanh"}, 15},
    {{"--device=cpu", "--n_layer=1", "--n_head=3", "--n_embd=6", "--block_size=5", "--vocab_size=7", "--batch_size=5"},
     16},
    /* as small as can be: a norm of one channel passes nothing on */
    {{"--device=cpu", "--n_layer=1", "--n_head=1", "--n_embd=1", "--block_size=1", "--vocab_size=2", "--batch_size=1"},
     16},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

START_TEST(the_backward_pass_is_the_derivative_of_the_forward_pass) {
    error e = {""};
    status s;
    char *text = gradcheck(variants[_i].arguments, &s, &e);
    ck_assert_msg(s == OK, "%s\n%s", e.text, text);
    ck_assert_int_eq(lines_within(text, "central differences", 1e-7), variants[_i].tensors);
    ck_assert(strstr(text, variants[_i].tensors == 16 ? "1 layer, " : "2 layers, "));
    free(text);
}
END_TEST

START_TEST(opencl_float32_gradients_are_the_cpus_float64_gradients) {
    static const char *const activations[] = {"--activation=gelu", "--activation=gelu_tanh"};
    error e = {""};
    status s;
    /* One layer: the differences, which come first, take four times as long for two. */
    char *text = gradcheck(
        (const char *[]){"--device=opencl", activations[_i], "--n_layer=1", "--n_embd=24", "--n_head=3", NULL}, &s, &e);
    if (s == OK)
        ck_assert_int_eq(lines_within(text, "against the CPU's float64", 1e-5), 16);
    else /* nothing to compare with */
        ck_assert_msg(strstr(e.text, "no OpenCL") || strstr(e.text, "finds no device"), "%s\n%s", e.text, text);
    free(text);
}
END_TEST

/* bfloat16 on either backend, one layer, as for float32. */
START_TEST(bfloat16_gradients_are_near_the_cpus_float64_gradients) {
    static const char *const devices[] = {"--device=cpu", "--device=opencl"};
    error e = {""};
    status s;
    char *text = gradcheck((const char *[]){devices[_i], "--dtype=bfloat16", "--n_layer=1", "--n_embd=12", "--n_head=2",
                                            "--vocab_size=7", "--block_size=5", NULL},
                           &s, &e);
    if (s == OK)
        ck_assert_int_eq(
            lines_within(text, ", bfloat16 with products in bf16, against the CPU's float64: at most 0.03\n", 3e-2),
            16);
    else
        ck_assert_msg(_i && (strstr(e.text, "no OpenCL") || strstr(e.text, "finds no device")), "%s\n%s", e.text, text);
    free(text);
}
END_TEST

START_TEST(models_that_are_too_large_or_cannot_be_are_refused) {
    static const struct {
        const char *argument, *says;
    } bad[] = {{"--n_layer=1000", "too many for differences, 20000 are the most"},
               {"--n_head=3", "n_head 3 does not divide n_embd 10: give both"},
               {"--batch_size=100000", "100000 sequences are too many"}};
    for (int i = 0; i < 3; i++) {
        error e = {""};
        status s;
        free(gradcheck((const char *[]){"--device=cpu", bad[i].argument, NULL}, &s, &e));
        ck_assert_int_eq(s, BAD_INPUT);
        ck_assert_msg(strstr(e.text, bad[i].says) != NULL, "%s", e.text);
    }
}
END_TEST

/* ---- devices --check ---- */

static status check(const config *c, error *e) { return devices_check_run(c, stdout, e); }

/* The float32 of the CPU backend against its float64: off by rounding, but never by nothing. */
START_TEST(devices_check_says_all_its_lines_of_the_cpu) {
    error e = {""};
    status s;
    char *text = CAPTURE(check, &s, &e, "--check", "--device=cpu");
    int gradients = 0, caps = 0, splits = 0, end = 0;
    ck_assert_msg(s == OK, "%s", e.text);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        const char *name = strstr(line, caps % 2 ? "even: " : "odd: ");
        double off = name && strstr(line, "  gradients  ") ? strtod(strchr(name, ' '), NULL) : 1;
        gradients += off > 1e-8 && off < 1e-5 && strstr(line, "float64 at most (transformer.") != NULL;
        splits += strstr(line, "  splits     ") && strstr(line, " after 5 steps of 12 sequences by 12, 5, 2, 1");
        caps += strstr(line, "  cap        ") && strstr(line, "holds exactly the planned ") &&
                strstr(line, " bytes; a cap of one byte less is refused");
        end += !strcmp(line, "  all as it should be");
    }
    ck_assert_msg(gradients == 2 && caps == 2 && splits == 2 && end == 1, "%d %d %d %d", gradients, caps, splits, end);
    free(text);
}
END_TEST

Suite *gradcheck_suite(void);
Suite *gradcheck_suite(void) {
    Suite *s = suite_create("gradcheck");
    TCase *c = tcase_create("cpu"), *opencl = tcase_create("opencl"), *command = tcase_create("command");
    tcase_set_tags(c, "once");
    tcase_set_timeout(c, 300);
    tcase_set_timeout(opencl, 300);
    tcase_add_loop_test(c, the_backward_pass_is_the_derivative_of_the_forward_pass, 0, VARIANTS);
    tcase_add_loop_test(opencl, opencl_float32_gradients_are_the_cpus_float64_gradients, 0, 2);
    tcase_add_loop_test(opencl, bfloat16_gradients_are_near_the_cpus_float64_gradients, 0, 2);
    tcase_add_test(c, models_that_are_too_large_or_cannot_be_are_refused);
    suite_add_tcase(s, c);
    suite_add_tcase(s, opencl);
    tcase_set_tags(command, "once");
    tcase_add_test(command, devices_check_says_all_its_lines_of_the_cpu);
    suite_add_tcase(s, command);
    return s;
}
