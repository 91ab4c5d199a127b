/* train.c: the loop over steps: draw, gradients, update, and now and then evaluate, log and save. */
#include "run/train.h"
#include "run/train_internal.h"
#include "base/processes.h"
#include "run/calibrate.h"
#include "run/gathered.h"
#include "run/nonfinite.h"
#include "base/terminal.h"
#include "base/progress.h"
#include "report/report.h"
#include "report/run_facts.h"
#include "run/sample.h"
#include "run/resume.h"
#include "base/stop.h"
#include "base/timer.h"
#include "base/version.h"
#include "base/waiting.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

double train_rate(const config *c, int64_t step) {
    if (!c->decay_lr) return c->learning_rate;
    if (step < c->warmup_iters) return c->learning_rate * (double)(step + 1) / (double)(c->warmup_iters + 1);
    if (step > c->lr_decay_iters) return c->min_lr;
    if (c->lr_decay_iters <= c->warmup_iters) return c->learning_rate;
    double part = (double)(step - c->warmup_iters) / (double)(c->lr_decay_iters - c->warmup_iters);
    return c->min_lr + 0.5 * (1 + cos(3.14159265358979323846 * part)) * (c->learning_rate - c->min_lr);
}

/* Has the first process been asked to stop? All processes ask at the same places, and so stop at the same one. */
static bool stopping(void) {
    bool wanted = stop_wanted();
    processes_share(&wanted, sizeof wanted);
    return wanted;
}

/* Ends the run before anything is updated or saved. what: the span that computed the bad numbers, on b. */
static status not_finite(run *r, span what, const batch *b, const step_settings *s, const char *numbers, error *e) {
    char first[256];
    TRY(nonfinite_find(&r->m, what, b, s, first, sizeof first, e));
    return fail(e, FAILED,
                "step %lld: %s; first in %s; stopped before anything was updated or saved: "
                "resume, or start again, with a lower learning_rate or a grad_clip",
                (long long)s->step, numbers, first);
}

/* ---- the log ---- */

static status log_begin(run *r, error *e) {
    if (r->log_open) return OK;
    if (r->c->overwrite && r->log_from < 0) TRY(run_remove_checkpoints(&r->out, e));
    TRY(run_log_cut(r->c->out_dir, r->log_from, r->state.evaluated, e));
    TRY(run_log_open(r->c->out_dir, &r->log, e));
    r->log_open = true;
    return run_facts_write(r->c->out_dir, r->c, r->m.backend->device, &r->request, &r->chosen, e);
}

static status log_line(run *r, const char *line, error *e) {
    TRY(log_begin(r, e));
    return run_log_line(&r->log, line, e);
}

/* ---- evaluation: on the same sequences every time, so that losses can be compared ---- */

static status evaluate(run *r, const token_file *f, batch_stream stream, int64_t iter, double *loss, error *e) {
    int64_t left = r->c->eval_iters * r->c->batch_size, targets = 0;
    int64_t batches = (left + r->batch.sequences - 1) / r->batch.sequences;
    double sum = 0, part;
    batch b = r->batch;
    for (int64_t k = 0; left > 0 && !stopping(); k++, left -= b.sequences) {
        if (b.sequences > left) b.sequences = left;
        progress_doing(&r->show, stream == STREAM_EVAL_VAL ? "val loss" : "train loss", k + 1, batches);
        TRY(batch_draw(&b, f, &r->order, stream, k, 0, e));
        TRY(model_loss(&r->m, &b, &part, e));
        if (!isfinite(part))
            return not_finite(
                r, r->m.gpt.graph->eval, &b, &(step_settings){.step = iter},
                stream == STREAM_EVAL_VAL ? "the validation loss is not finite" : "the training loss is not finite", e);
        sum += part;
        targets += batch_targets(&b);
    }
    *loss = targets ? sum / (double)targets : 0;
    return OK;
}

status train_evaluate(run *r, int64_t iter, double *val_loss, error *e) {
    double train;
    char line[256];
    *val_loss = NAN;
    TRY(evaluate(r, &r->train, STREAM_EVAL_TRAIN, iter, &train, e));
    if (r->val.map) TRY(evaluate(r, &r->val, STREAM_EVAL_VAL, iter, val_loss, e));
    if (stopping()) {
        *val_loss = NAN;
        return OK;
    }
    r->evaluated_at = iter;
    if (r->val.map)
        progress_print(&r->show, "step %lld: train loss %.4f, val loss %.4f\n", (long long)iter, train, *val_loss);
    else
        progress_print(&r->show, "step %lld: train loss %.4f (no val.bin)\n", (long long)iter, train);
    if (!r->logs) return OK;
    if (r->val.map)
        snprintf(line, sizeof line, "{\"iter\":%lld,\"train_loss\":%.17g,\"val_loss\":%.17g,\"run_s\":%.1f}",
                 (long long)iter, train, *val_loss, seconds_now() - r->began);
    else
        snprintf(line, sizeof line, "{\"iter\":%lld,\"train_loss\":%.17g}", (long long)iter, train);
    TRY(log_line(r, line, e));
    progress_doing(&r->show, "sampling", 0, 0);
    return sample_log(&r->log, r->c, &r->m, r->tokenizer, iter, e);
}

