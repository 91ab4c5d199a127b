/* equivalence.c: runs the same steps at several splits of the effective batch, each on a freshly opened device, and
   compares them. equivalence_gradients.c adds gradients up in right and wrong ways; equivalence_print.c prints
   everything. */
#include "commands/equivalence.h"
#include "base/sort.h"
#include "run/calibrate.h"
#include "save/checkpoint.h"
#include "save/runs.h"
#include "run/device.h"
#include "run/open.h"
#include "run/resume.h"
#include "run/shape.h"
#include "base/timer.h"
#include "run/train.h"
#include <stdlib.h>
#include <string.h>

/* ---- what is compared ---- */

static status find_shape(equivalence *q, const char *data, gpt_shape *shape, int *length, error *e) {
    const config *c = q->config;
    int64_t vocabulary = c->vocab_size;
    if (!strcmp(c->init_from, "scratch")) {
        if (data) TRY(data_vocabulary_of(data, &vocabulary, e));
        return shape_new(c, vocabulary, shape, length, e);
    }
    if (!strcmp(c->init_from, "resume"))
        TRY(run_find_latest(c->out_dir, &q->checkpoint, e));
    else
        q->checkpoint = xstrdup(c->init_from);
    return shape_of_checkpoint(c, q->checkpoint, shape, length, e);
}

/* Settles what is trained, on what text and from which weights. The built-in text consists of ASCII bytes, so that a
   model of another vocabulary needs at least as many ids. */
static status find_run(equivalence *q, error *e) {
    const config *c = q->config;
    char *data = NULL;
    gpt_shape shape;
    int length, shards;
    int64_t sequences = c->batch_size * c->gradient_accumulation_steps;
    if (!q->built_in) TRY(data_folder(c, &data, e));
    status s = find_shape(q, data, &shape, &length, e);
    if (s == OK) s = resume_settle(c, &length, &shards, e);
    if (s == OK && data) s = token_file_open(data, "train.bin", length, &q->text, e);
    if (s == OK && data) s = token_file_check(&q->text, shape.vocabulary, c->ignore_token, e);
    free(data);
    TRY(s);
    if (q->built_in) equivalence_text_open(&q->text);
    if (q->text.tokens < length + 1)
        return fail(e, BAD_INPUT, "%s has %lld tokens, too few for block_size %d", q->text.path,
                    (long long)q->text.tokens, length);
    open_request(c, &shape, GRAPH_TRAIN, length, sequences, &q->request);
    open_shards(&q->request, shards);
    q->order = (data_order){.sequential = !strcmp(c->data_order, "sequential"),
                            .seed = (uint64_t)c->seed,
                            .sequences = sequences,
                            .length = length,
                            .ignore_token = c->ignore_token,
                            .vocabulary = shape.vocabulary};
    q->steps = c->steps;
    return OK;
}

static status find_device(equivalence *q, error *e) {
    backend *b;
    const fit_request *r = &q->request;
    TRY(backend_open_for(q->config, &r->shape, r->run.length, NULL, &b, stdout, e));
    status s = calibrate_ensure(q->config, b, stdout, &q->request.cost, e);
    q->request.limits = b->limits;
    q->request.type = b->type;
    snprintf(q->device, sizeof q->device, "%s", b->device);
    snprintf(q->gemm, sizeof q->gemm, "%s", b->gemm);
    b->close(b);
    return s;
}

/* ---- which splits ---- */

static bool has_split(const equivalence *q, int micro_batch) {
    for (int i = 0; i < q->n_splits; i++)
        if (q->splits[i].micro_batch == micro_batch) return true;
    return false;
}

/* Adds a split. Each gets another recompute policy, if that fits, and of these every other one for the first
   half of the layers alone, since none of that may change a bit either. NO_MEMORY:
   none fits. */
static status add_split(equivalence *q, int micro_batch, error *e) {
    fit_request r = q->request;
    r.micro_batch = micro_batch;
    for (int i = 0; i < RECOMPUTE_POLICIES && !q->request.policy; i++) {
        fit_option o = {.micro_batch = micro_batch,
                        .policy = &recompute_policies[(q->n_splits + i) % RECOMPUTE_POLICIES]};
        if ((q->n_splits + i) % 2 && o.policy->dropped) o.layers = r.shape.layers / 2;
        if (fit_measure(&r, &o, NULL) != OK || (r.limits.cap && o.peak > r.limits.cap)) continue;
        r.policy = o.policy;
        r.layers = o.layers;
        break;
    }
    fit_option chosen;
    TRY(fit_choose(&r, &chosen, e));
    q->splits = xrealloc(q->splits, sizeof *q->splits * (size_t)(q->n_splits + 1));
    q->splits[q->n_splits++] = (equivalence_split){.micro_batch = micro_batch,
                                                   .policy = chosen.policy,
                                                   .layers = chosen.layers,
                                                   .peak = chosen.peak,
                                                   .predicted = chosen.seconds};
    return OK;
}

