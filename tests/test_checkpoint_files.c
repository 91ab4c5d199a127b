/* test_checkpoint_files.c: weights as others save them, in one file or in several: which of them load, with which
   values, and what is said of the others. */
#include "save/checkpoint.h"
#include "base/files.h"
#include "support_checkpoint.h"
#include "support_memory_backend.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

/* ---- one file ---- */

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

Suite *checkpoint_files_suite(void);
Suite *checkpoint_files_suite(void) {
    Suite *s = suite_create("checkpoint_files");
    TCase *t = tcase_create("checkpoint_files");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, files_of_others_load_or_say_why, 0, sizeof edits / sizeof edits[0]);
    tcase_add_test(t, biases_of_a_model_without_biases_must_be_zero);
    tcase_add_test(t, sixteen_bit_weights_are_converted);
    tcase_add_loop_test(t, several_files_are_one_model, 0, 4);
    tcase_add_loop_test(t, a_bad_index_is_one_clear_line, 0, sizeof bad_indexes / sizeof bad_indexes[0]);
    suite_add_tcase(s, t);
    return s;
}
