/* checkpoint_config.c: reads and writes config.json of a GPT-2 folder. Settings that would make the model compute
   something else are refused by name: a model that loads and computes wrongly is worse than one that does not load. */
#include "save/checkpoint_config.h"
#include "base/files.h"
#include "save/foreign.h"
#include "base/json_value.h"
#include "base/memory_file.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *path;
    const cJSON *json;
} source;

/* One of the sizes, between 1 and high; `other` is an older name for it, or NULL. */
static status get_size(source c, const char *key, const char *other, int64_t high, int64_t *value, error *e) {
    const cJSON *v = json_get(c.json, key);
    if (!v && other) v = json_get(c.json, other);
    if (!v) return fail(e, BAD_INPUT, "%s: \"%s\" is missing: is this the config.json of a GPT-2?", c.path, key);
    if (!json_integer(v, value) || *value < 1 || *value > high)
        return fail(e, BAD_INPUT, "%s: \"%s\" must be a whole number from 1 to %" PRId64, c.path, key, high);
    return OK;
}

static status get_bool(source c, const char *key, bool otherwise, bool *value, error *e) {
    const cJSON *v = json_get(c.json, key);
    if (v && !cJSON_IsBool(v)) return fail(e, BAD_INPUT, "%s: \"%s\" must be true or false", c.path, key);
    *value = v ? cJSON_IsTrue(v) : otherwise;
    return OK;
}

/* Text that may go into a message: short and on one line. */
static const char *text_of(const cJSON *v) {
    const char *s = cJSON_IsString(v) ? v->valuestring : "?";
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || p - s > 60) return "?";
    return s;
}

/* All have the same trunk; heads but the language model's are left out when weights are loaded. */
static const char *const architectures[] = {"GPT2LMHeadModel",
                                            "GPT2Model",
                                            "GPT2DoubleHeadsModel",
                                            "GPT2ForSequenceClassification",
                                            "GPT2ForTokenClassification",
                                            "GPT2ForQuestionAnswering"};

static status check_kind(source c, error *e) {
    const cJSON *type = json_get(c.json, "model_type"), *names = json_get(c.json, "architectures");
    const cJSON *first = cJSON_IsArray(names) ? names->child : NULL;
    if (type && strcmp(text_of(type), "gpt2"))
        return fail(e, BAD_INPUT, "%s: \"model_type\" is \"%s\"; snug trains gpt2 only", c.path, text_of(type));
    if (!type && !first)
        return fail(e, BAD_INPUT, "%s: neither \"model_type\" nor \"architectures\" says that this is a gpt2", c.path);
    bool known = !first;
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures && !known; i++)
        known = !strcmp(text_of(first), architectures[i]);
    if (!known)
        return fail(e, BAD_INPUT, "%s: \"architectures\" says \"%s\"; snug trains GPT2LMHeadModel only", c.path,
                    text_of(first));
    return OK;
}

/* Switches that must have GPT-2's value, which is also what they mean when they are missing. */
static const struct {
    const char *key;
    bool value;
} fixed[] = {{"scale_attn_weights", true},
             {"scale_attn_by_inverse_layer_idx", false},
             {"add_cross_attention", false},
             {"is_encoder_decoder", false},
             {"tie_word_embeddings", true}};

static status check_mathematics(source c, int64_t channels, error *e) {
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        bool value = false;
        TRY(get_bool(c, fixed[i].key, fixed[i].value, &value, e));
        if (value != fixed[i].value)
            return fail(e, BAD_INPUT, "%s: \"%s\": %s is not supported; snug computes %s only", c.path, fixed[i].key,
                        value ? "true" : "false", fixed[i].value ? "true" : "false");
    }
    const cJSON *inner = json_get(c.json, "n_inner");
    int64_t n;
    if (inner && (!json_integer(inner, &n) || n != 4 * channels))
        return fail(e, BAD_INPUT,
                    "%s: \"n_inner\" must be null or 4 * n_embd = %" PRId64 "; other widths are not supported", c.path,
                    4 * channels);
    return OK;
}

