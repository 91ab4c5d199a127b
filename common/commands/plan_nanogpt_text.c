/* plan_nanogpt_text.c: the report of `plan --for=nanogpt` as text and as JSON, in nanoGPT's and PyTorch's words. */
#include "commands/plan_nanogpt.h"
#include "base/terminal.h"
#include <string.h>

static const char *const verdict_words[] = {"fits", "at the edge", "does not fit"};

static int64_t steps_of(const nanogpt_report *r, int batch_size) { return r->sequences / batch_size; }

static const char *python_bool(bool b) { return b ? "True" : "False"; }

/* ---- text ---- */

static void print_head(const nanogpt_report *r, FILE *f) {
    const config *c = r->config;
    const gpt_shape *s = &r->run.shape;
    char size[32], sold[32];
    fprintf(f, "nanoGPT  %.0fM parameters: n_layer %d, n_head %d, n_embd %d, bias %s, dropout %g\n",
            (double)gpt_parameters(s) / 1e6, s->layers, s->heads, s->channels, python_bool(s->bias), c->dropout);
    fprintf(f, "         vocabulary %lld (%s), block_size %d\n", (long long)s->vocabulary, r->vocabulary_from,
            r->run.length);
    fprintf(f, "step     batch_size %d x gradient_accumulation_steps %lld = %lld sequences\n", r->run.micro_batch,
            (long long)c->gradient_accumulation_steps, (long long)r->sequences);
    fprintf(f, "for      dtype %s%s, one CUDA card, PyTorch 2 with its flash attention and fused AdamW\n", r->dtype,
            *c->written_dtype ? "" : " (nanoGPT's default)");
    if (r->card)
        fprintf(f, "card     %s = %s, all free when nanoGPT starts\n", bytes_print(r->card, size, sizeof size),
                bytes_print_decimal(r->card, sold, sizeof sold));
    else
        fprintf(f, "card     not given: say what it has, like --vram_cap=12GB\n");
}

/* ---- the answer ---- */

static void print_verdict(const nanogpt_report *r, FILE *f) {
    const nanogpt_split *s = &r->splits[0];
    char allocated[32], reserved[32], more[32];
    bytes_print(s->memory.allocated, allocated, sizeof allocated);
    bytes_print(s->memory.reserved, reserved, sizeof reserved);
    fputc('\n', f);
    if (r->card && s->verdict == NANOGPT_DOES_NOT_FIT)
        fprintf(f, "DOES NOT FIT: \"CUDA out of memory\". ");
    else if (r->card)
        fprintf(f, s->verdict == NANOGPT_FITS ? "FITS. "
                                              : "AT THE EDGE: it may run, or end with \"CUDA out of memory\". ");
    fprintf(f,
            "As it stands, tensors take up to %s (allocated), for which\n"
            "PyTorch takes about %s from the card (reserved); the CUDA context comes on top, about %s.\n",
            allocated, reserved, bytes_print(NANOGPT_CONTEXT, more, sizeof more));
}

static void print_lines(const nanogpt_report *r, FILE *f) {
    int batch_size = r->splits[r->best].batch_size;
    fprintf(f, "  batch_size = %d\n  gradient_accumulation_steps = %lld\n", batch_size,
            (long long)steps_of(r, batch_size));
}

static void print_advice(const nanogpt_report *r, FILE *f) {
    const char *file = r->config->config_file, *slash = file ? strrchr(file, '/') : NULL;
    if (!r->card) return;
    if (r->best < 0) {
        fprintf(
            f,
            "\nNo batch_size fits: it takes a smaller model, a shorter block_size or a larger card. snug itself may\n"
            "fit, since it can compute activations again: `snug plan` without --for says.\n");
        return;
    }
    if (r->best == 0 && r->splits[0].verdict == NANOGPT_FITS)
        fprintf(f, "\nNothing has to change:\n");
    else
        text_print(f, "\nTo paste into %s%s:\n", file ? (slash ? slash + 1 : file) : "your config",
                   r->splits[r->best].verdict == NANOGPT_AT_THE_EDGE ? ", the best there is, and at the edge" : "");
    print_lines(r, f);
}

