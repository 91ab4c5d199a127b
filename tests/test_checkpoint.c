/* test_checkpoint.c: folders in Hugging Face's GPT-2 layout: their config.json, what snug itself saves, and what comes
   back as it went in. Weights that others have saved: test_checkpoint_files.c. */
#include "save/checkpoint.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json_file.h"
#include "support_checkpoint.h"
#include "support_memory_backend.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

/* ---- config.json ---- */

#define SIZES "\"n_layer\":2,\"n_head\":3,\"n_embd\":48,\"n_positions\":24,\"vocab_size\":97"
#define GPT2 "\"model_type\":\"gpt2\","

static status read_config(const char *text, gpt_shape *s) {
    ck_assert_int_eq(file_write(in_folder("config.json"), text, strlen(text), false, NULL, &e), OK);
    return checkpoint_shape(folder, s, &e);
}

static const struct {
    const char *json;
    const char *says;
} bad_configs[] = {
    {"", "JSON"},
    {"[]", "object"},
    {"{" GPT2 SIZES, "JSON"},
    {"{" SIZES "}", "neither"},
    {"{\"model_type\":\"llama\"," SIZES "}", "is \"llama\""},
    {"{\"model_type\":\"a\\nb\"," SIZES "}", "is \"?\""},
    {"{" GPT2 "\"architectures\":[\"GPTNeoForCausalLM\"]," SIZES "}", "GPTNeoForCausalLM"},
    {"{" GPT2 "\"n_head\":3,\"n_embd\":48,\"n_positions\":24,\"vocab_size\":97}", "\"n_layer\" is missing"},
    {"{" GPT2 "\"n_layer\":2,\"n_embd\":48,\"n_positions\":24,\"vocab_size\":97}", "\"n_head\" is missing"},
    {"{" GPT2 "\"n_layer\":2,\"n_head\":3,\"n_positions\":24,\"vocab_size\":97}", "\"n_embd\" is missing"},
    {"{" GPT2 "\"n_layer\":2,\"n_head\":3,\"n_embd\":48,\"vocab_size\":97}", "\"n_positions\" is missing"},
    {"{" GPT2 "\"n_layer\":2,\"n_head\":3,\"n_embd\":48,\"n_positions\":24}", "\"vocab_size\" is missing"},
    {"{" GPT2 "\"n_layer\":0,\"n_head\":3,\"n_embd\":48,\"n_positions\":24,\"vocab_size\":97}", "from 1 to 1024"},
    {"{" GPT2 "\"n_layer\":2.5,\"n_head\":3,\"n_embd\":48,\"n_positions\":24,\"vocab_size\":97}", "whole number"},
    {"{" GPT2 "\"n_layer\":\"2\",\"n_head\":3,\"n_embd\":48,\"n_positions\":24,\"vocab_size\":97}", "whole number"},
    {"{" GPT2 "\"n_layer\":2,\"n_head\":3,\"n_embd\":1e300,\"n_positions\":24,\"vocab_size\":97}", "from 1 to 65536"},
    {"{" GPT2 "\"n_layer\":2,\"n_head\":3,\"n_embd\":48,\"n_positions\":24,\"vocab_size\":-97}", "from 1 to 16777216"},
    {"{" GPT2 "\"n_layer\":2,\"n_head\":5,\"n_embd\":48,\"n_positions\":24,\"vocab_size\":97}", "cannot be shared"},
    {"{" GPT2 SIZES ",\"activation_function\":\"relu\"}", "is \"relu\""},
    {"{" GPT2 SIZES ",\"activation_function\":1}", "is \"?\""},
    {"{" GPT2 SIZES ",\"bias\":\"no\"}", "\"bias\" must be true or false"},
    {"{" GPT2 SIZES ",\"layer_norm_epsilon\":0}", "layer_norm_epsilon"},
    {"{" GPT2 SIZES ",\"n_inner\":100}", "4 * n_embd = 192"},
    {"{" GPT2 SIZES ",\"scale_attn_weights\":false}", "snug computes true only"},
    {"{" GPT2 SIZES ",\"scale_attn_by_inverse_layer_idx\":true}", "snug computes false only"},
    {"{" GPT2 SIZES ",\"add_cross_attention\":true}", "snug computes false only"},
    {"{" GPT2 SIZES ",\"tie_word_embeddings\":false}", "snug computes true only"},
};

START_TEST(config_of_another_model_is_refused) {
    gpt_shape s;
    ck_assert_int_eq(read_config(bad_configs[_i].json, &s), BAD_INPUT);
    ck_assert_msg(strstr(e.text, bad_configs[_i].says) && strstr(e.text, "config.json") && !strchr(e.text, '\n'),
                  "row %d says: %s", _i, e.text);
}
END_TEST

