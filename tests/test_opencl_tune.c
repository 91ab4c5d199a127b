/* test_opencl_tune.c: CLBlast's parameters: their rules, text and cache; that wrong ones are noticed; and that runs
   keep those that they began with. */
#include "base/files.h"
#include "run/model.h"
#include "opencl/tune/tune.h"
#include "opencl_device.h"
#include "support_steps.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const size_t pinned[] = {0, 1, 32, 2, 8, 8, 64, 8, 8, 64, 1, 1, 0, 0, 8, 8};
/* Returns at once, with C as it was: KREG has no whole vector of VWN. CLBlast takes it without a word. */
static const size_t wrong[] = {1, 1, 1, 1, 4, 4, 64, 4, 4, 64, 0, 0, 0, 0, 4, 4};
/* Right, and other than what any device starts with. */
static const size_t other[] = {0, 1, 16, 2, 8, 8, 32, 8, 8, 32, 1, 1, 0, 0, 4, 4};

static gemm_params params_of(const size_t *xgemm, size_t min_indirect) {
    gemm_params p = {.has = {[FAMILY_XGEMM] = true, [FAMILY_ROUTINE] = true}};
    memcpy(&p.value[PARAM_GEMMK], xgemm, sizeof pinned);
    p.value[PARAM_XGEMM_MIN_INDIRECT_SIZE] = min_indirect;
    return p;
}

static const device_info a_device = {
    .name = "a card", .driver = "1.0", .type = CL_DEVICE_TYPE_GPU, .local = 65536, .group = 1024};

/* ---- rules and text ---- */

START_TEST(sets_that_break_a_rule_are_not_sound) {
    static const struct {
        param_id id;
        size_t value;
    } breaks[] = {
        {PARAM_KWI, 5},    {PARAM_MWG, 256}, {PARAM_MWG, 48},  {PARAM_NWG, 0},   {PARAM_MDIMC, 64},
        {PARAM_MDIMA, 0},  {PARAM_VWM, 16},  {PARAM_VWN, 3},   {PARAM_SA, 2},    {PARAM_GEMMK, 2},
        {PARAM_NDIMB, 32}, {PARAM_KREG, 2},  {PARAM_STRM, 17}, {PARAM_GEMMK, 1}, {PARAM_XGEMM_MIN_INDIRECT_SIZE, 0}};
    gemm_params good = params_of(pinned, 192), p;
    ck_assert(gemm_params_sound(&good, &a_device));
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        p = good;
        p.value[breaks[i].id] = breaks[i].value;
        ck_assert_msg(!gemm_params_sound(&p, &a_device), "%s=%zu passes", param_table[breaks[i].id].name,
                      breaks[i].value);
    }
    p = params_of(wrong, 192);
    ck_assert(!gemm_params_sound(&p, &a_device));
    device_info small = a_device;
    small.group = 32;
    ck_assert(!gemm_params_sound(&good, &small));
    small = a_device;
    small.local = 8192;
    ck_assert(!gemm_params_sound(&good, &small));
}
END_TEST

START_TEST(what_is_printed_is_read_back_and_nothing_else) {
    static const char *const bad[] = {"",
                                      "default",
                                      "Xgemm GEMMK=0",
                                      "GemmRoutine XGEMM_MIN_INDIRECT_SIZE=192 ",
                                      "GemmRoutine XGEMM_MIN_INDIRECT_SIZE=-1",
                                      "GemmRoutine XGEMM_MIN_INDIRECT_SIZE=99999999999999999999",
                                      "gemmroutine XGEMM_MIN_INDIRECT_SIZE=192"};
    char text[GEMM_TEXT_MAX], again[GEMM_TEXT_MAX];
    gemm_params p = params_of(pinned, 192), q;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        p.has[f] = true;
        gemm_params_print(&p, text);
        ck_assert_msg(gemm_params_parse(text, &q), "%s", text);
        gemm_params_print(&q, again);
        ck_assert_str_eq(text, again);
    }
    ck_assert_uint_lt(strlen(text), sizeof((backend *)0)->gemm);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!gemm_params_parse(bad[i], &q) || !gemm_params_sound(&q, &a_device), "'%s' passes", bad[i]);
}
END_TEST

/* ---- the cache ---- */

static char folder[32];

