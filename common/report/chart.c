/* chart.c: see chart.h. */
#include "report/chart.h"
#include "report/svg.h"
#include <math.h>
#include <string.h>

enum { LEFT = 52, RIGHT = 12, TOP = 26, BOTTOM = 44, POINTED = 80 };

typedef struct {
    FILE *f;
    const chart *c;
    int width, height;
    double x0, x1, y0, y1; /* the values at the plot's edges; log2 of x on a logarithmic axis */
} plot;

void chart_style(FILE *f) {
    fputs("figure{margin:0;min-width:0}figcaption{font-weight:600}\n"
          ".legend{display:flex;flex-wrap:wrap;gap:0 16px;font-weight:400;font-size:13px}\n"
          ".legend span::before{content:'';display:inline-block;width:14px;height:3px;margin-right:6px;"
          "vertical-align:middle;background:var(--c)}\n"
          ".chart{display:block;width:100%;font:12px system-ui,sans-serif}.chart text{fill:var(--fg)}\n"
          ".chart .grid{stroke:var(--line)}.chart .axis{stroke:var(--dim)}\n"
          ".chart .mark{stroke:#d0021b;stroke-width:2}\n"
          ".chart path{fill:none;stroke:var(--c);stroke-linejoin:round}.chart .dot{fill:var(--c)}\n"
          ".chart .h{fill:var(--c);opacity:0}.chart .h:hover{opacity:1}\n",
          f);
    for (int i = 0; i < CHART_COLORS; i++) fprintf(f, ".c%d{--c:var(--s%d)}", i, i);
    fputc('\n', f);
}

/* ---- from values to the page ---- */

static double along_x(const plot *p, double x) { return p->c->log2_x ? log2(x) : x; }

static double x_of(const plot *p, double x) {
    return LEFT + (along_x(p, x) - p->x0) / (p->x1 - p->x0) * (p->width - LEFT - RIGHT);
}

static double y_of(const plot *p, double y) {
    return p->height - BOTTOM - (y - p->y0) / (p->y1 - p->y0) * (p->height - TOP - BOTTOM);
}

/* What lies further out than any loss or count has no place on an axis: its differences would not be finite. */
static bool drawable(const plot *p, double x, double y) {
    return fabs(y) < 1e300 && fabs(along_x(p, x)) < 1e300; /* NAN is not */
}

/* Puts some room between two ends that are equal, or so near that no two numbers on the axis would differ: by a part of
   `least` or less. */
static void keep_apart(double *low, double *high, double least, double room) {
    if (*high - *low > least * fmax(fabs(*low), fabs(*high))) return;
    *low -= room;
    *high += room;
}

static void widen(double *low, double *high, double value) {
    if (!isfinite(value)) return;
    if (!(value >= *low)) *low = value;
    if (!(value <= *high)) *high = value;
}

static void find_span(plot *p) {
    const chart *c = p->c;
    p->x0 = p->x1 = p->y0 = p->y1 = NAN;
    for (int s = 0; s < c->n_series; s++)
        for (int64_t i = 0; i < c->series[s].n; i++) {
            if (!drawable(p, c->series[s].x[i], c->series[s].y[i])) continue;
            widen(&p->x0, &p->x1, along_x(p, c->series[s].x[i]));
            widen(&p->y0, &p->y1, c->series[s].y[i]);
        }
    if (isnan(p->x0)) p->x0 = p->y0 = 0, p->x1 = p->y1 = 1;
    if (c->from_zero) p->y0 = 0;
    /* A mark that is far above would flatten the curves, so that it is only named then. */
    if (c->mark && c->mark < 3 * p->y1) widen(&p->y0, &p->y1, c->mark);
    if (c->log2_x) p->x0 -= 0.25, p->x1 += 0.25;
    keep_apart(&p->x0, &p->x1, 1e-9, fmax(1, 1e-6 * fabs(p->x1)));
    if (!c->from_zero) keep_apart(&p->y0, &p->y1, 1e-5, fabs(p->y1) * 0.05);
    double room = p->y1 > p->y0 ? 0.05 * (p->y1 - p->y0) : fmax(fabs(p->y1) * 0.05, 1e-12);
    p->y1 += room;
    if (!c->from_zero) p->y0 -= room;
}