static void print_splits(const nanogpt_report *r, FILE *f) {
    fprintf(f, "\nThe same %lld sequences a step, and so the same training:\n", (long long)r->sequences);
    fprintf(f, "  batch_size x gradient_accumulation_steps    allocated     reserved\n");
    for (int i = 0; i < r->n_splits; i++) {
        const nanogpt_split *s = &r->splits[i];
        char allocated[32], reserved[32];
        fprintf(f, "%c %10d x %-28lld%13s%13s%s%s%s\n", i == r->best && r->card ? '>' : ' ', s->batch_size,
                (long long)steps_of(r, s->batch_size), bytes_print(s->memory.allocated, allocated, sizeof allocated),
                bytes_print(s->memory.reserved, reserved, sizeof reserved), r->card ? "  " : "",
                r->card ? verdict_words[s->verdict] : "", i == 0 ? "  (as it stands)" : "");
    }
}

/* ---- the reasons ---- */

static void print_parts(const nanogpt_report *r, FILE *f) {
    const nanogpt_memory *m = &r->splits[0].memory;
    char size[32];
    fprintf(f, "\nWhat takes it as it stands, at the fullest moment, in %s:\n", m->moment);
    for (int p = 0; p < NANOGPT_PART_COUNT; p++) {
        bool fused = p == NANOGPT_OPTIMIZER;
        if (m->parts[p] || fused)
            fprintf(f, "  %-34s%12s%s\n", nanogpt_part_names[p], bytes_print(m->parts[p], size, sizeof size),
                    fused ? " (fused)" : "");
    }
    fprintf(f, "  %-34s%12s\n", "allocated, all together", bytes_print(m->allocated, size, sizeof size));
}

static void print_certainty(const nanogpt_report *r, FILE *f) {
    fprintf(f,
            "\nHow sure is this? On an H100 with PyTorch 2.11 GPT-2 124M allocated within 1.1 %% of what this "
            "computes, and\n"
            "reserved within 4 %%; no other card, model or version was measured. \"fits\" leaves %d %% of what is "
            "reserved\n"
            "for errors. \"at the edge\": what is allocated fits, but perhaps not what is reserved beside it.\n",
            NANOGPT_BAND_RESERVED);
    for (int i = 0; i < r->n_unknown; i++) fprintf(f, "Not known: %s.\n", r->unknown[i]);
    for (int i = 0; i < r->n_left_out; i++)
        fprintf(f, "%s%s", i ? ", " : "Left out, since nanoGPT has no such setting: ", r->left_out[i]);
    if (r->n_left_out) fprintf(f, ".\n");
    fprintf(f, "Without flash attention (PyTorch 1) the config as it stands would allocate %.2f GiB.\n",
            gib(r->written_out.allocated));
}

void plan_nanogpt_text(const nanogpt_report *r, FILE *f) {
    print_head(r, f);
    print_verdict(r, f);
    print_advice(r, f);
    print_splits(r, f);
    print_parts(r, f);
    print_certainty(r, f);
}

void plan_nanogpt_short(const nanogpt_report *r, FILE *f) {
    if (!r->n_splits) return;
    const nanogpt_split *s = &r->splits[0];
    char allocated[32], reserved[32];
    fprintf(f, "\nIn nanoGPT (PyTorch) batch_size %d allocates %s and reserves about %s", s->batch_size,
            bytes_print(s->memory.allocated, allocated, sizeof allocated),
            bytes_print(s->memory.reserved, reserved, sizeof reserved));
    if (!r->card) {
        fprintf(f, "\n(`--for=nanogpt` says more, and with --vram_cap which batch_size fits).\n");
        return;
    }
    fprintf(f, ": %s.\n", verdict_words[s->verdict]);
    if (r->best < 0)
        fprintf(f, "Nothing with the same effective batch fits there (`--for=nanogpt` says more).\n");
    else
        fprintf(f, "The same effective batch there, which %s (`--for=nanogpt` says more):\n",
                r->splits[r->best].verdict == NANOGPT_FITS ? "fits" : "is at the edge");
    if (r->best >= 0) print_lines(r, f);
}

