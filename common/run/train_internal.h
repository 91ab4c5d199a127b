/* train_internal.h: a run of `train` or `eval` as the parts of train see it. */
#ifndef SNUG_TRAIN_INTERNAL_H
#define SNUG_TRAIN_INTERNAL_H

#include "base/progress.h"
#include "config/config.h"
#include "graph/fit.h"
#include "report/report.h"
#include "run/model.h"
#include "save/run_log.h"
#include "save/runs.h"
#include "text/data.h"
#include "text/tokenizer.h"

typedef struct {
    const config *c;
    char *folder; /* of the data */
    token_file train, val;
    data_order order;
    model m;
    fit_request request;
    fit_option chosen; /* how the effective batch is split, and what is computed again */
    batch batch;       /* [N,T] */
    run_folder out;
    run_log log;
    int64_t log_from; /* the step that the log is cut back to. That is done before the first line is written, so that a
                         run which fails at once loses nothing of the one before it */
    run_state state;
    report_data report;
    int64_t evaluated_at;     /* the step after which all losses were last evaluated and logged; -1: none */
    tokenizer *tokenizer;     /* what checkpoints carry, or NULL */
    checkpoint_extras extras; /* and beside it */
    double began, last_save;  /* by seconds_now() */
    progress show;
    double predicted;                  /* seconds a step, by constants that were measured; 0: none were */
    double step_seconds, eval_seconds; /* of all steps of this process, and of the last evaluation with its save */
    int64_t steps;
    bool out_open, logs, log_open;
} run;

/* Opens the data's tokenizer, or if there is none the one beside the weights, in `checkpoint` (may be NULL). */
status train_open_tokenizer(run *r, const char *checkpoint, error *e);
/* Opens all that a run needs: shape, data, device, plan and weights. checkpoint: the folder that these come from; NULL:
   initial weights. Whether it fails or not, train_close gives back what is open. */
status train_open(run *r, graph_purpose purpose, const char *checkpoint, error *e);
void train_close(run *r);
/* Of several processes (train_alike.c): has each the settings of the first, and does each see the files that it sees?
   BAD_INPUT: not so. The third says so where they compute on other devices or by other builds. Nothing for one. */
status train_same_settings(const config *c, error *e);
status train_same_files(const run *r, error *e);
void train_note_devices(const backend *b);
/* Evaluates on the training and the validation data, prints and logs. *val_loss is NAN if there is no val.bin; and if a
   signal came meanwhile, when nothing is printed or logged. */
status train_evaluate(run *r, int64_t iter, double *val_loss, error *e);

#endif
