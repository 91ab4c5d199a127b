/* plan_command.c: gathers the report of `snug plan`: what was asked for, what fit chooses, and what people commonly try
   instead, all measured by the same planner. Prints nothing itself. */
#include "commands/plan_command.h"
#include "base/shell_word.h"
#include "base/terminal.h"
#include "run/open.h"
#include "run/resume.h"
#include "run/shape.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is asked ---- */

static status find_request(plan_report *p, error *e) {
    const config *c = p->config;
    fit_request r;
    int length, shards;
    TRY(shape_of_settings(c, &p->request.shape, &length, &p->vocabulary_from, e));
    TRY(resume_settle(c, &length, &shards, e));
    open_request(c, &p->request.shape, GRAPH_TRAIN, length, c->batch_size * c->gradient_accumulation_steps, &r);
    open_shards(&r, shards);
    TRY(open_limits(c, &r, e));
    p->request = r;
    int64_t wish = c->micro_batch_size ? c->micro_batch_size : c->batch_size;
    int64_t most = gpt_shard_most(r.run.sequences, r.run.shards);
    p->asked_micro_batch = (int)(wish < most ? wish : most);
    return OK;
}

/* ---- measuring ---- */

/* Two requests of this report that ask for the same training. */
static bool is_same(const fit_request *a, const fit_request *b) {
    return !memcmp(&a->shape, &b->shape, sizeof a->shape) && a->run.sequences == b->run.sequences &&
           a->run.batch_invariant == b->run.batch_invariant && a->type == b->type;
}

/* fit_measure; but what has been measured for the report is not measured again. */
static status measure(const plan_report *p, const fit_request *r, fit_option *o, error *e) {
    fit_request q = *r;
    if (is_same(r, &p->request)) q.known[0] = &p->chosen, q.known[1] = &p->asked;
    return fit_measure(&q, o, e);
}

/* ---- as asked ---- */

static status find_asked(plan_report *p, error *e) {
    fit_request r = p->request;
    r.micro_batch = p->asked_micro_batch;
    r.known[0] = &p->chosen;
    status s = fit_choose(&r, &p->asked, e);
    p->asked_fits = s == OK;
    p->asked_known = s == OK || s == NO_MEMORY;
    if (s == BAD_INPUT) return OK;
    if (s == FAILED) return s;
    gpt m;
    plan made;
    TRY(fit_lifetimes(&r, &p->asked, &m, &made, e));
    plan_alive(m.graph, &made, made.peak_op, p->alive);
    p->gaps = p->asked.peak;
    for (int k = 0; k < KIND_COUNT; k++) p->gaps -= p->alive[k];
    const op *o = &m.graph->ops[made.peak_op];
    if (o->attr.layer < 0)
        snprintf(p->peak_op, sizeof p->peak_op, "%s", op_describe(o->code)->name);
    else
        snprintf(p->peak_op, sizeof p->peak_op, "%s of layer %d", op_describe(o->code)->name, o->attr.layer);
    plan_free(&made);
    gpt_free(&m);
    return OK;
}

/* ---- the options ---- */

/* A micro-batch with nothing recomputed, or with what was asked for. */
static fit_option keep_all(const plan_report *p, int micro_batch) {
    const fit_request *r = &p->request;
    return (fit_option){.micro_batch = micro_batch,
                        .policy = r->policy ? r->policy : &recompute_policies[0],
                        .layers = r->policy ? r->layers : 0};
}

/* Says what a row makes of the training that was asked for: the same weights to the bit, or another training. */
static void say_training(const plan_report *p, plan_row *row) {
    const fit_request *asked = &p->request, *r = &row->request;
    char *text = row->training;
    size_t size = sizeof row->training;
    char parameters[16];
    if (memcmp(&r->shape, &asked->shape, sizeof r->shape) != 0)
        snprintf(text, size, "OTHER MODEL: %s (%d x %d, %d heads)", count_print(gpt_parameters(&r->shape), parameters),
                 r->shape.layers, r->shape.channels, r->shape.heads);
    else if (r->run.sequences != asked->run.sequences)
        snprintf(text, size, "OTHER: effective batch %lld, noise x%.2f", (long long)r->run.sequences,
                 sqrt((double)asked->run.sequences / (double)r->run.sequences));
    else if (r->type != asked->type)
        snprintf(text, size, "other rounding: --dtype=%s", precision_table[r->type->precision].dtype);
    else
        snprintf(text, size, r->run.batch_invariant ? "the same" : "the same but for rounding");
    if (!row->option.offload) return;
    char host[32];
    size_t n = strlen(text);
    snprintf(text + n, size - n, "; offload=%s: %s", offload_table[row->option.offload].name,
             bytes_print(row->option.host, host, sizeof host));
}

