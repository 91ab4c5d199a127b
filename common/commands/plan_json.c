/* plan_json.c: prints the report of `snug plan` as JSON. Bytes are exact; what isn't known is null. */
#include "commands/plan_command.h"
#include <cjson/cJSON.h>
#include <stdlib.h>

/* The last shard is one of the largest. */
static void add_split(cJSON *to, const fit_request *r, int micro_batch) {
    int64_t last = gpt_shard_most(r->run.sequences, r->run.shards);
    cJSON_AddNumberToObject(to, "micro_batch_size", micro_batch);
    cJSON_AddNumberToObject(to, "micro_batches", (double)fit_parts(r, micro_batch));
    cJSON_AddNumberToObject(to, "last_micro_batch", (double)((last - 1) % micro_batch + 1));
    cJSON_AddNumberToObject(to, "gradient_shards", gpt_shards(&r->run));
}

static void add_model(cJSON *to, const gpt_shape *s, int length) {
    cJSON *m = cJSON_AddObjectToObject(to, "model");
    cJSON_AddNumberToObject(m, "parameters", (double)gpt_parameters(s));
    cJSON_AddNumberToObject(m, "n_layer", s->layers);
    cJSON_AddNumberToObject(m, "n_head", s->heads);
    cJSON_AddNumberToObject(m, "n_embd", s->channels);
    cJSON_AddNumberToObject(m, "block_size", length);
    cJSON_AddNumberToObject(m, "vocab_size", (double)s->vocabulary);
    cJSON_AddBoolToObject(m, "bias", s->bias);
}

/* Seconds are given only for a device that was measured, so that nobody takes an assumption for a promise. */
static void add_seconds(cJSON *to, const fit_request *r, const fit_option *o) {
    cJSON_AddNumberToObject(to, "flops_per_step", o->flops);
    if (r->cost.measured) {
        cJSON_AddNumberToObject(to, "seconds_per_step", o->seconds);
        cJSON_AddNumberToObject(to, "steps_in_8_hours", (double)(int64_t)(8 * 3600 / o->seconds));
    } else {
        cJSON_AddNullToObject(to, "seconds_per_step");
        cJSON_AddNullToObject(to, "steps_in_8_hours");
    }
}

static void add_offload(cJSON *to, const fit_option *o) {
    cJSON_AddStringToObject(to, "offload", offload_table[o->offload].name);
    cJSON_AddNumberToObject(to, "host_bytes", (double)o->host);
}

/* As the setting is written, and the number of layers that it is for. */
static void add_recompute(cJSON *to, const fit_option *o, int layers) {
    char policy[32];
    cJSON_AddStringToObject(to, "recompute", recompute_print(o->policy, o->layers, layers, policy, sizeof policy));
    cJSON_AddNumberToObject(to, "recompute_layers", !o->policy->dropped ? 0 : o->layers ? o->layers : layers);
}

static void add_asked(cJSON *to, const plan_report *p) {
    cJSON *a = cJSON_AddObjectToObject(to, "as_asked");
    add_split(a, &p->request, p->asked_micro_batch);
    cJSON_AddBoolToObject(a, "fits", p->asked_fits);
    if (!p->asked_known) {
        cJSON_AddNullToObject(a, "peak_bytes");
        return;
    }
    add_recompute(a, &p->asked, p->request.shape.layers);
    cJSON_AddBoolToObject(a, "one_upload", p->asked.one_upload);
    cJSON_AddNumberToObject(a, "peak_bytes", (double)p->asked.peak);
    add_offload(a, &p->asked);
    cJSON_AddStringToObject(a, "peak_op", p->peak_op);
    cJSON *kinds = cJSON_AddObjectToObject(a, "bytes_at_peak");
    for (int k = 0; k < KIND_COUNT; k++)
        if (p->alive[k]) cJSON_AddNumberToObject(kinds, kind_names[k], (double)p->alive[k]);
    cJSON_AddNumberToObject(kinds, "gaps between tensors", (double)p->gaps);
}

