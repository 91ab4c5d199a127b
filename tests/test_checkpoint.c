/* test_checkpoint.c: folders in Hugging Face's GPT-2 layout: which of them load, with which values, and what is said of
   the others. */
#include "save/checkpoint.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json_file.h"
#include "support_memory_backend.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

static char folder[] = "/tmp/snug-test-XXXXXX";
static error e;
static const gpt_shape small = {
    .layers = 2, .heads = 2, .channels = 8, .positions = 6, .vocabulary = 11, .bias = true, .norm_epsilon = 1e-5};

static void make_folder(void) {
    strcpy(folder, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}
static void remove_folder(void) { ck_assert_int_eq(folder_remove(folder, &e), OK); }

static char *in_folder(const char *name) {
    static char path[2][200];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

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

/* A file as others might save it: an edit of the small model's tensors, then a try to load it. */
typedef struct {
    st_tensor t[64];
    int n;
    char *owned[64];
} edited;

static void edit_begin(edited *x, const gpt *m) {
    *x = (edited){0};
    for (tensor_id p = 1; p <= m->n_params; p++) {
        st_tensor *t = &x->t[x->n];
        const tensor *own = &m->graph->tensors[p];
        char name[100];
        *t = (st_tensor){
            .name = xstrdup(gpt_param_name(m->graph, p, name, sizeof name)), .type = ST_F32, .rank = own->rank};
        memcpy(t->dim, own->dim, sizeof own->dim);
        float *values = xcalloc((unsigned long)tensor_elements(own), sizeof *values);
        for (int64_t i = 0; i < tensor_elements(own); i++) values[i] = (float)(p + i / 64.0);
        t->elements = tensor_elements(own);
        t->data = x->owned[x->n++] = (char *)values;
    }
}

static st_tensor *edit_find(edited *x, const char *name) {
    for (int i = 0; i < x->n; i++)
        if (strstr(x->t[i].name, name)) return &x->t[i];
    abort();
}

static st_tensor *edit_add(edited *x, const char *name, int rank, int64_t d0, int64_t d1) {
    st_tensor *t = &x->t[x->n];
    *t = (st_tensor){
        .name = xstrdup(name), .type = ST_F32, .rank = rank, .dim = {d0, d1}, .elements = d0 * (rank > 1 ? d1 : 1)};
    t->data = x->owned[x->n++] = xcalloc((unsigned long)t->elements, 4);
    return t;
}

static void edit_remove(edited *x, const char *name) {
    st_tensor *t = edit_find(x, name);
    int at = (int)(t - x->t);
    free(t->name);
    free(x->owned[at]);
    memmove(t, t + 1, (size_t)(x->n - at - 1) * sizeof *t);
    memmove(&x->owned[at], &x->owned[at + 1], (size_t)(x->n - at - 1) * sizeof x->owned[0]);
    x->n--;
}

static status edit_load(edited *x, const gpt_shape *shape, const gpt *m, backend *b) {
    ck_assert_int_eq(st_write(in_folder("model.safetensors"), x->t, x->n, NULL, NULL, NULL, &e), OK);
    for (int i = 0; i < x->n; i++) free(x->t[i].name), free(x->owned[i]);
    return checkpoint_load_weights(folder, NULL, shape, m, b, &e);
}

static void no_prefix(edited *x) {
    for (int i = 0; i < x->n; i++) memmove(x->t[i].name, x->t[i].name + 12, strlen(x->t[i].name) - 11);
}
static void rename_all(edited *x, const char *prefix) {
    for (int i = 0; i < x->n; i++) {
        char *name = xprintf("%s%s", prefix, x->t[i].name);
        free(x->t[i].name);
        x->t[i].name = name;
    }
}
static void compiled(edited *x) { rename_all(x, "_orig_mod."); }
static void parallel(edited *x) { rename_all(x, "module."); }
static void wrapped(edited *x) { rename_all(x, "model."); }
static void all_prefixes(edited *x) { rename_all(x, "model.module._orig_mod."); }
static void no_prefix_but_compiled(edited *x) { no_prefix(x), compiled(x); }
static void head_alone(edited *x) {
    st_tensor *wte = edit_find(x, "wte");
    free(wte->name);
    wte->name = xstrdup("lm_head.weight");
}
static void compiled_head_alone(edited *x) { head_alone(x), compiled(x); }
static void other_heads(edited *x) {
    edit_add(x, "score.weight", 2, 2, 8);
    edit_add(x, "classifier.bias", 1, 2, 0);
    edit_add(x, "v_head.summary.weight", 2, 1, 8);
    edit_add(x, "transformer.multiple_choice_head.summary.bias", 1, 1, 0);
}
static void some_other_tensor(edited *x) { edit_add(x, "scores", 1, 8, 0); }
static void twice_by_prefix(edited *x) { edit_add(x, "module.transformer.wpe.weight", 2, 6, 8); }
static void masks(edited *x) {
    edit_add(x, "transformer.h.0.attn.bias", 2, 6, 6)->type = ST_U8;
    edit_add(x, "h.1.attn.masked_bias", 0, 1, 1);
}
static void tied_head(edited *x) {
    edit_add(x, "lm_head.weight", 2, 11, 8);
    memcpy(x->owned[x->n - 1], edit_find(x, "wte")->data, 11 * 8 * 4);
}
static void untied_head(edited *x) { edit_add(x, "lm_head.weight", 2, 11, 8); }
static void missing(edited *x) { edit_remove(x, "h.1.mlp.c_fc.weight"); }
static void missing_bias(edited *x) { edit_remove(x, "h.1.mlp.c_fc.bias"); }
static void unknown(edited *x) { edit_add(x, "transformer.h.2.ln_1.weight", 1, 8, 0); }
static void turned(edited *x) {
    st_tensor *t = edit_find(x, "h.0.attn.c_attn.weight");
    t->dim[0] = 24, t->dim[1] = 8;
}
static void short_wpe(edited *x) { edit_find(x, "wpe")->dim[0] = 5; }
static void flat(edited *x) {
    st_tensor *t = edit_find(x, "wpe");
    t->rank = 1, t->dim[0] = 48;
}
static void integers(edited *x) { edit_find(x, "ln_f.weight")->type = ST_I32; }
static void not_a_number(edited *x) { ((float *)edit_find(x, "ln_f.weight")->data)[3] = NAN; }
static void twice(edited *x) { edit_add(x, "wpe.weight", 2, 6, 8); }

static const struct {
    void (*edit)(edited *);
    const char *says; /* NULL: loads */
} edits[] = {
    {no_prefix, NULL},
    {compiled, NULL},
    {parallel, NULL},
    {wrapped, NULL},
    {all_prefixes, NULL},
    {no_prefix_but_compiled, NULL},
    {head_alone, NULL},
    {compiled_head_alone, NULL},
    {other_heads, NULL},
    {some_other_tensor, "\"scores\" does not belong"},
    {twice_by_prefix, "is there twice, also as"},
    {masks, NULL},
    {tied_head, NULL},
    {untied_head, "untied heads are not supported"},
    {missing, "\"transformer.h.1.mlp.c_fc.weight\" is missing"},
    {missing_bias, "\"bias\": false"},
    {unknown, "\"transformer.h.2.ln_1.weight\" does not belong"},
    {turned, "[24, 8], but config.json makes it [8, 24]; GPT-2's files keep"},
    {short_wpe, "[5, 8], but config.json makes it [6, 8]"},
    {flat, "[48], but config.json makes it [6, 8]"},
    {integers, "has dtype I32"},
    {not_a_number, "\"transformer.ln_f.weight\" has a value that is infinite or NaN"},
    {twice, "is there twice, also as"},
};

/* Element i of parameter p is p + i / 64, as edit_begin writes them. */
static void expect_written(backend *b, const gpt *m) {
    for (tensor_id p = 1; p <= m->n_params; p++)
        for (int64_t i = 0; i < tensor_elements(&m->graph->tensors[p]); i++)
            ck_assert(memory_get(b, p, i) == (double)p + (double)i / 64);
}

START_TEST(files_of_others_load_or_say_why) {
    gpt m = memory_gpt(&small, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 8);
    edited x;
    edit_begin(&x, &m);
    edits[_i].edit(&x);
    status s = edit_load(&x, &small, &m, b);
    if (edits[_i].says)
        ck_assert_msg(s == BAD_INPUT && strstr(e.text, edits[_i].says) && !strchr(e.text, '\n'), "row %d says: %s", _i,
                      e.text);
    else {
        ck_assert_msg(s == OK, "row %d says: %s", _i, e.text);
        expect_written(b, &m);
    }
    b->close(b);
    gpt_free(&m);
}
END_TEST

/* ---- several files ---- */

/* Writes every n-th tensor into a file of its own, and the index; *x is freed. */
static void write_shards(edited *x, int n) {
    char *map = xstrdup("");
    for (int k = 0; k < n; k++) {
        st_tensor part[64];
        int m = 0;
        char *name = xprintf("model-%05d-of-%05d.safetensors", k + 1, n);
        for (int i = k; i < x->n; i += n) {
            part[m++] = x->t[i];
            char *longer = xprintf("%s%s\"%s\":\"%s\"", map, *map ? "," : "", x->t[i].name, name);
            free(map);
            map = longer;
        }
        ck_assert_int_eq(st_write(in_folder(name), part, m, NULL, NULL, NULL, &e), OK);
        free(name);
    }
    char *index = xprintf("{\"metadata\":{\"total_size\":1},\"weight_map\":{%s}}", map);
    ck_assert_int_eq(file_write(in_folder("model.safetensors.index.json"), index, strlen(index), false, NULL, &e), OK);
    for (int i = 0; i < x->n; i++) free(x->t[i].name), free(x->owned[i]);
    free(map);
    free(index);
}

START_TEST(several_files_are_one_model) {
    gpt m = memory_gpt(&small, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 8);
    edited x;
    edit_begin(&x, &m);
    if (_i == 3) compiled(&x);
    write_shards(&x, _i + 1);
    ck_assert_msg(checkpoint_load_weights(folder, NULL, &small, &m, b, &e) == OK, "%s", e.text);
    expect_written(b, &m);
    b->close(b);
    gpt_free(&m);
}
END_TEST

static const struct {
    const char *index, *says; /* index NULL: a file of it is removed */
} bad_indexes[] = {
    {NULL, "model-00002-of-00002.safetensors does not exist"},
    {"{}", "has no \"weight_map\""},
    {"{\"weight_map\":{}}", "has no \"weight_map\""},
    {"{\"weight_map\":[\"a\"]}", "has no \"weight_map\""},
    {"{\"weight_map\":{\"a\":7}}", "is no name of a file beside it"},
    {"{\"weight_map\":{\"a\":\"../model-00001-of-00002.safetensors\"}}", "is no name of a file beside it"},
    {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "is no name of a file beside it"},
    {"{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\"}}", "holds \"a\", which it does not"},
    {"{\"weight_map\":{\"transformer.wte.weight\":\"model-00001-of-00002.safetensors\"}}", "is missing"},
    {"{\"weight_map\":", "no JSON"},
};

START_TEST(a_bad_index_is_one_clear_line) {
    gpt m = memory_gpt(&small, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 8);
    edited x;
    edit_begin(&x, &m);
    write_shards(&x, 2);
    const char *index = bad_indexes[_i].index;
    if (index)
        ck_assert_int_eq(file_write(in_folder("model.safetensors.index.json"), index, strlen(index), false, NULL, &e),
                         OK);
    else
        ck_assert_int_eq(unlink(in_folder("model-00002-of-00002.safetensors")), 0);
    ck_assert_int_eq(checkpoint_load_weights(folder, NULL, &small, &m, b, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, bad_indexes[_i].says) && !strchr(e.text, '\n'), "row %d says: %s", _i, e.text);
    b->close(b);
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

START_TEST(biases_of_a_model_without_biases_must_be_zero) {
    gpt_shape shape = small;
    shape.bias = false;
    gpt m = memory_gpt(&shape, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 4);
    edited x;
    edit_begin(&x, &m);
    edit_add(&x, "transformer.h.0.ln_1.bias", 1, 8, 0);
    ck_assert_msg(edit_load(&x, &shape, &m, b) == OK, "%s", e.text);
    edit_begin(&x, &m);
    edit_add(&x, "transformer.h.0.ln_1.bias", 1, 8, 0);
    memcpy(x.owned[x.n - 1] + 7 * 4, &(float){1}, 4);
    ck_assert_int_eq(edit_load(&x, &shape, &m, b), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "is not zero"));
    edit_begin(&x, &m);
    edit_add(&x, "transformer.h.0.ln_1.bias", 1, 9, 0);
    ck_assert_int_eq(edit_load(&x, &shape, &m, b), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "has shape [9]"));
    b->close(b);
    gpt_free(&m);
}
END_TEST

/* 16-bit weights, as many models are published; their conversion is in test_safetensors.c. */
START_TEST(sixteen_bit_weights_are_converted) {
    gpt m = memory_gpt(&small, GRAPH_EVAL);
    backend *b = memory_backend_open(&m, 4);
    edited x;
    edit_begin(&x, &m);
    for (int i = 0; i < x.n; i++) {
        x.t[i].type = i % 2 ? ST_F16 : ST_BF16;
        for (int64_t k = 0; k < x.t[i].elements; k++) ((uint16_t *)x.owned[i])[k] = i % 2 ? 0x3e00 : 0xc040;
    }
    ck_assert_msg(edit_load(&x, &small, &m, b) == OK, "%s", e.text);
    for (tensor_id p = 1; p <= m.n_params; p++) ck_assert(memory_get(b, p, 0) == ((p - 1) % 2 ? 1.5 : -3.0));
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
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_loop_test(t, config_of_another_model_is_refused, 0, sizeof bad_configs / sizeof bad_configs[0]);
    tcase_add_test(t, config_gives_the_shape);
    tcase_add_loop_test(t, saved_weights_come_back_bit_for_bit, 0, 4);
    tcase_add_test(t, model_without_biases_is_saved_with_zero_biases);
    tcase_add_loop_test(t, golden_folders_load, 0, 3);
    tcase_add_loop_test(t, files_of_others_load_or_say_why, 0, sizeof edits / sizeof edits[0]);
    tcase_add_loop_test(t, several_files_are_one_model, 0, 4);
    tcase_add_loop_test(t, a_bad_index_is_one_clear_line, 0, sizeof bad_indexes / sizeof bad_indexes[0]);
    tcase_add_test(t, activations_are_taken_by_what_they_compute);
    tcase_add_test(t, what_is_not_ours_comes_out_as_it_went_in);
    tcase_add_test(t, biases_of_a_model_without_biases_must_be_zero);
    tcase_add_test(t, sixteen_bit_weights_are_converted);
    tcase_add_test(t, sets_of_tensors_come_back);
    suite_add_tcase(s, t);
    return s;
}