/* ---- saving ---- */

/* Writes report.html. That it cannot be written is no reason to end a training. */
static void write_report(run *r) {
    error e;
    if (report_update(r->c->out_dir, &r->report, &e) == OK) return;
    progress_clear(&r->show);
    text_print(stderr, "note: no report: %s\n", e.text);
}

/* Writes the checkpoint, or helps the first process to. */
static status write_checkpoint(run *r, error *e) {
    gathered g = gathered_new(&r->m.gpt, r->m.backend);
    run_company with = {r->tokenizer, &r->extras};
    status s;
    if (processes_rank())
        s = gathered_serve(&g, e);
    else {
        s = run_save(&r->out, &r->state, &r->m.shape, &g.all, &g.b, &with, (int)r->c->keep_checkpoints, e);
        if (s == OK) gathered_end();
    }
    gathered_free(&g);
    return s;
}

static status save(run *r, int64_t iter, double val_loss, error *e) {
    progress_doing(&r->show, "saving", 0, 0);
    if (r->logs) TRY(log_begin(r, e)); /* else the log would still have lines of the run before */
    r->state.iter = iter;
    r->state.evaluated = r->evaluated_at == iter;
    r->state.val_loss = val_loss;
    if (val_loss < r->state.best_val_loss) r->state.best_val_loss = val_loss;
    TRY(write_checkpoint(r, e));
    r->last_save = seconds_now();
    progress_print(&r->show, "saved %s/ckpt-%06lld\n", r->c->out_dir, (long long)iter);
    return OK;
}

static status start(run *r, const char *resumed, error *e) {
    const config *c = r->c;
    char value[VALUE_TEXT_MAX];
    if (resumed) {
        resume_notes(c, &r->state, r->m.backend, stderr);
        run_state_go_on(&r->state, r->m.backend->device, snug_build(), r->m.backend->gemm);
    } else
        r->state = run_state_new(r->m.backend->device, snug_build(), r->m.backend->gemm);
    for (int i = 0; i < OPTION_COUNT; i++)
        run_state_set(&r->state, option_table[i].name, config_value(c, (option_id)i, value));
    snprintf(value, sizeof value, "%lld", (long long)r->batch.length);
    run_state_set(&r->state, "block_size", value);
    snprintf(value, sizeof value, "%d", r->request.run.shards);
    run_state_set(&r->state, "gradient_shards", value);
    char *data = xfound(realpath(r->folder, NULL));
    run_state_set(&r->state, "data_folder", data ? data : r->folder); /* for eval, from wherever it is called */
    free(data);
    bool scratch = !resumed && !strcmp(c->init_from, "scratch");
    if (!scratch)
        TRY(checkpoint_extras_read(resumed ? resumed : c->init_from, &r->extras, e));
    else if (r->tokenizer)
        r->extras = checkpoint_extras_new(tokenizer_find(r->tokenizer, END_OF_TEXT));
    waiting wait;
    gathered g = gathered_new(&r->m.gpt, r->m.backend);
    waiting_begin(&wait, stdout, scratch ? "drawing the initial weights" : "reading the weights", WAITING_SECONDS);
    status s = resumed   ? run_load_tensors(resumed, &r->state, &r->m.shape, &g.all, &g.b, e)
               : scratch ? model_init(&r->m, (uint64_t)c->seed, e)
                         : run_load_weights(c->init_from, &r->m.shape, &r->m.gpt, r->m.backend, e);
    waiting_end(&wait);
    gathered_free(&g);
    TRY(s);
    r->log_from = resumed ? r->state.iter : -1;
    r->evaluated_at = resumed && r->state.evaluated ? r->state.iter : -1;
    r->logs = processes_rank() == 0;
    r->last_save = seconds_now();
    return OK;
}

/* ---- the loop ---- */

/* Predicts what is left of the run: the steps and evaluations to come, each by what it has taken so far. */
static double seconds_left(const run *r, int64_t iter) {
    const config *c = r->c;
    double evaluations = (double)(c->max_iters / c->eval_interval - iter / c->eval_interval);
    return (double)(c->max_iters - iter) * r->step_seconds / (double)r->steps + evaluations * r->eval_seconds;
}

