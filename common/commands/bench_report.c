/* bench_report.c: prints what bench.c measured, as a table that is valid Markdown, or as JSON. */
#include "base/terminal.h"
#include "commands/bench.h"
#include "run/device.h"
#include <cjson/cJSON.h>
#include <stdlib.h>

/* ---- text ---- */

static void print_head(const bench *b, FILE *f) {
    const gpt_shape *s = &b->m.shape;
    const gpt_run *r = &b->request.run;
    const backend *be = b->m.backend;
    char peak[32], device[DEVICE_TEXT], policy[32];
    text_print(f, "device %s\n", backend_print(be, device));
    fprintf(
        f,
        "model  %.1fM parameters: n_layer %d, n_head %d, n_embd %d, block_size %d, vocab_size %lld, bias %s, %s, %s\n",
        (double)gpt_parameters(s) / 1e6, s->layers, s->heads, s->channels, r->length, (long long)s->vocabulary,
        s->bias ? "True" : "False", s->tanh_gelu ? "gelu_tanh" : "gelu", precision_table[be->type->precision].text);
    fprintf(f, "step   %lld sequences, micro_batch_size %d, recompute %s, batch_invariant %s, dropout %g\n",
            (long long)r->sequences, b->option.micro_batch,
            recompute_print(b->option.policy, b->option.layers, s->layers, policy, sizeof policy),
            r->batch_invariant ? "True" : "False", r->dropout);
    fprintf(f, "peak   %llu bytes (%s)\n", (unsigned long long)be->allocated,
            bytes_print(be->allocated, peak, sizeof peak));
    if (be->host_allocated)
        fprintf(f, "host   %llu bytes of its memory (%s): offload %s\n", (unsigned long long)be->host_allocated,
                bytes_print(be->host_allocated, peak, sizeof peak), offload_table[b->option.offload].name);
    fprintf(f, "limit  %.1f GFLOP/s: the product %lld x %lld x %lld alone\n", b->limit / 1e9,
            (long long)b->limit_shape[0], (long long)b->limit_shape[1], (long long)b->limit_shape[2]);
    fprintf(f, "time   %.1f ms a step (median of %d), %.0f tokens/s, %.1f GFLOP/s, %.1f %% of the limit\n",
            1e3 * b->seconds, b->steps, (double)(r->sequences * r->length) / b->seconds,
            b->total.flops / b->seconds / 1e9, 100 * b->total.flops / b->seconds / b->limit);
    if (b->products > 0)
        fprintf(f, "       %.1f %% of it is what its matrix products take alone; %llu launches\n", 100 * b->products,
                (unsigned long long)b->launches);
    if (b->batch.sequences < r->sequences)
        fprintf(f, "       (timed on %lld sequences; the others are counted like them)\n",
                (long long)b->batch.sequences);
}

static void print_row(const bench *b, const char *name, const bench_row *r, FILE *f) {
    double rate = r->seconds > 0 ? r->flops / r->seconds : 0;
    fprintf(f, "| %-12s | %7lld | %10.3f | %5.1f | %10.3f | %8.1f | %5.1f | %10.1f | %6.1f |\n", name,
            (long long)r->runs, 1e3 * r->seconds, 100 * r->seconds / b->total.seconds, r->flops / 1e9, rate / 1e9,
            100 * rate / b->limit, r->bytes / 1e6, r->seconds > 0 ? r->bytes / r->seconds / 1e9 : 0);
}

void bench_text(const bench *b, FILE *f) {
    double ops = 0;
    print_head(b, f);
    fprintf(f, "\n| %-12s | %7s | %10s | %5s | %10s | %8s | %5s | %10s | %6s |\n", "op", "runs", "ms", "% of", "GFLOP",
            "GFLOP/s", "% of", "MB", "GB/s");
    fprintf(f, "| %-12s | %7s | %10s | %5s | %10s | %8s | %5s | %10s | %6s |\n", "", "", "", "step", "", "", "limit",
            "", "");
    fprintf(f, "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (int code = 0; code < OP_COUNT; code++) {
        ops += b->rows[code].seconds;
        if (b->rows[code].runs) print_row(b, op_describe((op_code)code)->name, &b->rows[code], f);
    }
    if (b->transfers.bytes > 0) print_row(b, "transfers", &b->transfers, f);
    print_row(b, "between ops", &(bench_row){.seconds = b->total.seconds - ops - b->transfers.seconds}, f);
    print_row(b, "all", &b->total, f);
}

