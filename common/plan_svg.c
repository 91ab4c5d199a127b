/* plan_svg.c: the memory map of `snug plan --svg=F`: the chosen plan as a picture, time across and address upwards,
   one rectangle a tensor. Draws what the plan says and computes nothing of its own. */
#include "files.h"
#include "plan_command.h"
#include "terminal.h"
#include <stdlib.h>
#include <string.h>

enum { LEFT = 70, TOP = 64, WIDTH = 1090, HEIGHT = 480, PAGE_WIDTH = 1180, PAGE_HEIGHT = 700 };

typedef struct {
    FILE *f;
    const graph *g;
    const plan *p;
    const plan_report *report;
    double *x;         /* [n_ops + 1]: where each op begins; ops of eval and sample have no width */
    uint64_t *base;    /* [n_blocks]: blocks stand on top of each other */
    uint64_t full;     /* bytes of the picture's height */
    size_t kinds_seen; /* bits 1 << kind */
} map;

/* ---- from ops and bytes to the page ---- */

/* The forward and backward pass share the width; zeroing and the update, many small ops, are squeezed to its ends. */
static void lay_out_time(map *m) {
    const graph *g = m->g;
    double at = LEFT;
    for (int i = 0; i <= g->n_ops; i++) {
        m->x[i] = at;
        if (i >= g->begin.first && i < g->begin.end) at += 0.03 * WIDTH / (g->begin.end - g->begin.first);
        if (i >= g->micro.first && i < g->micro.end) at += 0.90 * WIDTH / (g->micro.end - g->micro.first);
        if (i >= g->finish.first && i < g->finish.end) at += 0.07 * WIDTH / (g->finish.end - g->finish.first);
    }
}

static void lay_out_addresses(map *m) {
    uint64_t at = 0, cap = m->report->request.limits.cap, total = m->p->total;
    for (int b = 0; b < m->p->n_blocks; b++) {
        m->base[b] = at;
        at += m->p->block_bytes[b];
    }
    m->full = total + total / 12;
    if (cap > total && cap < total + total) m->full = cap + cap / 24; /* a cap far above would flatten the picture */
}

static double y_of(const map *m, uint64_t bytes) { return TOP + HEIGHT - (double)bytes / (double)m->full * HEIGHT; }

/* ---- the parts of the picture ---- */

/* One hue a group: blue what stays, green what the forward pass keeps, red to yellow what passes. The same order as
   KINDS. */
static const char *const LIGHT[KIND_COUNT] = {"#1f4e9c", "#4a86d8", "#9dbfee", "#5b6b85", "#0f6b4f",
                                              "#7cc9a2", "#2e9e6b", "#57b98a", "#a3d9bd", "#1b8a8f",
                                              "#63bfc3", "#c23b22", "#e8912d", "#8d6bb8", "#d8b11e"};
static const char *const DARK[KIND_COUNT] = {"#5b8fe0", "#3a67ad", "#274675", "#8b9bb5", "#3fc796",
                                             "#2a6b4e", "#37a877", "#2c8560", "#1f5943", "#37b3b8",
                                             "#21777b", "#e8644c", "#d9862a", "#a98ad0", "#c7a427"};

static void draw_style(const map *m) {
    fputs("<style>\n"
          "svg{background:#fff;color:#1a1a1a;font:13px system-ui,sans-serif}\n"
          "text{fill:currentColor}.small{font-size:11px}.title{font-size:17px;font-weight:600}\n"
          ".t{stroke:#fff;stroke-width:.25}.t:hover,.u:hover{stroke:#000;stroke-width:1.5}.u{shape-rendering:"
          "crispEdges}\n"
          ".axis{stroke:currentColor;fill:none}.grid{stroke:currentColor;opacity:.12}\n"
          ".cap{stroke:#d0021b;stroke-width:2}.peak{stroke:currentColor;stroke-width:1.5;stroke-dasharray:5 4}\n"
          ".captext{fill:#b00217;font-weight:600}\n",
          m->f);
    for (int k = 0; k < KIND_COUNT; k++) fprintf(m->f, ".k%d{fill:%s}\n", k, LIGHT[k]);
    fputs("@media(prefers-color-scheme:dark){\n"
          "svg{background:#14161a;color:#e6e6e6}.t{stroke:#14161a}.t:hover,.u:hover{stroke:#fff}\n"
          ".cap{stroke:#ff5c6c}.captext{fill:#ff7b88}\n",
          m->f);
    for (int k = 0; k < KIND_COUNT; k++) fprintf(m->f, ".k%d{fill:%s}\n", k, DARK[k]);
    fputs("}\n</style>\n", m->f);
}

