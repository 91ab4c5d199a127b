/* fit.c: see fit.h. */
#include "graph/fit.h"
#include "graph/step_time.h"
#include "config/config.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one setting ---- */

gpt_run fit_run(const fit_request *r, const fit_option *o) {
    gpt_run run = r->run;
    run.micro_batch = o->micro_batch;
    run.recompute = o->policy->dropped;
    run.recompute_layers = o->layers;
    run.one_upload = o->one_upload;
    run.offload = o->offload;
    run.stored = r->type->stored;
    run.has_host = r->type->has_host;
    return run;
}

static fit_option option_of(const fit_request *r, int micro_batch, const recompute_policy *policy) {
    return (fit_option){.micro_batch = micro_batch,
                        .policy = policy,
                        .layers = policy == r->policy ? r->layers : 0,
                        .offload = r->run.offload};
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

static bool parts_are_even(const fit_request *r, int micro_batch) {
    int shards = gpt_shards(&r->run);
    return r->run.sequences % ((int64_t)shards * micro_batch) == 0;
}

int64_t fit_parts(const fit_request *r, int micro_batch) {
    int shards = gpt_shards(&r->run);
    int64_t least = r->run.sequences / shards, larger = r->run.sequences % shards;
    return larger * ((least + micro_batch) / micro_batch) +
           (shards - larger) * ((least + micro_batch - 1) / micro_batch);
}

/* o->seconds, by its graph. */
static void add_time(const fit_request *r, const graph *g, fit_option *o) {
    step_ops ops = step_ops_of(g);
    o->seconds = step_seconds(&ops, &r->run, o->micro_batch, &r->cost, r->limits.real_bytes, &o->flops);
    free(ops.classes);
}

/* *above: by how many bytes the plan's transients are above their lower bound. */
static status measure(const fit_request *r, fit_option *o, uint64_t *above, error *e) {
    gpt m;
    plan p;
    o->offload = r->run.offload;
    TRY(build(r, o, &m, e));
    status s = plan_make(m.graph, &r->limits, &p, e);
    if (s == OK) {
        o->peak = p.total;
        o->host = p.host_total;
        *above = p.transient - p.transient_live_peak;
        o->parts_are_even = parts_are_even(r, o->micro_batch);
        add_time(r, m.graph, o);
        plan_free(&p);
    }
    gpt_free(&m);
    return s;
}

/* o->seconds alone, which needs no plan. */
static status measure_time(const fit_request *r, fit_option *o, error *e) {
    gpt m;
    TRY(build(r, o, &m, e));
    add_time(r, m.graph, o);
    gpt_free(&m);
    return OK;
}

status fit_measure_as(const fit_request *r, fit_option *o, error *e) {
    uint64_t unused;
    return measure(r, o, &unused, e);
}

bool fit_same_setting(const fit_option *a, const fit_option *b) {
    return a->micro_batch == b->micro_batch && a->policy == b->policy && a->layers == b->layers;
}

static bool recall(const fit_request *r, fit_option *o) {
    for (int i = 0; i < 2; i++) {
        const fit_option *k = r->known[i];
        if (!k || !k->peak || !fit_same_setting(k, o) || k->offload != r->run.offload) continue;
        *o = *k;
        return true;
    }
    return false;
}

/* The tokens do not lie in the arena, so that fewer of them change nothing there, and no second plan is needed. */
status fit_measure(const fit_request *r, fit_option *o, error *e) {
    uint64_t above;
    if (recall(r, o)) return OK;
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
    fit_option option;
    bool may_leave_reserve; /* false: its lower bound alone takes of the reserve */
} candidate;
typedef struct {
    candidate *list;
    int n, room;
} candidates;

static void add_candidate(candidates *c, candidate x) {
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 64;
        c->list = xrealloc(c->list, sizeof *c->list * (size_t)c->room);
    }
    c->list[c->n++] = x;
}

/* The most bytes that leave the reserve free; 0: there is no cap. */
static uint64_t all_but_reserve(const fit_request *r) {
    return r->limits.cap - r->limits.cap / (r->limits.cap_is_shared ? FIT_RESERVE_SHARED : FIT_RESERVE);
}

