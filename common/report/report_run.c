/* report_run.c: the report's part on training. */
#include "report/chart.h"
#include "report/memory_map.h"
#include "report/report_internal.h"
#include "report/run_facts.h"
#include "report/svg.h"
#include "base/shell_word.h"
#include "base/terminal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the head ---- */

static void put_tile_number(FILE *f, const char *format, double value, const char *what) {
    char text[64];
    if (!isfinite(value)) return;
    snprintf(text, sizeof text, format, value);
    report_put_tile(f, text, what);
}

static void put_head(FILE *f, const report_data *d) {
    const cJSON *plan = json_get(d->facts, "plan");
    double parameters = report_number(d->facts, "parameters");
    fputs("<p class=\"dim\">", f);
    if (isfinite(parameters)) {
        char count[16];
        fputs(count_print((int64_t)parameters, count), f);
        fprintf(f, " parameters: %.0f layers, %.0f heads, %.0f channels, %.0f positions, vocabulary %.0f. ",
                report_number(plan, "layers"), report_number(plan, "heads"), report_number(plan, "channels"),
                report_number(plan, "length"), report_number(plan, "vocabulary"));
    }
    html_print(f, report_text(d->facts, "device"));
    fputs("</p>\n", f);
}

/* Steps that are done: the last may not be in the log themselves, but an evaluation after them is. */
static double steps_done(const report_data *d) {
    return fmax(curve_last_x(&d->loss) + 1, curve_last_x(&d->train_loss)); /* fmax passes over NAN */
}

static void put_tiles(FILE *f, const report_data *d) {
    const cJSON *plan = json_get(d->facts, "plan"), *settings = json_get(d->facts, "settings");
    char text[96], size[32], cap[32];
    fputs("<div class=\"tiles\">\n", f);
    if (d->loss.n) {
        snprintf(text, sizeof text, "%.0f of %.20s", steps_done(d), report_text(settings, "max_iters"));
        report_put_tile(f, text, "optimizer steps");
    }
    put_tile_number(f, "%.4f", curve_last(&d->train_loss), "train loss, evaluated last");
    put_tile_number(f, "%.4f", curve_last(&d->val_loss), "val loss, evaluated last");
    if (curve_least(&d->val_loss) < curve_last(&d->val_loss))
        put_tile_number(f, "%.4f", curve_least(&d->val_loss), "lowest val loss");
    if (!d->train_loss.n) put_tile_number(f, "%.4f", curve_last(&d->loss), "loss of the last logged batch");
    if (d->seconds > 0) report_put_tile(f, duration_print(d->seconds_before + d->seconds, text), "it has run");
    if (d->speed.n) report_put_tile(f, number_print(llround(curve_median(&d->speed)), text), "tokens/s, median");
    if (plan) {
        double micro = report_number(plan, "micro_batch"), all = report_number(plan, "sequences");
        snprintf(text, sizeof text, "%.0f x %.0f", micro, ceil(all / micro));
        report_put_tile(f, text, "micro-batch x accumulation");
        report_put_tile(f, report_text(plan, "recompute"), "recomputed");
    }
    double peak = report_number(plan, "peak_bytes"), most = report_number(plan, "cap");
    if (isfinite(peak) && peak >= 0 && peak < 0x1p62) {
        bytes_print((uint64_t)peak, size, sizeof size);
        if (most > 0 && most < 0x1p62)
            snprintf(text, sizeof text, "%s of %s", size, bytes_print((uint64_t)most, cap, sizeof cap));
        else
            snprintf(text, sizeof text, "%s", size);
        report_put_tile(f, text, most > 0 ? "peak memory, of the cap" : "peak memory");
    }
    fputs("</div>\n", f);
}

/* ---- what to do next ---- */

