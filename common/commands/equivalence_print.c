/* equivalence_print.c: prints what `snug equivalence` found: in words for a newcomer, and as JSON for the report
   page. */
#include "commands/equivalence.h"
#include "base/json_file.h"
#include "base/version.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t parts_of(const equivalence *q, const equivalence_split *s) {
    return (q->order.sequences + s->micro_batch - 1) / s->micro_batch;
}

/* ---- text ---- */

void equivalence_print_head(const equivalence *q, double estimate, FILE *f) {
    const gpt_shape *s = &q->request.shape;
    fprintf(f, "%s: %d layers, %d heads, %d channels, sequences of %d; %s\n",
            q->built_in ? "a small built-in model and text" : "the config's model", s->layers, s->heads, s->channels,
            q->request.run.length, q->checkpoint ? q->checkpoint : "initial weights");
    if (q->request.cost.measured || estimate > 60)
        fprintf(f, "estimate: %.*f s%s\n", estimate < 10 ? 1 : 0, estimate,
                q->request.cost.measured ? ", from this device's measured constants"
                                         : " by stated constants; this device was not measured");
    fprintf(
        f,
        "\n1. Does it matter how a batch is cut?\n\n"
        "A step follows the mean gradient of its effective batch, here %lld sequence%s. Where memory holds only some\n"
        "of them, they go through in micro-batches and their gradients are added: gradient accumulation.\n"
        "Below, the same %lld step%s from the same start, cut in %d way%s, each with another recompute policy where\n"
        "that fits%s:\n\n",
        (long long)q->order.sequences, q->order.sequences == 1 ? "" : "s", (long long)q->steps,
        q->steps == 1 ? "" : "s", q->n_splits, q->n_splits == 1 ? "" : "s",
        q->request.run.dropout > 0 ? ", with dropout on" : "");
    fprintf(f, "  %-20s%-12s%12s %11s  %-13s%s\n", "micro x accum.", "recompute", "peak bytes", "ms a step",
            "loss at end", "SHA-256 of the weights");
    fflush(f);
}

void equivalence_print_split(const equivalence *q, const equivalence_split *s, FILE *f) {
    char split[64], policy[32];
    int64_t last = q->order.sequences % s->micro_batch;
    int n = snprintf(split, sizeof split, "%d x %lld", s->micro_batch, (long long)parts_of(q, s));
    if (last) snprintf(split + n, sizeof split - (size_t)n, ", last %lld", (long long)last);
    fprintf(f, "  %-20s%-12s%12llu %11.1f  %-13.9g%.20s...\n", split,
            recompute_print(s->policy, s->layers, q->request.shape.layers, policy, sizeof policy),
            (unsigned long long)s->peak, s->ms, s->losses[q->steps - 1], s->sha256);
    fflush(f);
}

void equivalence_print_verdict(const equivalence *q, FILE *f) {
    const equivalence_split *first = &q->splits[0];
    fputc('\n', f);
    if (q->n_splits == 1)
        fprintf(f, "One split alone has nothing to be compared with. Its SHA-256:\n%s\n", first->sha256);
    else if (q->differs < 0)
        fprintf(
            f,
            "identical: every loss and every weight of all %d splits, to the last bit, after each of %lld steps\n%s\n",
            q->n_splits, (long long)q->steps, first->sha256);
    else {
        fprintf(f, "DIFFERENT: micro-batches %d and %d differ from step %lld on, first in %s\n", first->micro_batch,
                q->splits[q->differs].micro_batch, (long long)q->differs_step + 1, q->differs_tensor);
        if (!q->config->batch_invariant)
            fprintf(f, "This is rounding, as batch_invariant=False allows it: sums are taken in another order.\n");
        for (int i = 0; i < q->n_splits; i++) fprintf(f, "  %6d %s\n", q->splits[i].micro_batch, q->splits[i].sha256);
    }
    fprintf(f,
            "Hashes can be compared on one device, with one build and one set of GEMM parameters; these are of\n"
            "  %s; %s; GEMM parameters: %s\n"
            "Elsewhere sums may be rounded in another order: results then agree to about 6 digits, not in all bits.\n",
            q->device, snug_build(), q->gemm);
    fflush(f);
}

void equivalence_print_gradients(const equivalence *q, FILE *f) {
    fprintf(f, "\n2. How adding up goes wrong\n\n");
    if (!q->n_rows) {
        fprintf(f, "Needs a split that divides the effective batch; there is none here.\n");
        return;
    }
    fprintf(
        f,
        "One gradient in %d parts. Some targets are ignored, as padding is, and more of them in the first sequences:\n"
        "so the parts hold unequal numbers of targets that count. The gradient is looked at before clipping and\n"
        "AdamW: both rescale it, so that a forgotten division would not show. Error = |g - whole| / |whole|, where\n"
        "whole is the gradient of the %s:\n\n",
        q->parts, q->splits[0].micro_batch == q->order.sequences ? "batch at once" : "largest split above");
    for (int i = 0; i < q->n_rows; i++) {
        const equivalence_row *r = &q->rows[i];
        fprintf(f, "  %-29s%-43s%9.2g  %s\n", r->name, r->how, r->error, r->verdict);
    }
    fprintf(
        f,
        "\nA mean of means gives a target in a part with few of them more weight than one in a part with many; it is\n"
        "right only where all parts count the same, as in nanoGPT, which ignores no target. snug divides by the\n"
        "targets of the whole step, known before its first part runs.\n");
    fflush(f);
}

