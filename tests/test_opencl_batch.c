/* test_opencl_batch.c: whole models on OpenCL: the same bits however the batch is split, and memory to the byte. */
#include "run/model.h"
#include "graph/recompute.h"
#include "opencl/scratch.h"
#include "opencl_device.h"
#include "support_steps.h"
#include <stdlib.h>
#include <string.h>

/* Sizes that are multiples of nothing, and sizes whose rows start at multiples of the alignment. */
static const gpt_shape shapes[] = {
    {.layers = 2, .heads = 5, .channels = 40, .positions = 33, .vocabulary = 131, .bias = true, .norm_epsilon = 1e-5},
    {.layers = 1, .heads = 2, .channels = 128, .positions = 64, .vocabulary = 384, .norm_epsilon = 1e-5},
};

/* Every policy at the splits 12, 5 (uneven) and 1, and the other splits with one each. */
static void expect_same_bits(const gpt_shape *shape, size_t min_indirect, bool every_policy) {
    static const int splits[] = {12, 5, 1, 2, 3, 7};
    char hash[HASH_HEX] = "", first[HASH_HEX] = "";
    double loss = 0, first_loss = 0;
    for (int i = 0; i < 6; i++)
        for (int p = 0; p < RECOMPUTE_POLICIES; p++) {
            if (p != i % RECOMPUTE_POLICIES && (i >= 3 || !every_policy)) continue;
            gpt_run run = steps_run(12, shape->positions, splits[i], recompute_policies[p].dropped);
            run.one_upload = (i + p) % 2;
            bool is_first = !first[0];
            steps_train(open_device(min_indirect, 0), shape, &run, is_first ? first : hash,
                        is_first ? &first_loss : &loss);
            if (is_first) continue;
            ck_assert_msg(loss == first_loss, "loss %.9g by micro-batches of %d, %.9g by 12", loss, splits[i],
                          first_loss);
            ck_assert_msg(strcmp(hash, first) == 0, "micro-batches of %d, recompute %s, change the weights", splits[i],
                          recompute_policies[p].name);
        }
}

START_TEST(micro_batch_split_never_changes_bits_by_the_indirect_gemm) {
    expect_same_bits(&shapes[_i], ALWAYS_INDIRECT, _i == 0);
}
END_TEST

START_TEST(micro_batch_split_never_changes_bits_by_the_direct_gemm) {
    expect_same_bits(&shapes[_i], ALWAYS_DIRECT, _i == 0);
}
END_TEST

/* Around the threshold one sequence goes to one kernel and twelve would go to the other. */
START_TEST(micro_batch_split_never_changes_bits_near_the_threshold) { expect_same_bits(&shapes[1], 80, false); }
END_TEST

/* A device's shards: the same bits for every split of each, which are not those of one shard. In bfloat16
   tests/processes.sh compares them. */
START_TEST(shards_have_bits_of_their_own_and_no_split_changes_them) {
    static const int splits[] = {4, 3, 1}; /* of shards of 4, 3, 4 and 4 sequences, and an uneven one among them */
    char one[HASH_HEX] = "", first[HASH_HEX] = "", hash[HASH_HEX] = "";
    gpt_run run = steps_run(15, shapes[0].positions, 5, 0);
    steps_train(open_own(PRECISION_FLOAT32, false, 0), &shapes[0], &run, one, NULL);
    for (int i = 0; i < 3; i++) {
        run = steps_run(15, shapes[0].positions, splits[i], recompute_policies[i].dropped);
        run.shards = 4;
        run.one_upload = i != 1;
        run.offload = i == 2 ? OFFLOAD_MOMENTS : OFFLOAD_NONE;
        steps_train(open_own(PRECISION_FLOAT32, false, 0), &shapes[0], &run, i ? hash : first, NULL);
        ck_assert_msg(!i || !strcmp(hash, first), "micro-batches of %d change the weights", splits[i]);
    }
    ck_assert_str_ne(one, first);
}
END_TEST

START_TEST(planned_bytes_are_allocated_bytes) {
    error e = {""};
    model m;
    gpt_run run = steps_run(4, 33, 2, 0);
    run.shards = 1 + _i;
    ck_assert_int_eq(model_open(&m, open_device(0, 0), &shapes[0], &run, &e), OK);
    opencl_memory now = opencl_memory_now(m.backend);
    ck_assert_uint_eq(now.live, m.plan.total);
    ck_assert_uint_eq(now.peak, m.plan.total);
    ck_assert_uint_eq(m.backend->allocated, m.plan.total);
    model_close(&m);
}
END_TEST

