/* bench.h: `snug bench`: where the time of a step goes, op by op, and how far that is from the fastest matrix product
   of the same machine, measured in the same run. Measured once, printed as text or as JSON. */
#ifndef SNUG_BENCH_H
#define SNUG_BENCH_H

#include "config/config.h"
#include "graph/fit.h"
#include "run/model.h"

/* The command: the settings are train's; neither data nor weights are needed. */
status bench_run(const config *c, error *e);

/* All ops of one code, in a step of the whole effective batch. */
typedef struct {
    int64_t runs;
    double seconds, flops, bytes; /* flops and bytes from the graph: what the op must compute and move at least */
} bench_row;

typedef struct {
    model m;
    fit_request request;
    fit_option option;
    batch batch;            /* the sequences that are timed: a whole step's, or the first of them where that is long */
    int64_t limit_shape[3]; /* m, n, k of the product that is the limit */
    double limit;           /* its operations a second */
    int steps;              /* timed steps */
    double seconds;         /* of a step of the whole effective batch: the median */
    double products;        /* the share of such a step's time that its matrix products take when run alone; 0 where the
                               backend can't tell */
    uint64_t launches;      /* of a step: backend.launches */
    bench_row rows[OP_COUNT];
    bench_row transfers; /* of tensors at home in the host's memory */
    bench_row total;     /* the sums of the rows' runs, flops and bytes; but its seconds are those of a whole step with
                        every op timed, of which the time between the ops is in no row */
} bench;

void bench_text(const bench *b, FILE *f);
void bench_json(const bench *b, FILE *f);

#endif
