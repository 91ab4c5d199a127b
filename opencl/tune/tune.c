/* tune.c: the search of `snug tune`. CLBlast's own tuners time kernels without the copies around them, always end with
   a set for GEMMK=1, check no edges, and have no limit of time. This search times whole products with CLBlast's copies,
   at the shapes of a model, and accepts only sets that have passed gemm_bench_check.

   CLBlast can't go back to its own numbers once others were given. So only Xgemm's are tried, all of them every time:
   what is timed is then in force whatever was tried before, and all else is CLBlast's own as it will be in later runs.
   */
#include "opencl/tune/tune.h"
#include "base/fnv.h"
#include "base/sort.h"
#include "base/progress.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIED_MAX = 4096 };

struct tuner {
    FILE *report;  /* NULL: nothing is told */
    progress show; /* on it */
    backend *base;
    gemm_bench bench;
    product_samples samples; /* with their sides cut, so that a try takes some seconds at most */
    backend *own;            /* snug's own products, where a device takes those without tuning; else NULL */
    gemm_bench own_bench;
    tuner_clock *clock; /* for tests: instead of timing */
    void *clock_data;
    gemm_record best;
    double best_seconds, ratio; /* ratio: how much faster than without tuning, by turns */
    bool any, found;            /* a set was taken; it is worth keeping */
    uint64_t random, tried[TRIED_MAX];
    int n_tried, n_wrong;
    double began, deadline;
};

static double rate(const tuner *t, double seconds) { return 1e-9 * t->samples.all / seconds; }

/* ---- what is timed ---- */

/* The weighted seconds of all samples with the parameters in use; INFINITY as soon as they exceed twice `enough`, which
   is hopeless. The first run of each compiles its kernels and does not count. */
static status time_samples(tuner *t, gemm_bench *bench, double enough, double *seconds, error *e) {
    *seconds = 0;
    for (int i = 0; i < t->samples.n; i++) {
        double one;
        const product *p = &t->samples.p[i];
        double weight = t->samples.weight[i], part = product_flops(p) * weight / t->samples.all;
        if (i == 0) TRY(gemm_bench_time(bench, p, 1, &one, e));
        TRY(gemm_bench_time(bench, p, 2, &one, e));
        if (one * weight > 2 * enough * part && enough < INFINITY) TRY(gemm_bench_time(bench, p, 2, &one, e));
        *seconds += one * weight;
        if (one * weight > 2 * enough * part && i < t->samples.n - 1) {
            *seconds = INFINITY;
            break;
        }
    }
    return OK;
}

/* The same of a state that is named, put in force first: a set, or with NULL snug's own products. */
static status time_state(tuner *t, const gemm_params *set, double enough, double *seconds, error *e) {
    if (set) TRY(gemm_params_apply(&t->bench.b->device, set, e));
    if (t->clock) {
        *seconds = t->clock(t->clock_data, set);
        return OK;
    }
    return time_samples(t, set ? &t->bench : &t->own_bench, enough, seconds, e);
}

/* ---- trying one set ---- */

status tuner_try(tuner *t, const gemm_params *p, bool *taken, error *e) {
    const double faster = 0.99; /* than the best, of the time: more than noise */
    error refused = {""};
    char why[256];
    double seconds = 0;
    bool right;
    *taken = false;
    status s = time_state(t, p, t->best_seconds, &seconds, &refused);
    if (s != OK || !(seconds < faster * t->best_seconds)) return OK; /* not for this device, or no better */
    TRY(gemm_bench_check(&t->bench, p, &right, why, e));
    if (right) { /* timed again, since the least of many tries is lucky */
        s = time_state(t, p, INFINITY, &seconds, &refused);
        *taken = s == OK && seconds < faster * t->best_seconds;
    } else {
        t->n_wrong++;
        if (t->report) progress_print(&t->show, "  a set that is fast but wrong (%s) is left out\n", why);
    }
    if (!*taken) return OK;
    t->any = true;
    t->best.params = *p;
    t->best_seconds = seconds;
    t->best.tuned = rate(t, seconds);
    return OK;
}

