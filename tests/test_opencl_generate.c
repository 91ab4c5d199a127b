/* test_opencl_generate.c: texts by kept keys and values on OpenCL, by the kernels for CPUs and those for GPUs, in
   float32 and bfloat16, against the whole text's logits by the CPU in float64. */
#include "opencl_device.h"
#include "support_generate.h"

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

Suite *opencl_generate_suite(void);
Suite *opencl_generate_suite(void) {
    Suite *s = suite_create("opencl_generate");
    TCase *c = tcase_create("kept");
    tcase_set_timeout(c, 600);
    tcase_add_checked_fixture(c, compile_quickly, NULL);
    tcase_add_loop_test(c, kept_positions_give_the_logits_of_the_whole_text, 0, WAYS);
    tcase_add_test(c, longer_texts_than_the_model_sees_go_by_windows);
    tcase_add_loop_test(c, no_text_depends_on_those_beside_it, 0, WAYS);
    suite_add_tcase(s, c);
    return s;
}
