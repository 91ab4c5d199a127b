/* tune.c: see tune.h. Makes the graph of a run, and leaves the rest to the backend. */
#include "commands/tune.h"
#include "run/device.h"
#include "run/open.h"
#include "run/shape.h"

/* Makes the graph whose products are tuned, and says which. Where nothing fits under the cap it is that of the smallest
   run, whose products differ from larger ones' in their numbers of rows only. */
static status make_graph(const config *c, FILE *f, gpt *m, error *e) {
    gpt_shape shape;
    fit_request r;
    fit_option o;
    char text[256];
    int length;
    const char *from;
    TRY(shape_of_settings(c, &shape, &length, &from, e));
    open_request(c, &shape, GRAPH_TRAIN, length, c->batch_size * c->gradient_accumulation_steps, &r);
    TRY(open_limits(c, &r, e));
    status s = fit_choose(&r, &o, e);
    if (s != OK && s != NO_MEMORY) return s;
    fprintf(f, "tune: the matrix products of %s, %.4g GFLOP a step; searching takes about %g minutes\n",
            fit_print(&r, &o, text, sizeof text), 1e-9 * o.flops, c->tune_minutes);
    gpt_run run = fit_run(&r, &o);
    return gpt_build(&shape, &run, r.type->scratch, r.limits.real_bytes, m, e);
}

status tune_run(const config *c, FILE *f, error *e) {
    gpt m;
    TRY(make_graph(c, f, &m, e));
    status s = backend_tune(c, m.graph, f, e);
    gpt_free(&m);
    return s;
}