static void draw_title(const map *m) {
    char text[256];
    const plan_report *r = m->report;
    fprintf(m->f,
            "<text class=\"title\" x=\"%d\" y=\"26\">Memory of one step: %.0fM parameters, %lld sequences</text>\n",
            LEFT, (double)gpt_parameters(&r->request.shape) / 1e6, (long long)r->request.run.sequences);
    fprintf(m->f, "<text x=\"%d\" y=\"46\">%s. Point at a rectangle for its name, shape and bytes.</text>\n", LEFT,
            fit_print(&r->request, &r->chosen, text, sizeof text));
}

static void draw_tensor(map *m, tensor_id id) {
    const tensor *t = &m->g->tensors[id];
    const slot *s = &m->p->slots[id];
    if (s->first_op < 0) return;
    double x0 = m->x[s->first_op], x1 = m->x[s->last_op + 1];
    if (x1 <= x0) return; /* lives in eval or sample only, where it shares the arena */
    uint64_t from = m->base[s->block] + s->offset;
    double top = y_of(m, from + s->bytes);
    const char *edge = y_of(m, from) - top > 3 ? "t" : "u"; /* an edge would drown what is thinner */
    char name[64];
    m->kinds_seen |= (size_t)1 << t->kind;
    fprintf(m->f, "<rect class=\"%s k%d\" x=\"%.2f\" y=\"%.3f\" width=\"%.2f\" height=\"%.3f\"><title>%s: %s, [", edge,
            (int)t->kind, x0, top, x1 - x0, y_of(m, from) - top, tensor_print(t, name, sizeof name),
            kind_names[t->kind]);
    for (int d = 0; d < t->rank; d++) fprintf(m->f, "%s%lld", d ? "," : "", (long long)t->dim[d]);
    fprintf(m->f, "], %llu bytes at %llu%s", (unsigned long long)s->bytes, (unsigned long long)from,
            t->of && t->role == ROLE_ACT ? ", computed again" : "");
    if (!tensor_is_persistent(t)) fprintf(m->f, ", ops %d to %d", s->first_op, s->last_op);
    fputs("</title></rect>\n", m->f);
}

