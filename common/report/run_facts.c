/* run_facts.c: see run_facts.h. */
#include "report/run_facts.h"
#include "base/files.h"
#include "base/json_file.h"
#include "base/shell_word.h"
#include "base/version.h"
#include <stdlib.h>
#include <string.h>

/* ---- which backend ---- */

/* `opencl`: 0 is the CPU in float32 or float64, as real_bytes says; the others are these, from 1. own: see
   opencl_type_own. */
static const struct {
    backend_kind kind;
    compute_precision precision;
    bool own;
} TYPES[] = {{BACKEND_OPENCL, PRECISION_FLOAT32, false}, {BACKEND_OPENCL, PRECISION_TF32, true},
             {BACKEND_OPENCL, PRECISION_BF16, true},     {BACKEND_OPENCL, PRECISION_FLOAT32, true},
             {BACKEND_OPENCL, PRECISION_BFLOAT16, true}, {BACKEND_CPU, PRECISION_BFLOAT16, false}};
enum { N_TYPES = sizeof TYPES / sizeof *TYPES };

static const backend_type *type_of_number(int64_t number, int64_t real_bytes) {
    if (!number) return cpu_type(real_bytes == 8 ? PRECISION_FLOAT64 : PRECISION_FLOAT32);
    compute_precision p = TYPES[number - 1].precision;
    if (TYPES[number - 1].kind == BACKEND_CPU) return cpu_type(p);
    return TYPES[number - 1].own ? opencl_type_own(p) : opencl_type(p);
}

static int number_of_type(const backend_type *type) {
    for (int i = 1; i <= N_TYPES; i++)
        if (type_of_number(i, 0) == type) return i;
    return 0;
}

/* ---- numbers of the plan: one table writes and reads them ---- */

typedef struct {
    int64_t layers, heads, channels, positions, vocabulary, bias, tanh_gelu; /* the model */
    int64_t micro_batch, length, sequences, batch_invariant, one_upload;     /* the run */
    int64_t offload, shards, ranks;
    int64_t real_bytes, alignment, max_block, cap, opencl; /* the limits, and the backend */
} numbers;
#define X(name, low, high) {#name, offsetof(numbers, name), low, high},
static const struct {
    const char *name;
    size_t offset;
    int64_t low, high;
} FIELDS[] = {X(layers, 1, 1024) X(heads, 1, 1024) X(channels, 1, 65536) X(positions, 1, 1 << 20)
                  X(vocabulary, 1, 1 << 24) X(bias, 0, 1) X(tanh_gelu, 0, 1) X(micro_batch, 1, 1 << 24)
                      X(length, 1, 1 << 20) X(sequences, 1, 1 << 24) X(batch_invariant, 0, 1) X(one_upload, 0, 1)
                          X(offload, 0, OFFLOAD_COUNT - 1) X(shards, 0, 65536) X(ranks, 0, 65536) X(real_bytes, 4, 8)
                              X(alignment, 1, 1 << 20) X(max_block, 0, 1LL << 52) X(cap, 0, 1LL << 52)
                                  X(opencl, 0, N_TYPES)};
#undef X
enum { N_FIELDS = sizeof FIELDS / sizeof *FIELDS };

static int64_t *field(numbers *n, int i) { return (int64_t *)(void *)((char *)n + FIELDS[i].offset); }

static numbers numbers_of(const fit_request *r, const fit_option *o) {
    const memory_limits *l = &r->limits;
    const gpt_run run = fit_run(r, o);
    return (numbers){.layers = r->shape.layers,
                     .heads = r->shape.heads,
                     .channels = r->shape.channels,
                     .positions = r->shape.positions,
                     .vocabulary = r->shape.vocabulary,
                     .bias = r->shape.bias,
                     .tanh_gelu = r->shape.tanh_gelu,
                     .micro_batch = run.micro_batch,
                     .length = run.length,
                     .sequences = run.sequences,
                     .batch_invariant = run.batch_invariant,
                     .one_upload = run.one_upload,
                     .offload = run.offload,
                     .shards = run.shards,
                     .ranks = run.ranks,
                     .real_bytes = (int64_t)l->real_bytes,
                     .alignment = (int64_t)l->alignment,
                     .max_block = (int64_t)l->max_block,
                     .cap = (int64_t)l->cap,
                     .opencl = number_of_type(r->type)};
}

/* ---- writing ---- */

