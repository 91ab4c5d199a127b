/* report_equivalence.c: the report's part on `snug equivalence`, from equivalence.json (equivalence.h says what is in
   it). */
#include "report/chart.h"
#include "config/config.h"
#include "report/report_internal.h"
#include "report/svg.h"
#include "base/terminal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SPLITS_MAX = CHART_COLORS };

static const cJSON *first_of(const cJSON *list) { return cJSON_IsArray(list) ? list->child : NULL; }

static char *split_name(const cJSON *s, char text[96]) {
    snprintf(text, 96, "%.0f x %.0f %.40s", report_number(s, "micro_batch"), report_number(s, "parts"),
             report_text(s, "recompute"));
    return text;
}

/* ---- tables ---- */

static void put_split(FILE *f, const cJSON *s) {
    char bytes[32], size[32];
    int64_t peak = llround(fmax(0, fmin(report_number(s, "peak_bytes"), 0x1p52)));
    fprintf(f, "<tr><td>%.0f x %.0f</td><td>", report_number(s, "micro_batch"), report_number(s, "parts"));
    html_print(f, report_text(s, "recompute"));
    fprintf(f, "</td><td class=\"n\"><span class=\"desk\">%s</span><span class=\"phone\">%s</span></td>",
            number_print(peak, bytes), bytes_print((uint64_t)peak, size, sizeof size));
    double ms = report_number(s, "ms_per_step");
    fprintf(f, ms < 1000 ? "<td class=\"n\">%.4g</td>" : "<td class=\"n\">%.0f</td>", ms);
    fprintf(f, "<td class=\"n\">%.7g</td><td title=\"", report_number(s, "loss"));
    html_print(f, report_text(s, "sha256"));
    fputs("\"><code>", f);
    const char *hash = report_text(s, "sha256");
    html_put(f, hash, strnlen(hash, 8));
    fputs("</code></td></tr>\n", f);
}

static void put_splits(FILE *f, const cJSON *q) {
    const cJSON *s, *difference = json_get(q, "first_difference");
    fputs("<table><tr><th>micro-batch x accum.</th><th>recompute</th><th class=\"n\">peak<span class=\"desk\">, "
          "bytes</span></th>"
          "<th class=\"n\">ms a step</th><th class=\"n\">last loss</th><th>SHA-256 of the weights</th></tr>\n",
          f);
    for (s = first_of(json_get(q, "splits")); s; s = s->next) put_split(f, s);
    fputs("</table>\n<p>", f);
    if (cJSON_IsTrue(json_get(q, "identical")))
        fputs("<span class=\"yes\">Identical</span>: every loss and every weight, to the last bit, after every step.",
              f);
    else {
        fprintf(f, "<span class=\"no\">Different</span>, first at step %.0f with micro-batch %.0f, in ",
                report_number(difference, "step"), report_number(difference, "micro_batch"));
        html_print(f, report_text(difference, "tensor"));
        fputs(cJSON_IsFalse(json_get(q, "batch_invariant")) ? ": rounding, as batch_invariant=False allows it." : ".",
              f);
    }
    fputs("</p>\n", f);
}

static void put_errors(FILE *f, const cJSON *q) {
    const cJSON *r, *errors = json_get(q, "gradient_errors");
    if (!cJSON_GetArraySize(errors)) return;
    fprintf(f,
            "<h3>How adding up goes wrong</h3>\n<p>One gradient in %.0f parts with unequal numbers of targets that "
            "count; error = |g - whole| / |whole|.</p>\n<table><tr><th>way</th><th>each part is</th><th "
            "class=\"n\">error</th><th></th></tr>\n",
            report_number(q, "gradient_parts"));
    for (r = first_of(errors); r; r = r->next) {
        const char *verdict = report_text(r, "verdict");
        fputs("<tr><td>", f);
        html_print(f, report_text(r, "name"));
        fputs("</td><td>", f);
        html_print(f, report_text(r, "how"));
        fprintf(f, "</td><td class=\"n\">%.2g</td><td class=\"%s\">", report_number(r, "error"),
                strncmp(verdict, "WRONG", 5) ? "yes" : "no");
        html_print(f, verdict);
        fputs("</td></tr>\n", f);
    }
    fputs("</table>\n", f);
}

static void put_noise(FILE *f, const cJSON *q) {
    const cJSON *n = json_get(q, "noise");
    if (!n) return;
    fprintf(
        f,
        "<h3>What a smaller effective batch would cost</h3>\n<p>Distance of a gradient from the mean gradient, root "
        "mean square over %.0f fresh batches: %.3g with %.0f sequences, %.3g with %.0f: x%.2f (theory: x%.2f).</p>\n",
        report_number(n, "samples"), report_number(n, "noise"), report_number(n, "batch"),
        report_number(n, "half_noise"), report_number(n, "half_batch"), report_number(n, "ratio"),
        report_number(n, "theory"));
}

/* ---- charts ---- */