static status add_row(plan_report *p, const fit_request *r, fit_option o, error *e) {
    int64_t most = gpt_shard_most(r->run.sequences, r->run.shards);
    if (o.micro_batch > most) o.micro_batch = (int)most;
    if (p->n_rows == PLAN_ROWS_MAX) return OK;
    for (int i = 0; i < p->n_rows; i++) { /* what people try may be what was chosen: one row is enough */
        plan_row *there = &p->rows[i];
        if (fit_same_setting(&there->option, &o) && there->request.run.offload == r->run.offload &&
            is_same(&there->request, r)) {
            return OK;
        }
    }
    plan_row *row = &p->rows[p->n_rows++];
    *row = (plan_row){.request = *r, .option = {.micro_batch = o.micro_batch, .policy = o.policy, .layers = o.layers}};
    status s = measure(p, r, &row->option, e);
    if (s != OK && s != BAD_INPUT) return s;
    row->known = s == OK;
    row->fits = row->known && (!r->limits.cap || row->option.peak <= r->limits.cap);
    say_training(p, row);
    return OK;
}

/* Adds what people do without a plan: a smaller micro-batch, fewer sequences a step, a smaller model. */
static status add_advice(plan_report *p, error *e) {
    fit_request r = p->request;
    int micro = p->asked_micro_batch, wish = (int)p->config->batch_size;
    for (int part = wish / 2; part >= 1 && part >= wish / 8; part /= 2)
        if (part != micro) TRY(add_row(p, &r, keep_all(p, part), e));
    if (wish > 1 && !p->config->micro_batch_size) {
        r.run.sequences = wish / 2 * p->config->gradient_accumulation_steps;
        TRY(add_row(p, &r, keep_all(p, wish / 2), e));
    }
    r = p->request;
    if (r.shape.layers > 1) {
        r.shape.layers -= r.shape.layers >= 4 ? r.shape.layers / 4 : 1;
        TRY(add_row(p, &r, keep_all(p, micro), e));
    }
    r = p->request;
    int head_size = r.shape.channels / r.shape.heads;
    if (r.shape.heads > 1) { /* two thirds of the heads, each as large as before, so that they divide the channels */
        r.shape.heads -= (r.shape.heads + 2) / 3;
        r.shape.channels = r.shape.heads * head_size;
        TRY(add_row(p, &r, keep_all(p, micro), e));
    }
    return OK;
}

/* For when nothing fits that keeps the bits: without batch_invariant the token embedding's gradient has no second copy,
   which may be what is missing. */
static status add_rounding(plan_report *p, error *e) {
    fit_request r = p->request;
    fit_option o;
    r.run.batch_invariant = false;
    if (p->fits || !p->request.run.batch_invariant) return OK;
    status s = fit_choose(&r, &o, NULL);
    if (s == FAILED) return fail(e, s, "planning with batch_invariant=False failed");
    if (s != OK) return OK;
    r.run.offload = o.offload;
    TRY(add_row(p, &r, o, e));
    p->rounding = &p->rows[p->n_rows - 1];
    return OK;
}

/* The request in another dtype. Of a device that was measured in the dtype asked for alone, the times are those times
   the ratio of what is stated of the two. */
static status request_as(const plan_report *p, const char *dtype, fit_request *r, error *e) {
    config other = *p->config;
    const fit_request *asked = &p->request;
    snprintf(other.dtype, sizeof other.dtype, "%s", dtype);
    open_request(&other, &asked->shape, GRAPH_TRAIN, asked->run.length, asked->run.sequences, r);
    open_shards(r, asked->run.shards);
    TRY(open_limits(&other, r, e));
    if (r->cost.measured == asked->cost.measured) return OK;
    const cost_model *from = &asked->type->cost, *to = &r->type->cost;
    r->cost = asked->cost.measured ? asked->cost : *from;
    for (int w = 0; w < WORK_KINDS; w++) r->cost.flop[w] *= to->flop[w] / from->flop[w];
    return OK;
}

/* What was asked for in 16 bits; and where nothing fits in 32, what fits so. On the CPU that saves nothing. */
static status add_bfloat16(plan_report *p, error *e) {
    const precision_info *bf16 = &precision_table[PRECISION_BFLOAT16];
    fit_request r;
    fit_option o;
    if (p->request.type->kind == BACKEND_CPU || p->request.type->precision == PRECISION_BFLOAT16) return OK;
    TRY(request_as(p, bf16->dtype, &r, e));
    TRY(add_row(p, &r, keep_all(p, p->asked_micro_batch), e));
    if (p->fits) return OK;
    status s = fit_choose(&r, &o, NULL);
    if (s == FAILED) return fail(e, s, "planning with dtype=%s failed", bf16->dtype);
    if (s != OK) return OK;
    r.run.offload = o.offload;
    return add_row(p, &r, o, e);
}

