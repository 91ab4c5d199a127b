/* open.c: see open.h. */
#include "run/open.h"
#include "run/calibrate.h"
#include "run/device.h"
#include <string.h>

status open_limits(const config *c, fit_request *r, error *e) {
    TRY(backend_check_type(c, r->type, e));
    r->limits = r->type->limits(r->type->precision, c->vram_cap);
    return OK;
}

static cost_model cost_of(const config *c, const backend_type *type) {
    cost_model cost = type->cost;
    calibrate_recall(c, type, NULL, &cost);
    return cost;
}

void open_request(const config *c, const gpt_shape *shape, graph_purpose purpose, int length, int64_t sequences,
                  fit_request *r) {
    int layers;
    *r = (fit_request){.shape = *shape,
                       .type = backend_type_of(c),
                       .micro_batch = (int)c->micro_batch_size,
                       .policy = recompute_read(c->recompute, &layers) /* NULL for auto */};
    r->layers = layers == shape->layers ? 0 : layers;
    if (r->type) r->cost = cost_of(c, r->type);
    bool may_offload = purpose == GRAPH_TRAIN && r->type && r->type->has_host, is_auto = !strcmp(c->offload, "auto");
    r->may_offload = may_offload && is_auto;
    if (r->micro_batch > sequences) r->micro_batch = (int)sequences;
    r->run = (gpt_run){.purpose = purpose,
                       .length = length,
                       .sequences = sequences,
                       .batch_invariant = c->batch_invariant,
                       .offload = may_offload && !is_auto ? offload_find(c->offload) : OFFLOAD_NONE,
                       .dropout = c->dropout,
                       .weight_decay = c->weight_decay,
                       .beta1 = c->beta1,
                       .beta2 = c->beta2,
                       .grad_clip = c->grad_clip};
}

void open_shards(fit_request *r, int shards) {
    int64_t most = gpt_shard_most(r->run.sequences, shards);
    r->run.shards = shards;
    if (r->micro_batch > most) r->micro_batch = (int)most;
}

/* Binds what fit chooses. Each time that the device refuses, a plan smaller by a sixteenth at least is tried, which
   takes few tries and gives little memory away. The last try is the smallest plan that there is. */
static status open_stepping_down(fit_request *r, backend *b, model *m, fit_option *o, FILE *report, error *e) {
    char peak[32], policy[32], what[96];
    for (uint64_t refused = 0;; refused = o->peak) {
        if (refused) r->limits.cap = refused - refused / 16;
        status s = fit_choose(r, o, e);
        if (s == NO_MEMORY && refused && o->peak < refused) {
            r->limits.cap = o->peak; /* a sixteenth was too much: try the smallest */
            s = fit_choose(r, o, e);
        } else if (s == NO_MEMORY && refused) {
            return fail(e, NO_MEMORY,
                        "the device refuses even the smallest plan, micro-batch %d with recompute=%s: it needs %s "
                        "(%llu bytes) free on the device; end what else uses it, or train a smaller model",
                        o->micro_batch, recompute_print(o->policy, o->layers, r->shape.layers, policy, sizeof policy),
                        bytes_print(o->peak, peak, sizeof peak), (unsigned long long)o->peak);
        }
        TRY(s);
        gpt_run run = fit_run(r, o);
        s = model_open(m, b, &r->shape, &run, e);
        if (s == OK && b->host_pageable && report)
            fprintf(report, "the driver has no pinned memory for %s: moving them takes longer\n",
                    home_print(o->offload, gpt_ranks(&r->run) > 1, what, sizeof what));
        if (s != NO_MEMORY) return s;
        if (report)
            fprintf(report, "the device refused %s%s%s; trying less\n", bytes_print(o->peak, peak, sizeof peak),
                    refused ? "" : ": ", refused ? " too" : e->text);
    }
}

static void take_limits(fit_request *r, const backend *b) {
    r->limits = b->limits;
    r->type = b->type;
    if (!r->cost.measured) r->cost = b->type->cost;
}

/* Is there room for so many texts? What each takes grows with their number. */
static bool have_room(fit_request *r, int texts) {
    fit_option o = {.micro_batch = 1, .policy = r->policy, .layers = r->layers};
    r->run.kept = texts;
    if (fit_measure_as(r, &o, NULL) != OK || o.peak > r->limits.cap) return false;
    return !r->limits.cap_is_shared || fit_leaves_reserve(r, o.peak);
}

status open_for_texts(fit_request *r, backend *b, int64_t texts, model *m, error *e) {
    int some = 1, too_many = (int)(texts < SIDE_BY_SIDE ? texts : SIDE_BY_SIDE) + 1;
    take_limits(r, b);
    for (int middle = too_many - 1; some + 1 < too_many; middle = (some + too_many) / 2)
        *(have_room(r, middle) ? &some : &too_many) = middle;
    status s;
    do {
        fit_option o;
        r->limits.cap = b->limits.cap;
        r->run.kept = some;
        s = open_stepping_down(r, b, m, &o, NULL, e);
    } while (s == NO_MEMORY && (some /= 2));
    if (s != OK) b->close(b);
    return s;
}

status open_model(fit_request *r, backend *b, model *m, fit_option *chosen, FILE *report, error *e) {
    fit_option o;
    take_limits(r, b);
    status s = open_stepping_down(r, b, m, &o, report, e);
    if (s != OK) {
        b->close(b);
        return s;
    }
    r->limits.cap = b->limits.cap;
    if (chosen) *chosen = o;
    return OK;
}