/* How far two splits' losses are apart at most. */
static double loss_distance(const cJSON *a, const cJSON *b) {
    const cJSON *v = first_of(json_get(a, "losses")), *w = first_of(json_get(b, "losses"));
    double most = 0;
    for (; v && w; v = v->next, w = w->next) most = fmax(most, fabs(v->valuedouble - w->valuedouble));
    return most;
}

/* The lines lie on top of each other, and yet all can be seen: each is dashed, and its dashes fill gaps of the others.
   The legend says by how much a curve differs from the first. */
static void put_losses(FILE *f, const cJSON *q, int width) {
    const cJSON *splits = json_get(q, "splits"), *s, *v;
    curve curves[SPLITS_MAX] = {{0}};
    double *points = xcalloc(SPLITS_MAX * 2, CURVE_POINTS * sizeof *points); /* x and y of each */
    chart_series series[SPLITS_MAX];
    char names[SPLITS_MAX][128], split[96];
    int n = 0, all = cJSON_GetArraySize(splits);
    if (all > SPLITS_MAX) all = SPLITS_MAX;
    for (s = first_of(splits); s && n < SPLITS_MAX; s = s->next, n++) {
        double step = 0, *x = points + (size_t)n * 2 * CURVE_POINTS, *y = x + CURVE_POINTS;
        for (v = first_of(json_get(s, "losses")); v; v = v->next)
            curve_add(&curves[n], ++step, cJSON_IsNumber(v) ? v->valuedouble : NAN);
        int shown = curve_points(&curves[n], x, y);
        snprintf(names[n], sizeof names[n], "%s", split_name(s, split));
        if (n) snprintf(names[n] + strlen(names[n]), 32, " (+%.2g)", loss_distance(first_of(splits), s));
        series[n] = (chart_series){
            .name = names[n], .x = x, .y = y, .n = shown, .color = n, .width = 3, .dash = n, .dashes = all};
    }
    chart_draw(f,
               &(chart){"Loss of every split, dashed in turn where they coincide", "optimizer step", "nats per token",
                        series, n, false, false, 0, NULL},
               width, 320);
    for (int i = 0; i < n; i++) curve_free(&curves[i]);
    free(points);
}

static void put_peaks(FILE *f, const cJSON *q, int width) {
    const cJSON *splits = json_get(q, "splits"), *s;
    double x[SPLITS_MAX], y[SPLITS_MAX], largest = 0;
    chart_series series[SPLITS_MAX];
    char names[SPLITS_MAX][96];
    int n = 0;
    for (s = first_of(splits); s; s = s->next) largest = fmax(largest, report_number(s, "peak_bytes"));
    double unit = largest < 0x1p30 ? 0x1p20 : 0x1p30;
    for (s = first_of(splits); s; s = s->next) {
        if (n == SPLITS_MAX) break;
        x[n] = fmax(1, report_number(s, "micro_batch"));
        y[n] = report_number(s, "peak_bytes") / unit;
        series[n] = (chart_series){
            .name = split_name(s, names[n]), .x = &x[n], .y = &y[n], .n = 1, .color = n, .width = 5, .dots = true};
        n++;
    }
    chart_draw(f,
               &(chart){"Peak memory against micro-batch", "micro-batch, sequences",
                        unit == 0x1p20 ? "peak, MiB" : "peak, GiB", series, n, true, true, 0, NULL},
               width, 320);
}

static void put_head(FILE *f, const cJSON *q) {
    const cJSON *m = json_get(q, "model");
    fputs("<h2>Equivalence: the same steps, cut differently</h2>\n<p class=\"dim\">", f);
    fputs(cJSON_IsTrue(json_get(q, "built_in")) ? "A small built-in model and text" : "The config's model", f);
    if (m)
        fprintf(f, ": %.0f layers, %.0f heads, %.0f channels, sequences of %.0f", report_number(m, "n_layer"),
                report_number(m, "n_head"), report_number(m, "n_embd"), report_number(m, "block_size"));
    fprintf(f, "; %.0f steps of %.0f sequences; ", report_number(q, "steps"), report_number(q, "effective_batch"));
    html_print(f, report_text(q, "device"));
    fputs("; build ", f);
    html_print(f, report_text(q, "build"));
    fputs("</p>\n", f);
}

void report_put_equivalence(FILE *f, const cJSON *q) {
    put_head(f, q);
    put_splits(f, q);
    if (!cJSON_GetArraySize(json_get(q, "splits"))) return;
    for (int phone = 0; phone < 2; phone++) {
        int width = phone ? 358 : 580;
        fprintf(f, "<div class=\"%s\"><div class=\"row\">\n", phone ? "phone" : "desk");
        if (cJSON_GetArraySize(json_get(first_of(json_get(q, "splits")), "losses")) > 1) put_losses(f, q, width);
        put_peaks(f, q, width);
        fputs("</div></div>\n", f);
    }
    put_errors(f, q);
    put_noise(f, q);
}