START_TEST(config_gives_the_shape) {
    gpt_shape s;
    ck_assert_msg(read_config("{" GPT2 SIZES "}", &s) == OK, "%s", e.text);
    ck_assert(s.layers == 2 && s.heads == 3 && s.channels == 48 && s.positions == 24 && s.vocabulary == 97);
    ck_assert(s.bias && s.tanh_gelu && s.norm_epsilon == 1e-5);
    ck_assert_msg(
        read_config("{\"architectures\":[\"GPT2LMHeadModel\"]," SIZES ",\"activation_function\":\"gelu\","
                    "\"bias\":false,\"n_inner\":192,\"reorder_and_upcast_attn\":true,\"scale_attn_weights\":true,"
                    "\"layer_norm_epsilon\":1e-6,\"task_specific_params\":{\"x\":[1]}}",
                    &s) == OK,
        "%s", e.text);
    ck_assert(!s.bias && !s.tanh_gelu && s.norm_epsilon == 1e-6);
    unlink(in_folder("config.json"));
    ck_assert_int_eq(checkpoint_shape(folder, &s, &e), BAD_INPUT);
}
END_TEST

/* ---- weights ---- */

START_TEST(saved_weights_come_back_bit_for_bit) {
    size_t real_bytes = _i & 1 ? 8 : 4;
    gpt_shape shape = small, again;
    shape.bias = !(_i & 2);
    shape.tanh_gelu = _i & 1;
    gpt m = memory_gpt(&shape, GRAPH_EVAL);
    backend *a = memory_backend_open(&m, real_bytes), *b = memory_backend_open(&m, real_bytes);
    char first[HASH_HEX], second[HASH_HEX];
    memory_fill(a, &m, 7);
    ck_assert_msg(checkpoint_save_weights(in_folder("new/hf"), &shape, NULL, &m, a, false, first, &e) == OK, "%s",
                  e.text);
    ck_assert_int_eq(hash_file(in_folder("new/hf/model.safetensors"), second, &e), OK);
    ck_assert_str_eq(first, second);
    ck_assert_msg(checkpoint_shape(in_folder("new/hf"), &again, &e) == OK, "%s", e.text);
    ck_assert(again.layers == 2 && again.bias == shape.bias && again.tanh_gelu == shape.tanh_gelu);
    ck_assert_msg(checkpoint_load_weights(in_folder("new/hf"), NULL, &again, &m, b, &e) == OK, "%s", e.text);
    ck_assert(memory_holds(b, &m, 7));
    ck_assert_int_eq(checkpoint_save_weights(in_folder("two"), &shape, NULL, &m, b, false, second, &e), OK);
    ck_assert_str_eq(first, second);
    a->close(a);
    b->close(b);
    gpt_free(&m);
}
END_TEST

/* transformers wants every name of a biased model: without biases they are there, as zeros. */
START_TEST(model_without_biases_is_saved_with_zero_biases) {
    gpt_shape shape = small;
    shape.bias = false;
    gpt m = memory_gpt(&shape, GRAPH_EVAL), biased = memory_gpt(&small, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 4);
    memory_fill(b, &m, 1);
    ck_assert_int_eq(checkpoint_save_weights(folder, &shape, NULL, &m, b, false, NULL, &e), OK);
    st_file f;
    ck_assert_int_eq(st_open(in_folder("model.safetensors"), &f, &e), OK);
    ck_assert_int_eq(f.n, biased.n_params);
    for (tensor_id p = 1; p <= biased.n_params; p++) {
        char name[100];
        const st_tensor *t = st_find(&f, gpt_param_name(biased.graph, p, name, sizeof name));
        ck_assert_msg(t != NULL, "%s", name);
        ck_assert_int_eq(t->elements, tensor_elements(&biased.graph->tensors[p]));
        for (int64_t i = 0; strstr(name, ".bias") && i < t->elements; i++) ck_assert(st_value(t, i) == 0);
    }
    st_close(&f);
    b->close(b);
    gpt_free(&m);
    gpt_free(&biased);
}
END_TEST

static const char *const golden[] = {"tests/golden/tanh-bias", "tests/golden/erf-nobias", "tests/golden/train"};