/* A device whose largest allocation is small holds the same run in many blocks, none larger than that. */
START_TEST(many_blocks_hold_the_same_run_as_one) {
    char one[HASH_HEX], many[HASH_HEX];
    error e = {""};
    model m;
    gpt_run run = steps_run(4, 33, 3, 0);
    steps_train(open_device(0, 0), &shapes[0], &run, one, NULL);
    backend *b = open_device(0, 0);
    b->limits.max_block = 384 << 10;
    ck_assert_msg(model_open(&m, b, &shapes[0], &run, &e) == OK, "%s", e.text);
    ck_assert_int_ge(m.plan.n_blocks, 5);
    for (int i = 0; i < m.plan.n_blocks; i++) ck_assert_uint_le(m.plan.block_bytes[i], 384 << 10);
    ck_assert_uint_eq(opencl_memory_now(b).live, m.plan.total);
    model_close(&m);
    b = open_device(0, 0);
    b->limits.max_block = 384 << 10;
    steps_train(b, &shapes[0], &run, many, NULL);
    ck_assert_str_eq(one, many);
}
END_TEST

/* Weights that decay, and the others; and all gradients by one fill. In one block: two kernels and no more. */
START_TEST(neighbours_are_zeroed_and_updated_together) {
    error e = {""};
    model m;
    gpt_run run = steps_run(4, 33, 3, 0);
    step_args a = {.length = 33, .lr = 1e-3};
    ck_assert_int_eq(model_open(&m, open_device(0, 0), &shapes[0], &run, &e), OK);
    const graph *g = m.gpt.graph;
    span update = {g->finish.end - m.gpt.n_params, g->finish.end};
    ck_assert_int_eq(m.plan.slots[m.gpt.v[m.gpt.n_params]].block, 0);
    ck_assert_int_eq(g->ops[update.first].code, OP_ADAMW);
    uint64_t before = m.backend->launches;
    ck_assert_int_eq(m.backend->run(m.backend, update, &a, &e), OK);
    ck_assert_uint_eq(m.backend->launches - before, 2);
    ck_assert_int_eq(m.backend->run(m.backend, g->begin, &a, &e), OK);
    ck_assert_uint_eq(m.backend->launches - before, 3);
    model_close(&m);
}
END_TEST

/* One byte too little is refused with nothing held; the same backend then takes a smaller plan. */
START_TEST(a_cap_refuses_and_leaves_nothing_behind) {
    error e = {""};
    model m;
    gpt_run large = steps_run(4, 33, 4, 0), small = steps_run(4, 33, 1, 0);
    ck_assert_int_eq(model_open(&m, open_device(0, 0), &shapes[0], &large, &e), OK);
    uint64_t total = m.plan.total;
    model_close(&m);
    backend *b = open_device(0, total - 1);
    ck_assert_int_eq(model_open(&m, b, &shapes[0], &large, &e), NO_MEMORY);
    ck_assert_ptr_nonnull(strstr(e.text, "cap"));
    ck_assert_uint_eq(opencl_memory_now(b).live, 0);
    ck_assert_msg(model_open(&m, b, &shapes[0], &small, &e) == OK, "%s", e.text);
    ck_assert_uint_lt(m.plan.total, total);
    model_close(&m);
}
END_TEST

/* Plans made without a device promise no less than what is allocated with one. */
START_TEST(the_stated_limits_without_a_device_are_upper_bounds) {
    error e = {""};
    model m;
    gpt g;
    plan p;
    gpt_run run = steps_run(4, 33, 3, 0);
    memory_limits stated = {.real_bytes = 4, .alignment = 4096};
    ck_assert_int_eq(model_open(&m, open_device(0, 0), &shapes[0], &run, &e), OK);
    ck_assert_int_eq(gpt_build(&shapes[0], &run, opencl_type(PRECISION_FLOAT32)->scratch, 4, &g, &e), OK);
    ck_assert_int_eq(plan_make(g.graph, &stated, &p, &e), OK);
    ck_assert_uint_ge(p.total, m.plan.total);
    plan_free(&p);
    gpt_free(&g);
    model_close(&m);
}
END_TEST