const gemm_record *tuner_best(const tuner *t) { return &t->best; }
gemm_bench *tuner_bench(tuner *t) { return &t->bench; }

/* ---- the sets that are tried ---- */

static uint64_t draw(tuner *t, uint64_t below) { /* SplitMix64 */
    uint64_t z = t->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % below;
}

/* The values that a parameter may have: powers of two from 2^low to 2^high, or 0 and 1. */
typedef struct {
    int low, high;
} range;
static range range_of(param_id id, bool cpu) {
    switch (id) {
    case PARAM_GEMMK:
    case PARAM_SA:
    case PARAM_SB:
    case PARAM_STRM:
    case PARAM_STRN: return (range){-1, 0};
    case PARAM_MWG:
    case PARAM_NWG: return (range){4, 7};
    case PARAM_KWG: return (range){4, 6};
    case PARAM_VWM:
    case PARAM_VWN: return (range){0, cpu ? 4 : 3};
    case PARAM_KREG: return (range){0, 4};
    case PARAM_KWI: return (range){1, 4};
    default: return (range){cpu ? 0 : 2, 5}; /* lanes along a side */
    }
}

static size_t draw_value(tuner *t, param_id id, bool cpu) {
    range r = range_of(id, cpu);
    int power = r.low + (int)draw(t, (uint64_t)(r.high - r.low + 1));
    return power < 0 ? 0 : (size_t)1 << power;
}

/* Sets the parameters that are determined by others: kernel 1 has square tiles, and uses no local memory. */
static void settle(size_t *v) {
    if (v[PARAM_GEMMK] == 1) {
        v[PARAM_NWG] = v[PARAM_MWG];
        v[PARAM_KWG] = v[PARAM_KWI] = 1;
        v[PARAM_MDIMA] = v[PARAM_MDIMC];
        v[PARAM_NDIMB] = v[PARAM_NDIMC];
        v[PARAM_SA] = v[PARAM_SB] = v[PARAM_STRM] = v[PARAM_STRN] = 0;
    } else {
        v[PARAM_KREG] = 1;
        if (v[PARAM_KWG] < 16) v[PARAM_KWG] = 32, v[PARAM_KWI] = 2;
    }
}

static bool is_new(tuner *t, const gemm_params *p) {
    char text[GEMM_TEXT_MAX];
    gemm_params_print(p, text);
    uint64_t h = fnv_add(FNV_START, text, strlen(text));
    for (int i = 0; i < t->n_tried; i++)
        if (t->tried[i] == h) return false;
    if (t->n_tried < TRIED_MAX) t->tried[t->n_tried++] = h;
    return true;
}

/* Does the set need so few registers that none of them spills to memory? */
static bool is_small(const tuner *t, const gemm_params *p) {
    const size_t *v = p->value;
    size_t work = v[PARAM_MWG] / v[PARAM_MDIMC] * (v[PARAM_NWG] / v[PARAM_NDIMC]);
    bool cpu = t->bench.b->device.info.type & CL_DEVICE_TYPE_CPU;
    size_t lanes = v[PARAM_MDIMC] * v[PARAM_NDIMC];
    return work <= (cpu ? 256 : 128) && (cpu || lanes >= 32);
}

/* The best set with one to three parameters drawn anew, or all of them every now and then. False when no new sound set
   turned up. */
static bool next_set(tuner *t, gemm_params *p) {
    int first, end;
    const device_info *d = &t->bench.b->device.info;
    bool cpu = d->type & CL_DEVICE_TYPE_CPU;
    family_span(FAMILY_XGEMM, &first, &end);
    for (int i = 0; i < 100000; i++) {
        *p = t->best.params;
        bool all = !p->has[FAMILY_XGEMM] || draw(t, 6) == 0;
        int changes = 1 + (int)draw(t, 3);
        for (int k = 0; k < (all ? end - first : changes); k++) {
            param_id id = (param_id)(all ? first + k : first + (int)draw(t, (uint64_t)(end - first)));
            p->value[id] = draw_value(t, id, cpu);
        }
        p->has[FAMILY_XGEMM] = true;
        settle(p->value);
        if (gemm_params_sound(p, d) && is_small(t, p) && is_new(t, p)) return true;
    }
    return false;
}