static void show_step(run *r, int64_t iter, double loss, double seconds) {
    r->steps++;
    r->step_seconds += seconds;
    r->show.loss = loss;
    r->show.ms = 1e3 * seconds;
    r->show.tokens_per_s = (double)(r->batch.sequences * r->batch.length) / seconds;
    r->show.ends = seconds_now() + seconds_left(r, iter + 1);
}

static status log_step(run *r, int64_t iter, double loss, double norm, double lr, double seconds, error *e) {
    char line[640], policy[32];
    double tokens = r->show.tokens_per_s;
    progress_print(&r->show, "iter %lld: loss %.4f, norm %.4f, lr %.3e, %.1f ms, %.0f tokens/s\n", (long long)iter,
                   loss, norm, lr, 1e3 * seconds, tokens);
    snprintf(line, sizeof line,
             "{\"iter\":%lld,\"loss\":%.17g,\"lr\":%.17g,\"grad_norm\":%.17g,\"ms\":%.3f,\"tokens_per_s\":%.1f,"
             "\"run_s\":%.1f,\"offload\":\"%s\",\"host_bytes\":%llu,\"micro_batch\":%d,\"recompute\":\"%s\","
             "\"vram_cap_bytes\":%llu,\"vram_peak_bytes\":%llu}",
             (long long)iter, loss, lr, norm, 1e3 * seconds, tokens, seconds_now() - r->began,
             offload_table[r->chosen.offload].name, (unsigned long long)r->m.backend->host_allocated,
             r->chosen.micro_batch,
             recompute_print(r->chosen.policy, r->chosen.layers, r->m.shape.layers, policy, sizeof policy),
             (unsigned long long)r->m.backend->limits.cap, (unsigned long long)r->m.backend->allocated);
    return log_line(r, line, e);
}

/* One optimizer step. */
static status step(run *r, int64_t iter, error *e) {
    double began = seconds_now(), loss, norm = 0;
    char numbers[100];
    step_settings s = {.step = iter, .lr = train_rate(r->c, iter), .seed = (uint64_t)r->c->seed};
    progress_doing(&r->show, "iter", iter, r->c->max_iters);
    TRY(batch_draw(&r->batch, &r->train, &r->order, STREAM_TRAIN, iter, 0, e));
    TRY(model_gradients(&r->m, &r->batch, &s, &loss, e));
    if (isfinite(loss)) TRY(model_finish(&r->m, &s, &norm, e));
    if (!isfinite(loss) || !isfinite(norm)) {
        bool in_loss = !isfinite(loss);
        snprintf(numbers, sizeof numbers, "the %s is %s", in_loss ? "loss" : "gradient's norm",
                 isnan(in_loss ? loss : norm) ? "NaN" : "infinite");
        return not_finite(r, r->m.gpt.graph->micro, &r->batch, &s, numbers, e);
    }
    double seconds = seconds_now() - began;
    show_step(r, iter, loss, seconds);
    return iter % r->c->log_interval || !r->logs ? OK : log_step(r, iter, loss, norm, s.lr, seconds, e);
}

static void check_prediction(run *r) {
    enum { ENOUGH = 10 };
    if (r->steps < ENOUGH || processes_count() > 1) return; /* what processes wait for each other is not predicted */
    double took = r->step_seconds / (double)r->steps;
    if (!calibrate_doubt(r->c, r->m.backend, r->predicted, took)) return;
    progress_print(&r->show,
                   "steps took %.1f ms, predicted were %.1f: something else kept this device busy when its speed was "
                   "measured; the next run measures again\n",
                   1e3 * took, 1e3 * r->predicted);
}

/* What processes have sent each other: that and the network say how much more of them can bring. */
static void say_sent(run *r) {
    char all[32];
    if (!r->m.exchange || !r->steps) return;
    exchange_bytes sent = exchange_sent(r->m.exchange);
    progress_print(&r->show, "sent: %s a step (%llu bytes), of the gradients %.0f %% while earlier layers still ran\n",
                   bytes_print(sent.all / (uint64_t)r->steps, all, sizeof all),
                   (unsigned long long)(sent.all / (uint64_t)r->steps),
                   sent.gradients ? 100 * (double)sent.early / (double)sent.gradients : 0);
}

/* Does what is due after `iter` steps and before the next: evaluates, saves. *saved: the step of the newest
   checkpoint. */
