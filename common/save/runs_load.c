/* runs_load.c: finds a run's checkpoint, and uses it only if its hashes are right. See runs.h. */
#include "base/files.h"
#include "save/foreign.h"
#include "save/runs.h"
#include "save/runs_list.h"
#include "base/shell_word.h"
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has(const char *folder, const char *name) {
    char *path = xprintf("%s/%s", folder, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Reads state.json and compares the files beside it with its hashes; large: weights and moments as well. */
static status verify(const char *folder, bool large, run_state *s, error *e) {
    char *path = xprintf("%s/state.json", folder);
    status r = run_state_read(path, s, e);
    free(path);
    if (r != OK) return r;
    for (int i = 0; r == OK && i < RUN_FILES; i++) {
        if (!s->sha256[i][0] || (!large && (i == RUN_MODEL || i == RUN_OPTIMIZER || i == RUN_MASTER))) continue;
        char hex[HASH_HEX];
        path = xprintf("%s/%s", folder, run_file_names[i]);
        r = hash_file(path, hex, e);
        if (r == OK && strcmp(hex, s->sha256[i]))
            r = fail(e, BAD_INPUT, "%s: is damaged: its SHA-256 is not the one in state.json", path);
        free(path);
    }
    if (r != OK) run_state_free(s);
    return r;
}

/* Adds to e what to do: the newest checkpoint of `out` but `damaged` whose hashes are right. */
static void offer(const char *out, const char *damaged, error *e) {
    run_list l = run_list_make(out);
    size_t at = e ? strlen(e->text) : 0;
    int found = -1;
    for (int i = 0; e && found < 0 && i < l.n; i++) {
        char *folder = xprintf("%s/%s", out, l.entries[i].name);
        run_state s;
        if (strcmp(l.entries[i].name, damaged) && verify(folder, true, &s, NULL) == OK) {
            run_state_free(&s);
            found = i;
        }
        free(folder);
    }
    if (found >= 0) {
        char *link = xprintf("%s/latest", out), *word = shell_word(link);
        snprintf(e->text + at, sizeof e->text - at, "; %s/%s is good: type  ln -sfn %s %s  and resume", out,
                 l.entries[found].name, l.entries[found].name, word);
        free(word);
        free(link);
    } else if (e)
        snprintf(e->text + at, sizeof e->text - at, "; no other checkpoint here is good");
    run_list_free(&l);
}

/* Does the folder's name say that a run made it? Only then others of that run can lie beside it. */
static bool is_run_checkpoint(const char *folder) {
    const char *slash = strrchr(folder, '/');
    return !strncmp(slash ? slash + 1 : folder, "ckpt-", 5);
}

/* Adds to a failure over a run's checkpoint what to do; returns r. */
static status or_offer(status r, const char *folder, error *e) {
    if (r == OK || r == NO_MEMORY || !is_run_checkpoint(folder)) return r;
    char *copy = xstrdup(folder), *again = xstrdup(folder);
    offer(dirname(again), basename(copy), e);
    free(again);
    free(copy);
    return r;
}

status run_load_state(const char *folder, run_state *s, error *e) {
    if (!has(folder, "state.json") && has(folder, "config.json") && !is_run_checkpoint(folder))
        return fail(e, BAD_INPUT,
                    "%s: is a model, but not a run's checkpoint: it has no state.json; use --init_from=%s", folder,
                    folder);
    return or_offer(verify(folder, false, s, e), folder, e);
}

status run_check_model(const char *folder, error *e) {
    run_state s;
    bool has_weights = has(folder, "model.safetensors") || has(folder, "model.safetensors.index.json");
    if (!has(folder, "config.json") || !has_weights) TRY(foreign_explain(folder, e));
    if (!has(folder, "state.json")) return OK;
    TRY(or_offer(verify(folder, false, &s, e), folder, e));
    run_state_free(&s);
    return OK;
}

status run_find_latest(const char *path, char **folder, error *e) {
    *folder = NULL;
    if (has(path, "state.json") || has(path, "config.json")) {
        *folder = xstrdup(path);
        return OK;
    }
    char *name = run_latest_name(path);
    status s = OK;
    if (name && has(path, "latest")) {
        *folder = name[0] == '/' ? xstrdup(name) : xprintf("%s/%s", path, name);
    } else if (name) {
        s = fail(e, BAD_INPUT, "%s/latest names %s, which is not there", path, name);
        offer(path, name, e);
    } else {
        /* The run may have been killed before it made `latest`; but what has a checkpoint's name is complete. */
        run_list l = run_list_make(path);
        if (l.n)
            *folder = xprintf("%s/%s", path, l.entries[0].name);
        else if ((s = foreign_explain(path, e)) == OK)
            s = fail(e, BAD_INPUT, "%s: has no checkpoint to go on from; start one with --init_from=scratch", path);
        run_list_free(&l);
    }
    free(name);
    return s;
}

/* The weights from which a run goes on: model.safetensors, unless that is rounded and master.safetensors has them. */
static status load_master(const char *folder, const run_state *s, const gpt_shape *shape, const gpt *m, backend *b,
                          error *e) {
    const char *name = run_file_names[RUN_MASTER];
    if (!s->sha256[RUN_MASTER][0]) return checkpoint_load_weights(folder, s->sha256[RUN_MODEL], shape, m, b, e);
    if (!has(folder, name))
        return fail(e, BAD_INPUT,
                    "%s: %s, the weights in full precision, is not there, and a run can't go on from "
                    "model.safetensors, which save_dtype=bfloat16 has rounded; a new one can, by --init_from=%s",
                    folder, name, folder);
    tensor_id *ids = xcalloc((size_t)m->n_params + 1, sizeof *ids);
    char *path = xprintf("%s/%s", folder, name);
    for (tensor_id p = 1; p <= m->n_params; p++) ids[p] = p;
    status r = checkpoint_load_tensors(path, s->sha256[RUN_MASTER], m, &(checkpoint_set){"", ids, false}, 1, b, e);
    free(path);
    free(ids);
    return r;
}

status run_load_tensors(const char *folder, const run_state *s, const gpt_shape *shape, const gpt *m, backend *b,
                        error *e) {
    const checkpoint_set moments[] = {{"m.", m->m, false}, {"v.", m->v, true}};
    char *path = xprintf("%s/%s", folder, run_file_names[RUN_OPTIMIZER]);
    status r = load_master(folder, s, shape, m, b, e);
    if (r == OK) r = checkpoint_load_tensors(path, s->sha256[RUN_OPTIMIZER], m, moments, 2, b, e);
    free(path);
    return or_offer(r, folder, e);
}

status run_load_weights(const char *folder, const gpt_shape *shape, const gpt *m, backend *b, error *e) {
    run_state s = {0};
    char *path = xprintf("%s/state.json", folder);
    status r = has(folder, "state.json") ? run_state_read(path, &s, e) : OK;
    free(path);
    if (r == OK) r = checkpoint_load_weights(folder, s.sha256[RUN_MODEL], shape, m, b, e);
    run_state_free(&s);
    return or_offer(r, folder, e);
}
