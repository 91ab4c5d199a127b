/* fit.c: see fit.h. */
#include "graph/fit.h"
#include "config/config.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- time ---- */

/* The ops of a step, those that cost the same once: layers repeat, so there are few. */
typedef struct {
    const op *example;
    int in_step, in_micro; /* how often the like of it runs once a step, and once a micro-batch */
} op_class;
typedef struct {
    const graph *g;
    op_class *classes;
    int n, room;
} step_ops;

/* Costs are told from code, roles, types and shapes alone (cost.h). */
static bool costs_the_same(const graph *g, const op *a, const op *b) {
    if (a->code != b->code) return false;
    for (int i = 0; i < op_describe(a->code)->arguments; i++) {
        const tensor *x = &g->tensors[a->arg[i]], *y = &g->tensors[b->arg[i]];
        if (!a->arg[i] != !b->arg[i] || x->role != y->role || x->type != y->type || x->rank != y->rank ||
            memcmp(x->dim, y->dim, sizeof x->dim[0] * (size_t)x->rank) != 0)
            return false;
    }
    return true;
}

static void add_span(step_ops *ops, span s, bool in_micro) {
    for (int i = s.first; i < s.end; i++) {
        const op *o = &ops->g->ops[i];
        int c = 0;
        while (c < ops->n && !costs_the_same(ops->g, ops->classes[c].example, o)) c++;
        if (c == ops->room) {
            ops->room = ops->room ? 2 * ops->room : 64;
            ops->classes = xrealloc(ops->classes, sizeof *ops->classes * (size_t)ops->room);
        }
        if (c == ops->n) ops->classes[ops->n++] = (op_class){.example = o};
        *(in_micro ? &ops->classes[c].in_micro : &ops->classes[c].in_step) += 1;
    }
}

/* Of g, which has to outlive it; free(classes) by the caller. */
static step_ops count_ops(const graph *g) {
    step_ops ops = {.g = g};
    add_span(&ops, g->micro, true);
    add_span(&ops, g->begin, false);
    add_span(&ops, g->finish, false);
    return ops;
}

/* Predicts the seconds of a step of n sequences in micro-batches of k, of which the last may be short. */
static double step_seconds(const step_ops *ops, int64_t n, int k, const cost_model *c, size_t real_bytes,
                           double *flops) {
    const struct {
        int sequences;
        double times; /* that a micro-batch of so many runs */
    } parts[] = {{k, (double)(n / k)}, {(int)(n % k), n % k ? 1 : 0}};
    double seconds = 0;
    *flops = 0;
    for (int i = 0; i < ops->n; i++) {
        const op *o = ops->classes[i].example;
        for (int p = 0; p < 2 && ops->classes[i].in_micro; p++) {
            double times = parts[p].times * ops->classes[i].in_micro;
            if (times == 0) continue;
            seconds += times * cost_seconds(ops->g, o, parts[p].sequences, real_bytes, c);
            *flops += times * op_flops(ops->g, o, parts[p].sequences);
        }
        seconds += ops->classes[i].in_step * cost_seconds(ops->g, o, 0, real_bytes, c);
        *flops += ops->classes[i].in_step * op_flops(ops->g, o, 0);
    }
    return seconds;
}

/* ---- one setting ---- */

gpt_run fit_run(const fit_request *r, const fit_option *o) {
    gpt_run run = r->run;
    run.micro_batch = o->micro_batch;
    run.recompute = o->policy->dropped;
    run.one_upload = o->one_upload;
    run.stored = r->type->stored;
    return run;
}

static status build(const fit_request *r, const fit_option *o, gpt *m, error *e) {
    gpt_run run = fit_run(r, o);
    return gpt_build(&r->shape, &run, r->type->scratch, r->limits.real_bytes, m, e);
}

static bool fits(const fit_request *r, uint64_t bytes) { return !r->limits.cap || bytes <= r->limits.cap; }

/* Bytes below which no plan of this setting can be. They grow with the micro-batch; a plan, which is placed greedily,
   need not. */
static status lower_bound(const fit_request *r, const fit_option *o, uint64_t *bytes, error *e) {
    gpt m;
    TRY(build(r, o, &m, e));
    status s = plan_bound(m.graph, &r->limits, bytes, e);
    gpt_free(&m);
    return s;
}

bool fit_is_hopeless(const fit_request *r, int micro_batch, const recompute_policy *policy) {
    fit_option o = {.micro_batch = micro_batch, .policy = policy};
    uint64_t bytes;
    return r->limits.cap && lower_bound(r, &o, &bytes, NULL) == OK && !fits(r, bytes);
}

