/* setup.c: see setup.h. The only file that knows whether OpenCL was built in. */
#include "run/setup.h"
#include "run/calibrate.h"
#include "save/checkpoint.h"
#include "text/data.h"
#include "save/runs.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef OPENCL
#include "opencl/opencl.h"
#endif

/* ---- devices ---- */

/* The host's memory less 1.5 GiB or an eighth, whichever is more. */
static uint64_t host_memory(void) { return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE); }
static uint64_t host_cap(void) {
    uint64_t all = host_memory();
    uint64_t reserve = all / 8 > 3ull << 29 ? all / 8 : 3ull << 29;
    return all > 2 * reserve ? all - reserve : all / 2;
}

/* What the cap is, and what it is a part of. */
static void print_cap(const config *c, const backend *b, FILE *f) {
    char cap[32], all[32], left[32], is_free[32];
    uint64_t memory = b->memory;
    fprintf(f, "memory: %s of the device's %s", bytes_print(b->limits.cap, cap, sizeof cap),
            bytes_print(memory, all, sizeof all));
    if (b->memory_free) fprintf(f, " (%s free)", bytes_print(b->memory_free, is_free, sizeof is_free));
    if (!c->vram_cap)
        fprintf(f, "; vram_cap=0 leaves %s to others", bytes_print(memory - b->limits.cap, left, sizeof left));
    else if (b->limits.cap > memory)
        fprintf(f, ": a cap that can't be reached");
    fprintf(f, "\n");
}

static size_t real_bytes_of(const config *c) { return strcmp(c->dtype, "float64") ? 4 : 8; }
bool setup_wants_tf32(const config *c) { return !strcmp(c->matmul_precision, "high"); }

const char *setup_precision(size_t real_bytes, scratch_rule *rule) {
    if (real_bytes == 8) return "float64";
    return rule == opencl_scratch_tf32 ? "float32, matrix products in tf32" : "float32";
}

static status check_cpu_precision(const config *c, error *e) {
    if (!setup_wants_tf32(c)) return OK;
    return fail(e, BAD_INPUT,
                "matmul_precision 'high' is for NVIDIA cards with matrix units, and here the CPU backend computes: use "
                "--matmul_precision=highest, or name a card with --device");
}

#ifdef OPENCL
static status open_gpu(const config *c, const char *gemm, backend **b, error *e) {
    if (real_bytes_of(c) == 8)
        return fail(e, BAD_INPUT, "dtype float64 is for the CPU: use --device=cpu, or --dtype=float32");
    opencl_options o = {.selector = c->device, .cap = c->vram_cap, .gemm = gemm, .tf32 = setup_wants_tf32(c)};
    return opencl_open(&o, b, e);
}
static status tune_gpu(const config *c, const graph *g, FILE *report, error *e) {
    opencl_options o = {.selector = c->device, .cap = c->vram_cap};
    return opencl_tune(&o, g, c->tune_minutes, report, e);
}
status setup_devices(FILE *f, error *e) { return devices_print(f, e); }
#else
status setup_devices(FILE *f, error *e) {
    (void)f;
    return fail(e, BAD_INPUT,
                "device 'opencl': this build has no OpenCL (built with OPENCL=0); --device=cpu needs none");
}
static bool opencl_has_gpu(char *why, size_t size) {
    snprintf(why, size, "this build has no OpenCL");
    return false;
}
static status open_gpu(const config *c, const char *gemm, backend **b, error *e) {
    (void)gemm, (void)b;
    return fail(e, BAD_INPUT, "device '%s': this build has no OpenCL (built with OPENCL=0); use --device=cpu",
                c->device);
}
static status tune_gpu(const config *c, const graph *g, FILE *report, error *e) {
    (void)g, (void)report;
    return open_gpu(c, NULL, NULL, e);
}
#endif

static bool wants_cpu(const config *c, FILE *report) {
    char why[256];
    if (!strcmp(c->device, "cpu")) return true;
    if (strcmp(c->device, "auto")) return false;
    if (real_bytes_of(c) == 8) return true;
    if (opencl_has_gpu(why, sizeof why)) return false;
    if (report) fprintf(report, "device: the CPU backend, since %s\n", why);
    return true;
}

char *setup_device_print(const backend *b, char text[DEVICE_TEXT]) {
    int n = snprintf(text, DEVICE_TEXT, "%s", b->device);
    if (b->threads)
        snprintf(text + n, (size_t)(DEVICE_TEXT - n), ", %d thread%s", b->threads, b->threads == 1 ? "" : "s");
    return text;
}

