/* runs.h: a run's out_dir: checkpoints that are there completely or not at all, `latest`, and which old ones stay. What
   stands in a checkpoint is checkpoint.h's and run_state.h's.

       OUT/ckpt-000250/   config.json model.safetensors optimizer.safetensors state.json
                          (tokenizer.json tokenizer_config.json)
       OUT/latest         symbolic link to the newest
       OUT/.snug-*        being made, or being removed; cleared away by run_open

   A checkpoint is written under a temporary name, every file and the folder fsynced, renamed, OUT fsynced, and only
   then `latest` switched. Whatever step fails or is interrupted, what was there before still loads (P6, P7). */
#ifndef SNUG_RUNS_H
#define SNUG_RUNS_H

#include "save/checkpoint.h"
#include "save/run_state.h"
#include "text/tokenizer.h"

typedef struct {
    char *path;
    int lock;
    bool made;                                    /* the folder, by run_open */
    void (*progress)(void *context, double part); /* of a save, to 1; NULL after run_open. The caller may set both */
    void *context;
} run_folder;

/* Makes OUT, locks it against a second run, and clears away what killed runs left. Comes before anything in it is read
   that a run goes on from. BAD_INPUT: another run is at work there; or where a run would write lies something that is
   no file, or no link. */
status run_open(const char *out, run_folder *r, error *e);
/* Unlocks, and removes OUT if run_open made it and nothing was written there. */
void run_close(run_folder *r);

/* BAD_INPUT when OUT holds a run's checkpoints; e says which, and how to keep or delete them. */
status run_check_empty(const run_folder *r, error *e);
/* Removes all of them, and `latest`. */
status run_remove_checkpoints(const run_folder *r, error *e);

/* Saves the state, m's weights and moments from b (a TRAIN graph's), and the tokenizer t (may be NULL) as
   OUT/ckpt-ITER; then removes old checkpoints but the newest `keep`, the one best by val_loss (of equal ones the
   newest), and the one that `latest` names. Sets s->serial and s->sha256. An existing checkpoint of the same iter is
   replaced. A weight or moment that is infinite or no number is refused. On failure, e says which file and why, and
   nothing has changed. */
status run_save(const run_folder *r, run_state *s, const gpt_shape *shape, const gpt *m, backend *b, const tokenizer *t,
                int keep, error *e);

/* path: an out_dir (then what `latest` names, or else its newest checkpoint), or a checkpoint itself, of a run or from
   elsewhere (a folder with a config.json). The caller frees *folder. BAD_INPUT: there is none; e says what to type. */
status run_find_latest(const char *path, char **folder, error *e);
/* Reads state.json and checks config.json and the tokenizer against their hashes; weights and moments are checked when
   they are loaded. BAD_INPUT, here and below: the damaged file, and what to type in order to go on from the newest good
   checkpoint beside it. */
status run_load_state(const char *folder, run_state *s, error *e);
/* The same for those who want the model alone; a folder without state.json, from elsewhere, passes. Says what lies
   there where it is no model in Hugging Face layout. */
status run_check_model(const char *folder, error *e);
/* Weights and moments of a checkpoint into b, by s, which run_load_state has read: the bytes that are loaded are the
   bytes that are hashed. */
status run_load_tensors(const char *folder, const run_state *s, const gpt_shape *shape, const gpt *m, backend *b,
                        error *e);
/* Weights alone, of a run's checkpoint or a folder from elsewhere. */
status run_load_weights(const char *folder, const gpt_shape *shape, const gpt *m, backend *b, error *e);

#endif
