/* open.c: see open.h. */
#include "run/open.h"
#include "run/calibrate.h"
#include "run/device.h"
#include <string.h>

/* Bounds for an OpenCL device that is not open: no device known to us aligns sub-buffers by more than 4 KiB, and
   OpenCL 1.2 promises single allocations of a quarter of the device's memory. That is the cap at least, and 2 GiB on
   any card worth the name. */
static memory_limits limits_unopened(uint64_t cap) {
    uint64_t memory = cap > 2ull << 30 ? cap : 2ull << 30;
    return (memory_limits){.real_bytes = 4, .alignment = 4096, .max_block = cap ? memory / 4 : 0, .cap = cap};
}

static cost_model cost_of(const config *c) {
    cost_model cost = backend_means_cpu(c) ? cost_default_cpu : cost_default_gpu;
    calibrate_recall(c, backend_means_cpu(c) ? "cpu" : "opencl", NULL, &cost);
    return cost;
}

status open_limits(const config *c, memory_limits *limits, scratch_rule **scratch, cost_model *cost, error *e) {
    bool cpu = backend_means_cpu(c);
    if (cpu) TRY(backend_check_cpu(c, e));
    *scratch = cpu ? cpu_scratch : backend_wants_tf32(c) ? opencl_scratch_tf32 : opencl_scratch;
    *cost = cost_of(c);
    *limits = limits_unopened(c->vram_cap);
    if (cpu)
        *limits = (memory_limits){.real_bytes = backend_real_bytes(c),
                                  .alignment = 64,
                                  .cap = c->vram_cap ? c->vram_cap : backend_host_cap()};
    return OK;
}

void open_request(const config *c, const gpt_shape *shape, graph_purpose purpose, int length, int64_t sequences,
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

status open_model(fit_request *r, backend *b, model *m, fit_option *chosen, FILE *report, error *e) {
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