/* For snug alone: PoCL keeps its compiled kernels where it always does, or every test would compile them anew. */
static void own_cache(void) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *pocl = xdg ? xprintf("%s/pocl/kcache", xdg) : xprintf("%s/.cache/pocl/kcache", home ? home : "/tmp");
    setenv("POCL_CACHE_DIR", pocl, 0);
    free(pocl);
    /* hundreds of fsyncs: in memory where there is such a place */
    strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/snug-tune-XXXXXX" : "/dev/shm/snug-tune-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
}

static void drop_cache(void) {
    error e = {""};
    ck_assert_msg(folder_remove(folder, &e) == OK, "%s", e.text);
}

static gemm_record record_of(const size_t *xgemm) {
    return (gemm_record){
        .params = params_of(xgemm, 128), .date = "2026-11-24", .own = 7.25, .untuned = 48.1, .tuned = 57.3};
}

START_TEST(what_is_kept_is_recalled_for_that_device_and_driver_only) {
    error e = {""};
    gemm_record kept = record_of(pinned), r;
    device_info d = a_device;
    own_cache();
    ck_assert(!gemm_record_recall(&d, &r));
    ck_assert_msg(gemm_record_keep(&d, &kept, &e) == OK, "%s", e.text);
    ck_assert(gemm_record_recall(&d, &r));
    ck_assert_mem_eq(&r.params, &kept.params, sizeof r.params);
    ck_assert_str_eq(r.date, kept.date);
    ck_assert(r.own == kept.own && r.untuned == kept.untuned && r.tuned == kept.tuned);
    for (int i = 0; i < 100; i++) { /* rates as they are measured: any double */
        kept.tuned = 57.3 * (1 + i / 9973.0);
        ck_assert_msg(gemm_record_keep(&d, &kept, &e) == OK, "%s", e.text);
        ck_assert_msg(gemm_record_recall(&d, &r), "%.17g GFLOP/s come back as %.17g", kept.tuned, r.tuned);
    }
    strcpy(d.driver, "1.1");
    ck_assert(!gemm_record_recall(&d, &r));
    d = a_device;
    strcpy(d.name, "another card");
    ck_assert(!gemm_record_recall(&d, &r));
    drop_cache();
}
END_TEST

/* The only file in the cache, whole. */
static char *cache_file(void) {
    char *command = xprintf("ls %s/snug/gemm-*.json", folder), line[256] = "";
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(fgets(line, sizeof line, f));
    pclose(f);
    free(command);
    line[strcspn(line, "\n")] = 0;
    return xstrdup(line);
}

/* Every byte is changed once, and the file is cut at every length: it counts as none, or says what was kept. */
START_TEST(a_damaged_cache_file_counts_as_none) {
    error e = {""};
    gemm_record kept = record_of(pinned), r;
    char *text;
    size_t bytes;
    own_cache();
    ck_assert_msg(gemm_record_keep(&a_device, &kept, &e) == OK, "%s", e.text);
    char *path = cache_file();
    ck_assert_int_eq(file_read(path, 1 << 20, &text, &bytes, &e), OK);
    for (size_t i = 0; i < 2 * bytes; i++) {
        char was = text[i % bytes];
        if (i < bytes) text[i] = (char)(was ^ 1);
        ck_assert_int_eq(file_write(path, text, i < bytes ? bytes : i - bytes, false, NULL, &e), OK);
        if (i < bytes) text[i] = was;
        ck_assert(!gemm_record_recall(&a_device, &r) || !memcmp(&r.params, &kept.params, sizeof r.params));
    }
    ck_assert_msg(gemm_record_keep(&a_device, &kept, &e) == OK, "%s", e.text);
    ck_assert(gemm_record_recall(&a_device, &r));
    free(text);
    free(path);
    drop_cache();
}
END_TEST

START_TEST(a_set_that_is_not_sound_is_not_recalled) {
    error e = {""};
    gemm_record kept = record_of(wrong), r;
    own_cache();
    ck_assert_msg(gemm_record_keep(&a_device, &kept, &e) == OK, "%s", e.text);
    ck_assert(!gemm_record_recall(&a_device, &r));
    drop_cache();
}
END_TEST

/* ---- right and wrong ---- */

static const gpt_shape small = {
    .layers = 1, .heads = 2, .channels = 128, .positions = 64, .vocabulary = 384, .bias = true, .norm_epsilon = 1e-5};

static gpt_run run_of(int micro_batch) {
    gpt_run run = steps_run(6, 64, micro_batch, 0);
    run.dropout = 0;
    return run;
}

static const char *device_selector(void) {
    backend *b = open_device(0, 0); /* sets the driver list for sanitizers */
    b->close(b);
    const char *device = getenv("SNUG_TEST_DEVICE");
    return device ? device : "opencl";
}