/* *above: by how many bytes the plan's transients are above their lower bound. */
static status measure(const fit_request *r, fit_option *o, uint64_t *above, error *e) {
    gpt m;
    plan p;
    TRY(build(r, o, &m, e));
    status s = plan_make(m.graph, &r->limits, &p, e);
    if (s == OK) {
        o->peak = p.total;
        *above = p.transient - p.transient_live_peak;
        o->parts_are_even = r->run.sequences % o->micro_batch == 0;
        step_ops ops = count_ops(m.graph);
        o->seconds = step_seconds(&ops, r->run.sequences, o->micro_batch, &r->cost, r->limits.real_bytes, &o->flops);
        free(ops.classes);
        plan_free(&p);
    }
    gpt_free(&m);
    return s;
}

status fit_measure_as(const fit_request *r, fit_option *o, error *e) {
    uint64_t unused;
    return measure(r, o, &unused, e);
}

/* The tokens do not lie in the arena, so that fewer of them change nothing there, and no second plan is needed. */
status fit_measure(const fit_request *r, fit_option *o, error *e) {
    uint64_t above;
    o->one_upload = true;
    status s = measure(r, o, &above, e);
    if ((s == OK && fits(r, o->peak)) || s == FAILED || o->micro_batch >= r->run.sequences) return s;
    o->one_upload = false;
    if (s != OK) return measure(r, o, &above, e);
    TRY(lower_bound(r, o, &o->peak, e));
    o->peak += above;
    return OK;
}

/* ---- the search ---- */

typedef struct {
    fit_option *options;
    int n, room;
} candidates;

static void add_candidate(candidates *c, fit_option o) {
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 64;
        c->options = xrealloc(c->options, sizeof *c->options * (size_t)c->room);
    }
    c->options[c->n++] = o;
}

enum { SIZES_MAX = 8194 }; /* 2 sqrt(N) for the most sequences that config_check lets through, 2^24 */

/* The micro-batches worth trying, ascending: for each number of micro-batches, the smallest size that needs no more
   than that. */
static int *sizes_of(int64_t n, int *count) {
    int *sizes = xcalloc(SIZES_MAX, sizeof(int));
    *count = 0;
    for (int64_t parts = n; parts >= 1;) {
        int64_t k = (n + parts - 1) / parts;
        if (*count < SIZES_MAX) sizes[(*count)++] = (int)k;
        if (k == n) break;
        parts = (n - 1) / k; /* the largest number of parts for which the size has to be above k */
    }
    return sizes;
}

/* Adds all sizes whose lower bound fits under one policy, which is found by bisection. Times are filled in; peaks are
   left to pick, which measures only those that matter. */
static status search_policy(const fit_request *r, const recompute_policy *policy, const int *sizes, int n,
                            candidates *c, error *e) {
    bool any_fits = !r->limits.cap && !r->limits.max_block;
    int low = any_fits ? n : 0, high = n; /* the bounds of sizes[0 .. low) fit, those of sizes[high ..) do not */
    while (low < high) {
        int middle = low + (high - low) / 2;
        fit_option o = {.micro_batch = sizes[middle], .policy = policy};
        uint64_t bytes = 0;
        status s = lower_bound(r, &o, &bytes, e);
        if (s == FAILED) return s;
        if (s == OK && fits(r, bytes))
            low = middle + 1;
        else
            high = middle;
    }
    if (!low) return OK;
    fit_option o = {.micro_batch = sizes[0], .policy = policy};
    gpt m;
    TRY(build(r, &o, &m, e)); /* one graph serves all sizes, since operations and traffic are functions of sequences */
    step_ops ops = count_ops(m.graph);
    for (int i = 0; i < low; i++) {
        o.micro_batch = sizes[i];
        o.parts_are_even = r->run.sequences % sizes[i] == 0;
        o.seconds = step_seconds(&ops, r->run.sequences, sizes[i], &r->cost, r->limits.real_bytes, &o.flops);
        add_candidate(c, o);
    }
    free(ops.classes);
    gpt_free(&m);
    return OK;
}

/* Is a a better choice than b? First an even split counts, then room for a step's tokens, then memory, then time. */
static bool better(const fit_option *a, const fit_option *b) {
    if (a->parts_are_even != b->parts_are_even) return a->parts_are_even;
    if (a->one_upload != b->one_upload) return a->one_upload;
    if (a->peak != b->peak) return a->peak < b->peak;
    return a->seconds < b->seconds;
}

static int compare_seconds(const void *a, const void *b) {
    double x = ((const fit_option *)a)->seconds, y = ((const fit_option *)b)->seconds;
    return (x > y) - (x < y);
}

/* Even splits first, then policy by policy from small to large micro-batches. */
static int compare_for_picking(const void *pa, const void *pb) {
    const fit_option *a = pa, *b = pb;
    bool even_a = a->parts_are_even, even_b = b->parts_are_even;
    if (even_a != even_b) return even_a ? -1 : 1;
    if (a->policy != b->policy) return a->policy < b->policy ? -1 : 1;
    return a->micro_batch - b->micro_batch;
}

