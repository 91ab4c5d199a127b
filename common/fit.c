/* fit.c: see fit.h. */
#include "fit.h"
#include "config.h"
#include <stdlib.h>
#include <string.h>

const cost_model cost_default_cpu = {20e-6, 1 / 100e9, 1 / 15e9, false};
const cost_model cost_default_gpu = {15e-6, 1 / 8e12, 1 / 400e9, false};

/* ---- time ---- */

static double span_seconds(const graph *g, span s, int sequences, const cost_model *c, size_t real_bytes,
                           double *flops) {
    double seconds = 0;
    for (int i = s.first; i < s.end; i++) {
        double f = op_flops(g, &g->ops[i], sequences), b = op_traffic(g, &g->ops[i], sequences, real_bytes);
        seconds += c->launch + (f * c->flop > b * c->byte ? f * c->flop : b * c->byte);
        *flops += f;
    }
    return seconds;
}

/* A step of N sequences in micro-batches of k, the last one short. */
static double step_seconds(const graph *g, int64_t n, int k, const cost_model *c, size_t real_bytes, double *flops) {
    double whole = 0, rest = 0, once = 0;
    int64_t times = n / k;
    double seconds = (double)times * span_seconds(g, g->micro, k, c, real_bytes, &whole);
    if (n % k) seconds += span_seconds(g, g->micro, (int)(n % k), c, real_bytes, &rest);
    seconds += span_seconds(g, g->begin, 0, c, real_bytes, &once) + span_seconds(g, g->finish, 0, c, real_bytes, &once);
    *flops = (double)times * whole + rest + once;
    return seconds;
}

/* ---- one setting ---- */

static status build(const fit_request *r, const fit_option *o, gpt *m, error *e) {
    gpt_run run = r->run;
    run.micro_batch = o->micro_batch;
    run.recompute = o->policy->dropped;
    return gpt_build(&r->shape, &run, r->scratch, r->limits.real_bytes, m, e);
}

status fit_measure(const fit_request *r, fit_option *o, error *e) {
    gpt m;
    plan p;
    TRY(build(r, o, &m, e));
    status s = plan_make(m.graph, &r->limits, &p, e);
    if (s == OK) {
        o->peak = p.total;
        o->seconds = step_seconds(m.graph, r->run.sequences, o->micro_batch, &r->cost, r->limits.real_bytes, &o->flops);
        plan_free(&p);
    }
    gpt_free(&m);
    return s;
}

static bool fits(const fit_request *r, const fit_option *o) { return !r->limits.cap || o->peak <= r->limits.cap; }

/* ---- the search ---- */

typedef struct {
    fit_option *options;
    int n, room;
    fit_option smallest;
} candidates;

static void add_candidate(candidates *c, fit_option o) {
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 64;
        c->options = xrealloc(c->options, sizeof *c->options * (size_t)c->room);
    }
    c->options[c->n++] = o;
}

/* The micro-batches worth trying, ascending: for each number of micro-batches the smallest size that needs no more. */
static int *sizes_of(int64_t n, int *count) {
    int *sizes = xcalloc((size_t)(n < 4096 ? n : 4096) + 1, sizeof(int));
    *count = 0;
    for (int64_t parts = n; parts >= 1;) {
        int64_t k = (n + parts - 1) / parts;
        if (*count < 4096) sizes[(*count)++] = (int)k;
        if (k == n) break;
        parts = (n + k) / (k + 1); /* fewer parts with the next larger size */
    }
    return sizes;
}

/* Adds what fits under one policy, times filled in; peaks grow with the micro-batch, so the largest is found by
 * halving. */
static status search_policy(const fit_request *r, const recompute_policy *policy, const int *sizes, int n,
                            candidates *c, error *e) {
    int low = 0, high = n; /* sizes[0 .. low) fit, sizes[high ..) do not */
    while (low < high) {
        int middle = low + (high - low) / 2;
        fit_option o = {.micro_batch = sizes[middle], .policy = policy};
        status s = fit_measure(r, &o, e);
        if (s == OK && (!c->smallest.policy || o.peak < c->smallest.peak)) c->smallest = o;
        if (s == BAD_INPUT && middle == 0 && n == 1) return s;
        if (s == OK && fits(r, &o))
            low = middle + 1;
        else
            high = middle;
    }
    if (!low) return OK;
    fit_option o = {.micro_batch = sizes[0], .policy = policy};
    gpt m;
    TRY(build(r, &o, &m, e));
    for (int i = 0; i < low; i++) {
        o.micro_batch = sizes[i];
        o.seconds = step_seconds(m.graph, r->run.sequences, sizes[i], &r->cost, r->limits.real_bytes, &o.flops);
        o.peak = 0; /* found when it matters */
        add_candidate(c, o);
    }
    gpt_free(&m);
    return OK;
}

/* a is a better choice than b: less memory, then less time, then an even split. */
static bool better(const fit_request *r, const fit_option *a, const fit_option *b) {
    bool even_a = r->run.sequences % a->micro_batch == 0, even_b = r->run.sequences % b->micro_batch == 0;
    if (even_a != even_b) return even_a;
    if (a->peak != b->peak) return a->peak < b->peak;
    return a->seconds < b->seconds;
}

static status pick(const fit_request *r, candidates *c, fit_option *best, error *e) {
    double least = c->options[0].seconds;
    for (int i = 1; i < c->n; i++)
        if (c->options[i].seconds < least) least = c->options[i].seconds;
    bool found = false;
    for (int i = 0; i < c->n; i++) {
        fit_option *o = &c->options[i];
        if (o->seconds > 1.03 * least) continue;
        TRY(fit_measure(r, o, e));
        if (!found || better(r, o, best)) *best = *o;
        found = true;
    }
    return OK;
}

status fit_choose(const fit_request *r, fit_option *best, error *e) {
    candidates c = {0};
    int n = 1, forced = r->micro_batch;
    int *sizes = forced ? &forced : sizes_of(r->run.sequences, &n);
    status s = OK;
    for (int i = 0; i < RECOMPUTE_POLICIES && s == OK; i++)
        if (!r->policy || r->policy == &recompute_policies[i])
            s = search_policy(r, &recompute_policies[i], sizes, n, &c, e);
    if (s == OK && c.n)
        s = pick(r, &c, best, e);
    else if (s == OK) {
        char needs[32], cap[32];
        *best = c.smallest;
        if (!c.smallest.policy)
            s = BAD_INPUT; /* e says which tensor is too large for the device */
        else
            s = fail(e, NO_MEMORY,
                     "nothing fits in %s: the smallest plan, micro-batch %d with recompute=%s, needs %s "
                     "(--vram_cap=%lluB)",
                     bytes_print(r->limits.cap, cap, sizeof cap), best->micro_batch, best->policy->name,
                     bytes_print(best->peak, needs, sizeof needs), (unsigned long long)best->peak);
    }
    if (!forced) free(sizes);
    free(c.options);
    return s;
}

char *fit_print(const fit_request *r, const fit_option *o, char *text, size_t size) {
    char peak[32], cap[32] = "no cap";
    if (r->limits.cap) bytes_print(r->limits.cap, cap, sizeof cap);
    int64_t n = r->run.sequences, parts = (n + o->micro_batch - 1) / o->micro_batch;
    char last[32] = "";
    if (n % o->micro_batch) snprintf(last, sizeof last, " (the last one %lld)", (long long)(n % o->micro_batch));
    snprintf(text, size, "micro-batch %d x %lld%s, recompute %s, %s of %s", o->micro_batch, (long long)parts, last,
             o->policy->name, bytes_print(o->peak, peak, sizeof peak), cap);
    return text;
}