static void open_tuner_as(bool as_gpu, FILE *report, tuner **t) {
    error e = {""};
    gpt g;
    gpt_run run = run_of(6);
    opencl_options o = {.selector = device_selector(), .as_gpu = as_gpu};
    ck_assert_msg(gpt_build(&small, &run, opencl_scratch, 4, &g, &e) == OK, "%s", e.text);
    ck_assert_msg(tuner_open(&o, g.graph, report, t, &e) == OK, "%s", e.text);
    gpt_free(&g);
}

static void open_tuner(tuner **t) { open_tuner_as(false, NULL, t); }

/* The set comes back faster than any that computes: without the check it would win. */
START_TEST(a_set_that_is_fast_and_wrong_never_wins) {
    error e = {""};
    tuner *t;
    bool taken;
    open_tuner(&t);
    gemm_record before = *tuner_best(t);
    gemm_params p = before.params;
    p.has[FAMILY_XGEMM] = true;
    memcpy(&p.value[PARAM_GEMMK], wrong, sizeof wrong);
    ck_assert_msg(tuner_try(t, &p, &taken, &e) == OK, "%s", e.text);
    ck_assert(!taken);
    ck_assert_mem_eq(&tuner_best(t)->params, &before.params, sizeof before.params);
    ck_assert(tuner_best(t)->tuned == before.tuned);
    tuner_close(t);
}
END_TEST

/* A machine that takes so many nanoseconds for `other`, and one for anything else; each call takes `drift` times as
   long as the one before it. */
typedef struct {
    double other, drift, now;
} pretended;

static double pretend(void *data, const gemm_params *set) {
    pretended *p = data;
    p->now *= p->drift;
    return 1e-9 * p->now * (set && !memcmp(&set->value[PARAM_GEMMK], other, sizeof other) ? p->other : 1);
}

static const struct {
    pretended machine;
    bool as_gpu, kept;
} machines[] = {
    {{0.97, 1, 1}, false, true},  {{0.985, 1, 1}, false, false}, {{1, 0.98, 1}, false, false},
    {{0.9, 1.01, 1}, true, true}, {{0.985, 1, 1}, true, false},
};

/* 2 per cent, by turns; what was kept earlier goes where nothing is found, and the report says so. */
START_TEST(only_what_is_faster_by_turns_is_kept) {
    error e = {""};
    tuner *t;
    gemm_record earlier = record_of(pinned), r;
    pretended machine = machines[_i].machine;
    char said[4096] = "";
    bool taken, kept, is_kept = machines[_i].kept;
    FILE *report = tmpfile();
    own_cache();
    open_tuner_as(machines[_i].as_gpu, report, &t);
    device_info d = tuner_bench(t)->b->device.info;
    ck_assert_msg(gemm_record_keep(&d, &earlier, &e) == OK, "%s", e.text);
    tuner_time_by(t, pretend, &machine);
    gemm_params p = params_of(other, 128);
    ck_assert_msg(tuner_try(t, &p, &taken, &e) == OK, "%s", e.text);
    ck_assert(taken);
    ck_assert_msg(tuner_search(t, 0, &e) == OK, "%s", e.text);
    ck_assert_msg(tuner_finish(t, &kept, &e) == OK, "%s", e.text);
    tuner_close(t);
    rewind(report);
    said[fread(said, 1, sizeof said - 1, report)] = 0;
    fclose(report);
    ck_assert_int_eq(kept, is_kept);
    ck_assert_int_eq(gemm_record_recall(&d, &r), is_kept);
    if (is_kept) {
        ck_assert_mem_eq(&r.params, &p, sizeof p);
        ck_assert_double_eq_tol(r.tuned / r.untuned, 1 / machine.other, 0.02);
        ck_assert_ptr_nonnull(strstr(said, "without tuning"));
    } else
        ck_assert_msg(strstr(said, "nothing is kept, and what was kept on 2026-11-24 no longer counts"), "%s", said);
    const char *tiles = strstr(said, "snug's own products, by the tiles that they may have:\n");
    ck_assert_msg(!machines[_i].as_gpu ||
                      (tiles && strstr(tiles, " tiles of 128 x 64 x 8 ") && strstr(tiles, ", tiles of 64 x 64 x 8 ")),
                  "%s", said);
    drop_cache();
}
END_TEST

/* The last set that was tried computes nothing: C stays as it was. Once the best was timed, that is what is in force.
 */