bool fit_leaves_reserve(const fit_request *r, uint64_t bytes) {
    uint64_t most = all_but_reserve(r);
    return most && bytes <= most;
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

/* The lower bounds of ascending sizes under one policy, as far as they have been asked for. */
typedef struct {
    const fit_request *r;
    const recompute_policy *policy;
    const int *sizes;
    int n;
    uint64_t *bytes; /* 0: not known; UINT64_MAX: a tensor is larger than the device's largest allocation */
} bound_list;

static status bound_at(bound_list *x, int i, error *e) {
    fit_option o = option_of(x->r, x->sizes[i], x->policy);
    if (x->bytes[i]) return OK;
    status s = lower_bound(x->r, &o, &x->bytes[i], e);
    if (s == BAD_INPUT) x->bytes[i] = UINT64_MAX;
    return s == FAILED ? s : OK;
}

/* Where in [low, high) the bounds may pass the limit, those of low - 1 and high being below and above it: first the
   ends of the list, then on the straight line between the two, since bounds are nearly linear in the size. */
static int guess(const bound_list *x, uint64_t limit, int low, int high) {
    if (low == 0) return 0;
    if (high == x->n) return x->n - 1;
    uint64_t below = x->bytes[low - 1], above = x->bytes[high];
    if (above == UINT64_MAX) return low + (high - low) / 2;
    double share = (double)(limit - below) / (double)(above - below);
    double size = x->sizes[low - 1] + share * (x->sizes[high] - x->sizes[low - 1]);
    while (low + 1 < high && x->sizes[low + 1] <= size) low++;
    return low;
}

/* How many of the sizes have a lower bound of at most `limit` bytes (0: any). */
static status count_below(bound_list *x, uint64_t limit, int *count, error *e) {
    enum { GUESSES = 6 }; /* then the middle, so that it takes few in any case */
    const bool any = !limit && !x->r->limits.max_block;
    int low = any ? x->n : 0, high = x->n; /* sizes[0 .. low) are below, sizes[high ..) are not */
    if (!limit) limit = UINT64_MAX - 1;
    for (int i = 0; i < high; i++) {
        if (!x->bytes[i]) continue;
        if (x->bytes[i] <= limit)
            low = i + 1;
        else
            high = i;
    }
    for (int tries = 0; low < high; tries++) {
        int at = tries < GUESSES ? guess(x, limit, low, high) : low + (high - low) / 2;
        TRY(bound_at(x, at, e));
        if (x->bytes[at] <= limit)
            low = at + 1;
        else
            high = at;
    }
    *count = low;
    return OK;
}

/* Adds all sizes whose lower bound fits under one policy. Times are filled in; peaks are left to pick, which measures
   only those that matter. */
static status search_policy(bound_list *x, candidates *c, error *e) {
    const fit_request *r = x->r;
    int fitting, roomy = 0;
    TRY(count_below(x, r->limits.cap, &fitting, e));
    if (!fitting) return OK;
    if (all_but_reserve(r)) TRY(count_below(x, all_but_reserve(r), &roomy, e));
    fit_option o = option_of(r, x->sizes[0], x->policy);
    gpt m;
    TRY(build(r, &o, &m, e)); /* one graph serves all sizes, since operations and traffic are functions of sequences */
    step_ops ops = step_ops_of(m.graph);
    for (int i = 0; i < fitting; i++) {
        o.micro_batch = x->sizes[i];
        o.parts_are_even = parts_are_even(r, x->sizes[i]);
        o.seconds = step_seconds(&ops, &r->run, x->sizes[i], &r->cost, r->limits.real_bytes, &o.flops);
        add_candidate(c, (candidate){o, i < roomy});
    }
    free(ops.classes);
    gpt_free(&m);
    return OK;
}

static int compare_seconds(const void *a, const void *b) {
    double x = ((const candidate *)a)->option.seconds, y = ((const candidate *)b)->option.seconds;
    return (x > y) - (x < y);
}

/* Policy by policy, from the one that keeps most, from small to large micro-batches. */
static int compare_from_small(const void *pa, const void *pb) {
    const fit_option *a = &((const candidate *)pa)->option, *b = &((const candidate *)pb)->option;
    if (a->policy != b->policy) return a->policy < b->policy ? -1 : 1;
    return a->micro_batch - b->micro_batch;
}

/* From large to small micro-batches, each from the policy that keeps most. */
static int compare_from_large(const void *pa, const void *pb) {
    const fit_option *a = &((const candidate *)pa)->option, *b = &((const candidate *)pb)->option;
    if (a->micro_batch != b->micro_batch) return b->micro_batch - a->micro_batch;
    return a->policy < b->policy ? -1 : a->policy > b->policy;
}

/* Picks the largest micro-batch of those that take at most `limit` seconds and leave the reserve. */
static status pick_largest(const fit_request *r, candidates *c, double limit, fit_option *best, bool *found, error *e) {
    qsort(c->list, (size_t)c->n, sizeof *c->list, compare_from_large);
    for (int i = 0; i < c->n; i++) {
        fit_option *o = &c->list[i].option;
        if (!c->list[i].may_leave_reserve || o->seconds > limit || (*found && !o->parts_are_even)) continue;
        if (*found && 2 * o->micro_batch <= best->micro_batch) break;
        if (!o->peak) TRY(fit_measure(r, o, e)); /* pick may have done so */
        if (!fit_leaves_reserve(r, o->peak)) continue;
        *best = *o;
        *found = true;
        if (o->parts_are_even) break;
    }
    return OK;
}

/* Picks the least memory of those that take at most `limit` seconds. Within a policy peaks mostly grow with the
   micro-batch, so that few plans have to be made. */
static status pick_smallest(const fit_request *r, candidates *c, double limit, fit_option *best, bool *found,
                            error *e) {
    const fit_option *before = NULL;
    qsort(c->list, (size_t)c->n, sizeof *c->list, compare_from_small);
    for (int i = 0; i < c->n; i++) {
        fit_option *o = &c->list[i].option;
        if (o->seconds > limit || (before && before->policy == o->policy)) continue;
        if (!o->peak) TRY(fit_measure(r, o, e));
        if (!fits(r, o->peak)) continue;
        before = o;
        if (!*found || o->peak < best->peak || (o->peak == best->peak && o->seconds < best->seconds)) *best = *o;
        *found = true;
    }
    return OK;
}

/* Finds the fastest that fits, and picks among those that are as fast within the noise. */
static status pick(const fit_request *r, candidates *c, fit_option *best, double *fastest, bool *found, error *e) {
    double limit = -1;
    *found = false;
    *fastest = INFINITY;
    if (!c->n) return OK;
    qsort(c->list, (size_t)c->n, sizeof *c->list, compare_seconds);
    for (int i = 0; i < c->n && limit < 0; i++) {
        TRY(fit_measure(r, &c->list[i].option, e));
        if (!fits(r, c->list[i].option.peak)) continue;
        *fastest = c->list[i].option.seconds;
        limit = (1 + FIT_NOISE_PERCENT / 100.0) * *fastest;
    }
    if (limit < 0) return OK;
    if (all_but_reserve(r)) TRY(pick_largest(r, c, limit, best, found, e));
    return *found ? OK : pick_smallest(r, c, limit, best, found, e);
}

/* ---- layer by layer ---- */

/* What is computed again has to fit beside the inputs of all blocks before it, so that the least memory may be that of
   a policy for all layers but one, or but two. */
enum { NEARLY_ALL = 2 };

/* For how many of the first layers o's policy has to be, at least, so that the plan has at most `most` bytes; o->layers
   = 0: no such number, or not in less than `limit` seconds. The fewer, the more the other layers keep, and the faster
   it is. */
static status fewest_layers(const fit_request *r, fit_option *o, uint64_t most, double limit, error *e) {
    int layers = r->shape.layers, low = 0, high = 0;
    uint64_t bytes;
    for (o->layers = layers - 1; o->layers > 0 && o->layers >= layers - NEARLY_ALL && !high; o->layers--) {
        TRY(lower_bound(r, o, &bytes, e));
        if (bytes <= most) high = o->layers;
    }
    while (high - low > 1) {
        o->layers = low + (high - low) / 2;
        TRY(lower_bound(r, o, &bytes, e));
        *(bytes <= most ? &high : &low) = o->layers;
    }
    for (o->layers = high; o->layers && o->layers < layers; o->layers++) { /* plans may be above their bound */
        TRY(measure_time(r, o, e));
        if (o->seconds >= limit) break;
        TRY(fit_measure(r, o, e));
        if (o->peak <= most) return OK;
    }
    o->layers = 0;
    return OK;
}

/* Takes a policy for some layers, at the best setting's micro-batch, where that is clearly faster than anything that
   fits with one for all of them, whose seconds are `fastest`; and where nothing does, if it fits. */
static status keep_some(const fit_request *r, double fastest, fit_option *best, bool *found, error *e) {
    uint64_t most = *found && fit_leaves_reserve(r, best->peak) ? all_but_reserve(r) : r->limits.cap;
    double limit = (1 - FIT_GAIN_PERCENT / 100.0) * fastest;
    fit_option none = option_of(r, best->micro_batch, &recompute_policies[0]);
    TRY(measure_time(r, &none, e));
    for (int i = 1; i < RECOMPUTE_POLICIES && none.seconds < limit; i++) { /* nothing is faster than to keep all */
        fit_option o = option_of(r, none.micro_batch, &recompute_policies[i]);
        TRY(fewest_layers(r, &o, most, limit, e));
        if (!o.layers) continue;
        *best = o;
        *found = true;
        limit = o.seconds;
    }
    return OK;
}

/* Makes o the best where its plan is smaller than that of the best so far. */
static status take_if_smaller(const fit_request *r, fit_option o, fit_option *best, bool *found, error *e) {
    uint64_t bound;
    status s = lower_bound(r, &o, &bound, e);
    if (s == OK && *found && bound >= best->peak) return OK;
    if (s == OK) s = fit_measure(r, &o, e);
    if (s == OK && (!*found || o.peak < best->peak)) *best = o, *found = true;
    return s == FAILED ? s : OK; /* else e says which tensor is too large for the device */
}

/* The smallest plan there is, for the message that nothing fits: of each policy, from the one that keeps least, for all
   layers and, where fit may choose so, for nearly all. */
static status smallest(const fit_request *r, int micro_batch, fit_option *best, error *e) {
    bool found = false;
    for (int p = RECOMPUTE_POLICIES - 1; p >= 0; p--) {
        const recompute_policy *policy = &recompute_policies[p];
        if (r->policy && r->policy != policy) continue;
        fit_option o = option_of(r, micro_batch, policy);
        TRY(take_if_smaller(r, o, best, &found, e));
        if (r->policy || !policy->dropped) continue;
        for (int kept = 1; kept <= NEARLY_ALL && kept < r->shape.layers; kept++) {
            o.layers = r->shape.layers - kept;
            TRY(take_if_smaller(r, o, best, &found, e));
        }
    }
    return found ? OK : BAD_INPUT;
}

/* fit_choose with r->run.offload as it is. */
static status choose(const fit_request *r, fit_option *best, error *e) {
    candidates c = {0};
    int n = 1, forced = r->micro_batch;
    int *sizes = forced ? &forced : sizes_of(gpt_shard_most(r->run.sequences, r->run.shards), &n);
    status s = OK;
    bool found = false;
    double fastest = 0;
    for (int i = 0; i < RECOMPUTE_POLICIES && s == OK; i++) {
        bound_list x = {r, &recompute_policies[i], sizes, n, NULL};
        if (r->policy && r->policy != x.policy) continue;
        x.bytes = xcalloc((size_t)n, sizeof *x.bytes);
        s = search_policy(&x, &c, e);
        free(x.bytes);
    }
    if (s == OK) s = pick(r, &c, best, &fastest, &found, e);
    if (s == OK && !found) best->micro_batch = sizes[0];
    if (s == OK && r->limits.cap && !r->policy) s = keep_some(r, fastest, best, &found, e);
    if (s == BAD_INPUT && !found) s = OK; /* smallest says the same */
    if (s == OK && !found) {
        s = smallest(r, sizes[0], best, e);
        if (s == OK) s = fit_refuse(r, best, e);
    }
    if (!forced) free(sizes);
    free(c.list);
    return s;
}

status fit_choose(const fit_request *r, fit_option *best, error *e) {
    fit_request q = *r;
    TRY(recompute_check(r->policy, r->layers, r->shape.layers, e));
    status s = choose(&q, best, e);
    while (s == NO_MEMORY && r->may_offload && q.run.offload < offload_most(r->type->stored)) {
        q.run.offload++;
        s = choose(&q, best, e);
    }
    return s;
}

status fit_plan(const fit_request *r, const fit_option *o, gpt *m, plan *p, error *e) {
    TRY(build(r, o, m, e));
    status s = plan_make(m->graph, &r->limits, p, e);
    if (s != OK) gpt_free(m);
    return s;
}

status fit_lifetimes(const fit_request *r, const fit_option *o, gpt *m, plan *p, error *e) {
    TRY(build(r, o, m, e));
    status s = plan_lifetimes(m->graph, &r->limits, p, e);
    if (s != OK) gpt_free(m);
    return s;
}
