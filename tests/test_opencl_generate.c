/* test_opencl_generate.c: texts by kept keys and values on OpenCL, by the kernels for CPUs and those for GPUs, in
   float32 and bfloat16, against the whole text's logits by the CPU in float64. */
#include "graph/gpt.h"
#include "opencl/ops.h"
#include "opencl_device.h"
#include "support_generate.h"
#include <stdlib.h>
#include <string.h>

static backend *float64(void) { return cpu_open(8, 0); }
static backend *clblast(void) { return open_device(0, 0); }
static backend *own_products(void) { return open_device_with((opencl_options){.gemm = PRODUCTS_OWN, .as_gpu = true}); }
static backend *bfloat16(void) { return open_device_with((opencl_options){.precision = PRECISION_BFLOAT16}); }
static const struct {
    generate_open *open;
    double tolerance; /* P5's */
} ways[] = {{clblast, 1e-5}, {own_products, 1e-5}, {bfloat16, 3e-2}};
enum { WAYS = sizeof ways / sizeof *ways };

START_TEST(kept_positions_give_the_logits_of_the_whole_text) {
    generate_expect_logits(ways[_i].open, float64, 0, ways[_i].tolerance);
    if (_i < 2) generate_expect_logits(ways[_i].open, float64, 2, ways[_i].tolerance);
}
END_TEST

START_TEST(longer_texts_than_the_model_sees_go_by_windows) { generate_expect_tokens(clblast, float64, 0); }
END_TEST

START_TEST(no_text_depends_on_those_beside_it) { generate_expect_same_bits(ways[_i].open, 0); }
END_TEST

/* A device that leaves out a text's heads where one position is computed is refused in one line, before any text is
   written; a good one's room for keys and values is as bind leaves it. */
START_TEST(a_device_that_computes_one_position_wrong_is_refused) {
    const gpt_shape s = {.layers = 1, .heads = 3, .channels = 27, .positions = 19, .vocabulary = 71};
    const gpt_run run = {.purpose = GRAPH_SAMPLE, .micro_batch = 1, .sequences = 1, .length = 19, .kept = 4};
    error e = {""};
    gpt m;
    plan p;
    backend *b = own_products();
    ck_assert_msg(gpt_build(&s, &run, b->type->scratch, 4, &m, &e) == OK, "%s", e.text);
    ck_assert_msg(plan_make(m.graph, &b->limits, &p, &e) == OK && b->bind(b, m.graph, &p, &e) == OK, "%s", e.text);
    for (int i = m.graph->next.first; i < m.graph->next.end; i++) {
        op *o = &m.graph->ops[i];
        if (o->code != OP_ATTENTION_ONE) continue;
        int64_t n = tensor_elements(&m.graph->tensors[o->arg[2]]);
        float *kept = xcalloc((size_t)n, sizeof *kept);
        ck_assert_msg(floats_read((opencl *)b, o->arg[2], kept, n, &e) == OK, "%s", e.text);
        for (int64_t k = 0; k < n; k++) ck_assert_float_eq(kept[k], 0);
        free(kept);
        o->attr.heads = 1; /* a third of the groups */
    }
    ck_assert_int_eq(attention_prove((opencl *)b, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "one new position") && !strchr(e.text, '\n'), "%s", e.text);
    b->close(b);
    plan_free(&p);
    gpt_free(&m);
}
END_TEST

Suite *opencl_generate_suite(void);
Suite *opencl_generate_suite(void) {
    Suite *s = suite_create("opencl_generate");
    TCase *c = tcase_create("kept");
    tcase_set_timeout(c, 600);
    tcase_add_loop_test(c, kept_positions_give_the_logits_of_the_whole_text, 0, WAYS);
    tcase_add_test(c, longer_texts_than_the_model_sees_go_by_windows);
    tcase_add_loop_test(c, no_text_depends_on_those_beside_it, 0, WAYS);
    tcase_add_test(c, a_device_that_computes_one_position_wrong_is_refused);
    suite_add_tcase(s, c);
    return s;
}
