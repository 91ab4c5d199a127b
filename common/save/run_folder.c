/* run_folder.c: opens a run's out_dir: locks it, refuses what may not lie there, clears away what killed runs left, and
   removes another run's checkpoints when asked. See runs.h. */
#include "base/files.h"
#include "save/runs.h"
#include "save/runs_list.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Beside checkpoints. */
static const char *const files[] = {".snug-lock", "log.jsonl", "run.json", "report.html", "equivalence.json"};

/* ---- what may not lie there ---- */

/* Writing to a pipe would wait for ever, and a folder in the place of a file would end the run after hours of work. So
   these names are looked at before anything is done. */
static status check_names(const char *out, error *e) {
    struct stat there;
    status s = OK;
    for (size_t i = 0; s == OK && i < sizeof files / sizeof *files; i++) {
        char *path = xprintf("%s/%s", out, files[i]);
        s = file_check_plain(path, e);
        free(path);
    }
    char *link = xprintf("%s/latest", out);
    if (s == OK && lstat(link, &there) == 0 && !S_ISLNK(there.st_mode))
        s = fail(e, BAD_INPUT, "%s: is %s, and should be a link to the newest checkpoint: move it away", link,
                 S_ISDIR(there.st_mode) ? "a folder" : "a file");
    free(link);
    return s;
}

/* ---- what killed runs left ---- */

/* Removes one leftover; but a checkpoint that was set aside goes back if the one to replace it was never put there. */
static void clear_entry(const char *out, const char *name) {
    char *path = xprintf("%s/%s", out, name);
    if (!strncmp(name, ASIDE, strlen(ASIDE))) {
        char *home = xprintf("%s/%s", out, name + strlen(ASIDE));
        if (file_exists(home) || rename(path, home) < 0) folder_remove(path, NULL);
        free(home);
    } else if (!strncmp(name, MAKING, strlen(MAKING)) || !strncmp(name, REMOVING, strlen(REMOVING)))
        folder_remove(path, NULL);
    free(path);
}

/* Collects the names before it removes anything, since a folder must not change while it is read. */
static void clear_leftovers(const char *out) {
    DIR *folder = xfound(opendir(out));
    if (!folder) return;
    char **names = NULL;
    int n = 0;
    const struct dirent *d;
    while ((d = readdir(folder))) {
        if (strncmp(d->d_name, ".snug-", 6)) continue;
        names = xrealloc(names, (unsigned long)(n + 1) * sizeof *names);
        names[n++] = xstrdup(d->d_name);
    }
    closedir(folder);
    for (int i = 0; i < n; i++) {
        clear_entry(out, names[i]);
        free(names[i]);
    }
    free(names);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = xprintf("%s/%s", out, files[i]);
        file_clear_temporaries(path);
        free(path);
    }
}

/* ---- the lock ---- */

static status lock(const char *out, const char *path, int *fd, error *e) {
    for (;;) {
        *fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
        if (*fd < 0) return fail(e, FAILED, "%s: cannot write there: %s", out, strerror(errno));
        /* On a file system without locks the run goes on: the lock is there for a user's slip. A kill releases it. */
        bool taken = flock(*fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
        if (!taken && file_is_at(*fd, path)) return OK; /* else the run before has removed it meanwhile */
        close(*fd);
        *fd = -1;
        if (taken)
            return fail(e, BAD_INPUT, "%s: another run is writing there; wait for it or give another --out_dir", out);
    }
}

status run_open(const char *out, run_folder *r, error *e) {
    *r = (run_folder){.lock = -1};
    bool made = !file_exists(out);
    TRY(folder_make(out, e));
    TRY(check_names(out, e));
    char *path = xprintf("%s/.snug-lock", out);
    status s = lock(out, path, &r->lock, e);
    free(path);
    if (s != OK) return s;
    r->path = xstrdup(out);
    r->made = made;
    clear_leftovers(out);
    return OK;
}

/* Removes the lock's file before it releases the lock, and the folder as well if nothing was written in it. */
void run_close(run_folder *r) {
    if (r->lock >= 0) {
        char *path = xprintf("%s/.snug-lock", r->path);
        unlink(path);
        free(path);
        if (r->made) rmdir(r->path);
        close(r->lock);
    }
    free(r->path);
    *r = (run_folder){.lock = -1};
}

/* ---- another run's checkpoints ---- */

status run_check_empty(const run_folder *r, error *e) {
    run_list l = run_list_make(r->path);
    char *latest = run_latest_name(r->path), found[80] = "";
    if (l.n)
        snprintf(found, sizeof found, "%d checkpoint%s, the newest after step %" PRId64, l.n, l.n == 1 ? "" : "s",
                 l.entries[0].iter);
    else if (latest)
        snprintf(found, sizeof found, "its `latest` names %.40s", latest);
    free(latest);
    run_list_free(&l);
    if (!found[0]) return OK;
    return fail(
        e, BAD_INPUT,
        "%s: holds a run (%s): go on with it by --init_from=resume, train elsewhere by --out_dir=DIR, or delete "
        "it by --overwrite=True",
        r->path, found);
}

/* Each checkpoint disappears in one step, a rename, and the one that `latest` names comes last. So a kill in between
   leaves a run that loads. */
status run_remove_checkpoints(const run_folder *r, error *e) {
    run_list l = run_list_make(r->path);
    char *latest = run_latest_name(r->path), *link = xprintf("%s/latest", r->path);
    status s = OK;
    for (int pass = 0; pass < 2; pass++)
        for (int i = l.n - 1; s == OK && i >= 0; i--) {
            if ((latest && !strcmp(latest, l.entries[i].name)) != (pass == 1)) continue;
            char *path = xprintf("%s/%s", r->path, l.entries[i].name);
            char *aside = xprintf("%s/" REMOVING "%s", r->path, l.entries[i].name);
            s = folder_remove(aside, e);
            if (s == OK && rename(path, aside) < 0) s = fail(e, FAILED, "%s: cannot remove: %s", path, strerror(errno));
            if (s == OK) s = folder_remove(aside, e);
            free(path);
            free(aside);
        }
    if (s == OK) s = folder_remove(link, e);
    if (s == OK) s = file_sync(r->path, e);
    free(link);
    free(latest);
    run_list_free(&l);
    return s;
}