START_TEST(what_is_timed_is_in_force) {
    enum { SIDE = 256 };
    static float c[SIDE * SIDE];
    error e = {""};
    tuner *t;
    bool taken;
    double seconds;
    product p = {.m = SIDE, .n = SIDE, .k = SIDE};
    open_tuner(&t);
    gemm_params nothing = params_of(wrong, 128);
    gemm_bench *bench = tuner_bench(t);
    backend *b = &bench->b->base;
    /* Where untuned devices use snug's own products, these are in force at the end, on a bench of their own. */
    int ends = opencl_defaults_to_own(&bench->b->device.info) ? 1 : 2;
    for (int searched = 0; searched < ends; searched++) {
        ck_assert_msg(tuner_try(t, &nothing, &taken, &e) == OK, "%s", e.text);
        if (searched) ck_assert_msg(tuner_search(t, 0, &e) == OK, "%s", e.text);
        for (int i = 0; i < SIDE * SIDE; i++) c[i] = 1;
        for (int i = 0; i < 3; i++)
            ck_assert_msg(b->write(b, bench->operand[i], c, 0, sizeof c, &e) == OK, "%s", e.text);
        ck_assert_msg(gemm_bench_time(bench, &p, 1, &seconds, &e) == OK, "%s", e.text);
        ck_assert_msg(b->read(b, bench->operand[2], c, 0, sizeof c, &e) == OK, "%s", e.text);
        ck_assert_msg((c[0] == SIDE) == searched, "%g, searched %d", (double)c[0], searched);
    }
    tuner_close(t);
}
END_TEST

START_TEST(checking_tells_right_from_wrong) {
    error e = {""};
    gemm_bench bench;
    char why[256];
    bool right;
    backend *b = open_device_with((opencl_options){.gemm = "default"});
    gemm_params good = params_of(other, 192), bad = params_of(wrong, 192);
    ck_assert_msg(gemm_bench_open(&bench, (opencl *)b, NULL, 0, &e) == OK, "%s", e.text);
    ck_assert_msg(gemm_params_apply(&bench.b->device, &good, &e) == OK, "%s", e.text);
    ck_assert_msg(gemm_bench_check(&bench, &good, &right, why, &e) == OK, "%s", e.text);
    ck_assert_msg(right, "%s", why);
    ck_assert_msg(gemm_bench_check(&bench, &bad, &right, why, &e) == OK, "%s", e.text);
    ck_assert_msg(!right && strstr(why, "OpenBLAS"), "%s", why);
    b->close(b);
    gemm_bench_close(&bench);
}
END_TEST

/* ---- runs ---- */

