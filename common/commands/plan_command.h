/* plan_command.h: `snug plan`: says what a run needs and which settings fit before anything is allocated. Opens no
   device. One report is gathered, and printed as text, as JSON, or as a picture. */
#ifndef SNUG_PLAN_COMMAND_H
#define SNUG_PLAN_COMMAND_H

#include "commands/plan_nanogpt.h"
#include "config/config.h"
#include "graph/fit.h"

/* The command. NO_MEMORY: nothing that keeps the effective batch fits, or not the micro-batch that was asked for; the
   report is printed even then. */
status plan_run(const config *c, error *e);

enum { PLAN_ROWS_MAX = 16 };

/* One line of the table of options. */
typedef struct {
    fit_request request; /* shape, effective batch and batch_invariant may differ from what was asked for */
    fit_option option;
    bool known;        /* false: a tensor is larger than the device's largest allocation */
    bool fits;         /* always true without a cap */
    bool chosen, base; /* base: what the others are compared with, the asked micro-batch with nothing recomputed (or
                          with the policy that was asked for) */
    char training[96]; /* "the same", or "OTHER ..." and how */
} plan_row;

typedef struct {
    const config *config;
    fit_request request; /* the settings asked for, with the cap */
    const char *vocabulary_from;
    bool fits;             /* something fits that keeps the effective batch, and with batch_invariant the bits */
    fit_option chosen;     /* of those that fit; where none does, the smallest */
    int asked_micro_batch; /* micro_batch_size, else batch_size */
    fit_option asked;      /* that micro-batch under the best policy that fits, else the smallest */
    bool asked_known, asked_fits;
    uint64_t alive[KIND_COUNT], gaps; /* bytes at the peak of `asked` by kind; between tensors; together asked.peak */
    char peak_op[32];
    plan_row rows[PLAN_ROWS_MAX]; /* the chosen one first */
    int n_rows;
    nanogpt_report nanogpt;
    const plan_row *rounding; /* the row that fits once batch_invariant is given up; NULL where it isn't needed */
} plan_report;

/* "snug train ..." with the command line's own settings. The caller frees it. */
char *plan_command_line(const plan_report *p);

void plan_text(const plan_report *p, FILE *f);
void plan_json(const plan_report *p, FILE *f);
/* The memory map: time across, address upwards, a rectangle a tensor. */
status plan_svg(const plan_report *p, const char *path, error *e);

#endif
