/* memory_map.c: see memory_map.h. Draws what the plan says and computes nothing of its own. */
#include "report/memory_map.h"
#include "config/config.h"
#include "report/svg.h"
#include "base/terminal.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int left, top, width, height; /* of the plot */
    int right, columns, line;     /* the right margin; the legend's columns and the height of its lines */
    double least_label;           /* the fewest pixels between two layers' numbers */
} layout;
static const layout LAYOUTS[] = {[MAP_WIDE] = {62, 30, 1106, 480, 12, 5, 22, 17},
                                 [MAP_NARROW] = {38, 44, 314, 300, 6, 2, 19, 15},
                                 [MAP_ALONE] = {62, 76, 1106, 480, 12, 5, 22, 17}};

typedef struct {
    FILE *f;
    const map_source *s;
    const graph *g;
    const plan *p;
    layout l;
    bool narrow, cap_is_far;
    double *x;         /* [n_ops + 1]: where each op begins; ops of eval and sample have no width */
    uint64_t *base;    /* [n_blocks]: where each block begins in the picture, which stacks them */
    uint64_t full;     /* bytes of the picture's height */
    size_t kinds_seen; /* bits 1 << kind */
} map;

/* ---- from ops and bytes to the page ---- */

/* The forward and the backward pass get nearly all of the width. Zeroing and the update, which are many small ops, get
   a little at its ends. */
static void lay_out_time(map *m) {
    const graph *g = m->g;
    double at = m->l.left, width = m->l.width;
    for (int i = 0; i <= g->n_ops; i++) {
        m->x[i] = at;
        if (i >= g->begin.first && i < g->shard_begin.end) at += 0.03 * width / (g->shard_begin.end - g->begin.first);
        if (i >= g->micro.first && i < g->micro.end) at += 0.90 * width / (g->micro.end - g->micro.first);
        if (i >= g->shard_end.first && i < g->finish.end) at += 0.07 * width / (g->finish.end - g->shard_end.first);
    }
}

/* A cap far above the plan would flatten the picture, so that the axis has a break below it then. */
static void lay_out_addresses(map *m) {
    uint64_t at = 0, cap = m->s->cap, total = m->p->total;
    for (int b = 0; b < m->p->n_blocks; b++) {
        m->base[b] = at;
        at += m->p->block_bytes[b];
    }
    m->cap_is_far = cap > total + total / 2;
    m->full = total + total / (m->cap_is_far ? 7 : 12);
    if (cap > total && !m->cap_is_far) m->full = cap + cap / 24;
}

static double y_of(const map *m, uint64_t bytes) {
    return m->l.top + m->l.height - (double)bytes / (double)m->full * m->l.height;
}

/* ---- the style ---- */

/* Colours by kind, in the order of KINDS: blue for what stays, green for what the forward pass keeps for the backward
   pass, red to yellow for what comes and goes. No two of them are near each other. */
static const char *const LIGHT[KIND_COUNT] = {"#1f4e9c", "#4a86d8", "#9dbfee", "#5b6b85", "#0f6b4f",
                                              "#b8d36a", "#2f9f5c", "#a6e3c0", "#7a8f2f", "#1b8a8f",
                                              "#63bfc3", "#c23b22", "#e8912d", "#8d6bb8", "#e8d21e"};
static const char *const DARK[KIND_COUNT] = {"#5b8fe0", "#3a67ad", "#274675", "#8b9bb5", "#2fd18a",
                                             "#c5d86d", "#2f9160", "#a3e0c4", "#6b7f2a", "#37b3b8",
                                             "#1f8090", "#e8644c", "#d9862a", "#b784e0", "#e6d24a"};