/* list is "1,3,8", of which every one has to fit, or "all", which means every size that fits. */
static status add_wanted(equivalence *q, const char *list, error *e) {
    int64_t n = gpt_shard_most(q->request.run.sequences, q->request.run.shards);
    if (!strcmp(list, "all")) {
        for (int64_t k = n; k >= 1; k--) {
            status s = add_split(q, (int)k, e);
            if (s == FAILED) return s;
        }
        return OK;
    }
    for (const char *at = list; *at;) {
        char *end;
        long long k = strtoll(at, &end, 10);
        if (end == at || k < 1 || k > n || (*end && *end != ',') || (*end && !end[1]))
            return fail(e, BAD_INPUT,
                        "splits '%s': give micro-batch sizes from 1 to the %s %lld, like --splits=1,3,8, or all", list,
                        q->request.run.shards > 1 ? "largest shard's" : "effective batch", (long long)n);
        if (!has_split(q, (int)k)) TRY(add_split(q, (int)k, e));
        at = *end ? end + 1 : end;
    }
    return OK;
}

static int compare_splits(const void *pa, const void *pb) {
    const equivalence_split *a = pa, *b = pb;
    return b->micro_batch - a->micro_batch;
}

/* Takes at most six of the sizes that fit: the whole batch at once, single sequences, the config's own size, one that
   does not divide the batch, and some between. */
static status choose_splits(equivalence *q, error *e) {
    int64_t n = gpt_shard_most(q->request.run.sequences, q->request.run.shards), wish = q->config->batch_size,
            uneven = 2;
    while (uneven < n && n % uneven == 0) uneven++;
    while (uneven + 1 < n && n % (uneven + 1) && n > 4 * uneven) uneven++;
    const int64_t sizes[] = {n, 1, wish, uneven, (n + 1) / 2, (n + 3) / 4, (n + 2) / 3, wish / 2, wish / 4, 2};
    if (q->config->splits[0])
        TRY(add_wanted(q, q->config->splits, e));
    else
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes && q->n_splits < EQUIVALENCE_SPLITS; i++) {
            if (sizes[i] < 1 || sizes[i] > n || has_split(q, (int)sizes[i])) continue;
            status s = add_split(q, (int)sizes[i], e);
            if (s == FAILED) return s;
        }
    if (!q->n_splits) return fail(e, NO_MEMORY, "no split of %lld sequences fits: `snug plan` says why", (long long)n);
    qsort(q->splits, (size_t)q->n_splits, sizeof *q->splits, compare_splits);
    return OK;
}

/* ---- running them ---- */

status equivalence_open(const equivalence *q, graph_purpose purpose, const equivalence_split *split,
                        bool batch_invariant, model *m, error *e) {
    fit_request r = q->request;
    fit_option o = {.micro_batch = split->micro_batch, .policy = split->policy, .layers = split->layers};
    backend *b;
    r.run.purpose = purpose;
    if (purpose == GRAPH_GRADS) r.run.offload = OFFLOAD_NONE;
    r.run.batch_invariant = batch_invariant;
    if (purpose == GRAPH_GRADS) r.run.dropout = 0;
    TRY(fit_measure(&r, &o, e)); /* is there room for a step's tokens? */
    gpt_run run = fit_run(&r, &o);
    TRY(backend_open_as(q->config, q->gemm, &b, NULL, e));
    status s = model_open(m, b, &q->request.shape, &run, e);
    if (s != OK) {
        b->close(b);
        return s;
    }
    s = q->checkpoint ? run_load_weights(q->checkpoint, &m->shape, &m->gpt, m->backend, e)
                      : model_init(m, q->order.seed, e);
    if (s != OK) model_close(m);
    return s;
}

/* SHA-256 of every weight. */
static status hash_tensors(model *m, char (*hex)[HASH_HEX], error *e) {
    size_t real = m->backend->limits.real_bytes;
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) {
        size_t bytes = tensor_bytes(&m->gpt.graph->tensors[p], real);
        void *values = xcalloc(bytes, 1);
        status s = m->backend->read(m->backend, p, values, 0, bytes, e);
        hash_bytes(values, bytes, hex[p - 1]);
        free(values);
        TRY(s);
    }
    return OK;
}