/* The sets that the search starts with: sets of Xgemm that are good on some device, in the order of PARAMETERS. */
static const size_t starts[][16] = {
    /* CPUs: wide vectors, a group's tile in the first cache */
    {0, 1, 32, 8, 4, 4, 64, 4, 4, 64, 1, 1, 0, 0, 16, 16},
    {0, 1, 32, 2, 8, 8, 64, 8, 8, 64, 1, 1, 0, 0, 8, 8},
    /* NVIDIA and AMD: 128 or 256 lanes, 32 to 64 sums in each lane */
    {0, 1, 32, 2, 16, 16, 128, 16, 16, 128, 1, 1, 0, 0, 4, 4},
    {0, 1, 16, 2, 16, 16, 128, 16, 16, 128, 1, 1, 0, 0, 4, 4},
    {0, 1, 32, 2, 16, 16, 64, 16, 8, 64, 1, 1, 1, 0, 2, 2},
    {0, 1, 16, 2, 16, 8, 64, 8, 8, 64, 1, 1, 0, 0, 4, 4},
    {0, 1, 32, 2, 8, 8, 64, 16, 16, 64, 1, 1, 0, 0, 4, 2},
    {0, 1, 16, 2, 32, 8, 128, 16, 8, 64, 0, 1, 1, 0, 4, 4},
    {0, 1, 32, 2, 8, 8, 64, 8, 8, 64, 0, 0, 0, 0, 4, 4},
    /* kernel 1: no local memory */
    {1, 4, 1, 1, 16, 16, 64, 16, 16, 64, 0, 0, 0, 0, 4, 4},
    {1, 4, 1, 1, 8, 8, 64, 8, 8, 64, 0, 0, 0, 0, 4, 4},
    {1, 4, 1, 1, 4, 4, 64, 4, 4, 64, 0, 0, 0, 0, 16, 4},
};

static void show_try(tuner *t) {
    progress_doing(&t->show, "tuning, sets tried", t->n_tried, 0);
    t->show.part = 1 - (t->deadline - seconds_now()) / (t->deadline - t->began);
    t->show.ends = t->deadline;
    progress_show(&t->show);
}

static status try_and_tell(tuner *t, const gemm_params *p, error *e) {
    bool taken;
    if (t->report) show_try(t);
    TRY(tuner_try(t, p, &taken, e));
    if (!taken || !t->report) return OK;
    double left = t->deadline - seconds_now();
    progress_print(&t->show, "  %4d sets tried: %.1f GFLOP/s; %.0f s left\n", t->n_tried, t->best.tuned,
                   left > 0 ? left : 0);
    return OK;
}

static status try_starts(tuner *t, error *e) {
    for (size_t i = 0; i < sizeof starts / sizeof *starts && seconds_now() < t->deadline; i++) {
        gemm_params p = t->best.params;
        p.has[FAMILY_XGEMM] = true;
        memcpy(&p.value[PARAM_GEMMK], starts[i], sizeof starts[i]);
        if (!gemm_params_sound(&p, &t->bench.b->device.info) || !is_new(t, &p)) continue;
        TRY(try_and_tell(t, &p, e));
    }
    return OK;
}

/* ---- is it worth keeping? ---- */

enum { TURNS = 4 };
static double middle(double *x) { /* the lower one of the two */
    sort_doubles(x, TURNS);
    return x[TURNS / 2 - 1];
}

/* What is used without tuning, where the device can be brought back to it: else NULL means snug's own products. */
static const gemm_params *untuned(const tuner *t, gemm_params *base) {
    *base = gemm_params_base(&t->bench.b->device.info);
    return t->own ? NULL : base;
}