status setup_device_as(const config *c, const char *gemm, backend **b, FILE *report, error *e) {
    char text[DEVICE_TEXT];
    if (!wants_cpu(c, report)) {
        TRY(open_gpu(c, gemm, b, e));
    } else {
        TRY(check_cpu_precision(c, e));
        *b = cpu_open(real_bytes_of(c), c->vram_cap ? c->vram_cap : host_cap());
        (*b)->memory = host_memory();
    }
    if (report) fprintf(report, "device: %s\n", setup_device_print(*b, text));
    if (report) print_cap(c, *b, report);
    if (report && (*b)->advice[0]) fprintf(report, "%s\n", (*b)->advice);
    return OK;
}

status setup_device(const config *c, backend **b, FILE *report, error *e) {
    return setup_device_as(c, NULL, b, report, e);
}

status setup_tune(const config *c, const graph *g, FILE *report, error *e) {
    if (wants_cpu(c, NULL))
        return fail(e, BAD_INPUT, "tune is for OpenCL devices; the CPU backend needs none: --device=opencl takes one");
    if (setup_wants_tf32(c))
        fprintf(report, "tune: matmul_precision=high has nothing to tune; what is tuned are the float32 products of "
                        "matmul_precision=highest\n");
    return tune_gpu(c, g, report, e);
}

/* Does `device` name the CPU backend, as far as can be said without looking for a GPU? */
static bool means_cpu(const config *c) { return !strcmp(c->device, "cpu") || real_bytes_of(c) == 8; }

/* Bounds for an OpenCL device that is not open: no device known to us aligns sub-buffers by more than 4 KiB, and
   OpenCL 1.2 promises single allocations of a quarter of the device's memory. That is the cap at least, and 2 GiB on
   any card worth the name. */
static memory_limits limits_unopened(uint64_t cap) {
    uint64_t memory = cap > 2ull << 30 ? cap : 2ull << 30;
    return (memory_limits){.real_bytes = 4, .alignment = 4096, .max_block = cap ? memory / 4 : 0, .cap = cap};
}

static cost_model cost_of(const config *c) {
    cost_model cost = means_cpu(c) ? cost_default_cpu : cost_default_gpu;
    calibrate_recall(c, means_cpu(c) ? "cpu" : "opencl", NULL, &cost);
    return cost;
}

status setup_limits(const config *c, memory_limits *limits, scratch_rule **scratch, cost_model *cost, error *e) {
    bool cpu = means_cpu(c);
    if (cpu) TRY(check_cpu_precision(c, e));
    *scratch = cpu ? cpu_scratch : setup_wants_tf32(c) ? opencl_scratch_tf32 : opencl_scratch;
    *cost = cost_of(c);
    *limits = limits_unopened(c->vram_cap);
    if (cpu)
        *limits = (memory_limits){
            .real_bytes = real_bytes_of(c), .alignment = 64, .cap = c->vram_cap ? c->vram_cap : host_cap()};
    return OK;
}

/* ---- shapes ---- */

status setup_shape_new(const config *c, int64_t vocabulary, gpt_shape *s, int *length, error *e) {
    enum { GPT2_VOCABULARY = 50304 }; /* 50257, rounded up as nanoGPT does */
    *s = (gpt_shape){.layers = (int)c->n_layer,
                     .heads = (int)c->n_head,
                     .channels = (int)c->n_embd,
                     .positions = (int)c->block_size,
                     .vocabulary = c->vocab_size ? c->vocab_size
                                   : vocabulary  ? vocabulary
                                                 : GPT2_VOCABULARY,
                     .bias = c->bias,
                     .tanh_gelu = !strcmp(c->activation, "gelu_tanh"),
                     .norm_epsilon = 1e-5};
    *length = s->positions;
    if (s->vocabulary < vocabulary && c->vocab_size)
        return fail(e, BAD_INPUT,
                    "vocab_size %lld is smaller than the data's vocabulary of %lld: raise it, or leave it out",
                    (long long)s->vocabulary, (long long)vocabulary);
    return OK;
}

static status agree(const config *c, option_id id, const char *folder, int64_t wanted, int64_t there, error *e) {
    if (!c->given[id] || wanted == there) return OK;
    return fail(e, BAD_INPUT, "%s: %s is %lld, but the checkpoint %s has %lld: leave it out, or start from scratch",
                c->given[id], option_table[id].name, (long long)wanted, folder, (long long)there);
}

