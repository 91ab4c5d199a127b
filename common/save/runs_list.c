/* runs_list.c: see runs_list.h. */
#include "save/runs_list.h"
#include "save/run_state.h"
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int newest_first(const void *a, const void *b) {
    const run_entry *x = a, *y = b;
    if (x->serial != y->serial) return x->serial < y->serial ? 1 : -1;
    return (x->iter < y->iter) - (x->iter > y->iter);
}

static run_entry entry_read(const char *out, const char *name, int64_t iter) {
    run_entry entry = {.name = xstrdup(name), .serial = -1, .iter = iter, .val_loss = NAN};
    char *path = xprintf("%s/%s/state.json", out, name);
    run_state s;
    if (run_state_read(path, &s, NULL) == OK) {
        entry.serial = s.serial;
        entry.val_loss = s.val_loss;
        run_state_free(&s);
    }
    free(path);
    return entry;
}

run_list run_list_make(const char *out) {
    run_list l = {0};
    DIR *folder = xfound(opendir(out));
    if (!folder) return l;
    const struct dirent *d;
    while ((d = readdir(folder))) {
        int end = 0;
        int64_t iter;
        if (sscanf(d->d_name, "ckpt-%18" SCNd64 "%n", &iter, &end) != 1 || d->d_name[end] || d->d_name[5] == '-')
            continue;
        l.entries = xrealloc(l.entries, (unsigned long)(l.n + 1) * sizeof *l.entries);
        l.entries[l.n++] = entry_read(out, d->d_name, iter);
    }
    closedir(folder);
    if (l.n) qsort(l.entries, (size_t)l.n, sizeof *l.entries, newest_first);
    return l;
}

void run_list_free(run_list *l) {
    for (int i = 0; i < l->n; i++) free(l->entries[i].name);
    free(l->entries);
    *l = (run_list){0};
}

char *run_latest_name(const char *out) {
    char *path = xprintf("%s/latest", out), name[4096];
    ssize_t n = readlink(path, name, sizeof name - 1);
    free(path);
    if (n <= 0) return NULL;
    name[n] = 0;
    return xstrdup(name);
}
