/* train_open.c: opens and closes what a run needs (train_internal.h). */
#include "run/train_internal.h"
#include "base/processes.h"
#include "base/terminal.h"
#include "base/waiting.h"
#include "run/calibrate.h"
#include "run/device.h"
#include "run/open.h"
#include "run/resume.h"
#include "run/shape.h"
#include "text/meta_pickle.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t effective_batch(const config *c) { return c->batch_size * c->gradient_accumulation_steps; }

/* ---- the data ---- */

/* Says how a file is read when nothing but its ids tells. */
static void note_layout(const token_file *f) {
    if (!f->layout.guessed) return;
    const char *name = token_type_name(f->layout.type);
    text_print(
        stderr,
        "note: %s is read as %s: its numbers look like it, and no meta.json says {\"dtype\": \"%s\"} or another\n",
        f->path, name, name);
}

/* All ids are looked at before anything else is done: see token_file_check. */
static status check_ids(const token_file *f, int64_t vocabulary, int64_t ignore_token, error *e) {
    waiting wait;
    waiting_begin(&wait, stdout, "looking at all ids of the data, once", WAITING_SECONDS);
    status s = token_file_check(f, vocabulary, ignore_token, e);
    waiting_end(&wait);
    return s;
}

/* A val.bin may be missing, or empty, as `prepare` once left it for --val_fraction=0. */
static status open_val(run *r, int length, error *e) {
    char *path = xprintf("%s/val.bin", r->folder);
    bool there = access(path, F_OK) == 0;
    free(path);
    if (!there) return OK;
    TRY(token_file_open(r->folder, "val.bin", -1, &r->val, e));
    bool empty = r->val.tokens == 0;
    token_file_close(&r->val);
    return empty ? OK : token_file_open(r->folder, "val.bin", length, &r->val, e);
}

static status open_data(run *r, int64_t vocabulary, int length, error *e) {
    const config *c = r->c;
    TRY(token_file_open(r->folder, "train.bin", length, &r->train, e));
    TRY(open_val(r, length, e));
    note_layout(&r->train);
    TRY(check_ids(&r->train, vocabulary, c->ignore_token, e));
    if (r->val.map) TRY(check_ids(&r->val, vocabulary, c->ignore_token, e));
    r->order = (data_order){.sequential = !strcmp(c->data_order, "sequential"),
                            .seed = (uint64_t)c->seed,
                            .sequences = effective_batch(c),
                            .length = length,
                            .ignore_token = c->ignore_token,
                            .vocabulary = vocabulary};
    r->batch = batch_new(effective_batch(c), length);
    return OK;
}

/* ---- the tokenizer ---- */

/* That of `folder` to *t, which stays NULL where there is none. One in Hugging Face's files has to be good; nanoGPT's
   meta.pkl may hold what is no tokenizer, which *why then says. */
static status open_tokenizer_in(const char *folder, tokenizer **t, error *why, error *e) {
    *t = NULL;
    if (tokenizer_is_in(folder)) return tokenizer_open(folder, t, e);
    char *meta = xprintf("%s/meta.pkl", folder);
    if (access(meta, F_OK) == 0) meta_pickle_tokenizer(meta, t, why);
    free(meta);
    return OK;
}

status train_open_tokenizer(run *r, const char *checkpoint, error *e) {
    tokenizer *other = NULL;
    error why = {""};
    TRY(open_tokenizer_in(r->folder, &r->tokenizer, &why, e));
    if (checkpoint && tokenizer_is_in(checkpoint) && tokenizer_open(checkpoint, &other, &why) != OK)
        text_print(stderr, "note: the model's own tokenizer is left out: %s\n", why.text);
    if (r->tokenizer && other && !tokenizer_same(r->tokenizer, other))
        text_print(stderr,
                   "note: %s has another tokenizer than %s: its ids stand for other text than the model learnt\n",
                   r->folder, checkpoint);
    if (r->tokenizer)
        tokenizer_close(other);
    else
        r->tokenizer = other;
    if (r->tokenizer || r->c->eval_only) return OK;
    text_print(stderr,
               "note: %s has no tokenizer%s%s%s: checkpoints carry none, the report has no samples, and `snug sample` "
               "needs --tokenizer=DIR\n",
               r->folder, *why.text ? " (" : "", why.text, *why.text ? ")" : "");
    return OK;
}

/* From now on the moving line shows the memory in use, and progress within a batch. */
static void show_memory(run *r) {
    const backend *b = r->m.backend;
    r->show.memory = b->type->memory;
    r->show.used = b->allocated;
    r->show.cap = b->limits.cap;
    r->m.progress = progress_part;
    r->m.context = &r->show;
}

