/* test_opencl_home.c: tensors at home in the host's memory: the bits, the bytes, and what is read and written there. */
#include "run/model.h"
#include "graph/recompute.h"
#include "base/timer.h"
#include "opencl_device.h"
#include "support_steps.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Its moments take several transfers a launch: see STAGING_LEAST. */
static const gpt_shape shape = {
    .layers = 2, .heads = 5, .channels = 40, .positions = 33, .vocabulary = 131, .bias = true, .norm_epsilon = 1e-5};

static gpt_run run_of(int micro_batch, unsigned recompute, offload_policy offload) {
    gpt_run run = steps_run(12, shape.positions, micro_batch, recompute);
    run.offload = offload;
    return run;
}

START_TEST(no_home_changes_a_bit) {
    static const int splits[] = {12, 5, 1};
    char here[HASH_HEX], there[HASH_HEX];
    double loss_here, loss_there;
    gpt_run run = run_of(12, 0, OFFLOAD_NONE);
    steps_train(open_device(0, 0), &shape, &run, here, &loss_here);
    for (int i = 0; i < 3; i++) {
        run = run_of(splits[i], recompute_policies[i].dropped, OFFLOAD_MOMENTS);
        backend *b = open_device(0, 0);
        if (i == 2) b->limits.max_block = 384 << 10; /* many blocks, of the host's memory too */
        steps_train(b, &shape, &run, there, &loss_there);
        ck_assert_msg(loss_here == loss_there && !strcmp(here, there),
                      "moments in the host's memory, micro-batches of %d, change the weights", splits[i]);
    }
}
END_TEST

static backend *open_bf16(void) { return open_device_with((opencl_options){.precision = PRECISION_BFLOAT16}); }

/* With dtype=bfloat16 the float32 weights may be away too, and the device works with rounded copies of them. */
START_TEST(no_home_changes_a_bit_in_bfloat16) {
    static const int splits[] = {12, 5, 1};
    char here[HASH_HEX], there[HASH_HEX];
    double loss_here, loss_there;
    gpt_run run = run_of(12, 0, OFFLOAD_NONE);
    steps_train(open_bf16(), &shape, &run, here, &loss_here);
    for (int i = 0; i < 3; i++) {
        run = run_of(splits[i], recompute_policies[i].dropped, i == 1 ? OFFLOAD_MOMENTS : OFFLOAD_OPTIMIZER);
        backend *b = open_bf16();
        if (i == 2) b->limits.max_block = 384 << 10;
        steps_train(b, &shape, &run, there, &loss_there);
        ck_assert_msg(loss_here == loss_there && !strcmp(here, there),
                      "offload=%s, micro-batches of %d, changes the weights", offload_table[run.offload].name,
                      splits[i]);
    }
}
END_TEST

/* Parameters of two dimensions: 2 bytes each on the device, 12 on the host. */
START_TEST(float32_weights_leave_copies_of_half_their_size) {
    error e = {""};
    model m;
    gpt_run run = run_of(3, 0, OFFLOAD_OPTIMIZER);
    ck_assert_msg(model_open(&m, open_bf16(), &shape, &run, &e) == OK, "%s", e.text);
    const graph *g = m.gpt.graph;
    for (tensor_id p = 1; p <= m.gpt.n_params; p++) {
        const tensor *t = &g->tensors[p], *copy = &g->tensors[t->copy];
        ck_assert_int_eq(t->home, t->rank < 2 ? HOME_DEVICE : HOME_HOST);
        if (t->rank < 2) continue;
        ck_assert_uint_eq(2 * tensor_bytes(copy, 4), tensor_bytes(t, 4));
        double in[3] = {1.00390625, -2.0078125, 3e-5}, out[3], rounded[3] = {1, -2, 3.0040740966796875e-05};
        ck_assert_int_eq(model_write(&m, p, 7, 3, in, &e), OK); /* half a step of bf16 above 1, and below -2: to even */
        ck_assert_int_eq(model_read(&m, t->copy, 7, 3, out, &e), OK);
        for (int i = 0; i < 3; i++) ck_assert_double_eq(out[i], rounded[i]);
        ck_assert_int_eq(model_read(&m, p, 7, 3, out, &e), OK);
        for (int i = 0; i < 3; i++) ck_assert_double_eq(out[i], (float)in[i]);
    }
    ck_assert_uint_eq(opencl_memory_now(m.backend).live, m.plan.total);
    ck_assert_uint_eq(m.backend->host_allocated, m.plan.host_total);
    model_close(&m);
}
END_TEST

