/* runs.h: a run's out_dir: checkpoints, which are there completely or not at all; `latest`; and which old ones stay.
   What is in a checkpoint is checkpoint.h's and run_state.h's business.

       OUT/ckpt-000250/   config.json model.safetensors optimizer.safetensors state.json
                          (tokenizer.json tokenizer_config.json special_tokens_map.json added_tokens.json
                          generation_config.json) (master.safetensors)
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
    bool made; /* run_open has made the folder */
    bool bf16; /* save model.safetensors in bfloat16, and the weights as they are in master.safetensors */
    void (*progress)(void *context, double part); /* called with the part of a save that is done, 0 to 1; or NULL */
    void *context;
} run_folder;

/* Makes OUT, locks it against a second run, and clears away what killed runs left. Has to be called before anything in
   it is read that a run goes on from. BAD_INPUT: another run is at work there; or a name that a run writes is taken by
   something that is not a file, or not a link. */
status run_open(const char *out, run_folder *r, error *e);
/* Unlocks, and removes OUT if run_open made it and nothing was written there. */
void run_close(run_folder *r);

/* BAD_INPUT when OUT holds a run's checkpoints; e says which, and how to keep or delete them. */
status run_check_empty(const run_folder *r, error *e);
/* Removes all checkpoints, and `latest`. */
status run_remove_checkpoints(const run_folder *r, error *e);

/* What a checkpoint carries beside the run's own numbers; either may be NULL. */
typedef struct {
    const tokenizer *tokenizer;
    const checkpoint_extras *extras;
} run_company;

/* Saves the state, m's weights and moments from b (a TRAIN graph's), and what goes with them (may be NULL) as
   OUT/ckpt-ITER; then removes old checkpoints but the newest `keep`, the one best by val_loss (of equal ones the
   newest), and the one that `latest` names. Sets s->serial and s->sha256. An existing checkpoint of the same iter is
   replaced. A weight or moment that is infinite or NaN is refused. On failure, e says which file and why, and nothing
   has changed. */
status run_save(const run_folder *r, run_state *s, const gpt_shape *shape, const gpt *m, backend *b,
                const run_company *with, int keep, error *e);

/* Finds the checkpoint that path means: a checkpoint itself, of a run or from elsewhere (a folder with a config.json);
   or an out_dir, of which it is the one that `latest` names, or else the newest. The caller frees *folder. BAD_INPUT:
   there is none; e says what to type. */
status run_find_latest(const char *path, char **folder, error *e);
/* Reads state.json and checks config.json and the tokenizer against their hashes; weights and moments are checked when
   they are loaded. BAD_INPUT, here and below: the damaged file, and what to type in order to go on from the newest good
   checkpoint beside it. */
status run_load_state(const char *folder, run_state *s, error *e);
/* The same for those who want only the model: a folder from elsewhere, without state.json, passes. BAD_INPUT, too: it
   is not a model in Hugging Face's layout; e says what it is. */
status run_check_model(const char *folder, error *e);
/* Loads a checkpoint's weights and moments into b. s, which run_load_state has read, has their hashes; the bytes that
   are hashed are those that are loaded. */
status run_load_tensors(const char *folder, const run_state *s, const gpt_shape *shape, const gpt *m, backend *b,
                        error *e);
/* Loads only the weights, of a run's checkpoint or of a folder from elsewhere. */
status run_load_weights(const char *folder, const gpt_shape *shape, const gpt *m, backend *b, error *e);

#endif