/* Times what is used without tuning and the best by turns, each first as often as the other, so that a ratio is not
   one of two moments: a machine that gets faster or slower meanwhile favours neither. */
static status compare(tuner *t, error *e) {
    const double worth = 1.02;
    gemm_params base;
    const gemm_params *without = untuned(t, &base);
    double before[TURNS], after[TURNS], ratio[TURNS];
    if (!t->best.params.has[FAMILY_XGEMM]) return OK; /* no set was right */
    for (int i = 0; i < TURNS; i++) {
        bool best_first = i % 2;
        if (best_first) TRY(time_state(t, &t->best.params, INFINITY, &after[i], e));
        TRY(time_state(t, without, INFINITY, &before[i], e));
        if (!best_first) TRY(time_state(t, &t->best.params, INFINITY, &after[i], e));
        ratio[i] = before[i] / after[i];
    }
    t->ratio = middle(ratio);
    t->best.untuned = rate(t, middle(before));
    t->best.tuned = rate(t, middle(after));
    t->found = t->any && t->ratio >= worth;
    /* Without tuning a GPU may use CLBlast's own numbers too, which were timed at the start. */
    if (t->own && t->best.tuned < worth * t->best.own) t->found = false;
    return OK;
}

/* ---- all of it ---- */

/* Chooses how large samples are: so that all of them take half a second at the slower of the rates measured. */
static status fit_samples(tuner *t, product_list *all, error *e) {
    static const int64_t sides[] = {4096, 2048, 1024, 512, 256};
    double seconds = 0;
    samples_take(&t->samples, all, 256);
    TRY(time_samples(t, &t->bench, INFINITY, &seconds, e));
    double slow = rate(t, seconds) * 1e9;
    for (int i = 0; i < 5; i++) {
        samples_take(&t->samples, all, sides[i]);
        if (t->samples.once < 0.5 * slow) return OK;
    }
    return OK;
}

static status start(tuner *t, const graph *g, error *e) {
    opencl *b = (opencl *)t->base;
    product_list all;
    time_t today = time(NULL);
    struct tm date;
    status s = gemm_list(b, g, g->micro, &all, e);
    if (s == OK && !all.n) s = fail(e, FAILED, "tune: the graph has no matrix product");
    if (s == OK) s = gemm_bench_open(&t->bench, b, all.list, all.n, e);
    if (s == OK) s = fit_samples(t, &all, e);
    free(all.list);
    TRY(s);
    strftime(t->best.date, sizeof t->best.date, "%Y-%m-%d", gmtime_r(&today, &date));
    TRY(time_samples(t, &t->bench, INFINITY, &t->best_seconds, e)); /* before any set was given */
    t->best.own = rate(t, t->best_seconds);
    return OK;
}

/* Runs snug's own products until each sample's tile is decided (ops.h), and tells. */
static status try_tiles(tuner *t, error *e) {
    double unused;
    for (int i = 0; i < t->samples.n; i++)
        TRY(gemm_bench_time(&t->own_bench, &t->samples.p[i], TILE_LAUNCHES, &unused, e));
    if (!t->report) return OK;
    progress_print(&t->show, "snug's own products, by the tiles that they may have:\n");
    gemm_tiles_print(t->own_bench.b, t->report);
    return OK;
}

/* Times what is used without tuning. Where that is a set, the search starts from it; else the first set that is right
   will be the best. */
static status start_untuned(tuner *t, error *e) {
    gemm_params base;
    double seconds;
    if (t->own) {
        TRY(gemm_bench_open(&t->own_bench, (opencl *)t->own, t->samples.p, t->samples.n, e));
        TRY(try_tiles(t, e));
    }
    const gemm_params *without = untuned(t, &base);
    TRY(time_state(t, without, INFINITY, &seconds, e));
    t->best.untuned = t->best.tuned = rate(t, seconds);
    t->best.params = base;
    t->best_seconds = without ? seconds : INFINITY;
    t->best.params.has[FAMILY_XGEMM] = without != NULL;
    t->best.params.has[FAMILY_ROUTINE] = true;
    if (t->report)
        progress_print(&t->show,
                       "%d shapes; CLBlast's own parameters: %.1f GFLOP/s, what is used without tuning: %.1f\n",
                       t->samples.n, t->best.own, t->best.untuned);
    return OK;
}

