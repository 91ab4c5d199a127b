/* runs.c: saves checkpoints. See runs.h. Opening the folder is in run_folder.c, loading in runs_load.c. */
#include "save/runs.h"
#include "base/files.h"
#include "save/runs_list.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- making a checkpoint under its temporary name ---- */

/* Notes the hashes of the files of the company that were written; the others are not there. */
static status note_company(char *const path[RUN_FILES], run_state *s, error *e) {
    for (int i = RUN_TOKENIZER; i < RUN_MASTER; i++) {
        s->sha256[i][0] = 0;
        if (file_exists(path[i])) TRY(hash_file(path[i], s->sha256[i], e));
    }
    return OK;
}

/* The weights as they are, from which a run goes on where model.safetensors is rounded. */
static status write_master(const char *path, run_state *s, const gpt *m, backend *b, error *e) {
    tensor_id *ids = xcalloc((size_t)m->n_params + 1, sizeof *ids);
    for (tensor_id p = 1; p <= m->n_params; p++) ids[p] = p;
    status r = checkpoint_save_tensors(path, m, &(checkpoint_set){"", ids, false}, 1, b, s->sha256[RUN_MASTER], e);
    free(ids);
    return r;
}

static void report(const run_folder *r, double part) {
    if (r->progress) r->progress(r->context, part);
}

static status write_files(const run_folder *run, const char *folder, run_state *s, const gpt_shape *shape, const gpt *m,
                          backend *b, const run_company *with, error *e) {
    char *path[RUN_FILES];
    for (int i = 0; i < RUN_FILES; i++) path[i] = xprintf("%s/%s", folder, run_file_names[i]);
    const checkpoint_set moments[] = {{"m.", m->m, false}, {"v.", m->v, true}};
    status r =
        checkpoint_save_weights(folder, shape, with ? with->extras : NULL, m, b, run->bf16, s->sha256[RUN_MODEL], e);
    s->sha256[RUN_MASTER][0] = 0;
    if (r == OK && run->bf16) r = write_master(path[RUN_MASTER], s, m, b, e);
    if (r == OK) r = hash_file(path[RUN_CONFIG], s->sha256[RUN_CONFIG], e);
    report(run, 0.25); /* a quarter of the bytes is weights, half moments, and the rest of the time goes to the disk */
    if (r == OK) r = checkpoint_save_tensors(path[RUN_OPTIMIZER], m, moments, 2, b, s->sha256[RUN_OPTIMIZER], e);
    report(run, 0.75);
    if (r == OK && with && with->tokenizer) r = tokenizer_save_folder(with->tokenizer, folder, e);
    if (r == OK) r = note_company(path, s, e);
    char *state = xprintf("%s/state.json", folder);
    if (r == OK) r = run_state_write(state, s, e);
    for (int i = 0; r == OK && i < RUN_FILES; i++)
        if (s->sha256[i][0]) r = file_sync(path[i], e);
    if (r == OK) r = file_sync(state, e);
    if (r == OK) r = file_sync(folder, e);
    for (int i = 0; i < RUN_FILES; i++) free(path[i]);
    free(state);
    return r;
}

/* ---- putting it in its place ---- */

static status cannot(const char *what, const char *path, error *e) {
    return fail(e, FAILED, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* Puts the new checkpoint to `home`, and what was there before, if anything, to `aside`. That is one step if the file
   system can exchange names. Else it takes two renames, and run_open repairs what a kill between them leaves. */
static status place(const char *made, const char *home, const char *aside, error *e) {
    if (!file_exists(home)) return rename(made, home) < 0 ? cannot("rename into place", home, e) : OK;
    folder_remove(aside, NULL);
    if (renameat2(AT_FDCWD, made, AT_FDCWD, home, RENAME_EXCHANGE) == 0) {
        if (rename(made, aside) == 0) return OK;
        renameat2(AT_FDCWD, made, AT_FDCWD, home, RENAME_EXCHANGE);
        return cannot("rename into place", home, e);
    }
    if (rename(home, aside) < 0) return cannot("set aside", home, e);
    if (rename(made, home) == 0) return OK;
    status s = cannot("rename into place", home, e);
    rename(aside, home);
    return s;
}

/* Undoes place: the folder at home is called `made` again, and what was put aside is back. */
static void unplace(const char *made, const char *home, const char *aside) {
    if (rename(home, made) == 0 && file_exists(aside)) rename(aside, home);
}

static status switch_latest(const char *out, const char *name, error *e) {
    char *link = xprintf("%s/latest", out), *made = xprintf("%s/" MAKING "latest", out);
    unlink(made);
    status s = OK;
    if (symlink(name, made) < 0 || rename(made, link) < 0) s = cannot("switch the link", link, e);
    if (s != OK) unlink(made);
    free(link);
    free(made);
    return s;
}

static status publish(const char *out, const char *name, const char *made, error *e) {
    char *home = xprintf("%s/%s", out, name), *aside = xprintf("%s/" ASIDE "%s", out, name);
    status s = place(made, home, aside, e);
    if (s == OK) {
        s = file_sync(out, e);
        if (s == OK) s = switch_latest(out, name, e);
        if (s != OK)
            unplace(made, home, aside);
        else {
            s = file_sync(out, e); /* if this fails everything is in place, but perhaps not on the disk yet */
            folder_remove(aside, NULL);
        }
    }
    free(home);
    free(aside);
    return s;
}

/* ---- which old ones stay ---- */

/* Removes old checkpoints. Failures are ignored: the new checkpoint is safe, and the next save tries again. */
static void prune(const char *out, int keep) {
    run_list l = run_list_make(out);
    char *latest = run_latest_name(out);
    const run_entry *best = NULL; /* the lowest val_loss, and of equal ones the newest: exactly one */
    for (int i = 0; i < l.n; i++)
        if (isfinite(l.entries[i].val_loss) && !(best && best->val_loss <= l.entries[i].val_loss)) best = &l.entries[i];
    for (int i = keep; i < l.n; i++) {
        const run_entry *x = &l.entries[i];
        if (x == best || (latest && !strcmp(latest, x->name))) continue;
        char *path = xprintf("%s/%s", out, x->name), *aside = xprintf("%s/" REMOVING "%s", out, x->name);
        if (rename(path, aside) == 0) folder_remove(aside, NULL); /* never a half-removed ckpt-... */
        free(path);
        free(aside);
    }
    free(latest);
    run_list_free(&l);
}

/* After an error it cleans up, and ignores what fails then: the first error is what matters. */
static status save_as(const run_folder *run, const char *name, run_state *s, const gpt_shape *shape, const gpt *m,
                      backend *b, const run_company *with, error *e) {
    char *made = xprintf("%s/" MAKING "%s", run->path, name);
    status r = folder_remove(made, e);
    if (r == OK) r = write_files(run, made, s, shape, m, b, with, e);
    if (r == OK) r = publish(run->path, name, made, e);
    if (r != OK) folder_remove(made, NULL);
    free(made);
    return r;
}

status run_save(const run_folder *r, run_state *s, const gpt_shape *shape, const gpt *m, backend *b,
                const run_company *with, int keep, error *e) {
    run_list l = run_list_make(r->path);
    s->serial = l.n && l.entries[0].serial >= 0 ? l.entries[0].serial + 1 : 1;
    run_list_free(&l);
    char *name = xprintf("ckpt-%06" PRId64, s->iter);
    status result = save_as(r, name, s, shape, m, b, with, e);
    free(name);
    if (result == OK) prune(r->path, keep < 1 ? 1 : keep);
    return result;
}
