/* run_facts.c: see run_facts.h. */
#include "report/run_facts.h"
#include "base/files.h"
#include "base/json_file.h"
#include "run/sample.h"
#include "base/utf8.h"
#include "base/version.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers of the plan: one table writes and reads them ---- */

typedef struct {
    int64_t layers, heads, channels, positions, vocabulary, bias, tanh_gelu; /* the model */
    int64_t micro_batch, length, sequences, batch_invariant, one_upload;     /* the run */
    int64_t real_bytes, alignment, max_block, cap, opencl;                   /* the limits; opencl: SCRATCH */
} numbers;
#define X(name, low, high) {#name, offsetof(numbers, name), low, high},
static const struct {
    const char *name;
    size_t offset;
    int64_t low, high;
} FIELDS[] = {X(layers, 1, 1024) X(heads, 1, 1024) X(channels, 1, 65536) X(positions, 1, 1 << 20)
                  X(vocabulary, 1, 1 << 24) X(bias, 0, 1) X(tanh_gelu, 0, 1) X(micro_batch, 1, 1 << 24)
                      X(length, 1, 1 << 20) X(sequences, 1, 1 << 24) X(batch_invariant, 0, 1) X(one_upload, 0, 1)
                          X(real_bytes, 4, 8) X(alignment, 1, 1 << 20) X(max_block, 0, 1LL << 52) X(cap, 0, 1LL << 52)
                              X(opencl, 0, 2)};
#undef X
/* By the number in `opencl`. */
static scratch_rule *const SCRATCH[] = {cpu_scratch, opencl_scratch, opencl_scratch_tf32};
enum { N_FIELDS = sizeof FIELDS / sizeof *FIELDS };

static int64_t *field(numbers *n, int i) { return (int64_t *)(void *)((char *)n + FIELDS[i].offset); }

static numbers numbers_of(const model *m) {
    const memory_limits *l = &m->backend->limits;
    int opencl = 2;
    while (opencl && SCRATCH[opencl] != m->backend->scratch) opencl--;
    return (numbers){.layers = m->shape.layers,
                     .heads = m->shape.heads,
                     .channels = m->shape.channels,
                     .positions = m->shape.positions,
                     .vocabulary = m->shape.vocabulary,
                     .bias = m->shape.bias,
                     .tanh_gelu = m->shape.tanh_gelu,
                     .micro_batch = m->run.micro_batch,
                     .length = m->run.length,
                     .sequences = m->run.sequences,
                     .batch_invariant = m->run.batch_invariant,
                     .one_upload = m->run.one_upload,
                     .real_bytes = (int64_t)l->real_bytes,
                     .alignment = (int64_t)l->alignment,
                     .max_block = (int64_t)l->max_block,
                     .cap = (int64_t)l->cap,
                     .opencl = opencl};
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

status run_facts_write(const char *out, const config *c, const model *m, const fit_option *chosen, error *e) {
    numbers n = numbers_of(m);
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "device", m->backend->device);
    cJSON_AddStringToObject(root, "build", snug_build());
    cJSON_AddNumberToObject(root, "parameters", (double)gpt_parameters(&m->shape));
    cJSON *plan = cJSON_AddObjectToObject(root, "plan");
    for (int i = 0; i < N_FIELDS; i++) cJSON_AddNumberToObject(plan, FIELDS[i].name, (double)*field(&n, i));
    cJSON_AddStringToObject(plan, "recompute", chosen->policy->name);
    cJSON_AddNumberToObject(plan, "dropout", m->run.dropout);
    cJSON_AddNumberToObject(plan, "peak_bytes", (double)m->plan.total);
    add_settings(root, c);
    char *path = xprintf("%s/run.json", out);
    status s = json_write(path, root, false, e);
    free(path);
    return s;
}

/* ---- samples ---- */

/* Positions that are computed for a text of n tokens; the sequences of an evaluation have T each. */
static double positions_of(int64_t n, int64_t length) {
    double grows = (double)(n < length ? n : length), all = (double)n;
    return grows * (grows + 1) / 2 + (all - grows) * (double)length;
}

static int64_t sample_tokens(const config *c, int64_t length) {
    double evaluation = 2.0 * (double)c->eval_iters * (double)c->batch_size * (double)length;
    int64_t n = 200;
    while (n && positions_of(n, length) > evaluation / 4) n--;
    return n < 16 ? 0 : n; /* less says nothing */
}

/* What is no UTF-8, as the start of a character cut off, becomes U+FFFD: a log is JSON. */
static char *repaired(const char *text, size_t bytes) {
    char *good = xcalloc(3 * bytes + 1, 1), *at = good;
    for (size_t i = 0, n; i < bytes; i += n) {
        uint32_t code;
        n = utf8_next(text + i, bytes - i, &code);
        memcpy(at, n ? text + i : "\xef\xbf\xbd", n ? n : 3);
        at += n ? n : 3;
        if (!n) n = 1;
    }
    return good;
}

status run_facts_sample(run_log *log, const config *c, model *m, const tokenizer *t, int64_t iter, error *e) {
    int64_t tokens = sample_tokens(c, m->run.length);
    char *text = NULL;
    size_t bytes = 0;
    if (!t || !tokens) return OK;
    FILE *f = open_memstream(&text, &bytes);
    status s = sample_text(f, m, t, c, (int)(iter % INT_MAX), tokens, e);
    fclose(f);
    if (s == OK) {
        cJSON *line = cJSON_CreateObject();
        char *good = repaired(text, bytes);
        cJSON_AddNumberToObject(line, "iter", (double)iter);
        cJSON_AddStringToObject(line, "sample", good);
        char *object = cJSON_PrintUnformatted(line);
        s = run_log_line(log, object, e);
        free(object);
        free(good);
        cJSON_Delete(line);
    } else if (s == BAD_INPUT)
        s = OK;
    free(text);
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
        if (!number && to == &n.one_upload) { /* files from before there was one */
            *to = 0;
            continue;
        }
        if (!json_integer(number, to) || *to < FIELDS[i].low || *to > FIELDS[i].high)
            return fail(e, BAD_INPUT, "run.json: plan.%s is no number from %lld to %lld", FIELDS[i].name,
                        (long long)FIELDS[i].low, (long long)FIELDS[i].high);
    }
    *chosen = (fit_option){.micro_batch = (int)n.micro_batch,
                           .one_upload = n.one_upload,
                           .policy = cJSON_IsString(policy) ? recompute_find(policy->valuestring) : NULL};
    if (!chosen->policy) return fail(e, BAD_INPUT, "run.json: plan.recompute is no policy");
    if (n.length > n.positions || n.channels % n.heads || n.micro_batch > n.sequences ||
        n.alignment & (n.alignment - 1))
        return fail(e, BAD_INPUT, "run.json: plan describes no model");
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
                               .dropout = cJSON_IsNumber(dropout) ? dropout->valuedouble : 0},
                       .limits = {.real_bytes = (size_t)n.real_bytes,
                                  .alignment = (size_t)n.alignment,
                                  .max_block = (uint64_t)n.max_block,
                                  .cap = (uint64_t)n.cap},
                       .scratch = SCRATCH[n.opencl]};
    return fit_measure_as(r, chosen, e);
}
