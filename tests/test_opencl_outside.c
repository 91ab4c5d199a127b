/* test_opencl_outside.c: what preload_count_buffers.c counts from outside against what plan promised (P1, P2). Does
   nothing unless that library is preloaded: tests/outside_count.sh does it. */
#include "run/model.h"
#include "opencl/ops.h"
#include "opencl_device.h"
#include "support_steps.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void (*count_reset)(uint64_t refuse_above);
static uint64_t (*count)(int which);
static void (*refuse_pinned)(int refuse);
static void (*refuse_pageable)(int refuse);
enum { NOTHING, BUFFERS, MAPPING, DOUBLED };
enum { LIVE, PEAK, CREATED, LATE, HOST_LIVE, HOST_PEAK };

static bool counting(void) {
    *(void **)&count_reset = dlsym(RTLD_DEFAULT, "count_buffers_reset");
    *(void **)&count = dlsym(RTLD_DEFAULT, "count_buffers");
    *(void **)&refuse_pinned = dlsym(RTLD_DEFAULT, "count_buffers_refuse_pinned");
    *(void **)&refuse_pageable = dlsym(RTLD_DEFAULT, "count_buffers_refuse_pageable");
    return count_reset && count && refuse_pinned && refuse_pageable;
}

static uint64_t state;
static int draw(int low, int high) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return low + (int)((state >> 33) % (uint64_t)(high - low + 1));
}

static void random_config(gpt_shape *s, gpt_run *r) {
    static const unsigned recompute[] = {0, 1u << KIND_GELU, 1u << KIND_NORM | 1u << KIND_GELU, 1u << KIND_ATTENTION};
    int heads = draw(1, 4), sequences = draw(1, 7), micro_batch = draw(1, sequences);
    *s = (gpt_shape){.layers = draw(1, 3),
                     .heads = heads,
                     .channels = heads * draw(5, 40),
                     .positions = draw(2, 70),
                     .vocabulary = draw(10, 400),
                     .bias = draw(0, 1),
                     .tanh_gelu = draw(0, 1),
                     .norm_epsilon = 1e-5};
    *r = steps_run(sequences, s->positions, micro_batch, 0);
    r->one_upload = draw(0, 1);
    r->batch_invariant = draw(0, 3) > 0;
    r->dropout = draw(0, 1) * 0.1;
    r->recompute = recompute[draw(0, 3)];
    r->offload = (offload_policy)draw(0, OFFLOAD_COUNT - 1);
}

/* Two steps. */
static void train(model *m, char hash[65]) {
    error e = {""};
    double loss, norm;
    ck_assert_msg(model_init(m, 1, &e) == OK, "%s", e.text);
    batch b = batch_new(m->run.sequences, m->run.length);
    for (int64_t i = 0; i < b.sequences * b.length; i++) {
        b.x[i] = (int32_t)(i * 7 % m->shape.vocabulary);
        b.y[i] = (int32_t)(i * 11 % m->shape.vocabulary);
    }
    for (int step = 0; step < 2; step++) {
        step_settings s = {.step = step, .lr = 1e-3, .seed = 5};
        ck_assert_msg(model_gradients(m, &b, &s, &loss, &e) == OK, "%s", e.text);
        ck_assert_msg(model_finish(m, &s, &norm, &e) == OK, "%s", e.text);
    }
    ck_assert_msg(model_hash(m, hash, &e) == OK, "%s", e.text);
    batch_free(&b);
}

/* Bytes of the run's plan on this device; *host: of the host's memory. */
static uint64_t planned(const backend *b, const gpt_shape *shape, const gpt_run *run, uint64_t *host) {
    error e = {""};
    gpt g;
    plan p;
    ck_assert_msg(gpt_build(shape, run, b->type->scratch, b->limits.real_bytes, &g, &e) == OK, "%s", e.text);
    ck_assert_msg(plan_make(g.graph, &b->limits, &p, &e) == OK, "%s", e.text);
    uint64_t total = p.total;
    *host = p.host_total;
    plan_free(&p);
    gpt_free(&g);
    return total;
}

/* By both of CLBlast's kernels, under the tightest cap there is: with a byte less nothing is held. */
START_TEST(outside_peak_is_the_plan_and_nothing_comes_late) {
    if (!counting()) return;
    state = (uint64_t)_i / 2 + 1;
    error e = {""};
    gpt_shape shape;
    gpt_run run;
    model m;
    char hash[65];
    random_config(&shape, &run);
    backend *b = open_device(_i % 2 ? ALWAYS_INDIRECT : ALWAYS_DIRECT, 0);
    uint64_t host, total = planned(b, &shape, &run, &host);
    count_reset(0);
    b->limits.cap = total - 1;
    ck_assert_int_eq(model_open(&m, b, &shape, &run, &e), NO_MEMORY);
    ck_assert_uint_lt(count(PEAK), total);
    ck_assert_uint_eq(count(LIVE) + count(HOST_LIVE), 0);
    b->limits.cap = total;
    count_reset(0);
    ck_assert_msg(model_open(&m, b, &shape, &run, &e) == OK, "%s", e.text);
    train(&m, hash);
    ck_assert_uint_eq(count(PEAK), total);
    ck_assert_uint_eq(count(HOST_PEAK), host);
    ck_assert_uint_eq(count(LATE), 0);
    model_close(&m);
    ck_assert_uint_eq(count(LIVE) + count(HOST_LIVE), 0);
}
END_TEST

