/* test_equivalence.c: the same weights, to the bit, for every micro-batch, recompute policy and number of threads; and
   what `equivalence` prints and writes. */
#include "commands/equivalence.h"
#include "base/files.h"
#include "base/json_value.h"
#include "run/model.h"
#include "run/train.h"
#include "support_capture.h"
#include "support_json.h"
#include "support_steps.h"
#include <check.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- bits ---- */

static const gpt_shape SHAPE = {
    .layers = 2, .heads = 2, .channels = 20, .positions = 17, .vocabulary = 37, .bias = true, .norm_epsilon = 1e-5};

START_TEST(weights_are_the_same_bits_for_every_split_policy_and_thread_count) {
    size_t real = _i ? 8 : 4;
    char first[HASH_HEX] = "", hash[HASH_HEX];
    for (int threads = 1; threads <= 2; threads++)
        for (int k = 12; k >= 1; k--)
            for (int p = 0; p < RECOMPUTE_POLICIES; p++) {
                gpt_run run = steps_run(12, SHAPE.positions, k, recompute_policies[p].dropped);
                run.one_upload = p % 2;
                omp_set_num_threads(threads);
                steps_train(cpu_open(real, 0), &SHAPE, &run, hash, NULL);
                if (!first[0]) strcpy(first, hash);
                ck_assert_msg(!strcmp(hash, first), "micro-batch %d, recompute %s, %d threads change the weights", k,
                              recompute_policies[p].name, threads);
            }
}
END_TEST

/* Each policy for each number of layers, with the sequences cut as the number has it. */
START_TEST(weights_are_the_same_bits_for_every_number_of_layers) {
    gpt_shape shape = SHAPE;
    char first[HASH_HEX] = "", hash[HASH_HEX];
    shape.layers = 4;
    for (int p = 0; p < RECOMPUTE_POLICIES; p++)
        for (int layers = 0; layers < (p ? shape.layers : 1); layers++) {
            gpt_run run = steps_run(7, shape.positions, 1 + (p + layers) % 5, recompute_policies[p].dropped);
            run.recompute_layers = layers;
            steps_train(cpu_open(4, 0), &shape, &run, hash, NULL);
            if (!first[0]) strcpy(first, hash);
            ck_assert_msg(!strcmp(hash, first), "recompute %s for %d layers changes the weights",
                          recompute_policies[p].name, layers);
        }
}
END_TEST

/* ---- the command ---- */

