/* plan_command.h: `snug plan`: what a run needs and which settings fit, said before anything is allocated. Opens no
   device. One report, gathered once, is printed as text, as JSON, or as a picture. */
#ifndef SNUG_PLAN_COMMAND_H
#define SNUG_PLAN_COMMAND_H

#include "config/config.h"
#include "graph/fit.h"

/* The command. NO_MEMORY: nothing that keeps the effective batch fits, or the micro-batch that was asked for does not;
   everything has been printed all the same. */
status plan_run(const config *c, error *e);

enum { PLAN_ROWS_MAX = 12 };

/* One line of the table of options. */
typedef struct {
    fit_request request; /* shape, effective batch and batch_invariant may differ from what was asked for */
    fit_option option;
    bool known;         /* false: a tensor is larger than the device's largest allocation */
    bool fits;          /* always true without a cap */
    bool chosen, asked; /* asked: as the settings have it, keeping everything */
    char training[96];  /* "the same", or "OTHER ..." and how */
} plan_row;

typedef struct {
    const config *config;
    fit_request request; /* the settings asked for, with the cap */
    const char *vocabulary_from;
    bool fits;             /* something that keeps the effective batch, and bits if they were asked to be kept */
    fit_option chosen;     /* or, where nothing fits, the smallest */
    int asked_micro_batch; /* micro_batch_size, else batch_size */
    fit_option asked;      /* that micro-batch under the best policy that fits, else the smallest */
    bool asked_known, asked_fits;
    uint64_t alive[KIND_COUNT], gaps; /* bytes at the peak of `asked` by kind; between tensors; together asked.peak */
    char peak_op[32];
    plan_row rows[PLAN_ROWS_MAX]; /* the chosen one first */
    int n_rows;
    int nanogpt_batch_size;   /* the largest divisor of the effective batch, up to what was asked for, that fits here
                                 without recomputing, since nanoGPT doesn't; 1 when none does */
    const plan_row *rounding; /* the row that fits once batch_invariant is given up; NULL where it isn't needed */
} plan_report;

/* "snug train ..." with the command line's own settings. The caller frees it. */
char *plan_command_line(const plan_report *p);

void plan_text(const plan_report *p, FILE *f);
void plan_json(const plan_report *p, FILE *f);
/* The memory map: time across, address upwards, a rectangle a tensor. */
status plan_svg(const plan_report *p, const char *path, error *e);

#endif