/* For when a micro-batch or policy that was given doesn't fit: adds what fits if it is left to snug. */
static status add_unforced(plan_report *p, error *e) {
    fit_request r = p->request;
    fit_option o;
    if (p->fits || (!r.micro_batch && !r.policy)) return OK;
    r.micro_batch = 0;
    r.policy = NULL;
    status s = fit_choose(&r, &o, NULL);
    if (s == FAILED) return fail(e, s, "planning without micro_batch_size and recompute failed");
    if (s != OK) return OK;
    r.run.offload = o.offload;
    return add_row(p, &r, o, e);
}

/* What else could make room: the same with the optimizer's part of the memory on the host. */
static status add_offloaded(plan_report *p, error *e) {
    fit_request r = p->request;
    if (!r.may_offload) return OK;
    for (r.run.offload = OFFLOAD_NONE + 1; r.run.offload <= offload_most(r.type->stored); r.run.offload++)
        TRY(add_row(p, &r, keep_all(p, p->asked_micro_batch), e));
    return OK;
}

/* ---- the report ---- */

static status gather(plan_report *p, error *nothing_fits, error *e) {
    TRY(find_request(p, e));
    status s = fit_choose(&p->request, &p->chosen, nothing_fits);
    if (s == FAILED || s == BAD_INPUT) return *e = *nothing_fits, s;
    p->fits = s == OK;
    TRY(find_asked(p, e));
    fit_request chosen = p->request;
    fit_option base = keep_all(p, p->asked_micro_batch);
    chosen.run.offload = p->chosen.offload;
    TRY(add_row(p, &chosen, p->chosen, e));
    p->rows[0].chosen = true;
    TRY(add_unforced(p, e));
    TRY(add_rounding(p, e));
    if (plan_nanogpt_gather(p->config, &p->request.shape, p->request.run.length, &p->nanogpt, NULL) != OK)
        p->nanogpt.n_splits = 0; /* not a run for nanoGPT: float64 */
    TRY(add_row(p, &p->request, base, e));
    for (int i = 0; i < p->n_rows; i++)
        p->rows[i].base = p->rows[i].request.run.offload == p->request.run.offload &&
                          fit_same_setting(&p->rows[i].option, &base) && is_same(&p->rows[i].request, &p->request);
    TRY(add_offloaded(p, e));
    TRY(add_bfloat16(p, e));
    return add_advice(p, e);
}

static void append(char **line, const char *option, const char *value) {
    char *word = shell_word(value), *longer = xprintf("%s %s%s", *line, option, word);
    free(word);
    free(*line);
    *line = longer;
}

char *plan_command_line(const plan_report *p) {
    const config *c = p->config;
    char *program = shell_word(c->program ? c->program : "snug"), *line = xprintf("%s train", program);
    free(program);
    if (c->config_file) append(&line, "", c->config_file);
    for (int id = 0; id < OPTION_COUNT; id++) {
        const option_info *o = &option_table[id];
        if (!c->given[id] || strncmp(c->given[id], "--", 2) != 0 || !strcmp(o->group, "OUTPUT")) continue;
        if (p->rounding && id == OPTION_batch_invariant) continue;
        char value[VALUE_TEXT_MAX], *option = xprintf("--%s=", o->name);
        const char *text = (const char *)c + o->offset; /* TEXT as it is; the rest as a config file has it */
        if (o->type == OPTION_BYTES)
            config_cap_print(c, value, sizeof value);
        else
            config_value(c, (option_id)id, value);
        append(&line, option, o->type == OPTION_TEXT ? text : value);
        free(option);
    }
    if (p->rounding) append(&line, "--batch_invariant=", "False");
    return line;
}

status plan_run(const config *c, error *e) {
    if (!strcmp(c->_for, "nanogpt")) return plan_nanogpt_run(c, e);
    error nothing_fits = {""};
    plan_report *p = xcalloc(1, sizeof *p);
    p->config = c;
    status s = gather(p, &nothing_fits, e);
    if (s == OK && c->graph) {
        gpt m;
        plan made;
        s = fit_plan(&p->request, &p->chosen, &m, &made, e);
        if (s == OK) {
            graph_dump(m.graph, p->request.limits.real_bytes, stdout);
            plan_free(&made);
            gpt_free(&m);
        }
    } else if (s == OK && c->json)
        plan_json(p, stdout);
    else if (s == OK)
        plan_text(p, stdout);
    if (s == OK && c->svg[0]) s = plan_svg(p, c->svg, e);
    if (s == OK && !p->fits) {
        *e = nothing_fits;
        s = NO_MEMORY;
    }
    free(p);
    return s;
}