/* Two moments of 4 bytes a parameter, rounded up tensor by tensor. */
START_TEST(the_device_is_relieved_of_both_moments_to_the_byte) {
    error e = {""};
    model m;
    uint64_t moments = 0, total;
    gpt_run run = run_of(3, 0, OFFLOAD_NONE);
    ck_assert_int_eq(model_open(&m, open_device(0, 0), &shape, &run, &e), OK);
    uint64_t alignment = m.backend->limits.alignment;
    for (tensor_id p = 1; p <= m.gpt.n_params; p++)
        moments +=
            2 * ((4 * (uint64_t)tensor_elements(&m.gpt.graph->tensors[p]) + alignment - 1) / alignment * alignment);
    total = m.plan.total;
    ck_assert_uint_eq(m.plan.host_total, 0);
    model_close(&m);
    run = run_of(3, 0, OFFLOAD_MOMENTS);
    ck_assert_int_eq(model_open(&m, open_device(0, 0), &shape, &run, &e), OK);
    opencl_memory now = opencl_memory_now(m.backend);
    ck_assert_uint_eq(m.plan.host_total, moments);
    ck_assert_uint_eq(m.backend->host_allocated, moments);
    ck_assert_uint_eq(m.plan.total, total - moments); /* what moves them lies where activations lay */
    ck_assert_uint_eq(now.live, m.plan.total);
    ck_assert_uint_eq(now.peak, m.plan.total);
    ck_assert(!m.backend->host_pageable);
    ck_assert_msg(plan_check(m.gpt.graph, &m.plan, &m.backend->limits, &e), "%s", e.text);
    model_close(&m);
}
END_TEST

/* As checkpoints do it, at offsets that are multiples of nothing; what the device has enqueued comes before. */
START_TEST(moments_are_read_and_written_where_they_lie) {
    enum { AT = 777, N = 1234 };
    error e = {""};
    model m;
    double in[N], out[N], norm, loss;
    gpt_run run = run_of(3, 0, OFFLOAD_MOMENTS);
    ck_assert_int_eq(model_open(&m, open_device(0, 0), &shape, &run, &e), OK);
    tensor_id v = m.gpt.v[1];
    for (int i = 0; i < N; i++) in[i] = i + 1;
    ck_assert_int_eq(model_write(&m, v, AT, N, in, &e), OK);
    ck_assert_int_eq(model_read(&m, v, AT - 1, N, out, &e), OK);
    ck_assert_double_eq(out[0], 0);
    for (int i = 1; i < N; i++) ck_assert_double_eq(out[i], i);
    batch b = batch_new(12, shape.positions);
    steps_batch(&b, shape.vocabulary, 0);
    ck_assert_int_eq(model_init(&m, 1, &e), OK);
    ck_assert_int_eq(model_gradients(&m, &b, &(step_settings){.lr = 1e-3}, &loss, &e), OK);
    ck_assert_int_eq(model_finish(&m, &(step_settings){.lr = 1e-3}, &norm, &e), OK);
    ck_assert_int_eq(model_read(&m, v, AT, N, out, &e), OK); /* beta2 of it, and a little of the gradient's square */
    for (int i = 0; i < N; i++) ck_assert_double_eq_tol(out[i], run.beta2 * in[i], 1e-3);
    ck_assert(fabs(out[0] - run.beta2 * in[0]) + fabs(out[N - 1] - run.beta2 * in[N - 1]) < 1e-2);
    ck_assert_int_eq(model_finish(&m, &(step_settings){.lr = 1e-3}, &norm, &e), OK);
    ck_assert_int_eq(model_write(&m, v, AT, N, in, &e), OK); /* the update is over by then */
    ck_assert_int_eq(model_read(&m, v, AT, N, out, &e), OK);
    for (int i = 0; i < N; i++) ck_assert_double_eq(out[i], in[i]);
    batch_free(&b);
    model_close(&m);
}
END_TEST

/* bench's table: what the moves take is the queue's time between two marks, none of it the ops', and no more than a run
   takes altogether. */
START_TEST(transfers_have_a_time_of_their_own) {
    error e = {""};
    model m;
    double norm, loss, ops = 0, began = seconds_now();
    gpt_run run = run_of(3, 0, OFFLOAD_MOMENTS);
    backend *b = open_device(0, 0);
    b->profile = true;
    ck_assert_int_eq(model_open(&m, b, &shape, &run, &e), OK);
    batch x = batch_new(12, shape.positions);
    steps_batch(&x, shape.vocabulary, 0);
    ck_assert_int_eq(model_gradients(&m, &x, &(step_settings){.lr = 1e-3}, &loss, &e), OK);
    ck_assert_int_eq(model_finish(&m, &(step_settings){.lr = 1e-3}, &norm, &e), OK);
    double *seconds = xcalloc((size_t)m.gpt.graph->n_ops, sizeof *seconds);
    ck_assert_int_eq(b->op_seconds(b, seconds, &e), OK);
    for (int i = 0; i < m.gpt.graph->n_ops; i++) ops += seconds[i];
    ck_assert_double_gt(b->transfer_seconds, 0);
    ck_assert_double_lt(b->transfer_seconds + ops, seconds_now() - began);
    free(seconds);
    batch_free(&x);
    model_close(&m);
}
END_TEST

Suite *opencl_home_suite(void) {
    Suite *suite = suite_create("opencl_home");
    TCase *bits = tcase_create("bits"), *t = tcase_create("opencl_home");
    tcase_set_tags(bits, "once");
    tcase_set_timeout(bits, 600);
    tcase_set_timeout(t, 600);
    tcase_add_test(bits, no_home_changes_a_bit);
    tcase_add_test(bits, no_home_changes_a_bit_in_bfloat16);
    tcase_add_test(t, the_device_is_relieved_of_both_moments_to_the_byte);
    tcase_add_test(t, float32_weights_leave_copies_of_half_their_size);
    tcase_add_test(t, transfers_have_a_time_of_their_own);
    tcase_add_test(t, moments_are_read_and_written_where_they_lie);
    suite_add_tcase(suite, bits);
    suite_add_tcase(suite, t);
    return suite;
}