/* Two steps on a device opened with `gemm`; the weights' hash, and what the backend says it went by. */
static void train(const char *gemm, int micro_batch, char hash[65], char went_by[GEMM_TEXT_MAX]) {
    error e = {""};
    backend *b;
    model m;
    double loss, norm;
    gpt_run run = run_of(micro_batch);
    opencl_options o = {.selector = device_selector(), .gemm = gemm};
    ck_assert_msg(opencl_open(&o, &b, &e) == OK, "%s", e.text);
    snprintf(went_by, GEMM_TEXT_MAX, "%s", b->gemm);
    ck_assert_msg(model_open(&m, b, &small, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(&m, 7, &e) == OK, "%s", e.text);
    batch x = batch_new(6, 64);
    for (int step = 0; step < 2; step++) {
        for (int i = 0; i < 6 * 64; i++) x.x[i] = (i * 7 + step) % 384, x.y[i] = (i * 5 + 3 * step) % 384;
        step_settings s = {.step = step, .lr = 1e-2};
        ck_assert_msg(model_gradients(&m, &x, &s, &loss, &e) == OK, "%s", e.text);
        ck_assert_msg(model_finish(&m, &s, &norm, &e) == OK, "%s", e.text);
    }
    ck_assert_msg(model_hash(&m, hash, &e) == OK, "%s", e.text);
    batch_free(&x);
    model_close(&m);
}

/* min_indirect 1 and 4096: both of CLBlast's ways, and between them the size where one turns into the other. */
START_TEST(tuned_parameters_keep_the_bits_for_every_split) {
    static const size_t sizes[] = {1, 80, 4096};
    char text[GEMM_TEXT_MAX], by[GEMM_TEXT_MAX], first[65], hash[65];
    gemm_params p = params_of(other, sizes[_i]);
    gemm_params_print(&p, text);
    train(text, 6, first, by);
    ck_assert_str_eq(by, text);
    for (int micro_batch = 1; micro_batch < 6; micro_batch += 3) {
        train(text, micro_batch, hash, by);
        ck_assert_msg(!strcmp(first, hash), "micro-batches of %d change the weights", micro_batch);
    }
}
END_TEST

static void keep_for_device(const size_t *xgemm) {
    error e = {""};
    gemm_record r = record_of(xgemm);
    backend *b = open_device(0, 0);
    ck_assert_msg(gemm_record_keep(&((opencl *)b)->device.info, &r, &e) == OK, "%s", e.text);
    b->close(b);
}

/* A run that was begun before tune goes on as it began; so does one whose parameters are no longer those kept. */
START_TEST(a_run_keeps_the_parameters_it_began_with) {
    char by[GEMM_TEXT_MAX], text[GEMM_TEXT_MAX], before[65], hash[65];
    gemm_params p = params_of(other, 128);
    own_cache();
    gemm_params_print(&p, text);
    train(PRODUCTS_CLBLAST, 6, before, by);
    ck_assert_str_eq(by, "default");
    keep_for_device(other);
    train("default", 6, hash, by);
    ck_assert_str_eq(by, "default");
    ck_assert_str_eq(hash, before);
    train(PRODUCTS_CLBLAST, 6, before, by);
    ck_assert_str_eq(by, text);
    keep_for_device(pinned);
    train(text, 6, hash, by);
    ck_assert_str_eq(by, text);
    ck_assert_str_eq(hash, before);
    drop_cache();
}
END_TEST

START_TEST(parameters_that_mean_nothing_here_are_not_taken) {
    static const char *const texts[] = {"rubbish", "Xgemm GEMMK=0", "GemmRoutine XGEMM_MIN_INDIRECT_SIZE=0"};
    own_cache();
    for (int i = 0; i < 3; i++) {
        char by[GEMM_TEXT_MAX], hash[65];
        train(texts[i], 6, hash, by);
        ck_assert_str_eq(by, "default");
    }
    drop_cache();
}
END_TEST

/* All of `snug tune`, short: if it keeps anything, that is sound and used from then on. */
START_TEST(tune_keeps_what_later_runs_use) {
    error e = {""};
    gpt g;
    gpt_run run = run_of(6);
    gemm_record r;
    char by[GEMM_TEXT_MAX], text[GEMM_TEXT_MAX], hash[65];
    own_cache();
    opencl_options o = {.selector = device_selector()};
    ck_assert_msg(gpt_build(&small, &run, opencl_type(PRECISION_FLOAT32)->scratch, 4, &g, &e) == OK, "%s", e.text);
    ck_assert_msg(opencl_tune(&o, g.graph, 0.02, NULL, &e) == OK, "%s", e.text);
    gpt_free(&g);
    backend *b = open_device(0, 0);
    bool kept = gemm_record_recall(&((opencl *)b)->device.info, &r);
    b->close(b);
    ck_assert(!kept || (r.own > 0 && r.untuned > 0 && r.tuned > 0));
    gemm_params_print(&r.params, text);
    train(PRODUCTS_CLBLAST, 6, hash, by);
    ck_assert_str_eq(by, kept ? text : "default");
    drop_cache();
}
END_TEST

Suite *opencl_tune_suite(void) {
    Suite *suite = suite_create("opencl_tune");
    TCase *t = tcase_create("opencl_tune");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, sets_that_break_a_rule_are_not_sound);
    tcase_add_test(t, what_is_printed_is_read_back_and_nothing_else);
    tcase_add_test(t, what_is_kept_is_recalled_for_that_device_and_driver_only);
    tcase_add_test(t, a_damaged_cache_file_counts_as_none);
    tcase_add_test(t, a_set_that_is_not_sound_is_not_recalled);
    tcase_add_test(t, checking_tells_right_from_wrong);
    tcase_add_test(t, a_set_that_is_fast_and_wrong_never_wins);
    tcase_add_loop_test(t, tuned_parameters_keep_the_bits_for_every_split, 0, 3);
    tcase_add_test(t, a_run_keeps_the_parameters_it_began_with);
    tcase_add_test(t, parameters_that_mean_nothing_here_are_not_taken);
    tcase_add_test(t, tune_keeps_what_later_runs_use);
    suite_add_tcase(suite, t);
    t = tcase_create("turns");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, only_what_is_faster_by_turns_is_kept, 0, sizeof machines / sizeof *machines);
    tcase_add_test(t, what_is_timed_is_in_force);
    suite_add_tcase(suite, t);
    return suite;
}