static void draw_address_axis(const map *m) {
    double step = 0.125;
    while (gib(m->full) / step > 9) step *= 2;
    bool small = gib(m->full) < 0.5; /* then in MiB */
    double unit = small ? (double)(1 << 20) : (double)(1 << 30);
    if (small)
        for (step = 0.0625; (double)m->full / unit / step > 9;) step *= 2;
    for (double at = 0; at * unit <= (double)m->full; at += step) {
        double y = y_of(m, (uint64_t)(at * unit));
        fprintf(m->f, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, LEFT + WIDTH, y, y);
        fprintf(m->f, "<text class=\"small\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">%g</text>\n", LEFT - 6, y + 4, at);
    }
    fprintf(
        m->f,
        "<text class=\"small\" transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">address, %s</text>\n",
        TOP + HEIGHT / 2, small ? "MiB" : "GiB");
}

static void draw_phase(const map *m, int first, int end, const char *name) {
    if (first >= end) return;
    double from = m->x[first], to = m->x[end];
    fprintf(m->f, "<path class=\"axis\" d=\"M%.1f %dv6H%.1fv-6\"/>", from + 1, TOP + HEIGHT + 18, to - 1);
    fprintf(m->f, "<text class=\"small\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n", (from + to) / 2,
            TOP + HEIGHT + 38, name);
}

/* Numbers of the layers, where their ops begin; as many as there is room for. */
static void draw_layers(const map *m) {
    const graph *g = m->g;
    double last = -100;
    for (int i = g->micro.first + 1; i < g->micro.end; i++) {
        int layer = g->ops[i].attr.layer;
        if (layer < 0 || layer == g->ops[i - 1].attr.layer || m->x[i] - last < 17) continue;
        last = m->x[i];
        fprintf(m->f, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", m->x[i], m->x[i],
                TOP + HEIGHT, TOP + HEIGHT + 4);
        fprintf(m->f, "<text class=\"small\" x=\"%.1f\" y=\"%d\">%d</text>\n", m->x[i] + 1, TOP + HEIGHT + 14, layer);
    }
}

static void draw_time_axis(const map *m) {
    const graph *g = m->g;
    draw_layers(m);
    draw_phase(m, g->begin.first, g->begin.end, "zero");
    draw_phase(m, g->micro.first, g->first_backward, "forward, by layer");
    draw_phase(m, g->first_backward, g->micro.end, "backward, by layer, with what is computed again");
    draw_phase(m, g->finish.first, g->finish.end, "update");
    fprintf(
        m->f,
        "<text class=\"small\" text-anchor=\"middle\" x=\"%d\" y=\"%d\">time: ops in order; forward and backward once "
        "for each micro-batch</text>\n",
        LEFT + WIDTH / 2, TOP + HEIGHT + 56);
}

static void draw_cap_and_peak(const map *m) {
    uint64_t cap = m->report->request.limits.cap, total = m->p->total;
    int op = m->p->peak_op;
    double y = y_of(m, total), x = op >= 0 ? (m->x[op] + m->x[op + 1]) / 2 : LEFT;
    bool right = x > LEFT + WIDTH * 0.6;
    fprintf(m->f, "<path class=\"peak\" fill=\"none\" d=\"M%d %.1fH%dM%.1f %.1fV%d\"/>", LEFT, y, LEFT + WIDTH, x, y,
            TOP + HEIGHT);
    fprintf(m->f, "<text text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">peak %.2f GiB = %llu bytes, at %s</text>\n",
            right ? "end" : "start", right ? x - 6 : x + 6, y - 6, gib(total), (unsigned long long)total,
            op >= 0 ? op_describe(m->g->ops[op].code)->name : "every op");
    if (!cap) return;
    if (cap > m->full) {
        fprintf(
            m->f,
            "<text class=\"captext\" text-anchor=\"end\" x=\"%d\" y=\"%d\">cap %.2f GiB, above the picture</text>\n",
            LEFT + WIDTH, TOP - 2, gib(cap));
        return;
    }
    fprintf(m->f, "<line class=\"cap\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, LEFT + WIDTH, y_of(m, cap),
            y_of(m, cap));
    fprintf(m->f, "<text class=\"captext\" x=\"%d\" y=\"%.1f\">cap %.2f GiB</text>\n", LEFT + 4, y_of(m, cap) - 5,
            gib(cap));
}

static void draw_legend(const map *m) {
    enum { COLUMNS = 5, COLUMN_WIDTH = 216 };
    int n = 0;
    for (int k = 0; k < KIND_COUNT; k++) {
        if (!(m->kinds_seen >> k & 1)) continue;
        int x = LEFT + n % COLUMNS * COLUMN_WIDTH, y = TOP + HEIGHT + 86 + n / COLUMNS * 22;
        fprintf(m->f, "<rect class=\"k%d\" x=\"%d\" y=\"%d\" width=\"13\" height=\"13\"/>", k, x, y - 11);
        fprintf(m->f, "<text x=\"%d\" y=\"%d\">%s</text>\n", x + 19, y, kind_names[k]);
        n++;
    }
}

static void draw(map *m) {
    fprintf(m->f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\">\n", PAGE_WIDTH,
            PAGE_HEIGHT);
    fputs("<title>snug: the memory map of a step</title>\n", m->f);
    draw_style(m);
    draw_title(m);
    draw_address_axis(m);
    for (tensor_id t = 1; t < m->g->n_tensors; t++) draw_tensor(m, t);
    draw_time_axis(m);
    draw_cap_and_peak(m);
    draw_legend(m);
    fputs("</svg>\n", m->f);
}

status plan_svg(const plan_report *r, const char *path, error *e) {
    gpt gpt;
    plan p;
    char *text = NULL;
    size_t bytes = 0;
    TRY(plan_of(&r->request, &r->chosen, &gpt, &p, e));
    map m = {.g = gpt.graph, .p = &p, .report = r};
    m.x = xcalloc((size_t)gpt.graph->n_ops + 1, sizeof *m.x);
    m.base = xcalloc((size_t)p.n_blocks, sizeof *m.base);
    lay_out_time(&m);
    lay_out_addresses(&m);
    status s = OK;
    if ((m.f = open_memstream(&text, &bytes))) {
        draw(&m);
        fclose(m.f);
        s = file_write(path, text, bytes, false, NULL, e);
    } else
        s = fail(e, FAILED, "%s: no memory for the picture", path);
    free(text);
    free(m.x);
    free(m.base);
    plan_free(&p);
    gpt_free(&gpt);
    return s;
}