/* The names that transformers has for one of the two functions. Its others ("quick_gelu", "gelu_10") compute more or
   less another one. */
static const struct {
    const char *name;
    bool tanh_gelu;
} activations[] = {{"gelu", false},         {"gelu_python", false},      {"gelu_new", true},        {"gelu_fast", true},
                   {"gelu_accurate", true}, {"gelu_pytorch_tanh", true}, {"gelu_python_tanh", true}};

/* False when the name is none of these. */
static bool find_activation(const char *name, bool *tanh_gelu) {
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (!strcmp(activations[i].name, name)) {
            *tanh_gelu = activations[i].tanh_gelu;
            return true;
        }
    return false;
}

static status get_activation(source c, bool *tanh_gelu, error *e) {
    const cJSON *v = json_get(c.json, "activation_function");
    const char *name = v ? text_of(v) : "gelu_new"; /* the default of transformers */
    if (find_activation(name, tanh_gelu)) return OK;
    return fail(e, BAD_INPUT, "%s: \"activation_function\" is \"%s\"; snug computes gelu, and its tanh form gelu_new",
                c.path, name);
}

static status read_shape(source c, gpt_shape *s, error *e) {
    int64_t layers, heads, channels, positions;
    TRY(check_kind(c, e));
    TRY(get_size(c, "n_layer", NULL, 1024, &layers, e));
    TRY(get_size(c, "n_head", NULL, 1024, &heads, e));
    TRY(get_size(c, "n_embd", NULL, 65536, &channels, e));
    TRY(get_size(c, "n_positions", "n_ctx", 1048576, &positions, e));
    TRY(get_size(c, "vocab_size", NULL, 16777216, &s->vocabulary, e));
    if (channels % heads)
        return fail(e, BAD_INPUT, "%s: n_embd = %" PRId64 " cannot be shared among n_head = %" PRId64 " heads", c.path,
                    channels, heads);
    s->layers = (int)layers;
    s->heads = (int)heads;
    s->channels = (int)channels;
    s->positions = (int)positions;
    TRY(check_mathematics(c, channels, e));
    TRY(get_activation(c, &s->tanh_gelu, e));
    TRY(get_bool(c, "bias", true, &s->bias, e));
    const cJSON *epsilon = json_get(c.json, "layer_norm_epsilon");
    s->norm_epsilon = epsilon ? cJSON_IsNumber(epsilon) ? epsilon->valuedouble : -1 : 1e-5;
    if (s->norm_epsilon > 0 && s->norm_epsilon < 1) return OK;
    return fail(e, BAD_INPUT, "%s: \"layer_norm_epsilon\" must be a number between 0 and 1", c.path);
}

status checkpoint_shape(const char *folder, gpt_shape *shape, error *e) {
    *shape = (gpt_shape){0};
    char *path = xprintf("%s/config.json", folder);
    cJSON *json;
    status s = OK;
    bool missing = access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (missing) s = foreign_explain(folder, e);
    if (missing && s == OK)
        s = fail(e, BAD_INPUT,
                 "%s does not exist: give a folder in Hugging Face layout, config.json and model.safetensors", path);
    if (s == OK) s = json_read_object(path, &json, e);
    if (s == OK) {
        s = read_shape((source){path, json}, shape, e);
        cJSON_Delete(json);
    }
    free(path);
    return s;
}

/* ---- writing ---- */

/* The special tokens are GPT-2's if the vocabulary has that id. Else they are null, since transformers would assume
   50256 for any model. */