START_TEST(golden_folders_load) {
    gpt_shape shape;
    ck_assert_msg(checkpoint_shape(golden[_i], &shape, &e) == OK, "%s", e.text);
    gpt m = memory_gpt(&shape, GRAPH_EVAL);
    for (size_t real_bytes = 4; real_bytes <= 8; real_bytes += 4) {
        backend *b = memory_backend_open(&m, real_bytes);
        ck_assert_msg(checkpoint_load_weights(golden[_i], NULL, &shape, &m, b, &e) == OK, "%s", e.text);
        char path[100], name[100];
        st_file f;
        snprintf(path, sizeof path, "%s/model.safetensors", golden[_i]);
        ck_assert_int_eq(st_open(path, &f, &e), OK);
        for (tensor_id p = 1; p <= m.n_params; p++) {
            const st_tensor *t = st_find(&f, gpt_param_name(m.graph, p, name, sizeof name));
            for (int64_t i = 0; i < t->elements; i++) ck_assert(memory_get(b, p, i) == st_value(t, i));
        }
        st_close(&f);
        b->close(b);
    }
    gpt_free(&m);
}
END_TEST

/* ---- activations, and what comes back as it went in ---- */

static double largest_difference(const cJSON *x, const cJSON *y, bool tanh_gelu) {
    double worst = 0;
    for (x = x->child, y = y->child; x; x = x->next, y = y->next) {
        double v = x->valuedouble, inner = sqrt(2 / 3.14159265358979323846) * (v + 0.044715 * v * v * v);
        double gelu = tanh_gelu ? 0.5 * v * (1 + tanh(inner)) : 0.5 * v * erfc(-v / sqrt(2));
        worst = fmax(worst, fabs(gelu - y->valuedouble));
    }
    return worst;
}

/* By what a name computes in transformers (tests/golden/activations) it is read as one of the two, or refused. */
START_TEST(activations_are_taken_by_what_they_compute) {
    cJSON *golden;
    ck_assert(json_read("tests/golden/activations/activations.json", &golden, &e) == OK);
    const cJSON *x = cJSON_GetObjectItem(golden, "x"), *y;
    int exact = 0, tanhs = 0, refused = 0;
    cJSON_ArrayForEach(y, cJSON_GetObjectItem(golden, "values")) {
        gpt_shape s;
        char *text = xprintf("{" GPT2 SIZES ",\"activation_function\":\"%s\"}", y->string);
        status r = read_config(text, &s);
        bool is_exact = largest_difference(x, y, false) < 1e-9, is_tanh = largest_difference(x, y, true) < 1e-9;
        ck_assert_msg((r == OK) == (is_exact || is_tanh), "%s", y->string);
        if (r == OK) ck_assert_msg(s.tanh_gelu == is_tanh, "%s", y->string);
        exact += is_exact, tanhs += is_tanh, refused += r == BAD_INPUT;
        free(text);
    }
    ck_assert_msg(exact == 2 && tanhs == 5 && refused > 10, "%d exact, %d tanh, %d refused", exact, tanhs, refused);
    cJSON_Delete(golden);
}
END_TEST

START_TEST(what_is_not_ours_comes_out_as_it_went_in) {
    static const char theirs[] =
        "{" GPT2 SIZES ",\"activation_function\":\"gelu_fast\",\"bos_token_id\":5,\"eos_token_id\":[5,6],"
        "\"pad_token_id\":7,\"resid_pdrop\":0.1,\"dtype\":\"bfloat16\",\"own\":{\"a\":[1,2.5,null]},"
        "\"architectures\":[\"GPT2ForSequenceClassification\"],\"layer_norm_epsilon\":1e-06,\"id2label\":{\"0\":\"x\"}"
        "}";
    static const char generation[] = "{\n  \"eos_token_id\": [5, 6],\n  \"do_sample\": true\n}\n";
    gpt_shape s;
    checkpoint_extras extras, again;
    char *text;
    size_t bytes;
    ck_assert(read_config(theirs, &s) == OK);
    ck_assert(file_write(in_folder("generation_config.json"), generation, strlen(generation), false, NULL, &e) == OK);
    ck_assert(checkpoint_extras_read(folder, &extras, &e) == OK);
    s.channels = 8, s.heads = 2; /* what is small is quick */
    gpt m = memory_gpt(&s, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 4);
    memory_fill(b, &m, 0);
    ck_assert_msg(checkpoint_save_weights(in_folder("new"), &s, &extras, &m, b, false, NULL, &e) == OK, "%s", e.text);
    ck_assert(file_read(in_folder("new/generation_config.json"), 1000, &text, &bytes, &e) == OK);
    ck_assert_str_eq(text, generation);
    free(text);
    ck_assert(checkpoint_extras_read(in_folder("new"), &again, &e) == OK);
    static const char *const kept[] = {"activation_function", "bos_token_id", "eos_token_id", "pad_token_id",
                                       "resid_pdrop",         "own",          "id2label"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        ck_assert_msg(cJSON_Compare(cJSON_GetObjectItem(extras.config, kept[i]),
                                    cJSON_GetObjectItem(again.config, kept[i]), true),
                      "%s", kept[i]);
    ck_assert_int_eq(cJSON_GetObjectItem(again.config, "n_embd")->valueint, 8); /* what is ours is ours */
    ck_assert_str_eq(cJSON_GetObjectItem(again.config, "dtype")->valuestring, "float32");
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(again.config, "tie_word_embeddings"))); /* which theirs lacks */
    ck_assert_str_eq(cJSON_GetObjectItem(again.config, "architectures")->child->valuestring, "GPT2LMHeadModel");
    gpt_shape back;
    ck_assert(checkpoint_shape(in_folder("new"), &back, &e) == OK && !memcmp(&back, &s, sizeof s));
    checkpoint_extras_free(&extras);
    checkpoint_extras_free(&again);
    b->close(b);
    gpt_free(&m);
}
END_TEST

