/* report_data.c: see report_data.h. */
#include "report/report_data.h"
#include "base/files.h"
#include <math.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void take(curve *c, int64_t iter, const cJSON *v) {
    if (cJSON_IsNumber(v)) curve_add(c, (double)iter, v->valuedouble);
}

static void take_sample(report_data *d, int64_t iter, const cJSON *v) {
    if (!cJSON_IsString(v)) return;
    if (d->n_samples == SAMPLES_SHOWN) free(d->samples[--d->n_samples].text);
    memmove(d->samples + 1, d->samples, (size_t)d->n_samples++ * sizeof *d->samples);
    d->samples[0] = (text_sample){iter, xstrdup(v->valuestring)};
}

/* Each start of a run counts from 0. */
static void take_seconds(report_data *d, const cJSON *v) {
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble < 1e12)) return;
    if (v->valuedouble < d->seconds) d->seconds_before += d->seconds;
    d->seconds = v->valuedouble;
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
        take_seconds(d, json_get(json, "run_s"));
        take_sample(d, iter, json_get(json, "sample"));
        if (cJSON_IsNumber(allocated)) d->allocated = (uint64_t)fmax(0, fmin(allocated->valuedouble, 0x1p62));
    }
    cJSON_Delete(json);
}

static void forget_log(report_data *d) {
    curve *curves[] = {&d->loss, &d->rate, &d->norm, &d->speed, &d->train_loss, &d->val_loss};
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) curve_free(curves[i]);
    while (d->n_samples) free(d->samples[--d->n_samples].text);
    d->seconds = d->seconds_before = 0;
    d->allocated = 0;
    d->log_read = 0;
    d->logged = false;
}

/* Forgets what was read of a file that is there no more. */
static void look_at_log(FILE *f, report_data *d) {
    struct stat there;
    if (fstat(fileno(f), &there) < 0) return;
    if (there.st_dev != d->log_device || there.st_ino != d->log_number || there.st_size < d->log_read) forget_log(d);
    d->log_device = there.st_dev;
    d->log_number = there.st_ino;
}

static status read_log(const char *out, report_data *d, error *e) {
    char *path = xprintf("%s/log.jsonl", out), *line = NULL;
    size_t room = 0;
    status s = file_check_plain(path, e);
    FILE *f = s == OK ? xfound(fopen(path, "r")) : NULL;
    free(path);
    if (!f) {
        forget_log(d);
        return s;
    }
    look_at_log(f, d);
    d->logged = true;
    ssize_t n = 0;
    if (fseeko(f, d->log_read, SEEK_SET) == 0)
        for (; (n = getline(&line, &room, f)) > 0 && line[n - 1] == '\n'; d->log_read += n)
            take_line(d, line, (size_t)n);
    if (n < 0 && !feof(f) && errno == ENOMEM) out_of_memory(0);
    free(line);
    fclose(f);
    return OK;
}

static status read_object(const char *out, const char *name, cJSON **to, error *e) {
    char *path = xprintf("%s/%s", out, name);
    cJSON_Delete(*to);
    *to = NULL;
    status s = access(path, F_OK) == 0 ? json_read_object(path, to, e) : OK;
    free(path);
    return s;
}

status report_read(const char *out, report_data *d, error *e) {
    status s = read_object(out, "run.json", &d->facts, e);
    if (s == OK) s = read_object(out, "equivalence.json", &d->equivalence, e);
    if (s == OK) s = read_log(out, d, e);
    if (s == OK && !d->logged && !d->facts && !d->equivalence)
        s = fail(e, BAD_INPUT,
                 "%s: no log.jsonl, run.json or equivalence.json there: name the out_dir of a run, as in `snug report "
                 "out`",
                 out);
    return s;
}

void report_free(report_data *d) {
    forget_log(d);
    cJSON_Delete(d->facts);
    cJSON_Delete(d->equivalence);
    *d = (report_data){0};
}
