/* report_data.c: see report_data.h. */
#include "report/report_data.h"
#include "base/files.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void curve_add(curve *c, double x, double y) {
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 256;
        c->x = xrealloc(c->x, (size_t)c->room * sizeof *c->x);
        c->y = xrealloc(c->y, (size_t)c->room * sizeof *c->y);
    }
    c->x[c->n] = x;
    c->y[c->n++] = y;
}

static void take(curve *c, int64_t iter, const cJSON *v) {
    if (cJSON_IsNumber(v)) curve_add(c, (double)iter, v->valuedouble);
}

static void take_sample(report_data *d, int64_t iter, const cJSON *v) {
    if (!cJSON_IsString(v)) return;
    if (d->n_samples == SAMPLES_SHOWN) free(d->samples[--d->n_samples].text);
    memmove(d->samples + 1, d->samples, (size_t)d->n_samples++ * sizeof *d->samples);
    d->samples[0] = (text_sample){iter, xstrdup(v->valuestring)};
}

static void take_line(report_data *d, const char *line, size_t bytes) {
    cJSON *json = cJSON_ParseWithLength(line, bytes);
    int64_t iter;
    if (json && json_integer(json_get(json, "iter"), &iter)) {
        const cJSON *allocated = json_get(json, "vram_peak_bytes");
        take(&d->loss, iter, json_get(json, "loss"));
        take(&d->rate, iter, json_get(json, "lr"));
        take(&d->norm, iter, json_get(json, "grad_norm"));
        take(&d->speed, iter, json_get(json, "tokens_per_s"));
        take(&d->train_loss, iter, json_get(json, "train_loss"));
        take(&d->val_loss, iter, json_get(json, "val_loss"));
        take_sample(d, iter, json_get(json, "sample"));
        if (cJSON_IsNumber(allocated)) d->allocated = (uint64_t)fmax(0, fmin(allocated->valuedouble, 0x1p62));
    }
    cJSON_Delete(json);
}

static status read_log(const char *out, report_data *d, error *e) {
    char *path = xprintf("%s/log.jsonl", out), *line = NULL;
    size_t room = 0;
    status s = file_check_plain(path, e);
    FILE *f = s == OK ? fopen(path, "r") : NULL;
    free(path);
    if (!f) return s;
    d->logged = true;
    for (ssize_t n; (n = getline(&line, &room, f)) > 0;) take_line(d, line, (size_t)n);
    free(line);
    fclose(f);
    return OK;
}

static status read_object(const char *out, const char *name, cJSON **to, error *e) {
    char *path = xprintf("%s/%s", out, name);
    status s = access(path, F_OK) == 0 ? json_read_object(path, to, e) : OK;
    free(path);
    return s;
}

status report_read(const char *out, report_data *d, error *e) {
    *d = (report_data){0};
    status s = read_object(out, "run.json", &d->facts, e);
    if (s == OK) s = read_object(out, "equivalence.json", &d->equivalence, e);
    if (s == OK) s = read_log(out, d, e);
    if (s == OK && !d->logged && !d->facts && !d->equivalence)
        s = fail(e, BAD_INPUT,
                 "%s: no log.jsonl, run.json or equivalence.json there: name the out_dir of a run, as in `snug report "
                 "out`",
                 out);
    if (s != OK) report_free(d);
    return s;
}

void report_free(report_data *d) {
    curve *curves[] = {&d->loss, &d->rate, &d->norm, &d->speed, &d->train_loss, &d->val_loss};
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        free(curves[i]->x);
        free(curves[i]->y);
    }
    for (int i = 0; i < d->n_samples; i++) free(d->samples[i].text);
    cJSON_Delete(d->facts);
    cJSON_Delete(d->equivalence);
    *d = (report_data){0};
}