/* ---- JSON ---- */

static void add_row(cJSON *list, const char *name, const bench_row *r) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "op", name);
    cJSON_AddNumberToObject(o, "runs", (double)r->runs);
    cJSON_AddNumberToObject(o, "seconds", r->seconds);
    cJSON_AddNumberToObject(o, "flops", r->flops);
    cJSON_AddNumberToObject(o, "bytes", r->bytes);
    cJSON_AddItemToArray(list, o);
}

void bench_json(const bench *b, FILE *f) {
    const gpt_shape *s = &b->m.shape;
    const gpt_run *r = &b->request.run;
    const precision_info *precision = &precision_table[b->m.backend->type->precision];
    char device[DEVICE_TEXT], policy[32];
    cJSON *root = cJSON_CreateObject(), *model = cJSON_AddObjectToObject(root, "model");
    cJSON_AddNumberToObject(model, "parameters", (double)gpt_parameters(s));
    cJSON_AddNumberToObject(model, "n_layer", s->layers);
    cJSON_AddNumberToObject(model, "n_head", s->heads);
    cJSON_AddNumberToObject(model, "n_embd", s->channels);
    cJSON_AddNumberToObject(model, "block_size", r->length);
    cJSON_AddNumberToObject(model, "vocab_size", (double)s->vocabulary);
    cJSON_AddBoolToObject(model, "bias", s->bias);
    cJSON_AddStringToObject(model, "activation", s->tanh_gelu ? "gelu_tanh" : "gelu");
    cJSON_AddStringToObject(root, "device", backend_print(b->m.backend, device));
    cJSON_AddStringToObject(root, "dtype", precision->dtype);
    cJSON_AddNumberToObject(root, "effective_batch", (double)r->sequences);
    cJSON_AddNumberToObject(root, "micro_batch_size", b->option.micro_batch);
    cJSON_AddStringToObject(root, "recompute",
                            recompute_print(b->option.policy, b->option.layers, s->layers, policy, sizeof policy));
    cJSON_AddBoolToObject(root, "batch_invariant", r->batch_invariant);
    cJSON_AddStringToObject(root, "matmul_precision", precision->matmul);
    cJSON_AddNumberToObject(root, "dropout", r->dropout);
    cJSON_AddNumberToObject(root, "peak_bytes", (double)b->m.backend->allocated);
    cJSON_AddStringToObject(root, "offload", offload_table[b->option.offload].name);
    cJSON_AddNumberToObject(root, "host_bytes", (double)b->m.backend->host_allocated);
    cJSON *limit = cJSON_AddObjectToObject(root, "limit");
    cJSON_AddNumberToObject(limit, "m", (double)b->limit_shape[0]);
    cJSON_AddNumberToObject(limit, "n", (double)b->limit_shape[1]);
    cJSON_AddNumberToObject(limit, "k", (double)b->limit_shape[2]);
    cJSON_AddNumberToObject(limit, "flops_per_second", b->limit);
    cJSON_AddNumberToObject(root, "timed_steps", b->steps);
    cJSON_AddNumberToObject(root, "timed_sequences", (double)b->batch.sequences);
    cJSON_AddNumberToObject(root, "seconds_per_step", b->seconds);
    cJSON_AddNumberToObject(root, "tokens_per_second", (double)(r->sequences * r->length) / b->seconds);
    cJSON_AddNumberToObject(root, "flops_per_second", b->total.flops / b->seconds);
    cJSON_AddNumberToObject(root, "part_of_limit", b->total.flops / b->seconds / b->limit);
    if (b->products > 0) {
        cJSON_AddNumberToObject(root, "part_of_products_alone", b->products);
        cJSON_AddNumberToObject(root, "launches", (double)b->launches);
    }
    cJSON *ops = cJSON_AddArrayToObject(root, "ops");
    for (int code = 0; code < OP_COUNT; code++)
        if (b->rows[code].runs) add_row(ops, op_describe((op_code)code)->name, &b->rows[code]);
    if (b->transfers.bytes > 0) add_row(ops, "transfers", &b->transfers);
    add_row(ops, "all", &b->total);
    char *text = cJSON_Print(root);
    fprintf(f, "%s\n", text);
    free(text);
    cJSON_Delete(root);
}