/* ---- axes ---- */

/* "12k", "1.5M", "0.5e-3": a number on an axis that reaches `most`, in as few digits as keep neighbours apart. */
static char *tick_print(double v, double step, double most, char text[32]) {
    if (fabs(v) < step / 1e6)
        strcpy(text, "0");
    else if (most >= 1e6)
        snprintf(text, 32, "%.*fM", step < 1e6 ? 1 : 0, v / 1e6);
    else if (most >= 1e4)
        snprintf(text, 32, "%.*fk", step < 1e3 ? 1 : 0, v / 1e3);
    else if (most < 1e-2) {
        double power = floor(log10(most) + 1e-9);
        snprintf(text, 32, "%.3ge%.0f", v / pow(10, power), power);
    } else
        snprintf(text, 32, "%.6g", v);
    return text;
}

/* The multiples of step from low to high: how many, at most `most` + 1, and the first. They are counted in whole
   numbers: a step that is added to a number far larger leaves it what it was, and a loop would not end. */
static int ticks(double low, double high, double step, int most, double *first) {
    *first = ceil(low / step - 1e-9) * step;
    double n = floor((high - *first) / step + 1e-9) + 1;
    return n > most + 1 ? most + 1 : n > 0 ? (int)n : 0;
}

static void draw_y_axis(const plot *p) {
    int most = (p->height - TOP - BOTTOM) / 32;
    double first, step = nice_step(p->y1 - p->y0, most);
    int n = ticks(p->y0, p->y1, step, most, &first);
    char text[32];
    for (int i = 0; i < n; i++) {
        double v = first + i * step, y = y_of(p, v);
        fprintf(p->f, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, p->width - RIGHT, y,
                y);
        fprintf(p->f, "<text text-anchor=\"end\" x=\"%d\" y=\"%.1f\">%s</text>\n", LEFT - 6, y + 4,
                tick_print(v, step, fmax(fabs(p->y0), fabs(p->y1)), text));
    }
    fprintf(p->f, "<text x=\"2\" y=\"13\">");
    html_print(p->f, p->c->y_label);
    fputs("</text>\n", p->f);
}

static void draw_x_axis(const plot *p) {
    int most = (p->width - LEFT - RIGHT) / 56, bottom = p->height - BOTTOM;
    double first, step = p->c->log2_x ? nice_step_binary(p->x1 - p->x0, most) : nice_step(p->x1 - p->x0, most);
    char text[32];
    if (step < 1) step = 1;
    fprintf(p->f, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", LEFT, p->width - RIGHT, bottom,
            bottom);
    int n = ticks(p->x0, p->x1, step, most, &first);
    for (int i = 0; i < n; i++) {
        double at = first + i * step;
        double value = p->c->log2_x ? exp2(at) : at, x = x_of(p, value);
        fprintf(p->f, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x, bottom, bottom + 4);
        fprintf(p->f, "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n", x, bottom + 18,
                tick_print(value, p->c->log2_x ? value : step, p->c->log2_x ? value : p->x1, text));
    }
    fprintf(p->f, "<text text-anchor=\"middle\" x=\"%d\" y=\"%d\">", (LEFT + p->width - RIGHT) / 2, p->height - 6);
    html_print(p->f, p->c->x_label);
    fputs("</text>\n", p->f);
}

/* ---- curves ---- */

/* Where there are more points than pixels, each column of pixels gets its lowest and highest point, so that no spike is
   lost. */