void equivalence_print_noise(const equivalence *q, FILE *f) {
    const equivalence_noise *n = &q->noise;
    if (!n->samples) return;
    double theory = sqrt((double)q->order.sequences / (double)(q->order.sequences / 2));
    fprintf(
        f,
        "\n3. What a smaller effective batch would cost\n\n"
        "Micro-batches change nothing; fewer sequences a step do. Each gradient is a sample: over %d fresh batches of\n"
        "each size, its root mean square distance from the mean gradient (whose norm is %.3g):\n\n"
        "  %6lld sequences  %.4g\n"
        "  %6lld sequences  %.4g   x%.2f; theory: x%.2f, the square root of the ratio of sizes\n",
        n->samples, n->norm, (long long)q->order.sequences, n->noise, (long long)(q->order.sequences / 2), n->half,
        n->half / n->noise, theory);
    fflush(f);
}

/* ---- JSON ---- */

/* With 17 digits the number reads back as the same double. */
static void add_exact(cJSON *to, const char *key, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.17g", value);
    if (isfinite(value))
        cJSON_AddRawToObject(to, key, text);
    else
        cJSON_AddNullToObject(to, key);
}

static void add_split(const equivalence *q, const equivalence_split *s, cJSON *list) {
    char policy[32];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToArray(list, o);
    cJSON_AddNumberToObject(o, "micro_batch", s->micro_batch);
    cJSON_AddNumberToObject(o, "parts", (double)parts_of(q, s));
    cJSON_AddStringToObject(o, "recompute",
                            recompute_print(s->policy, s->layers, q->request.shape.layers, policy, sizeof policy));
    cJSON_AddNumberToObject(o, "peak_bytes", (double)s->peak);
    add_exact(o, "ms_per_step", s->ms);
    add_exact(o, "loss", s->losses[q->steps - 1]);
    cJSON_AddStringToObject(o, "sha256", s->sha256);
    cJSON *losses = cJSON_AddArrayToObject(o, "losses");
    for (int64_t i = 0; i < q->steps; i++) {
        char text[32];
        snprintf(text, sizeof text, isfinite(s->losses[i]) ? "%.17g" : "null", s->losses[i]);
        cJSON_AddItemToArray(losses, cJSON_CreateRaw(text));
    }
}

static void add_model(const equivalence *q, cJSON *root) {
    const gpt_shape *s = &q->request.shape;
    cJSON *m = cJSON_AddObjectToObject(root, "model");
    cJSON_AddNumberToObject(m, "parameters", (double)gpt_parameters(s));
    cJSON_AddNumberToObject(m, "n_layer", s->layers);
    cJSON_AddNumberToObject(m, "n_head", s->heads);
    cJSON_AddNumberToObject(m, "n_embd", s->channels);
    cJSON_AddNumberToObject(m, "block_size", q->order.length);
    cJSON_AddNumberToObject(m, "vocab_size", (double)s->vocabulary);
}

static void add_noise(const equivalence *q, cJSON *root) {
    const equivalence_noise *n = &q->noise;
    int64_t whole = q->order.sequences, half = whole / 2;
    if (!n->samples) {
        cJSON_AddNullToObject(root, "noise");
        return;
    }
    cJSON *o = cJSON_AddObjectToObject(root, "noise");
    cJSON_AddNumberToObject(o, "samples", n->samples);
    cJSON_AddNumberToObject(o, "batch", (double)whole);
    cJSON_AddNumberToObject(o, "half_batch", (double)half);
    add_exact(o, "norm", n->norm);
    add_exact(o, "noise", n->noise);
    add_exact(o, "half_noise", n->half);
    add_exact(o, "ratio", n->half / n->noise);
    add_exact(o, "theory", sqrt((double)whole / (double)half));
}

static cJSON *report(const equivalence *q) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "device", q->device);
    cJSON_AddStringToObject(root, "build", snug_build());
    cJSON_AddStringToObject(root, "gemm", q->gemm);
    add_model(q, root);
    cJSON_AddBoolToObject(root, "built_in", q->built_in);
    cJSON_AddNumberToObject(root, "effective_batch", (double)q->order.sequences);
    cJSON_AddNumberToObject(root, "steps", (double)q->steps);
    cJSON_AddBoolToObject(root, "batch_invariant", q->config->batch_invariant);
    cJSON *list = cJSON_AddArrayToObject(root, "splits");
    for (int i = 0; i < q->n_splits; i++) add_split(q, &q->splits[i], list);
    cJSON_AddBoolToObject(root, "identical", q->differs < 0);
    if (q->differs < 0)
        cJSON_AddNullToObject(root, "first_difference");
    else {
        cJSON *d = cJSON_AddObjectToObject(root, "first_difference");
        cJSON_AddNumberToObject(d, "micro_batch", q->splits[q->differs].micro_batch);
        cJSON_AddNumberToObject(d, "step", (double)q->differs_step + 1);
        cJSON_AddStringToObject(d, "tensor", q->differs_tensor);
    }
    cJSON_AddNumberToObject(root, "gradient_parts", q->parts);
    list = cJSON_AddArrayToObject(root, "gradient_errors");
    for (int i = 0; i < q->n_rows; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToArray(list, o);
        cJSON_AddStringToObject(o, "name", q->rows[i].name);
        cJSON_AddStringToObject(o, "how", q->rows[i].how);
        cJSON_AddStringToObject(o, "verdict", q->rows[i].verdict);
        add_exact(o, "error", q->rows[i].error);
    }
    add_noise(q, root);
    return root;
}

status equivalence_write_json(const equivalence *q, const char *folder, error *e) {
    char *path = xprintf("%s/equivalence.json", folder);
    status s = json_write(path, report(q), false, e);
    free(path);
    return s;
}
