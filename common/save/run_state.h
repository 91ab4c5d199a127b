/* run_state.h: state.json of a run's checkpoint: where the run stands, what it was started with, on what it ran (P4),
   and the hashes of the files beside it. Reads and writes the text; knows nothing of folders. */
#ifndef SNUG_RUN_STATE_H
#define SNUG_RUN_STATE_H

#include "base/hash.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    RUN_CONFIG,
    RUN_MODEL,
    RUN_OPTIMIZER,
    RUN_TOKENIZER,
    RUN_TOKENIZER_CONFIG,
    RUN_SPECIAL_TOKENS,
    RUN_ADDED_TOKENS,
    RUN_GENERATION,
    RUN_MASTER,
    RUN_FILES
};
extern const char *const run_file_names[RUN_FILES]; /* "config.json" ... */

typedef struct {
    char *key, *value;
} run_setting;

/* Steps of a run, one after another, that were done on the same device, by the same build and with the same matrix
   products, which is what bits depend on (P4). */
typedef struct {
    int64_t from; /* the first of them; the last is the one before the next part's, or before the state's iter */
    char *device, *build, *gemm;
} run_part;

typedef struct {
    int64_t iter;         /* optimizer steps done: the next one is step `iter` */
    double val_loss;      /* at this iter; NAN: not evaluated here */
    double best_val_loss; /* of the run so far; INFINITY: none yet */
    bool evaluated;       /* false: an evaluation that was due at this iter was broken off by a signal */
    int64_t serial;       /* counts the checkpoints of an out_dir; run_save sets it */
    run_part *parts;      /* [n_parts], at least one; the last is the one under way */
    int n_parts;
    run_setting *settings; /* the options of the run, as text */
    int n_settings;
    char sha256[RUN_FILES][HASH_HEX]; /* "": there is no such file; run_save sets them */
} run_state;

/* The state of a run that has not begun. Copies the three texts. */
run_state run_state_new(const char *device, const char *build, const char *gemm);
void run_state_free(run_state *s);
/* Begins a new part at step s->iter, on this device, build and products, unless the last part is on the same. Copies
   the three texts. */
void run_state_go_on(run_state *s, const char *device, const char *build, const char *gemm);
/* Sets a setting, or replaces it; copies both texts. */
void run_state_set(run_state *s, const char *key, const char *value);
/* The value of a setting; NULL if there is none. */
const char *run_state_get(const run_state *s, const char *key);

/* Does not fsync. */
status run_state_write(const char *path, const run_state *s, error *e);
/* BAD_INPUT when the text is not exactly what was written, to the byte. */
status run_state_read(const char *path, run_state *s, error *e);

#endif