static void put_next(FILE *f, const report_data *d) {
    const cJSON *settings = json_get(d->facts, "settings");
    const char *quoted = report_text(settings, "out_dir");
    double most = strtod(report_text(settings, "max_iters"), NULL), done = steps_done(d);
    size_t n = strlen(quoted);
    if (n < 3) return;
    char *folder = xprintf("%.*s", (int)(n - 2), quoted + 1), *word = shell_word(folder); /* it stands in quotes */
    const char *program = report_text(d->facts, "program");
    fputs("<p>Next: <code>", f);
    html_print(f, *program ? program : "snug"); /* as it was typed when the run began */
    fputc(' ', f);
    fputs(done < most ? "train --init_from=resume --out_dir=" : "sample --out_dir=", f);
    html_print(f, word);
    fputs(done < most ? "</code> goes on with it, under any cap.</p>\n" : "</code> lets it write.</p>\n", f);
    free(word);
    free(folder);
}

/* ---- curves ---- */

/* The points of a curve as a series draws them. */
typedef struct {
    double x[CURVE_POINTS], y[CURVE_POINTS];
} drawing;

static chart_series series_of(const curve *c, drawing *to, chart_series s) {
    s.x = to->x;
    s.y = to->y;
    s.n = curve_points(c, to->x, to->y);
    return s;
}

static void put_one(FILE *f, const curve *c, const char *title, const char *unit, int color, bool from_zero) {
    if (c->n < 2) return; /* one point is no curve */
    drawing *points = xcalloc(1, sizeof *points);
    chart_series s = series_of(c, points, (chart_series){.color = color});
    chart_draw(f, &(chart){title, "optimizer step", unit, &s, 1, from_zero, false, 0, NULL}, 384, 250);
    free(points);
}

static void put_loss(FILE *f, const report_data *d, int width, int height) {
    drawing *points = xcalloc(3, sizeof *points);
    const int dashes = d->val_loss.n ? 2 : 0; /* in turn: the two often lie on top of each other */
    const chart_series s[] = {
        series_of(
            &d->loss, &points[0],
            (chart_series){
                .name = "of each step's batch", .color = 4, .width = d->loss.n == 1 ? 3 : 1, .dots = d->loss.n == 1}),
        series_of(&d->train_loss, &points[1],
                  (chart_series){.name = "train, evaluated", .color = 0, .width = 2, .dots = true, .dashes = dashes}),
        series_of(&d->val_loss, &points[2],
                  (chart_series){
                      .name = "val, evaluated", .color = 1, .width = 2, .dots = true, .dash = 1, .dashes = dashes})};
    chart_draw(f, &(chart){"Loss", "optimizer step", "nats per token", s, 3, false, false, 0, NULL}, width, height);
    free(points);
}

static void put_curves(FILE *f, const report_data *d) {
    if (!d->loss.n && !d->train_loss.n) return;
    fputs("<h2>Training</h2>\n", f);
    if (d->loss.n < 2 && d->train_loss.n < 2) {
        fputs("<p>One step so far: curves begin with the second that is logged.</p>\n", f);
        return;
    }
    fputs("<div class=\"desk\">", f);
    put_loss(f, d, 1184, 360);
    fputs("</div><div class=\"phone\">", f);
    put_loss(f, d, 358, 280);
    fputs("</div>\n<div class=\"row\">\n", f);
    put_one(f, &d->rate, "Learning rate", "", 2, true);
    put_one(f, &d->norm, "Gradient norm, before clipping", "L2 norm", 3, true);
    put_one(f, &d->speed, "Speed", "tokens/s", 0, true);
    fputs("</div>\n", f);
}

/* ---- memory ---- */

