/* runs_list.h: the checkpoints in an out_dir, newest first; and the names of what is not a checkpoint yet, or no
   longer. For runs.c, run_folder.c and runs_load.c. */
#ifndef SNUG_RUNS_LIST_H
#define SNUG_RUNS_LIST_H

#include <stdint.h>

#define MAKING ".snug-new-"   /* a checkpoint or link being made */
#define ASIDE ".snug-aside-"  /* one that is being replaced by another of its name */
#define REMOVING ".snug-old-" /* one that is being removed */

typedef struct {
    char *name;           /* "ckpt-000250" */
    int64_t serial, iter; /* serial -1: its state.json can't be read */
    double val_loss;      /* NAN: none */
} run_entry;

typedef struct {
    run_entry *entries;
    int n;
} run_list;

/* Sorted by serial, and then by iter: what a later run has saved in an out_dir is newer, whatever the steps say. */
run_list run_list_make(const char *out);
void run_list_free(run_list *l);
/* The name that OUT/latest points to; NULL when there is no such link. The caller frees it. */
char *run_latest_name(const char *out);

#endif