/* Settles how many shards a step has, and which of them are this process'. */
static status share_out(run *r, error *e) {
    int ranks = processes_count(), shards = resume_shards(r->c, &r->state);
    bool new_run = !r->c->gradient_shards && !r->state.n_parts;
    if (new_run) shards = ranks;
    open_shards(&r->request, shards);
    r->request.run.ranks = ranks;
    r->request.run.rank = processes_rank();
    if (shards % ranks == 0) return OK;
    return fail(e, BAD_INPUT,
                "%s sums its gradients in %d shard%s, which %d processes can't share equally: start as many as divide "
                "them, or%s give another --gradient_shards, which changes bits",
                new_run || r->c->gradient_shards ? "this training" : "the run that is resumed", shards,
                shards == 1 ? "" : "s", ranks, shards == 1 ? " one, or" : "");
}

/* The settings with the number of this process on its machine in the place of %r in --device. */
static config with_own_device(const config *c) {
    config own = *c;
    const char *at = strstr(c->device, "%r");
    if (at)
        snprintf(own.device, sizeof own.device, "%.*s%d%.400s", (int)(at - c->device), c->device, processes_local(NULL),
                 at + 2);
    return own;
}

/* Several processes on one GPU only wait for each other. */
static void note_shared_device(const config *c, const backend *b) {
    int here, devices = b->alike ? b->alike : 1;
    processes_local(&here);
    if (here > devices && b->type->kind != BACKEND_CPU && !strstr(c->device, "%r"))
        fprintf(stderr,
                "note: the %d processes of this machine share %d device%s of this name; --device=opencl:%%r gives each "
                "the one of its number, as `snug devices` counts them\n",
                here, devices, devices > 1 ? "s" : "");
}

/* Opens the device and measures it if there is a choice that needs that. The first process goes before the others, who
   find what it has measured and kept, and take its matrix products. All have the smallest of their caps. */
static status open_backend(run *r, const gpt_shape *shape, int length, const char *products, bool has_choice,
                           backend **b, error *e) {
    char firsts[sizeof(*b)->gemm] = "";
    config own = with_own_device(r->c);
    waiting wait;
    status s = OK;
    bool first = processes_rank() == 0;
    for (int turn = 0; turn < 2; turn++) {
        if (turn == !first) {
            waiting_begin(&wait, stdout, "opening the device, which builds and tries kernels the first time",
                          WAITING_SECONDS);
            s = backend_open_for(&own, shape, length, products, b, stdout, e);
            waiting_end(&wait);
            TRY(s);
            if (has_choice) s = calibrate_ensure(&own, *b, stdout, &r->request.cost, e);
            if (s != OK) (*b)->close(*b);
            TRY(s);
            snprintf(firsts, sizeof firsts, "%s", (*b)->gemm);
        }
        if (turn == 0) processes_share(firsts, sizeof firsts);
        if (!first && !products && strcmp(firsts, "default") != 0) products = firsts;
    }
    (*b)->limits.cap = processes_least((*b)->limits.cap);
    note_shared_device(r->c, *b);
    train_note_devices(*b);
    return OK;
}

status train_open(run *r, graph_purpose purpose, const char *checkpoint, error *e) {
    const config *c = r->c;
    gpt_shape shape;
    backend *b;
    int length;
    char text[256];
    if (checkpoint) {
        TRY(shape_of_checkpoint(c, checkpoint, &shape, &length, e));
        length = resume_length(c, &r->state, length);
    } else {
        int64_t vocabulary;
        TRY(data_vocabulary_of(r->folder, &vocabulary, e));
        TRY(shape_new(c, vocabulary, &shape, &length, e));
    }
    TRY(open_data(r, shape.vocabulary, length, e)); /* before the device, which may take a minute to measure */
    TRY(train_same_files(r, e));
    open_request(c, &shape, purpose, length, effective_batch(c), &r->request);
    TRY(share_out(r, e));
    const char *products =
        r->state.n_parts ? r->state.parts[r->state.n_parts - 1].gemm : NULL; /* a resumed run keeps them */
    bool has_choice = purpose == GRAPH_TRAIN && !(r->request.micro_batch && r->request.policy);
    TRY(open_backend(r, &shape, length, products, has_choice, &b, e));
    waiting wait;
    waiting_begin(&wait, stdout, "taking the memory and building the kernels for this model", WAITING_SECONDS);
    status s = open_model(&r->request, b, &r->m, &r->chosen, stdout, e);
    waiting_end(&wait);
    TRY(s);
    r->predicted = r->request.cost.measured ? r->chosen.seconds : 0;
    show_memory(r);
    progress_print(&r->show, "plan: %s\n", fit_print(&r->request, &r->chosen, text, sizeof text));
    return OK;
}

void train_close(run *r) {
    progress_clear(&r->show);
    if (r->m.backend) model_close(&r->m);
    if (r->train.map) token_file_close(&r->train);
    if (r->val.map) token_file_close(&r->val);
    if (r->out_open) run_close(&r->out);
    if (r->log_open) run_log_close(&r->log);
    run_state_free(&r->state);
    report_free(&r->report);
    batch_free(&r->batch);
    tokenizer_close(r->tokenizer);
    checkpoint_extras_free(&r->extras);
    free(r->folder);
}