START_TEST(gemm_temporaries_of_gpt2_124m_stay_under_64_mib) {
    error e = {""};
    gpt g;
    gpt_shape shape = {.layers = 12,
                       .heads = 12,
                       .channels = 768,
                       .positions = 1024,
                       .vocabulary = 50304,
                       .bias = true,
                       .norm_epsilon = 1e-5};
    gpt_run run = steps_run(16, 1024, 16, 0);
    ck_assert_int_eq(gpt_build(&shape, &run, opencl_type(PRECISION_FLOAT32)->scratch, 4, &g, &e), OK);
    for (int i = 0; i < g.graph->n_ops; i++) {
        const op *o = &g.graph->ops[i];
        bool head = o->code == OP_HEAD || o->code == OP_HEAD_LOSS;
        if (!o->scratch) continue;
        const tensor *t = &g.graph->tensors[o->scratch];
        uint64_t bytes = head ? scratch_head(g.graph, o, false).logits : t->kind == KIND_GEMM ? tensor_bytes(t, 4) : 0;
        ck_assert_uint_le(bytes, 64u << 20);
    }
    gpt_free(&g);
}
END_TEST

START_TEST(unknown_devices_get_one_clear_line) {
    static const char *const selectors[] = {"opencl:99", "opencl:no such", "no such card", ""};
    for (int i = 0; i < 4; i++) {
        error e = {""};
        backend *b;
        ck_assert_int_eq(opencl_open(&(opencl_options){.selector = selectors[i]}, &b, &e), BAD_INPUT);
        ck_assert_ptr_nonnull(strstr(e.text, "device"));
    }
}
END_TEST

/* ---- the device ---- */

/* What `snug devices --device=SELECTOR` prints. */
static status print_devices(const char *selector, char *text, size_t size) {
    error e = {""};
    FILE *f = fmemopen(text, size, "w");
    status s = devices_print(selector, f, &e);
    fclose(f);
    if (s != OK) snprintf(text, size, "%s", e.text);
    return s;
}

START_TEST(every_device_is_listed_and_a_selector_says_which_it_takes) {
    char text[65536] = "";
    backend *b = open_device(0, 0);
    ck_assert_int_eq(print_devices("auto", text, sizeof text), OK);
    ck_assert_ptr_nonnull(strstr(text, "opencl:0  "));
    ck_assert_ptr_nonnull(strstr(text, "auto takes "));
    ck_assert_int_eq(print_devices("opencl:0", text, sizeof text), OK);
    ck_assert_ptr_nonnull(strstr(text, "opencl:0 takes opencl:0, "));
    ck_assert_int_eq(print_devices("no such device", text, sizeof text), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(text, "'no such device'"));
    b->close(b);
}
END_TEST

Suite *opencl_batch_suite(void) {
    Suite *suite = suite_create("opencl_batch");
    TCase *t =
        tcase_create("opencl_batch"); /* the bits as runs have them, by what PoCL's optimiser makes of the kernels */
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, micro_batch_split_never_changes_bits_by_the_indirect_gemm, 0, 2);
    tcase_add_loop_test(t, micro_batch_split_never_changes_bits_by_the_direct_gemm, 0, 2);
    tcase_add_test(t, micro_batch_split_never_changes_bits_near_the_threshold);
    TCase *shards = tcase_create("shards"), *devices = tcase_create("devices");
    tcase_add_test(devices, every_device_is_listed_and_a_selector_says_which_it_takes);
    tcase_set_timeout(shards, 600);
    tcase_add_test(shards, shards_have_bits_of_their_own_and_no_split_changes_them);
    tcase_add_loop_test(shards, planned_bytes_are_allocated_bytes, 0, 2);
    tcase_add_test(shards, many_blocks_hold_the_same_run_as_one);
    tcase_add_test(shards, neighbours_are_zeroed_and_updated_together);
    tcase_add_test(t, a_cap_refuses_and_leaves_nothing_behind);
    tcase_add_test(t, the_stated_limits_without_a_device_are_upper_bounds);
    tcase_add_test(t, gemm_temporaries_of_gpt2_124m_stay_under_64_mib);
    tcase_add_test(t, unknown_devices_get_one_clear_line);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, shards);
    suite_add_tcase(suite, devices);
    return suite;
}
