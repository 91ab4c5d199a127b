/* plan_command.c: see plan_command.h. Opens no device. */
#include "plan_command.h"
#include "data.h"
#include "setup.h"
#include <stdlib.h>
#include <string.h>

/* The vocabulary is asked of the data where it lies; a plan needs no data, so without it GPT-2's padded one is taken.
 */
static status plan_shape(const config *c, gpt_shape *shape, int *length, error *e) {
    if (strcmp(c->init_from, "scratch") && strcmp(c->init_from, "resume"))
        return setup_shape_of(c, c->init_from, shape, length, e);
    int64_t vocabulary = 50304;
    char *folder;
    if (!c->vocab_size && data_folder(c, &folder, NULL) == OK) {
        status s = data_vocabulary_of(folder, &vocabulary, e);
        free(folder);
        if (s != OK) return s;
    }
    return setup_shape_new(c, c->vocab_size ? c->vocab_size : vocabulary, shape, length, e);
}

static void print_bar(uint64_t bytes, uint64_t most) {
    enum { WIDTH = 30 };
    int n = most ? (int)((double)bytes / (double)most * WIDTH + 0.5) : 0;
    for (int i = 0; i < n; i++) putchar('#');
    putchar('\n');
}

static void print_table(const fit_request *r, const fit_option *o, const gpt *m, const plan *p) {
    uint64_t by_kind[KIND_COUNT];
    char text[256], bytes[32];
    printf("%.1fM parameters, effective batch %lld sequences of %d tokens\n%s\n\nalive at the peak\n",
           (double)gpt_parameters(&r->shape) / 1e6, (long long)r->run.sequences, r->run.length,
           fit_print(r, o, text, sizeof text));
    plan_alive(m->graph, p, p->peak_op, by_kind);
    uint64_t alive = 0;
    for (int k = 0; k < KIND_COUNT; k++) {
        alive += by_kind[k];
        if (!by_kind[k]) continue;
        printf("  %-26s %12s  ", kind_names[k], bytes_print(by_kind[k], bytes, sizeof bytes));
        print_bar(by_kind[k], p->total);
    }
    if (p->total > alive)
        printf("  %-26s %12s\n", "gaps between them", bytes_print(p->total - alive, bytes, sizeof bytes));
    printf("  %-26s %12s  = %llu bytes\n", "total", bytes_print(p->total, bytes, sizeof bytes),
           (unsigned long long)p->total);
    if (!r->limits.cap) return;
    bool fits = p->total <= r->limits.cap;
    uint64_t difference = fits ? r->limits.cap - p->total : p->total - r->limits.cap;
    printf("  %-26s %12s  %s by %llu bytes\n", "cap", bytes_print(r->limits.cap, bytes, sizeof bytes),
           fits ? "fits, below it" : "DOES NOT FIT, over it", (unsigned long long)difference);
}

/* Every policy at the chosen micro-batch: what recomputation saves and costs. */
static status print_policies(const fit_request *r, const fit_option *chosen, error *e) {
    printf("\nmicro-batch %d under each recompute policy   (step: predicted, relative to none)\n", chosen->micro_batch);
    double base = 0;
    for (int i = 0; i < RECOMPUTE_POLICIES; i++) {
        fit_option o = {.micro_batch = chosen->micro_batch, .policy = &recompute_policies[i]};
        char bytes[32];
        TRY(fit_measure(r, &o, e));
        if (i == 0) base = o.seconds;
        printf("%c %-10s %12s   step x%.2f   %s\n", o.policy == chosen->policy ? '*' : ' ', o.policy->name,
               bytes_print(o.peak, bytes, sizeof bytes), o.seconds / base, o.policy->help);
    }
    return OK;
}

static void print_json(const fit_request *r, const fit_option *o, bool fits) {
    printf(
        "{\"effective_batch\":%lld,\"micro_batch_size\":%d,\"recompute\":\"%s\",\"peak_bytes\":%llu,\"cap_bytes\":%llu,"
        "\"fits\":%s,\"flops_per_step\":%.17g}\n",
        (long long)r->run.sequences, o->micro_batch, o->policy->name, (unsigned long long)o->peak,
        (unsigned long long)r->limits.cap, fits ? "true" : "false", o->flops);
}

status plan_run(const config *c, error *e) {
    gpt_shape shape;
    fit_request r;
    fit_option o = {0};
    int length;
    TRY(plan_shape(c, &shape, &length, e));
    setup_request(c, &shape, GRAPH_TRAIN, length, c->batch_size * c->gradient_accumulation_steps, &r);
    TRY(setup_limits(c, &r.limits, &r.scratch, &r.cost, e));
    status found = fit_choose(&r, &o, e);
    if (found != OK && !o.policy) return found;
    TRY(fit_measure(&r, &o, found == OK ? e : NULL));
    if (c->json) print_json(&r, &o, found == OK);
    gpt_run run = r.run;
    run.micro_batch = o.micro_batch;
    run.recompute = o.policy->dropped;
    gpt m;
    plan p;
    error unused;
    TRY(gpt_build(&shape, &run, r.scratch, r.limits.real_bytes, &m, &unused));
    status s = plan_make(m.graph, &r.limits, &p, &unused);
    if (s == OK && c->graph)
        graph_dump(m.graph, r.limits.real_bytes, stdout);
    else if (s == OK && !c->json) {
        print_table(&r, &o, &m, &p);
        s = print_policies(&r, &o, &unused);
    }
    plan_free(&p);
    gpt_free(&m);
    return found != OK ? found : s;
}