static void draw_line(const plot *p, const chart_series *s) {
    enum { DASH = 9 }; /* pixels */
    fprintf(p->f, "<path class=\"c%d\" stroke-width=\"%g\"", s->color, s->width ? s->width : 1.6);
    if (s->dashes > 1)
        fprintf(p->f, " stroke-dasharray=\"%d %d\" stroke-dashoffset=\"%d\"", DASH, DASH * (s->dashes - 1),
                -DASH * s->dash);
    fputs(" d=\"", p->f);
    char command = 'M';
    for (int64_t i = 0; i < s->n;) {
        if (!drawable(p, s->x[i], s->y[i])) {
            command = 'M', i++;
            continue;
        }
        double x = x_of(p, s->x[i]), low = s->y[i], high = s->y[i], last = s->y[i];
        int64_t first = i;
        while (++i < s->n && drawable(p, s->x[i], s->y[i]) && x_of(p, s->x[i]) < x + 0.7)
            low = fmin(low, s->y[i]), high = fmax(high, s->y[i]), last = s->y[i];
        fprintf(p->f, "%c%.1f %.1f", command, x, y_of(p, s->y[first]));
        command = 'L';
        if (i - first > 2) fprintf(p->f, "L%.1f %.1fL%.1f %.1f", x, y_of(p, low), x, y_of(p, high));
        if (i - first > 1) fprintf(p->f, "L%.1f %.1f", x, y_of(p, last));
    }
    fputs("\"/>\n", p->f);
}

static void draw_points(const plot *p, const chart_series *s) {
    int64_t every = s->n / POINTED + 1;
    for (int64_t i = 0; i < s->n; i++) {
        if (!drawable(p, s->x[i], s->y[i])) continue;
        double x = x_of(p, s->x[i]), y = y_of(p, s->y[i]);
        if (s->dots && (s->n <= 400 || i % every == 0))
            fprintf(p->f, "<circle class=\"dot c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"%g\"/>", s->color, x, y,
                    s->width ? s->width : 3);
        if (i % every) continue;
        fprintf(p->f, "<circle class=\"h c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"6\"><title>", s->color, x, y);
        if (s->name) html_print(p->f, s->name), fputs("; ", p->f);
        html_print(p->f, p->c->x_label);
        fprintf(p->f, " %.10g: %.6g</title></circle>\n", s->x[i], s->y[i]);
    }
}

static void draw_mark(const plot *p) {
    if (!p->c->mark) return;
    bool far = p->c->mark > p->y1;
    double y = far ? TOP : y_of(p, p->c->mark);
    if (!far)
        fprintf(p->f, "<line class=\"mark\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, p->width - RIGHT, y,
                y);
    fprintf(p->f, "<text text-anchor=\"end\" x=\"%d\" y=\"%.1f\">", p->width - RIGHT, far ? 13.0 : y - 5);
    html_print(p->f, p->c->mark_name);
    fputs(far ? ", above</text>\n" : "</text>\n", p->f);
}

static void draw_caption(FILE *f, const chart *c) {
    fputs("<figcaption>", f);
    html_print(f, c->title);
    fputs("<div class=\"legend\">", f);
    for (int s = 0; s < c->n_series; s++) {
        if (!c->series[s].name || !c->series[s].n) continue;
        fprintf(f, "<span class=\"c%d\">", c->series[s].color);
        html_print(f, c->series[s].name);
        fputs("</span>", f);
    }
    fputs("</div></figcaption>\n", f);
}

void chart_draw(FILE *f, const chart *c, int width, int height) {
    plot p = {.f = f, .c = c, .width = width, .height = height};
    find_span(&p);
    fputs("<figure>", f);
    draw_caption(f, c);
    fprintf(f, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\"><title>", width, height);
    html_print(f, c->title);
    fputs("</title>\n", f);
    draw_y_axis(&p);
    draw_x_axis(&p);
    for (int s = 0; s < c->n_series; s++)
        if (c->series[s].n > 1) draw_line(&p, &c->series[s]);
    for (int s = 0; s < c->n_series; s++) draw_points(&p, &c->series[s]);
    draw_mark(&p);
    fputs("</svg></figure>\n", f);
}