status tuner_open(const opencl_options *o, const graph *g, FILE *report, tuner **out, error *e) {
    tuner *t = xcalloc(1, sizeof *t);
    opencl_options own = *o;
    own.gemm = GEMM_OWN; /* first: CLBlast can't go back to its own */
    t->report = report;
    t->show = progress_new(report ? report : stdout);
    t->deadline = INFINITY;
    status s = opencl_open(&own, &t->base, e);
    if (s == OK && report) fprintf(report, "device: %s\n", t->base->device);
    if (report) progress_doing(&t->show, "timing what there is", 0, 0);
    if (s == OK) s = start(t, g, e);
    own.gemm = PRODUCTS_OWN;
    if (s == OK && (o->as_gpu || opencl_defaults_to_own(&((opencl *)t->base)->device.info)))
        s = opencl_open(&own, &t->own, e);
    if (s == OK) s = start_untuned(t, e);
    if (s == OK)
        *out = t;
    else
        tuner_close(t);
    return s;
}

void tuner_close(tuner *t) {
    gemm_bench bench = t->bench, own_bench = t->own_bench;
    progress_clear(&t->show);
    if (t->own) t->own->close(t->own);
    if (own_bench.g) gemm_bench_close(&own_bench);
    if (t->base) t->base->close(t->base);
    if (bench.g) gemm_bench_close(&bench);
    free(t);
}

void tuner_time_by(tuner *t, tuner_clock *clock, void *data) {
    gemm_params base;
    t->clock = clock;
    t->clock_data = data;
    if (t->best_seconds < INFINITY) t->best_seconds = clock(data, untuned(t, &base));
}

status tuner_search(tuner *t, double minutes, error *e) {
    gemm_params p;
    t->began = seconds_now();
    t->deadline = t->began + 60 * minutes;
    TRY(try_starts(t, e));
    while (seconds_now() < t->deadline && next_set(t, &p)) TRY(try_and_tell(t, &p, e));
    return compare(t, e);
}

status tuner_finish(tuner *t, bool *kept, error *e) {
    const device_info *d = &t->bench.b->device.info;
    gemm_record older;
    bool had = gemm_record_recall(d, &older);
    *kept = t->found;
    TRY(t->found ? gemm_record_keep(d, &t->best, e) : gemm_record_drop(d, e));
    opencl_choice_forget(d);
    progress_clear(&t->show);
    if (!t->report) return OK;
    fprintf(t->report, "%d sets tried, %d of the fast ones wrong; ", t->n_tried, t->n_wrong);
    if (t->found) {
        char text[GEMM_TEXT_MAX];
        gemm_params_print(&t->best.params, text);
        fprintf(t->report, "kept for this device and driver:\n  %s\n", text);
        fprintf(t->report, "%.1f GFLOP/s, without tuning %.1f, by turns: %.2f times as fast\n", t->best.tuned,
                t->best.untuned, t->ratio);
        return OK;
    }
    fprintf(t->report,
            "nothing found that is 2 %% faster than what is used without tuning (%.1f GFLOP/s): nothing is kept",
            t->best.untuned);
    if (had) fprintf(t->report, ", and what was kept on %s no longer counts", older.date);
    fprintf(t->report, "\n");
    return OK;
}

status opencl_tune(const opencl_options *o, const graph *g, double minutes, FILE *report, error *e) {
    tuner *t;
    bool kept;
    TRY(tuner_open(o, g, report, &t, e));
    status s = tuner_search(t, minutes, e);
    if (s == OK) s = tuner_finish(t, &kept, e);
    tuner_close(t);
    return s;
}