static status run_steps(equivalence *q, equivalence_split *split, model *m, error *e) {
    batch b = batch_new(q->order.sequences, q->order.length);
    double *times = xcalloc((size_t)q->steps, sizeof *times), norm;
    status s = OK;
    for (int64_t i = 0; i < q->steps && s == OK; i++) {
        step_settings at = {.step = i, .lr = train_rate(q->config, i), .seed = q->order.seed};
        s = batch_draw(&b, &q->text, &q->order, STREAM_TRAIN, i, 0, e);
        double began = seconds_now();
        if (s == OK) s = model_gradients(m, &b, &at, &split->losses[i], e);
        if (s == OK) s = model_finish(m, &at, &norm, e);
        times[i] = 1e3 * (seconds_now() - began);
        if (s == OK) s = hash_tensors(m, split->tensors + i * q->n_params, e);
    }
    if (s == OK) s = model_hash(m, split->sha256, e);
    sort_doubles(times, (size_t)q->steps);
    split->ms = times[q->steps / 2];
    free(times);
    batch_free(&b);
    return s;
}

static status run_split(equivalence *q, equivalence_split *split, error *e) {
    model m;
    TRY(equivalence_open(q, GRAPH_TRAIN, split, q->config->batch_invariant, &m, e));
    q->n_params = m.gpt.n_params;
    split->peak = m.backend->allocated;
    split->losses = xcalloc((size_t)q->steps, sizeof(double));
    split->tensors = xcalloc((size_t)q->steps * (size_t)q->n_params, HASH_HEX);
    status s = run_steps(q, split, &m, e);
    model_close(&m);
    return s;
}

/* The first step, and in it the first tensor, in which any split differs from the first. */
static status compare(equivalence *q, error *e) {
    q->differs = -1;
    for (int64_t step = 0; step < q->steps; step++)
        for (int i = 1; i < q->n_splits; i++) {
            const equivalence_split *a = &q->splits[0], *b = &q->splits[i];
            bool loss = memcmp(&a->losses[step], &b->losses[step], sizeof(double)) != 0;
            int p = 0;
            while (p < q->n_params && !strcmp(a->tensors[step * q->n_params + p], b->tensors[step * q->n_params + p]))
                p++;
            if (!loss && p == q->n_params) continue;
            q->differs = i;
            q->differs_step = step;
            snprintf(q->differs_tensor, sizeof q->differs_tensor, "the loss");
            if (loss) return OK;
            gpt m;
            gpt_run run = q->request.run;
            run.micro_batch = 1;
            TRY(gpt_build(&q->request.shape, &run, NULL, q->request.limits.real_bytes, &m, e));
            gpt_param_name(m.graph, p + 1, q->differs_tensor, sizeof q->differs_tensor);
            gpt_free(&m);
            return OK;
        }
    return OK;
}

/* ---- the command ---- */

static double estimate(const equivalence *q) {
    double seconds = equivalence_gradient_work(q) * q->splits[0].predicted;
    for (int i = 0; i < q->n_splits; i++) seconds += (double)q->steps * q->splits[i].predicted;
    return seconds;
}

static status run_all(equivalence *q, error *e) {
    TRY(find_run(q, e));
    TRY(find_device(q, e));
    TRY(choose_splits(q, e));
    equivalence_print_head(q, estimate(q), stdout);
    for (int i = 0; i < q->n_splits; i++) {
        TRY(run_split(q, &q->splits[i], e));
        equivalence_print_split(q, &q->splits[i], stdout);
    }
    TRY(compare(q, e));
    equivalence_print_verdict(q, stdout);
    TRY(equivalence_gradients(q, e));
    equivalence_print_gradients(q, stdout);
    TRY(equivalence_measure_noise(q, e));
    equivalence_print_noise(q, stdout);
    if (q->config->given[OPTION_out_dir]) TRY(equivalence_write_json(q, q->config->out_dir, e));
    if (q->differs < 0 || !q->config->batch_invariant) return OK;
    return fail(e, FAILED, "batch-invariant splits differ: micro-batch %d and %d, step %lld, %s",
                q->splits[0].micro_batch, q->splits[q->differs].micro_batch, (long long)q->differs_step + 1,
                q->differs_tensor);
}

status equivalence_run(const config *c, error *e) {
    bool built_in = !c->config_file && !c->given[OPTION_dataset] && !c->given[OPTION_init_from];
    config *with = xcalloc(1, sizeof *with);
    equivalence q = {.config = c, .built_in = built_in, .differs = -1};
    status s = OK;
    if (built_in) {
        equivalence_built_in(c, with);
        q.config = with;
        s = config_check(with, e);
    }
    if (s == OK) s = run_all(&q, e);
    for (int i = 0; i < q.n_splits; i++) {
        free(q.splits[i].losses);
        free(q.splits[i].tensors);
    }
    free(q.splits);
    free(q.checkpoint);
    if (built_in)
        equivalence_text_free(&q.text);
    else if (q.text.map)
        token_file_close(&q.text);
    free(with);
    return s;
}