void memory_map_style(FILE *f) {
    fputs(".map{background:#fff;color:#1a1a1a;font:13px system-ui,sans-serif}\n"
          ".map.narrow{font-size:11px}.map text{fill:currentColor}.map .small{font-size:11px}\n"
          ".map .title{font-size:17px;font-weight:600}\n"
          ".map .t{stroke:#fff;stroke-width:.25}.map .t:hover,.map .u:hover{stroke:#000;stroke-width:1.5}\n"
          ".map .u{shape-rendering:crispEdges}.map .axis{stroke:currentColor;fill:none}\n"
          ".map .grid{stroke:currentColor;opacity:.12}.map .cap{stroke:#d0021b;stroke-width:2}\n"
          ".map .peak{stroke:currentColor;stroke-width:1.5;stroke-dasharray:5 4;fill:none}\n"
          ".map .captext{fill:#b00217;font-weight:600}\n"
          ".map .tip{display:none}.map g:hover .tip{display:inline}\n",
          f);
    for (int k = 0; k < KIND_COUNT; k++) fprintf(f, ".map .k%d{fill:%s}\n", k, LIGHT[k]);
    fputs("@media(prefers-color-scheme:dark){\n"
          ".map{background:#14161a;color:#e6e6e6}.map .t{stroke:#14161a}\n"
          ".map .t:hover,.map .u:hover{stroke:#fff}.map .cap{stroke:#ff5c6c}.map .captext{fill:#ff7b88}\n",
          f);
    for (int k = 0; k < KIND_COUNT; k++) fprintf(f, ".map .k%d{fill:%s}\n", k, DARK[k]);
    fputs("}\n", f);
}

/* ---- the tensors ---- */

static void draw_tensor(map *m, tensor_id id) {
    const tensor *t = &m->g->tensors[id];
    const slot *s = &m->p->slots[id];
    if (s->first_op < 0 || t->home == HOME_HOST) return;
    double x0 = m->x[s->first_op], x1 = m->x[s->last_op + 1];
    if (x1 <= x0) return; /* is used in eval or sample only, which the picture does not show */
    uint64_t from = m->base[s->block] + s->offset;
    double top = y_of(m, from + s->bytes);
    const char *edge = y_of(m, from) - top > 3 ? "t" : "u"; /* what is thinner has no edge, which would hide it */
    char name[64], size[32];
    m->kinds_seen |= (size_t)1 << t->kind;
    if (m->narrow) fputs("<g>", m->f);
    fprintf(m->f, "<rect class=\"%s k%d\" x=\"%.2f\" y=\"%.3f\" width=\"%.2f\" height=\"%.3f\"><title>%s: %s, [", edge,
            (int)t->kind, x0, top, x1 - x0, y_of(m, from) - top, tensor_print(t, name, sizeof name),
            kind_names[t->kind]);
    for (int d = 0; d < t->rank; d++) fprintf(m->f, "%s%lld", d ? "," : "", (long long)t->dim[d]);
    fprintf(m->f, "], %llu bytes at %llu%s", (unsigned long long)s->bytes, (unsigned long long)from,
            t->of && t->role == ROLE_ACT ? ", computed again" : "");
    if (!tensor_is_persistent(t)) fprintf(m->f, ", ops %d to %d", s->first_op, s->last_op);
    fputs("</title></rect>", m->f);
    if (m->narrow) /* phones show no titles, but take a touch for pointing */
        fprintf(m->f, "<text class=\"tip small\" x=\"%d\" y=\"%d\">%s: %s, %s</text></g>", m->l.left, m->l.top - 16,
                name, kind_names[t->kind], bytes_print(s->bytes, size, sizeof size));
    fputc('\n', m->f);
}

/* ---- the axes ---- */