static char folder[32], out_option[64];
static void make_folder(void) {
    omp_set_num_threads(1); /* so that the processor's time counts work, not waiting */
    strcpy(folder, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(out_option, sizeof out_option, "--out_dir=%s/out", folder);
}
static void remove_folder(void) { ck_assert_int_eq(folder_remove(folder, NULL), OK); }

static cJSON *written(void) {
    char path[128];
    error e;
    cJSON *root;
    snprintf(path, sizeof path, "%s/out/equivalence.json", folder);
    ck_assert_msg(json_read_object(path, &root, &e) == OK, "%s", e.text);
    return root;
}

static double row_error(const cJSON *root, const char *name) {
    const cJSON *row;
    cJSON_ArrayForEach(row, json_get(root, "gradient_errors")) {
        if (!strcmp(json_get(row, "name")->valuestring, name)) return number(row, "error");
    }
    ck_abort_msg("no row '%s'", name);
    return 0;
}

START_TEST(the_built_in_model_is_the_same_at_every_split_and_takes_seconds) {
    status s;
    error e = {""};
    struct timespec start, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    char *text = CAPTURE(equivalence_run, &s, &e, "--device=cpu", out_option);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    ck_assert_msg(s == OK, "%s", e.text);
#ifndef __SANITIZE_ADDRESS__
    ck_assert_int_lt(end.tv_sec - start.tv_sec, 30);
#endif
    cJSON *root = written(), *split;
    const cJSON *splits = json_get(root, "splits"), *first = cJSON_GetArrayItem(splits, 0);
    const char *sha256 = json_get(first, "sha256")->valuestring;
    ck_assert_int_eq(cJSON_GetArraySize(splits), EQUIVALENCE_SPLITS);
    ck_assert(cJSON_IsTrue(json_get(root, "identical")) && !json_get(root, "first_difference"));
    ck_assert(number(root, "effective_batch") == 12 && strlen(sha256) == 64);
    int uneven = 0, policies = 0, some_layers = 0;
    cJSON_ArrayForEach(split, splits) {
        const cJSON *losses = json_get(split, "losses");
        ck_assert_str_eq(json_get(split, "sha256")->valuestring, sha256);
        ck_assert(number(split, "loss") == number(first, "loss"));
        ck_assert_int_eq(cJSON_GetArraySize(losses), (int)number(root, "steps"));
        ck_assert(number(split, "loss") < cJSON_GetArrayItem(losses, 0)->valuedouble - 1); /* it learns */
        ck_assert(number(split, "peak_bytes") > 0 && number(split, "ms_per_step") > 0);
        ck_assert(number(split, "parts") == ceil(12 / number(split, "micro_batch")));
        uneven += fmod(12, number(split, "micro_batch")) != 0;
        int layers;
        policies |= 1 << (recompute_read(json_get(split, "recompute")->valuestring, &layers) - recompute_policies);
        some_layers += layers == 1;
        char peak[32];
        snprintf(peak, sizeof peak, "%.0f", number(split, "peak_bytes"));
        ck_assert_ptr_nonnull(strstr(text, peak));
    }
    ck_assert(uneven && policies == 31 && some_layers == 2); /* of two */
    ck_assert(strstr(text, "identical: every loss and every weight of all 6 splits") && strstr(text, sha256));
    cJSON_Delete(root);
    free(text);
}
END_TEST

START_TEST(gradients_are_right_or_wrong_by_how_they_are_divided) {
    status s;
    error e = {""};
    free(CAPTURE(equivalence_run, &s, &e, "--device=cpu", out_option, "--splits=12,4"));
    ck_assert_msg(s == OK, "%s", e.text);
    cJSON *root = written();
    double rounding = row_error(root, "batch_invariant=False"), parts = number(root, "gradient_parts");
    ck_assert(parts == 3 && row_error(root, "batch_invariant=True") == 0);
    ck_assert(rounding > 0 && rounding < 1e-5);
    ck_assert_double_gt(row_error(root, "mean of means"), 0.05);
    ck_assert_double_lt(row_error(root, "mean of means, equal counts"), 1e-5);
    ck_assert_double_gt(row_error(root, "not divided"), parts - 1 - 0.5);
    const cJSON *noise = json_get(root, "noise");
    ck_assert_double_eq_tol(number(noise, "ratio"), sqrt(2), 0.2);
    ck_assert_double_eq_tol(number(noise, "theory"), sqrt(2), 1e-12);
    cJSON_Delete(root);
}
END_TEST

/* What docs say of the built-in model and its training, given to `train` with the built-in text as its data: each
   step's loss is the one of equivalence.json. */
START_TEST(the_built_in_training_is_what_train_does) {
    status s;
    error e = {""};
    token_file text;
    char data[128], line[4096];
    int i = 0;
    equivalence_text_open(&text);
    ck_assert(token_at(&text, 0) == 'A' && token_at(&text, text.tokens - 1) == '\n');
    for (int val = 0; val < 2; val++) {
        snprintf(data, sizeof data, "%s/%s.bin", folder, val ? "val" : "train");
        ck_assert(file_write(data, text.map, text.map_bytes, false, NULL, &e) == OK);
    }
    equivalence_text_free(&text);
    free(CAPTURE(equivalence_run, &s, &e, "--device=cpu", out_option, "--splits=5"));
    ck_assert_msg(s == OK, "%s", e.text);
    cJSON *root = written(), *step;
    const cJSON *losses = json_get(cJSON_GetArrayItem(json_get(root, "splits"), 0), "losses");
    snprintf(data, sizeof data, "--dataset=%s", folder);
    free(CAPTURE(train_run, &s, &e, "--device=cpu", out_option, data, "--n_layer=2", "--n_head=4", "--n_embd=64",
                 "--block_size=64", "--vocab_size=128", "--dropout=0.1", "--batch_size=4",
                 "--gradient_accumulation_steps=3", "--decay_lr=False", "--learning_rate=1e-2", "--max_iters=5",
                 "--log_interval=1", "--eval_interval=100", "--eval_iters=1"));
    ck_assert_msg(s == OK, "%s", e.text);
    snprintf(data, sizeof data, "%s/out/log.jsonl", folder);
    FILE *log = fopen(data, "r");
    ck_assert_ptr_nonnull(log);
    while (fgets(line, sizeof line, log)) {
        ck_assert_ptr_nonnull(step = cJSON_Parse(line));
        if (json_get(step, "loss")) {
            const cJSON *there = cJSON_GetArrayItem(losses, i);
            ck_assert_msg(i++ == number(step, "iter") && there && number(step, "loss") == there->valuedouble, "%s",
                          line);
        }
        cJSON_Delete(step);
    }
    fclose(log);
    ck_assert(i == 5 && number(root, "steps") == 5 && cJSON_IsTrue(json_get(root, "built_in")));
    const cJSON *m = json_get(root, "model");
    ck_assert(number(m, "n_layer") == 2 && number(m, "n_head") == 4 && number(m, "n_embd") == 64);
    ck_assert(number(m, "block_size") == 64 && number(m, "vocab_size") == 128);
    /* Without biases: 12 C^2 and two norms a layer, words, positions, the last norm. */
    ck_assert(number(m, "parameters") == 2 * (12 * 64 * 64 + 2 * 64) + 128 * 64 + 64 * 64 + 64);
    cJSON_Delete(root);
}
END_TEST

START_TEST(a_difference_is_found_and_named) {
    status s;
    error e = {""};
    char *text = CAPTURE(equivalence_run, &s, &e, "--device=cpu", out_option, "--splits=12,5,1",
                         "--batch_invariant=False", "--recompute=none");
    ck_assert_msg(s == OK, "%s", e.text); /* nobody promised equal bits */
    cJSON *root = written();
    const cJSON *difference = json_get(root, "first_difference");
    ck_assert(cJSON_IsFalse(json_get(root, "identical")) && cJSON_IsObject(difference));
    ck_assert(number(difference, "step") >= 1 && number(difference, "step") <= 5);
    /* Losses are of each sequence and the same; of the weights, after a step by a clipped gradient, all differ. */
    ck_assert_str_eq(json_get(difference, "tensor")->valuestring, "transformer.wte.weight");
    ck_assert_ptr_nonnull(strstr(text, "first in transformer.wte.weight\n"));
    ck_assert_ptr_nonnull(strstr(text, "DIFFERENT: micro-batches 12 and "));
    cJSON_Delete(root);
    free(text);
}
END_TEST

START_TEST(a_cap_leaves_out_what_does_not_fit) {
    status s;
    error e = {""};
    cJSON *split;
    free(CAPTURE(equivalence_run, &s, &e, "--device=cpu", out_option, "--vram_cap=3MiB", "--splits=all"));
    ck_assert_msg(s == OK, "%s", e.text);
    cJSON *root = written();
    int n = cJSON_GetArraySize(json_get(root, "splits"));
    ck_assert(n > 1 && n < 12);
    cJSON_ArrayForEach(split, json_get(root, "splits")) { ck_assert(number(split, "peak_bytes") <= 3 << 20); }
    cJSON_Delete(root);
    free(CAPTURE(equivalence_run, &s, &e, "--device=cpu", "--vram_cap=3MiB", "--splits=12"));
    ck_assert_msg(s == NO_MEMORY && strstr(e.text, "micro_batch_size 12"), "%s", e.text);
    free(CAPTURE(equivalence_run, &s, &e, "--device=cpu", "--vram_cap=100KiB"));
    ck_assert_msg(s == NO_MEMORY, "%s", e.text);
}
END_TEST

START_TEST(splits_that_are_none_are_refused) {
    static char *const bad[] = {"--splits=0",   "--splits=13", "--splits=4,",
                                "--splits=4 5", "--splits=x",  "--splits=-1"};
    for (int i = 0; i < 6; i++) {
        status s;
        error e = {""};
        free(CAPTURE(equivalence_run, &s, &e, "--device=cpu", bad[i]));
        ck_assert_msg(s == BAD_INPUT && strstr(e.text, "--splits=1,3,8"), "%s: %s", bad[i], e.text);
    }
}
END_TEST

START_TEST(a_batch_of_one_has_nothing_to_split) {
    status s;
    error e = {""};
    char *text = CAPTURE(equivalence_run, &s, &e, "--device=cpu", out_option, "--batch_size=1",
                         "--gradient_accumulation_steps=1");
    ck_assert_msg(s == OK, "%s", e.text);
    cJSON *root = written();
    ck_assert(!json_get(root, "noise") && number(root, "gradient_parts") == 0);
    ck_assert_ptr_nonnull(strstr(text, "nothing to be compared with"));
    cJSON_Delete(root);
    free(text);
}
END_TEST

Suite *equivalence_suite(void) {
    Suite *s = suite_create("equivalence");
    TCase *bits = tcase_create("bits"), *whole = tcase_create("whole"), *command = tcase_create("command");
    tcase_add_loop_test(bits, weights_are_the_same_bits_for_every_split_policy_and_thread_count, 0, 2);
    tcase_add_test(bits, weights_are_the_same_bits_for_every_number_of_layers);
    tcase_set_tags(whole, "once");
    tcase_add_checked_fixture(whole, make_folder, remove_folder);
    tcase_add_checked_fixture(command, make_folder, remove_folder);
    tcase_add_test(whole, the_built_in_model_is_the_same_at_every_split_and_takes_seconds);
    tcase_add_test(whole, gradients_are_right_or_wrong_by_how_they_are_divided);
    tcase_add_test(command, the_built_in_training_is_what_train_does);
    tcase_add_test(command, a_difference_is_found_and_named);
    tcase_add_test(whole, a_cap_leaves_out_what_does_not_fit);
    tcase_add_test(command, splits_that_are_none_are_refused);
    tcase_add_test(command, a_batch_of_one_has_nothing_to_split);
    tcase_set_tags(bits, "once");
    tcase_set_timeout(bits, 600);
    tcase_set_timeout(whole, 600);
    tcase_set_timeout(command, 600);
    suite_add_tcase(s, bits);
    suite_add_tcase(s, whole);
    suite_add_tcase(s, command);
    return s;
}