static void add_option(cJSON *list, const plan_row *row, const plan_row *base) {
    const fit_request *r = &row->request;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToArray(list, o);
    add_split(o, r, row->option.micro_batch);
    cJSON_AddNumberToObject(o, "effective_batch", (double)r->run.sequences);
    add_recompute(o, &row->option, r->shape.layers);
    cJSON_AddBoolToObject(o, "batch_invariant", r->run.batch_invariant);
    add_model(o, &r->shape, r->run.length);
    cJSON_AddStringToObject(o, "dtype", precision_table[r->type->precision].dtype);
    cJSON_AddStringToObject(o, "training", row->training);
    cJSON_AddBoolToObject(o, "chosen", row->chosen);
    cJSON_AddBoolToObject(o, "base", row->base);
    cJSON_AddBoolToObject(o, "fits", row->fits);
    if (!row->known) {
        cJSON_AddNullToObject(o, "peak_bytes");
        return;
    }
    cJSON_AddNumberToObject(o, "peak_bytes", (double)row->option.peak);
    add_offload(o, &row->option);
    cJSON_AddBoolToObject(o, "one_upload", row->option.one_upload);
    if (base) {
        cJSON_AddNumberToObject(o, "saved_bytes", (double)base->option.peak - (double)row->option.peak);
        cJSON_AddNumberToObject(o, "relative_time", row->option.seconds / base->option.seconds);
    }
    add_seconds(o, r, &row->option);
}

static cJSON *report(const plan_report *p) {
    const gpt_run *run = &p->request.run;
    cJSON *root = cJSON_CreateObject();
    add_model(root, &p->request.shape, run->length);
    cJSON_AddStringToObject(root, "planned_for", p->request.type->planned_for);
    cJSON_AddNumberToObject(root, "effective_batch", (double)run->sequences);
    add_split(root, &p->request, p->chosen.micro_batch);
    add_recompute(root, &p->chosen, p->request.shape.layers);
    cJSON_AddBoolToObject(root, "one_upload", p->chosen.one_upload); /* of tokens: once a step, not a micro-batch */
    cJSON_AddBoolToObject(root, "batch_invariant", run->batch_invariant);
    cJSON_AddStringToObject(root, "dtype", precision_table[p->request.type->precision].dtype);
    cJSON_AddStringToObject(root, "matmul_precision", p->config->matmul_precision);
    cJSON_AddNumberToObject(root, "peak_bytes", (double)p->chosen.peak);
    add_offload(root, &p->chosen);
    if (p->request.limits.cap)
        cJSON_AddNumberToObject(root, "cap_bytes", (double)p->request.limits.cap);
    else
        cJSON_AddNullToObject(root, "cap_bytes");
    cJSON_AddBoolToObject(root, "fits", p->fits);
    uint64_t over = p->fits ? 0 : p->chosen.peak - p->request.limits.cap;
    cJSON_AddNumberToObject(root, "missing_bytes", (double)over);
    cJSON_AddBoolToObject(root, "measured", p->request.cost.measured);
    add_seconds(root, &p->request, &p->chosen);
    add_asked(root, p);
    cJSON *list = cJSON_AddArrayToObject(root, "options");
    const plan_row *base = NULL;
    for (int i = 0; i < p->n_rows; i++)
        if (p->rows[i].base && p->rows[i].known) base = &p->rows[i];
    for (int i = 0; i < p->n_rows; i++) add_option(list, &p->rows[i], base);
    char *line = plan_command_line(p);
    cJSON_AddStringToObject(root, "command", line);
    free(line);
    plan_nanogpt_json(&p->nanogpt, cJSON_AddObjectToObject(root, "nanogpt"));
    return root;
}

void plan_json(const plan_report *p, FILE *f) {
    cJSON *root = report(p);
    char *text = cJSON_Print(root);
    fprintf(f, "%s\n", text);
    free(text);
    cJSON_Delete(root);
}