static void add_settings(cJSON *root, const config *c) {
    cJSON *settings = cJSON_AddObjectToObject(root, "settings"), *given = cJSON_AddObjectToObject(root, "given");
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        char value[VALUE_TEXT_MAX];
        cJSON_AddStringToObject(settings, option_table[id].name, config_value(c, id, value));
        if (c->given[id]) cJSON_AddStringToObject(given, option_table[id].name, c->given[id]);
    }
}

status run_facts_write(const char *out, const config *c, const char *device, const fit_request *r,
                       const fit_option *chosen, error *e) {
    numbers n = numbers_of(r, chosen);
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "device", device);
    cJSON_AddStringToObject(root, "build", snug_build());
    char *program = shell_word(c->program ? c->program : "snug");
    cJSON_AddStringToObject(root, "program", program);
    free(program);
    cJSON_AddNumberToObject(root, "parameters", (double)gpt_parameters(&r->shape));
    cJSON *plan = cJSON_AddObjectToObject(root, "plan");
    for (int i = 0; i < N_FIELDS; i++) cJSON_AddNumberToObject(plan, FIELDS[i].name, (double)*field(&n, i));
    char policy[32];
    recompute_print(chosen->policy, chosen->layers, r->shape.layers, policy, sizeof policy);
    cJSON_AddStringToObject(plan, "recompute", policy);
    cJSON_AddNumberToObject(plan, "dropout", r->run.dropout);
    cJSON_AddNumberToObject(plan, "peak_bytes", (double)chosen->peak);
    add_settings(root, c);
    char *path = xprintf("%s/run.json", out);
    status s = json_write(path, root, false, e);
    free(path);
    return s;
}

/* ---- reading ---- */

status run_facts_plan(const cJSON *facts, fit_request *r, fit_option *chosen, error *e) {
    numbers n;
    const cJSON *plan = json_get(facts, "plan"), *policy = json_get(plan, "recompute");
    const cJSON *dropout = json_get(plan, "dropout");
    for (int i = 0; i < N_FIELDS; i++) {
        int64_t *to = field(&n, i);
        const cJSON *number = json_get(plan, FIELDS[i].name);
        bool newer = to == &n.one_upload || to == &n.offload || to == &n.shards || to == &n.ranks;
        if (!number && newer) { /* older files do not have them */
            *to = 0;
            continue;
        }
        if (!json_integer(number, to) || *to < FIELDS[i].low || *to > FIELDS[i].high)
            return fail(e, BAD_INPUT, "run.json: plan.%s is not a number from %lld to %lld", FIELDS[i].name,
                        (long long)FIELDS[i].low, (long long)FIELDS[i].high);
    }
    *chosen = (fit_option){
        .micro_batch = (int)n.micro_batch, .one_upload = n.one_upload, .offload = (offload_policy)n.offload};
    if (cJSON_IsString(policy)) chosen->policy = recompute_read(policy->valuestring, &chosen->layers);
    if (!chosen->policy || chosen->layers < 0 || chosen->layers > n.layers)
        return fail(e, BAD_INPUT, "run.json: plan.recompute is not a policy");
    if (n.length > n.positions || n.channels % n.heads || n.micro_batch > n.sequences ||
        n.alignment & (n.alignment - 1))
        return fail(e, BAD_INPUT, "run.json: plan does not describe a model");
    *r = (fit_request){.shape = {.layers = (int)n.layers,
                                 .heads = (int)n.heads,
                                 .channels = (int)n.channels,
                                 .positions = (int)n.positions,
                                 .vocabulary = n.vocabulary,
                                 .bias = n.bias,
                                 .tanh_gelu = n.tanh_gelu,
                                 .norm_epsilon = 1e-5},
                       .run = {.purpose = GRAPH_TRAIN,
                               .length = (int)n.length,
                               .sequences = n.sequences,
                               .batch_invariant = n.batch_invariant,
                               .shards = (int)n.shards,
                               .ranks = (int)n.ranks, /* of which the first writes this */
                               .dropout = cJSON_IsNumber(dropout) ? dropout->valuedouble : 0},
                       .limits = {.real_bytes = (size_t)n.real_bytes,
                                  .alignment = (size_t)n.alignment,
                                  .max_block = (uint64_t)n.max_block,
                                  .cap = (uint64_t)n.cap},
                       .type = type_of_number(n.opencl, n.real_bytes)};
    return fit_measure_as(r, chosen, e);
}