/* ---- JSON ---- */

static void add_peaks(cJSON *to, const nanogpt_memory *m) {
    cJSON_AddNumberToObject(to, "peak_allocated_bytes", (double)m->allocated);
    cJSON_AddNumberToObject(to, "peak_reserved_bytes", (double)m->reserved);
}

static void add_verdict(cJSON *to, const nanogpt_report *r, nanogpt_verdict v) {
    if (r->card)
        cJSON_AddStringToObject(to, "verdict", verdict_words[v]);
    else
        cJSON_AddNullToObject(to, "verdict");
}

static void add_split(cJSON *to, const nanogpt_report *r, int batch_size) {
    cJSON_AddNumberToObject(to, "batch_size", batch_size);
    cJSON_AddNumberToObject(to, "gradient_accumulation_steps", (double)steps_of(r, batch_size));
}

static void add_settings(cJSON *to, const nanogpt_report *r) {
    cJSON *as = cJSON_AddObjectToObject(to, "as_it_stands");
    add_split(as, r, r->run.micro_batch);
    cJSON_AddStringToObject(as, "dtype", r->dtype);
    cJSON_AddBoolToObject(as, "bias", r->run.shape.bias);
    cJSON_AddNumberToObject(as, "dropout", r->config->dropout);
    cJSON_AddBoolToObject(as, "flash_attention", r->run.flash);
    cJSON_AddBoolToObject(as, "compile", !r->config->compile_is_off);
}

void plan_nanogpt_json(const nanogpt_report *r, cJSON *to) {
    const nanogpt_memory *m = &r->splits[0].memory;
    if (r->best >= 0)
        add_split(to, r, r->splits[r->best].batch_size);
    else {
        cJSON_AddNullToObject(to, "batch_size");
        cJSON_AddNullToObject(to, "gradient_accumulation_steps");
    }
    if (!r->n_splits) return;
    add_peaks(to, m);
    cJSON_AddNumberToObject(to, "context_bytes", (double)NANOGPT_CONTEXT);
    if (r->card)
        cJSON_AddNumberToObject(to, "card_bytes", (double)r->card);
    else
        cJSON_AddNullToObject(to, "card_bytes");
    add_verdict(to, r, r->splits[0].verdict);
    add_settings(to, r);
    cJSON_AddStringToObject(to, "peak_at", m->moment);
    cJSON *parts = cJSON_AddObjectToObject(to, "bytes_at_peak"),
          *modules = cJSON_AddObjectToObject(to, "kept_by_module");
    for (int p = 0; p < NANOGPT_PART_COUNT; p++)
        cJSON_AddNumberToObject(parts, nanogpt_part_keys[p], (double)m->parts[p]);
    for (int i = 0; i < NANOGPT_MODULE_COUNT; i++)
        cJSON_AddNumberToObject(modules, nanogpt_module_names[i], (double)nanogpt_kept(&r->run, (nanogpt_module)i));
    cJSON *splits = cJSON_AddArrayToObject(to, "splits");
    for (int i = 0; i < r->n_splits; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToArray(splits, o);
        add_split(o, r, r->splits[i].batch_size);
        add_peaks(o, &r->splits[i].memory);
        add_verdict(o, r, r->splits[i].verdict);
    }
    add_peaks(cJSON_AddObjectToObject(to, "without_flash_attention"), &r->written_out);
    cJSON_AddNumberToObject(to, "allocated_band_percent", NANOGPT_BAND_ALLOCATED);
    cJSON_AddNumberToObject(to, "reserved_band_percent", NANOGPT_BAND_RESERVED);
    cJSON *unknown = cJSON_AddArrayToObject(to, "unknown");
    for (int i = 0; i < r->n_unknown; i++) cJSON_AddItemToArray(unknown, cJSON_CreateString(r->unknown[i]));
    cJSON *left_out = cJSON_AddArrayToObject(to, "left_out");
    for (int i = 0; i < r->n_left_out; i++) cJSON_AddItemToArray(left_out, cJSON_CreateString(r->left_out[i]));
}