static void put_map(FILE *f, const report_data *d) {
    fit_request r;
    fit_option o;
    gpt m;
    plan p;
    char text[256], number[32];
    error e;
    fputs("<h2>Memory</h2>\n<p>", f);
    status s = run_facts_plan(d->facts, &r, &o, &e);
    if (s == OK) s = fit_plan(&r, &o, &m, &p, &e);
    if (s != OK) { /* a damaged run.json costs the picture, not the page */
        html_print(f, e.text);
        fputs("</p>\n", f);
        return;
    }
    html_print(f, fit_print(&r, &o, text, sizeof text));
    fprintf(f, ". Planned: %s bytes", number_print((int64_t)p.total, number));
    if (d->allocated) fprintf(f, "; allocated: %s bytes", number_print((int64_t)d->allocated, number));
    fputs(
        ". <span class=\"desk\">Point at</span><span class=\"phone\">Touch</span> a rectangle for its name, shape and "
        "bytes.</p>\n<div class=\"desk\">",
        f);
    map_source source = {m.graph, &p, r.limits.cap, NULL, NULL};
    memory_map_draw(f, &source, MAP_WIDE);
    fputs("</div><div class=\"phone\">", f);
    memory_map_draw(f, &source, MAP_NARROW);
    fputs("</div>\n", f);
    plan_free(&p);
    gpt_free(&m);
}

/* ---- settings and samples ---- */

static void put_setting(FILE *f, const cJSON *v, const char *where) {
    fputs("<tr><td><code>", f);
    html_print(f, v->string);
    fputs("</code></td><td>", f);
    html_print(f, cJSON_IsString(v) ? v->valuestring : "");
    fputs("</td><td class=\"dim\">", f);
    html_print(f, where);
    fputs("</td></tr>\n", f);
}

static void put_settings(FILE *f, const report_data *d) {
    const cJSON *settings = json_get(d->facts, "settings"), *given = json_get(d->facts, "given");
    if (!cJSON_IsObject(settings)) return;
    fputs("<h2>Settings</h2>\n<div class=\"row\"><div><table><tr><th>given</th><th>value</th><th>where</th></tr>\n", f);
    for (const cJSON *v = settings->child; v; v = v->next)
        if (json_get(given, v->string)) put_setting(f, v, report_text(given, v->string));
    fputs("</table></div><div><table><tr><th>chosen</th><th></th></tr>\n", f);
    static const char *const names[][2] = {{"micro_batch", "sequences computed at once"},
                                           {"recompute", "what the backward pass computes again"},
                                           {"sequences", "effective batch, sequences"},
                                           {"alignment", "alignment of tensors, bytes"},
                                           {"max_block", "largest allocation, bytes; 0: any"}};
    const cJSON *plan = json_get(d->facts, "plan");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *v = json_get(plan, names[i][0]);
        fprintf(f, "<tr><td>%s</td><td>", names[i][1]);
        if (cJSON_IsNumber(v))
            fprintf(f, "%.0f", v->valuedouble);
        else
            html_print(f, report_text(plan, names[i][0]));
        fputs("</td></tr>\n", f);
    }
    fputs("<tr><td>build</td><td>", f);
    html_print(f, report_text(d->facts, "build"));
    fputs("</td></tr></table>\n<details><summary>everything else, by default</summary><table>\n", f);
    for (const cJSON *v = settings->child; v; v = v->next)
        if (!json_get(given, v->string)) put_setting(f, v, "");
    fputs("</table></details></div></div>\n", f);
}

static void put_samples(FILE *f, const report_data *d) {
    if (!d->n_samples) return;
    fputs("<h2>Samples</h2>\n<div class=\"row\">\n", f);
    for (int i = 0; i < d->n_samples; i++) {
        long long steps = d->samples[i].iter;
        const char *text = d->samples[i].text;
        bool blank = !text[strspn(text, " \t\r\n")]; /* else an empty box would look like a fault */
        fprintf(f, "<div><p class=\"dim\">after %lld step%s%s</p><pre>", steps, steps == 1 ? "" : "s",
                blank ? ": only spaces and line ends" : "");
        html_print(f, text);
        fputs("</pre></div>\n", f);
    }
    fputs("</div>\n", f);
}

void report_put_run(FILE *f, const report_data *d) {
    put_head(f, d);
    put_tiles(f, d);
    put_next(f, d);
    put_curves(f, d);
    if (d->facts) put_map(f, d);
    put_settings(f, d);
    put_samples(f, d);
}