/* Of texts: weights, activations of one, and what is kept of each. */
START_TEST(outside_peak_of_texts_is_the_plan) {
    if (!counting()) return;
    error e = {""};
    gpt_shape shape;
    gpt_run run;
    model m;
    state = (uint64_t)_i + 1;
    random_config(&shape, &run);
    run = (gpt_run){.purpose = GRAPH_SAMPLE,
                    .micro_batch = 1,
                    .sequences = 1,
                    .length = shape.positions,
                    .kept = draw(1, 5),
                    .batch_invariant = true};
    backend *b = open_device(0, 0);
    uint64_t host, total = planned(b, &shape, &run, &host);
    b->limits.cap = total;
    count_reset(0);
    ck_assert_msg(model_open(&m, b, &shape, &run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(&m, 1, &e) == OK, "%s", e.text);
    int32_t ids[5] = {1, 2, 3, 4, 5};
    ck_assert_msg(model_text(&m, ids, 1, 0, run.kept, &e) == OK, "%s", e.text);
    for (int n = 1; n < run.length; n++) ck_assert_msg(model_next(&m, ids, run.kept, n, &e) == OK, "%s", e.text);
    double *logits = xcalloc((size_t)shape.vocabulary, sizeof *logits);
    ck_assert_msg(model_logits_of(&m, run.kept - 1, run.length, logits, &e) == OK, "%s", e.text);
    free(logits);
    ck_assert_uint_eq(count(PEAK), total);
    ck_assert_uint_eq(count(LATE) + count(HOST_PEAK), 0);
    model_close(&m);
    ck_assert_uint_eq(count(LIVE), 0);
}
END_TEST

/* What is trained on drivers that refuse something. */
static const gpt_shape refused_shape = {
    .layers = 2, .heads = 3, .channels = 48, .positions = 40, .vocabulary = 200, .norm_epsilon = 1e-5};
static gpt_run refused_run(int micro_batch, offload_policy offload) {
    gpt_run run = steps_run(6, 40, micro_batch, 0);
    run.dropout = 0;
    run.offload = offload;
    return run;
}

/* A driver without pinned memory gets ordinary memory in its place, which no buffer stands for: the same bits. */
START_TEST(a_driver_that_refuses_pinned_memory_gets_pageable_memory) {
    if (!counting()) return;
    error e = {""};
    gpt_run run = refused_run(2, OFFLOAD_MOMENTS);
    char hash[3][65];
    for (int refuse = NOTHING; refuse <= MAPPING; refuse++) {
        model m;
        refuse_pinned(refuse);
        count_reset(0);
        ck_assert_msg(model_open(&m, open_device(0, 0), &refused_shape, &run, &e) == OK, "%s", e.text);
        ck_assert_int_eq(m.backend->host_pageable, refuse != NOTHING);
        ck_assert_uint_eq(m.backend->host_allocated, m.plan.host_total);
        ck_assert_uint_eq(count(HOST_LIVE), refuse == NOTHING ? m.plan.host_total : 0);
        ck_assert_uint_le(count(HOST_PEAK), refuse == BUFFERS ? 0 : m.plan.host_total);
        train(&m, hash[refuse]);
        model_close(&m);
        ck_assert_uint_eq(count(LIVE) + count(HOST_LIVE), 0);
        ck_assert_str_eq(hash[refuse], hash[NOTHING]);
    }
    refuse_pinned(NOTHING);
}
END_TEST

/* NVIDIA's driver is suspected to keep on the device what is pinned, too, which would pass the cap: where free memory
   tells, ordinary memory takes its place. By a device that is called a GPU here, so that its free memory is asked for.
 */
START_TEST(a_driver_that_pins_with_the_devices_memory_gets_pageable_memory) {
    if (!counting()) return;
    error e = {""};
    gpt_run run = refused_run(2, OFFLOAD_MOMENTS);
    gpt g;
    plan p;
    backend *b = open_device(0, 0);
    device d = ((opencl *)b)->device;
    d.info.type = CL_DEVICE_TYPE_GPU;
    strcpy(d.info.extensions, "cl_amd_device_attribute_query");
    ck_assert_msg(gpt_build(&refused_shape, &run, b->type->scratch, 4, &g, &e) == OK, "%s", e.text);
    ck_assert_msg(plan_make(g.graph, &b->limits, &p, &e) == OK, "%s", e.text);
    for (int doubled = 0; doubled < 2; doubled++) {
        memory m = {0};
        refuse_pinned(doubled ? DOUBLED : NOTHING);
        count_reset(0);
        ck_assert_msg(memory_reserve(&m, &d, g.graph, &p, p.total, &e) == OK, "%s", e.text);
        ck_assert_int_eq(m.host_pageable, doubled);
        ck_assert_uint_eq(m.host_live, p.host_total);
        ck_assert_uint_eq(count(HOST_LIVE), doubled ? 0 : p.host_total);
        for (int i = 0; i < m.host_blocks; i++)
            for (uint64_t at = 0; at < p.host_block_bytes[i]; at++) ck_assert(m.host[i].at[at] == 0);
        memory_release(&m);
        ck_assert_uint_eq(count(LIVE) + count(HOST_LIVE), 0);
    }
    refuse_pinned(NOTHING);
    plan_free(&p);
    gpt_free(&g);
    b->close(b);
}
END_TEST

/* Where the system has no memory either, a smaller plan for the device would not help: one line says whose memory it
   is, nothing is held, and the same backend takes the next plan. */
START_TEST(a_system_that_refuses_memory_is_told_from_a_device_that_does) {
    if (!counting()) return;
    error e = {""};
    gpt_run run = refused_run(2, OFFLOAD_MOMENTS);
    model m;
    count_reset(0);
    backend *b = open_device(0, 0);
    b->limits.max_block = 384 << 10; /* many blocks */
    refuse_pinned(MAPPING);
    refuse_pageable(1);
    ck_assert_int_eq(model_open(&m, b, &refused_shape, &run, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "the system refused") && strstr(e.text, "--offload=none"), "%s", e.text);
    ck_assert_uint_eq(count(LIVE) + count(HOST_LIVE), 0);
    refuse_pinned(NOTHING);
    refuse_pageable(0);
    ck_assert_msg(model_open(&m, b, &refused_shape, &run, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(count(HOST_LIVE), m.plan.host_total);
    model_close(&m);
}
END_TEST

/* The device refuses above X for X over the whole range: a smaller plan gives the same bits, or NO_MEMORY says why. */
START_TEST(a_refusing_device_leads_to_a_smaller_plan_with_the_same_bits) {
    if (!counting()) return;
    error e = {""};
    gpt_run run = refused_run(6, OFFLOAD_NONE);
    uint64_t largest = 0;
    char first[65] = "", hash[65];
    for (int share = 16; share >= 0; share--) {
        count_reset(0); /* what opening takes to try products is not what is refused here */
        backend *b = open_device(0, 0);
        count_reset(largest ? largest * (uint64_t)share / 16 + 1 : 0);
        status s = NO_MEMORY;
        model m;
        for (run.micro_batch = 6; s == NO_MEMORY && run.micro_batch > 0; run.micro_batch--) {
            s = model_open(&m, b, &refused_shape, &run, &e);
            if (s == NO_MEMORY) {
                ck_assert_uint_eq(count(LIVE), 0);
                ck_assert_ptr_nonnull(strstr(e.text, "CL_MEM_OBJECT_ALLOCATION_FAILURE"));
            }
        }
        if (s == NO_MEMORY) {
            b->close(b);
            continue;
        }
        ck_assert_msg(s == OK, "%s", e.text);
        if (!largest) largest = m.plan.total;
        train(&m, first[0] ? hash : first);
        if (share < 16) ck_assert_str_eq(hash, first);
        model_close(&m);
        ck_assert_uint_eq(count(LIVE), 0);
        if (share == 16) strcpy(hash, first);
    }
    ck_assert_uint_gt(largest, 0);
}
END_TEST

Suite *opencl_outside_suite(void) {
    Suite *suite = suite_create("opencl_outside");
    TCase *t = tcase_create("opencl_outside");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, outside_peak_is_the_plan_and_nothing_comes_late, 0, 24);
    tcase_add_loop_test(t, outside_peak_of_texts_is_the_plan, 0, 8);
    tcase_add_test(t, a_refusing_device_leads_to_a_smaller_plan_with_the_same_bits);
    tcase_add_test(t, a_driver_that_refuses_pinned_memory_gets_pageable_memory);
    tcase_add_test(t, a_driver_that_pins_with_the_devices_memory_gets_pageable_memory);
    tcase_add_test(t, a_system_that_refuses_memory_is_told_from_a_device_that_does);
    suite_add_tcase(suite, t);
    return suite;
}