/* ---- gradients and moments ---- */

START_TEST(sets_of_tensors_come_back) {
    gpt m = memory_gpt(&small, GRAPH_TRAIN);
    backend *a = memory_backend_open(&m, 8), *b = memory_backend_open(&m, 8);
    checkpoint_set sets[2] = {{"m.", m.m, false}, {"v.", m.v, true}}, grads = {"", m.grad, false};
    memory_fill(a, &m, 3);
    ck_assert_int_eq(checkpoint_save_tensors(in_folder("o.safetensors"), &m, sets, 2, a, NULL, &e), OK);
    ck_assert_msg(checkpoint_load_tensors(in_folder("o.safetensors"), NULL, &m, sets, 2, b, &e) == OK, "%s", e.text);
    for (tensor_id p = 1; p <= m.n_params; p++)
        for (int64_t i = 0; i < tensor_elements(&m.graph->tensors[p]); i++) {
            ck_assert(memory_get(a, m.m[p], i) == memory_get(b, m.m[p], i));
            ck_assert(memory_get(a, m.v[p], i) == memory_get(b, m.v[p], i));
        }
    /* AdamW would take the root of it. */
    double below = -1e-30;
    ck_assert_int_eq(a->write(a, m.v[2], &below, 8, 8, &e), OK);
    ck_assert_int_eq(checkpoint_save_tensors(in_folder("n.safetensors"), &m, sets, 2, a, NULL, &e), OK);
    ck_assert_int_eq(checkpoint_load_tensors(in_folder("n.safetensors"), NULL, &m, sets, 2, b, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, "\"v.transformer.wpe.weight\" has a value below zero"), "%s", e.text);
    ck_assert_int_eq(checkpoint_load_tensors(in_folder("o.safetensors"), NULL, &m, &grads, 1, b, &e), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "belongs to another model"));
    ck_assert_int_eq(checkpoint_save_tensors(in_folder("g.safetensors"), &m, &grads, 1, a, NULL, &e), OK);
    st_file f;
    ck_assert_int_eq(st_open(in_folder("g.safetensors"), &f, &e), OK);
    const st_tensor *t = st_find(&f, "transformer.h.1.attn.c_attn.weight");
    ck_assert(t && t->type == ST_F64 && t->rank == 2 && t->dim[0] == 8 && t->dim[1] == 24 && f.n == m.n_params);
    st_close(&f);
    memory_fail_reads(a, 3);
    ck_assert_int_eq(checkpoint_save_tensors(in_folder("h.safetensors"), &m, &grads, 1, a, NULL, &e), FAILED);
    ck_assert_str_eq(e.text, "the device is gone");
    ck_assert_int_ne(access(in_folder("h.safetensors"), F_OK), 0);
    a->close(a);
    b->close(b);
    gpt_free(&m);
}
END_TEST

Suite *checkpoint_suite(void);
Suite *checkpoint_suite(void) {
    Suite *s = suite_create("checkpoint");
    TCase *t = tcase_create("checkpoint");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, config_of_another_model_is_refused, 0, sizeof bad_configs / sizeof bad_configs[0]);
    tcase_add_test(t, config_gives_the_shape);
    tcase_add_loop_test(t, saved_weights_come_back_bit_for_bit, 0, 4);
    tcase_add_test(t, model_without_biases_is_saved_with_zero_biases);
    tcase_add_loop_test(t, golden_folders_load, 0, 3);
    tcase_add_test(t, activations_are_taken_by_what_they_compute);
    tcase_add_test(t, what_is_not_ours_comes_out_as_it_went_in);
    tcase_add_test(t, sets_of_tensors_come_back);
    suite_add_tcase(s, t);
    return s;
}