/* Picks among all that take at most `limit` seconds. Within a policy peaks mostly grow with the micro-batch, so that
   few plans have to be made. */
static status pick_smallest(const fit_request *r, candidates *c, double limit, fit_option *best, bool *found,
                            error *e) {
    const fit_option *before = NULL;
    *found = false;
    qsort(c->options, (size_t)c->n, sizeof *c->options, compare_for_picking);
    for (int i = 0; i < c->n; i++) {
        fit_option *o = &c->options[i];
        if (o->seconds > limit) continue;
        if (*found && best->parts_are_even && !o->parts_are_even) break;
        if (before && before->policy == o->policy && before->parts_are_even == o->parts_are_even) continue;
        if (!o->peak) TRY(fit_measure(r, o, e)); /* pick may have done so */
        if (!fits(r, o->peak)) continue;
        before = o;
        if (!*found || better(o, best)) *best = *o;
        *found = true;
    }
    return OK;
}

/* Finds the fastest that fits, and picks among those that take at most FIT_SLACK longer. */
static status pick(const fit_request *r, candidates *c, fit_option *best, bool *found, error *e) {
    *found = false;
    if (!c->n) return OK;
    qsort(c->options, (size_t)c->n, sizeof *c->options, compare_seconds);
    for (int i = 0; i < c->n; i++) {
        TRY(fit_measure(r, &c->options[i], e));
        double limit = (1 + FIT_SLACK / 100.0) * c->options[i].seconds;
        if (fits(r, c->options[i].peak)) return pick_smallest(r, c, limit, best, found, e);
    }
    return OK;
}

/* The smallest plan there is, for the message that nothing fits. */
static status smallest(const fit_request *r, int micro_batch, fit_option *best, error *e) {
    bool found = false;
    for (int i = RECOMPUTE_POLICIES - 1; i >= 0; i--) { /* from the one that keeps least */
        fit_option o = {.micro_batch = micro_batch, .policy = &recompute_policies[i]};
        if (r->policy && r->policy != o.policy) continue;
        uint64_t bound;
        status s = lower_bound(r, &o, &bound, e);
        if (s == OK && found && bound >= best->peak) continue;
        if (s == OK) s = fit_measure(r, &o, e);
        if (s == FAILED) return s;
        if (s == OK && (!found || o.peak < best->peak)) *best = o, found = true;
    }
    return found ? OK : BAD_INPUT; /* e says which tensor is too large for the device */
}

/* Says how much is missing, and the cap that would do, in hundredths of a MiB rounded up, so that it can be typed as it
   stands. */
static status nothing_fits(const fit_request *r, const fit_option *o, error *e) {
    char cap[32];
    bytes_print(r->limits.cap, cap, sizeof cap);
    unsigned long long missing = o->peak - r->limits.cap;
    double enough = ceil((double)o->peak / (1 << 20) * 100) / 100;
    if (r->micro_batch)
        return fail(e, NO_MEMORY,
                    "micro_batch_size %d does not fit in %s: with recompute=%s it needs %llu bytes more, "
                    "--vram_cap=%.2fMiB; leave it out to have it fitted",
                    o->micro_batch, cap, o->policy->name, missing, enough);
    return fail(e, NO_MEMORY,
                "nothing that keeps the effective batch fits in %s: the smallest plan, micro-batch %d with "
                "recompute=%s, needs %llu bytes more, --vram_cap=%.2fMiB",
                cap, o->micro_batch, o->policy->name, missing, enough);
}

status fit_choose(const fit_request *r, fit_option *best, error *e) {
    candidates c = {0};
    int n = 1, forced = r->micro_batch;
    int *sizes = forced ? &forced : sizes_of(r->run.sequences, &n);
    status s = OK;
    bool found = false;
    for (int i = 0; i < RECOMPUTE_POLICIES && s == OK; i++)
        if (!r->policy || r->policy == &recompute_policies[i])
            s = search_policy(r, &recompute_policies[i], sizes, n, &c, e);
    if (s == OK) s = pick(r, &c, best, &found, e);
    if (s == OK && !found) {
        s = smallest(r, sizes[0], best, e);
        if (s == OK) s = nothing_fits(r, best, e);
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
    snprintf(text, size, "micro-batch %d x %lld%s, recompute %s, %s of %s%s", o->micro_batch, (long long)parts, last,
             o->policy->name, bytes_print(o->peak, peak, sizeof peak), cap,
             o->one_upload ? "" : ", no room for the tokens of a whole step");
    return text;
}

status fit_plan(const fit_request *r, const fit_option *o, gpt *m, plan *p, error *e) {
    gpt_run run = fit_run(r, o);
    TRY(gpt_build(&r->shape, &run, r->type->scratch, r->limits.real_bytes, m, e));
    status s = plan_make(m->graph, &r->limits, p, e);
    if (s != OK) gpt_free(m);
    return s;
}