static void print_config(FILE *f, const gpt_shape *s, st_type weights) {
    fputs("{\n \"model_type\": \"gpt2\",\n \"architectures\": [\"GPT2LMHeadModel\"],\n", f);
    fprintf(f, " \"n_layer\": %d,\n \"n_head\": %d,\n \"n_embd\": %d,\n", s->layers, s->heads, s->channels);
    fprintf(f, " \"n_positions\": %d,\n \"n_ctx\": %d,\n \"n_inner\": null,\n", s->positions, s->positions);
    fprintf(f, " \"vocab_size\": %" PRId64 ",\n", s->vocabulary);
    fprintf(f, " \"activation_function\": \"%s\",\n", s->tanh_gelu ? "gelu_new" : "gelu");
    fprintf(f, " \"bias\": %s,\n \"layer_norm_epsilon\": %.17g,\n", s->bias ? "true" : "false", s->norm_epsilon);
    fputs(" \"resid_pdrop\": 0.0,\n \"embd_pdrop\": 0.0,\n \"attn_pdrop\": 0.0,\n", f);
    const char *special = s->vocabulary > 50256 ? "50256" : "null";
    fprintf(f, " \"bos_token_id\": %s,\n \"eos_token_id\": %s,\n", special, special);
    const char *dtype = weights == ST_BF16 ? "bfloat16" : weights == ST_F32 ? "float32" : "float64";
    fprintf(f, " \"tie_word_embeddings\": true,\n \"torch_dtype\": \"%s\"\n}\n", dtype);
}

/* Keys that snug writes, but knows no better than the folder that a model came from. */
static bool is_theirs(const char *key, const cJSON *theirs, const gpt_shape *s) {
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "resid_pdrop", "embd_pdrop", "attn_pdrop"};
    bool tanh_gelu;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i])) return true;
    return !strcmp(key, "activation_function") && cJSON_IsString(theirs) &&
           find_activation(theirs->valuestring, &tanh_gelu) && tanh_gelu == s->tanh_gelu;
}

/* `own` with all that x says and own does not. The new object's keys stand in x's order, then own's. */
static cJSON *with_extras(const cJSON *own, const checkpoint_extras *x, const gpt_shape *s) {
    cJSON *all = cJSON_Duplicate(x->config, true);
    for (const cJSON *v = own->child; v; v = v->next) {
        const cJSON *theirs = cJSON_GetObjectItemCaseSensitive(all, v->string);
        if (!theirs)
            cJSON_AddItemToObject(all, v->string, cJSON_Duplicate(v, true));
        else if (!is_theirs(v->string, theirs, s))
            cJSON_ReplaceItemInObjectCaseSensitive(all, v->string, cJSON_Duplicate(v, true));
    }
    if (cJSON_GetObjectItemCaseSensitive(all, "dtype")) /* the newer name of torch_dtype */
        cJSON_ReplaceItemInObjectCaseSensitive(
            all, "dtype", cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(own, "torch_dtype"), true));
    return all;
}

static status write_generation(const char *folder, const checkpoint_extras *x, error *e) {
    char *path = xprintf("%s/generation_config.json", folder);
    status s = file_write(path, x->generation, x->generation_bytes, false, NULL, e);
    free(path);
    return s;
}

status checkpoint_write_config(const char *folder, const gpt_shape *shape, const checkpoint_extras *x, st_type weights,
                               error *e) {
    char *text, *path = xprintf("%s/config.json", folder);
    size_t bytes;
    FILE *f = memory_file(&text, &bytes);
    print_config(f, shape, weights);
    fclose(f);
    if (x && x->config) {
        cJSON *own = cJSON_Parse(text), *all = with_extras(own, x, shape);
        free(text);
        text = cJSON_Print(all);
        bytes = strlen(text);
        for (char *c = text; *c; c++) /* within a string a tab is written as \\t */
            if (*c == '\t') *c = ' ';
        cJSON_Delete(own);
        cJSON_Delete(all);
    }
    status s = file_write(path, text, bytes, false, NULL, e);
    free(text);
    free(path);
    return s == OK && x && x->generation ? write_generation(folder, x, e) : s;
}