status setup_shape_of(const config *c, const char *folder, gpt_shape *s, int *length, error *e) {
    TRY(checkpoint_shape(folder, s, e));
    TRY(agree(c, OPTION_n_layer, folder, c->n_layer, s->layers, e));
    TRY(agree(c, OPTION_n_head, folder, c->n_head, s->heads, e));
    TRY(agree(c, OPTION_n_embd, folder, c->n_embd, s->channels, e));
    TRY(agree(c, OPTION_bias, folder, c->bias, s->bias, e));
    if (c->vocab_size) TRY(agree(c, OPTION_vocab_size, folder, c->vocab_size, s->vocabulary, e));
    *length = s->positions;
    if (!c->given[OPTION_block_size]) return OK;
    if (c->block_size > s->positions)
        return fail(e, BAD_INPUT, "%s: block_size %lld is more than the %d positions that %s has",
                    c->given[OPTION_block_size], (long long)c->block_size, s->positions, folder);
    *length = (int)c->block_size;
    return OK;
}

/* The vocabulary needs no data: where the dataset isn't there yet, it is GPT-2's. */
static status shape_of_data(const config *c, gpt_shape *s, int *length, const char **vocabulary_from, error *e) {
    int64_t vocabulary = 0;
    char *folder;
    *vocabulary_from = "GPT-2's 50257 rounded up, since the dataset is not there";
    if (c->vocab_size)
        *vocabulary_from = "vocab_size";
    else if (data_folder(c, &folder, NULL) == OK) {
        status read = data_vocabulary_of(folder, &vocabulary, e);
        free(folder);
        TRY(read);
        *vocabulary_from = vocabulary ? "the dataset's" : "GPT-2's 50257 rounded up, since the dataset does not say";
    }
    return setup_shape_new(c, vocabulary, s, length, e);
}

status setup_shape(const config *c, gpt_shape *s, int *length, const char **vocabulary_from, error *e) {
    if (!strcmp(c->init_from, "scratch")) return shape_of_data(c, s, length, vocabulary_from, e);
    char *folder = NULL;
    if (!strcmp(c->init_from, "resume"))
        TRY(run_find_latest(c->out_dir, &folder, e));
    else
        folder = xstrdup(c->init_from);
    status found = setup_shape_of(c, folder, s, length, e);
    *vocabulary_from = "the checkpoint's";
    free(folder);
    return found;
}

/* ---- models ---- */

void setup_request(const config *c, const gpt_shape *shape, graph_purpose purpose, int length, int64_t sequences,
                   fit_request *r) {
    *r = (fit_request){.shape = *shape,
                       .cost = cost_of(c),
                       .micro_batch = (int)c->micro_batch_size,
                       .policy = recompute_find(c->recompute) /* NULL for auto */};
    if (r->micro_batch > sequences) r->micro_batch = (int)sequences;
    r->run = (gpt_run){.purpose = purpose,
                       .length = length,
                       .sequences = sequences,
                       .batch_invariant = c->batch_invariant,
                       .dropout = c->dropout,
                       .weight_decay = c->weight_decay,
                       .beta1 = c->beta1,
                       .beta2 = c->beta2,
                       .grad_clip = c->grad_clip};
}

/* Binds what fit chooses. Refused by the device, it asks for a sixteenth less each time: few tries, and little is given
   away. The last one is the smallest plan there is. */
static status open_stepping_down(fit_request *r, backend *b, model *m, fit_option *o, FILE *report, error *e) {
    char peak[32];
    for (uint64_t refused = 0;; refused = o->peak) {
        if (refused) r->limits.cap = refused - refused / 16;
        status s = fit_choose(r, o, e);
        if (s == NO_MEMORY && refused && o->peak < refused) {
            r->limits.cap = o->peak; /* the step jumped over it */
            s = fit_choose(r, o, e);
        } else if (s == NO_MEMORY && refused) {
            return fail(e, NO_MEMORY,
                        "the device refuses even the smallest plan, micro-batch %d with recompute=%s: it needs %s "
                        "(%llu bytes) free on the device; end what else uses it, or train a smaller model",
                        o->micro_batch, o->policy->name, bytes_print(o->peak, peak, sizeof peak),
                        (unsigned long long)o->peak);
        }
        TRY(s);
        gpt_run run = fit_run(r, o);
        s = model_open(m, b, &r->shape, &run, e);
        if (s != NO_MEMORY) return s;
        if (report)
            fprintf(report, "the device refused %s%s%s; trying less\n", bytes_print(o->peak, peak, sizeof peak),
                    refused ? "" : ": ", refused ? " too" : e->text);
    }
}

status setup_model(fit_request *r, backend *b, model *m, fit_option *chosen, FILE *report, error *e) {
    fit_option o;
    r->limits = b->limits;
    r->scratch = b->scratch;
    if (!r->cost.measured) r->cost = strcmp(b->name, "cpu") ? cost_default_gpu : cost_default_cpu;
    status s = open_stepping_down(r, b, m, &o, report, e);
    if (s != OK) {
        b->close(b);
        return s;
    }
    r->limits.cap = b->limits.cap;
    if (chosen) *chosen = o;
    return OK;
}