static status between_steps(run *r, int64_t iter, bool first, int64_t *saved, error *e) {
    const config *c = r->c;
    bool done = iter >= c->max_iters, save_now = false, evaluated = false;
    double began = seconds_now(), val_loss = NAN;
    if ((iter % c->eval_interval == 0 || done) && r->evaluated_at != iter && !stopping()) {
        TRY(train_evaluate(r, iter, &val_loss, e));
        evaluated = r->evaluated_at == iter;
        save_now = iter > 0 && (c->always_save_checkpoint || !(val_loss >= r->state.best_val_loss));
    }
    bool late = c->save_minutes > 0 && seconds_now() - r->last_save > 60 * c->save_minutes;
    processes_share(&late, sizeof late);
    /* A run saves at its end as well. Before its first step there is nothing worth saving. */
    if (done || (!first && (stopping() || late))) save_now = true;
    if (save_now && *saved != iter) {
        TRY(save(r, iter, val_loss, e));
        *saved = iter;
    }
    if ((save_now || evaluated) && r->logs) write_report(r);
    if (evaluated) r->eval_seconds = seconds_now() - began;
    return OK;
}

static status loop(run *r, error *e) {
    const config *c = r->c;
    bool resumed = r->log_from >= 0;
    /* A checkpoint whose evaluation was broken off is saved again, with what it finds. */
    int64_t first = r->state.iter, iter = first, saved = r->evaluated_at == first ? first : -1;
    for (;; iter++) {
        TRY(between_steps(r, iter, iter == first, &saved, e));
        if (iter >= c->max_iters || stopping()) break;
        TRY(step(r, iter, e));
    }
    check_prediction(r);
    say_sent(r);
    if (iter < c->max_iters && iter == first && !resumed)
        progress_print(&r->show, "stopped before the first step: nothing was saved\n");
    else if (iter < c->max_iters)
        progress_print(&r->show, "stopped after %lld steps; go on with --init_from=resume\n", (long long)iter);
    return OK;
}

/* Opens and locks the out_dir, before the run reads anything in it that it goes on from. */
static status open_out(run *r, bool resume, error *e) {
    const config *c = r->c;
    struct stat there;
    if (resume && !(stat(c->out_dir, &there) == 0 && S_ISDIR(there.st_mode))) {
        char *none; /* nothing will be found, but the error says what is there instead */
        return run_find_latest(c->out_dir, &none, e);
    }
    TRY(run_open(c->out_dir, &r->out, e));
    r->out_open = true;
    r->out.bf16 = !strcmp(c->save_dtype, "bfloat16");
    r->out.progress = progress_part;
    r->out.context = &r->show;
    if (resume && c->overwrite) fprintf(stderr, "note: a run that is resumed is not overwritten\n");
    return resume || c->overwrite ? OK : run_check_empty(&r->out, e);
}

static status evaluate_once(run *r, const char *from, error *e) {
    double unused;
    TRY(from ? run_load_weights(from, &r->m.shape, &r->m.gpt, r->m.backend, e)
             : model_init(&r->m, (uint64_t)r->c->seed, e));
    return train_evaluate(r, 0, &unused, e);
}

static status train(run *r, error *e) {
    const config *c = r->c;
    bool resume = !strcmp(c->init_from, "resume"), scratch = !strcmp(c->init_from, "scratch");
    char *resumed = NULL;
    TRY(data_folder(c, &r->folder, e));
    if (!c->eval_only && processes_rank() == 0) TRY(open_out(r, resume, e));
    processes_wait(); /* the first has cleared away what killed runs left */
    if (resume) TRY(run_find_latest(c->out_dir, &resumed, e));
    const char *from = resume ? resumed : scratch ? NULL : c->init_from;
    status s = resume ? run_load_state(resumed, &r->state, e) : from ? run_check_model(from, e) : OK;
    if (s == OK) s = train_open_tokenizer(r, from, e);
    if (s == OK) s = train_open(r, GRAPH_TRAIN, from, e);
    if (s == OK && c->eval_only)
        s = evaluate_once(r, from, e);
    else if (s == OK) {
        s = start(r, resumed, e);
        bool over = r->state.iter > c->max_iters || (r->state.iter == c->max_iters && r->state.evaluated);
        if (s == OK && resume && over)
            printf("this run has done its %lld steps: nothing to do (raise --max_iters to go on)\n",
                   (long long)r->state.iter);
        else if (s == OK)
            s = loop(r, e);
    }
    free(resumed);
    return s;
}

status train_run(const config *c, error *e) {
    if (c->n_positional)
        return fail(e, BAD_INPUT, "train: '%.200s' is neither a --key=value nor a config file, whose name ends in .py",
                    c->positional[0]);
    run r = {.c = c, .show = progress_new(stdout), .began = seconds_now()};
    if (processes_count() == 1)
        stop_watch();
    else if (processes_rank() == 0)
        stop_watch_quietly(); /* the first process stops for all */
    else
        stop_ignore();
    config_print(c, stdout);
    status s = train_same_settings(c, e);
    if (s == OK) s = train(&r, e);
    train_close(&r);
    return s;
}