static void draw_address_axis(const map *m) {
    bool small = m->full < 1ull << 29; /* then in MiB */
    double unit = small ? (double)(1 << 20) : (double)(1 << 30);
    uint64_t most = m->cap_is_far ? m->p->total : m->full;
    double step = nice_step_binary((double)most / unit, m->narrow ? 6 : 9);
    int left = m->l.left, right = left + m->l.width;
    for (int i = 0; i * step * unit <= (double)most; i++) { /* step is no less than a ninth of it */
        double at = i * step, y = y_of(m, (uint64_t)(at * unit));
        fprintf(m->f, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", left, right, y, y);
        fprintf(m->f, "<text class=\"small\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">%g</text>\n", left - 6, y + 4, at);
    }
    int middle = m->l.top + m->l.height / 2;
    if (m->narrow)
        fprintf(m->f, "<text class=\"small\" x=\"2\" y=\"%d\">address, %s</text>\n", m->l.top - 30,
                small ? "MiB" : "GiB");
    else
        fprintf(m->f,
                "<text class=\"small\" transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">address, "
                "%s</text>\n",
                middle, small ? "MiB" : "GiB");
}

static void draw_phase(const map *m, int first, int end, const char *name) {
    int bottom = m->l.top + m->l.height;
    if (first >= end) return;
    double from = m->x[first], to = m->x[end];
    fprintf(m->f, "<path class=\"axis\" d=\"M%.1f %dv6H%.1fv-6\"/>", from + 1, bottom + 18, to - 1);
    if (name)
        fprintf(m->f, "<text class=\"small\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n", (from + to) / 2,
                bottom + 38, name);
}

/* Writes layers' numbers where their ops begin, as many as there is room for. */
static void draw_layers(const map *m) {
    const graph *g = m->g;
    int bottom = m->l.top + m->l.height;
    double last = -100;
    for (int i = g->micro.first + 1; i < g->micro.end; i++) {
        int layer = g->ops[i].attr.layer;
        if (layer < 0 || layer == g->ops[i - 1].attr.layer || m->x[i] - last < m->l.least_label) continue;
        last = m->x[i];
        fprintf(m->f, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", m->x[i], m->x[i], bottom,
                bottom + 4);
        fprintf(m->f, "<text class=\"small\" x=\"%.1f\" y=\"%d\">%d</text>\n", m->x[i] + 1, bottom + 14, layer);
    }
}

static void draw_time_axis(const map *m) {
    const graph *g = m->g;
    draw_layers(m);
    draw_phase(m, g->begin.first, g->shard_begin.end, m->narrow ? NULL : "zero");
    draw_phase(m, g->micro.first, g->first_backward, m->narrow ? "forward" : "forward, by layer");
    draw_phase(m, g->first_backward, g->micro.end,
               m->narrow ? "backward" : "backward, by layer, with what is computed again");
    draw_phase(m, g->shard_end.first, g->finish.end, m->narrow ? NULL : "update");
    fprintf(m->f, "<text class=\"small\" text-anchor=\"middle\" x=\"%d\" y=\"%d\">%s</text>\n",
            m->l.left + m->l.width / 2, m->l.top + m->l.height + 56,
            m->narrow ? "time: zero, layers by number, update"
                      : "time: ops in order; forward and backward once for each micro-batch");
}

/* ---- the cap and the peak ---- */

static void draw_peak(const map *m) {
    int op = m->p->peak_op, left = m->l.left, right = left + m->l.width;
    uint64_t total = m->p->total;
    double y = y_of(m, total), x = op >= 0 ? (m->x[op] + m->x[op + 1]) / 2 : left;
    char number[32], size[32], name[64] = "every op";
    if (op >= 0 && m->g->ops[op].attr.layer >= 0)
        snprintf(name, sizeof name, "%s of layer %d", op_describe(m->g->ops[op].code)->name, m->g->ops[op].attr.layer);
    else if (op >= 0)
        snprintf(name, sizeof name, "%s", op_describe(m->g->ops[op].code)->name);
    fprintf(m->f, "<path class=\"peak\" d=\"M%d %.1fH%dM%.1f %.1fV%d\"/>", left, y, right, x, y,
            m->l.top + m->l.height);
    if (m->narrow) {
        fprintf(m->f, "<text class=\"small\" x=\"%d\" y=\"%.1f\">peak %s at %s</text>\n", left + 2, y - 5,
                bytes_print(total, size, sizeof size), name);
        return;
    }
    bool at_right = x > left + m->l.width * 0.6;
    fprintf(m->f, "<text text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">peak %s = %s bytes, at %s</text>\n",
            at_right ? "end" : "start", at_right ? x - 6 : x + 6, y - 6, bytes_print(total, size, sizeof size),
            number_print((int64_t)total, number), name);
}

static void draw_cap(const map *m) {
    uint64_t cap = m->s->cap;
    char size[32];
    if (!cap) return;
    int left = m->l.left, right = left + m->l.width, top = m->l.top;
    double y = m->cap_is_far ? top : y_of(m, cap);
    fprintf(m->f, "<line class=\"cap\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", left, right, y, y);
    fprintf(m->f, "<text class=\"captext\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">cap %s", right - 2, y - 6,
            bytes_print(cap, size, sizeof size));
    if (m->cap_is_far) { /* the break in the axis */
        fprintf(m->f, ", not to scale");
        fprintf(m->f, "</text><path class=\"axis\" d=\"M%d %dv6l-5 3l10 4l-10 4l5 3v6\"/>\n", left, top);
    } else
        fputs("</text>\n", m->f);
}

static void draw_legend(const map *m) {
    int n = 0, wide = (m->l.width + (m->narrow ? m->l.left : 0)) / m->l.columns;
    for (int k = 0; k < KIND_COUNT; k++) {
        if (!(m->kinds_seen >> k & 1)) continue;
        int x = (m->narrow ? 4 : m->l.left) + n % m->l.columns * wide;
        int y = m->l.top + m->l.height + 84 + n / m->l.columns * m->l.line;
        fprintf(m->f, "<rect class=\"k%d\" x=\"%d\" y=\"%d\" width=\"13\" height=\"13\"/>", k, x, y - 11);
        fprintf(m->f, "<text x=\"%d\" y=\"%d\">%s</text>\n", x + 19, y, kind_names[k]);
        n++;
    }
}

static int page_height(const map *m) {
    int kinds = KIND_COUNT; /* which kinds occur is known only later; room for a line too many does no harm */
    return m->l.top + m->l.height + 84 + (kinds + m->l.columns - 1) / m->l.columns * m->l.line;
}

static void draw(map *m, map_form form) {
    fprintf(m->f, "<svg%s class=\"map%s\" viewBox=\"0 0 %d %d\" role=\"img\">\n",
            form == MAP_ALONE ? " xmlns=\"http://www.w3.org/2000/svg\"" : "", m->narrow ? " narrow" : "",
            m->l.left + m->l.width + m->l.right, page_height(m));
    fputs("<title>memory of a step: time across, address upwards, a rectangle a tensor</title>\n", m->f);
    if (form == MAP_ALONE) {
        fputs("<style>\n", m->f);
        memory_map_style(m->f);
        fputs("</style>\n", m->f);
        fprintf(m->f, "<text class=\"title\" x=\"%d\" y=\"26\">", m->l.left);
        html_print(m->f, m->s->title);
        fprintf(m->f, "</text>\n<text x=\"%d\" y=\"46\">", m->l.left);
        html_print(m->f, m->s->caption);
        fputs("</text>\n", m->f);
    }
    draw_address_axis(m);
    for (tensor_id t = 1; t < m->g->n_tensors; t++) draw_tensor(m, t);
    draw_time_axis(m);
    draw_peak(m);
    draw_cap(m);
    draw_legend(m);
    fputs("</svg>\n", m->f);
}

void memory_map_draw(FILE *f, const map_source *s, map_form form) {
    map m = {.f = f, .s = s, .g = s->g, .p = s->p, .l = LAYOUTS[form], .narrow = form == MAP_NARROW};
    m.x = xcalloc((size_t)s->g->n_ops + 1, sizeof *m.x);
    m.base = xcalloc((size_t)s->p->n_blocks, sizeof *m.base);
    lay_out_time(&m);
    lay_out_addresses(&m);
    draw(&m, form);
    free(m.x);
    free(m.base);
}
