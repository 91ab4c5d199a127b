/* run_state.c: see run_state.h. */
#include "save/run_state.h"
#include "base/files.h"
#include "base/json_value.h"
#include "base/memory_file.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const run_file_names[RUN_FILES] = {"config.json",       "model.safetensors",      "optimizer.safetensors",
                                               "tokenizer.json",    "tokenizer_config.json",  "special_tokens_map.json",
                                               "added_tokens.json", "generation_config.json", "master.safetensors"};
enum { FORMAT = 1, STATE_MAX = 16 << 20 };
static const char CHECKSUM[] = ",\n \"checksum\": \""; /* of all that stands before it */
static const char END[] = "\"\n}\n";

/* ---- parts ---- */

static bool part_is(const run_part *p, const char *device, const char *build, const char *gemm) {
    return !strcmp(p->device, device) && !strcmp(p->build, build) && !strcmp(p->gemm, gemm);
}

static void part_free(run_part *p) {
    free(p->device);
    free(p->build);
    free(p->gemm);
}

static void add_part(run_state *s, int64_t from, const char *device, const char *build, const char *gemm) {
    s->parts = xrealloc(s->parts, (unsigned long)(s->n_parts + 1) * sizeof *s->parts);
    s->parts[s->n_parts++] = (run_part){from, xstrdup(device), xstrdup(build), xstrdup(gemm)};
}

void run_state_go_on(run_state *s, const char *device, const char *build, const char *gemm) {
    /* A part in which no step was done does not count. */
    if (s->n_parts && s->parts[s->n_parts - 1].from >= s->iter) part_free(&s->parts[--s->n_parts]);
    if (!s->n_parts || !part_is(&s->parts[s->n_parts - 1], device, build, gemm))
        add_part(s, s->n_parts ? s->iter : 0, device, build, gemm);
}

run_state run_state_new(const char *device, const char *build, const char *gemm) {
    run_state s = {.val_loss = NAN, .best_val_loss = INFINITY};
    add_part(&s, 0, device, build, gemm);
    return s;
}

void run_state_free(run_state *s) {
    for (int i = 0; i < s->n_settings; i++) {
        free(s->settings[i].key);
        free(s->settings[i].value);
    }
    for (int i = 0; i < s->n_parts; i++) part_free(&s->parts[i]);
    free(s->settings);
    free(s->parts);
    *s = (run_state){0};
}

/* ---- settings ---- */

static run_setting *find(const run_state *s, const char *key) {
    for (int i = 0; i < s->n_settings; i++)
        if (!strcmp(s->settings[i].key, key)) return &s->settings[i];
    return NULL;
}

void run_state_set(run_state *s, const char *key, const char *value) {
    run_setting *there = find(s, key);
    if (there)
        free(there->value);
    else {
        s->settings = xrealloc(s->settings, (unsigned long)(s->n_settings + 1) * sizeof *s->settings);
        there = &s->settings[s->n_settings++];
        there->key = xstrdup(key);
    }
    there->value = xstrdup(value);
}

const char *run_state_get(const run_state *s, const char *key) {
    const run_setting *there = find(s, key);
    return there ? there->value : NULL;
}

/* ---- writing ---- */

static void print_part(FILE *f, const run_part *p) {
    fprintf(f, "\n  {\"from\": %" PRId64 ", \"device\": ", p->from);
    json_print(f, p->device);
    fputs(", \"build\": ", f);
    json_print(f, p->build);
    fputs(", \"gemm\": ", f);
    json_print(f, p->gemm);
    fputc('}', f);
}

/* JSON has neither NaN nor infinity: null. */
static void print_real(FILE *f, const char *key, double value) {
    if (isfinite(value))
        fprintf(f, ",\n \"%s\": %.17g", key, value);
    else
        fprintf(f, ",\n \"%s\": null", key);
}

static void print_state(FILE *f, const run_state *s) {
    fprintf(f, "{\n \"format\": %d,\n \"iter\": %" PRId64 ",\n \"serial\": %" PRId64, FORMAT, s->iter, s->serial);
    print_real(f, "val_loss", s->val_loss);
    print_real(f, "best_val_loss", s->best_val_loss);
    fprintf(f, ",\n \"evaluated\": %s,\n \"parts\": [", s->evaluated ? "true" : "false");
    for (int i = 0; i < s->n_parts; i++) {
        fputs(i ? "," : "", f);
        print_part(f, &s->parts[i]);
    }
    fputs("\n ]", f);
    fputs(",\n \"config\": {", f);
    for (int i = 0; i < s->n_settings; i++) {
        fputs(i ? ",\n  " : "\n  ", f);
        json_print(f, s->settings[i].key);
        fputs(": ", f);
        json_print(f, s->settings[i].value);
    }
    fputs("\n },\n \"files\": {", f);
    const char *comma = "";
    for (int i = 0; i < RUN_FILES; i++) {
        if (!s->sha256[i][0]) continue;
        fprintf(f, "%s\n  \"%s\": \"%s\"", comma, run_file_names[i], s->sha256[i]);
        comma = ",";
    }
    fputs("\n }", f);
}

status run_state_write(const char *path, const run_state *s, error *e) {
    char *text, hex[HASH_HEX];
    size_t bytes;
    FILE *f = memory_file(&text, &bytes);
    print_state(f, s);
    fflush(f);
    hash_bytes(text, bytes, hex);
    fprintf(f, "%s%s%s", CHECKSUM, hex, END);
    fclose(f);
    status result = file_write(path, text, bytes, false, NULL, e);
    free(text);
    return result;
}

/* ---- reading ---- */

static bool checksum_is_right(const char *text, size_t bytes) {
    size_t tail = strlen(CHECKSUM) + 64 + strlen(END);
    if (bytes < tail || strlen(text) != bytes) return false;
    const char *at = text + bytes - tail, *digits = at + strlen(CHECKSUM);
    char hex[HASH_HEX];
    hash_bytes(text, bytes - tail, hex);
    return !strncmp(at, CHECKSUM, strlen(CHECKSUM)) && !strncmp(digits, hex, 64) && !strcmp(digits + 64, END);
}

static const char *text_of(const cJSON *v) { return cJSON_IsString(v) ? v->valuestring : ""; }

static double real_of(const cJSON *v, double otherwise) { return cJSON_IsNumber(v) ? v->valuedouble : otherwise; }

/* Reads the parts, which are in the order of their steps. An older file has one device, build and gemm, and no list of
   parts. */
static bool take_parts(const cJSON *json, run_state *s) {
    const cJSON *parts = json_get(json, "parts");
    int64_t from, after = -1;
    if (!parts)
        add_part(s, 0, text_of(json_get(json, "device")), text_of(json_get(json, "build")),
                 text_of(json_get(json, "gemm")));
    for (const cJSON *p = cJSON_IsArray(parts) ? parts->child : NULL; p; p = p->next) {
        if (!json_integer(json_get(p, "from"), &from) || from <= after || (after < 0 && from)) return false;
        add_part(s, from, text_of(json_get(p, "device")), text_of(json_get(p, "build")), text_of(json_get(p, "gemm")));
        after = from;
    }
    return s->n_parts > 0;
}

static status take_values(const char *path, const cJSON *json, run_state *s, error *e) {
    int64_t format;
    if (!json_integer(json_get(json, "format"), &format) || format != FORMAT)
        return fail(e, BAD_INPUT, "%s: has a format that this snug does not know; use the snug that wrote it", path);
    if (!take_parts(json, s))
        return fail(e, BAD_INPUT, "%s: \"parts\" must be a list in the order of \"from\", which begins at 0", path);
    s->evaluated = !cJSON_IsFalse(json_get(json, "evaluated"));
    if (!json_integer(json_get(json, "iter"), &s->iter) || s->iter < 0 ||
        !json_integer(json_get(json, "serial"), &s->serial) || s->serial < 0)
        return fail(e, BAD_INPUT, "%s: \"iter\" and \"serial\" must be whole numbers", path);
    s->val_loss = real_of(json_get(json, "val_loss"), NAN);
    s->best_val_loss = real_of(json_get(json, "best_val_loss"), INFINITY);
    const cJSON *settings = json_get(json, "config"), *files = json_get(json, "files");
    for (const cJSON *c = cJSON_IsObject(settings) ? settings->child : NULL; c; c = c->next)
        run_state_set(s, c->string, text_of(c));
    for (int i = 0; i < RUN_FILES; i++) {
        const char *hex = text_of(json_get(files, run_file_names[i]));
        if (strlen(hex) == HASH_HEX - 1 && strspn(hex, "0123456789abcdef") == HASH_HEX - 1)
            memcpy(s->sha256[i], hex, HASH_HEX);
        else if (i < RUN_TOKENIZER)
            return fail(e, BAD_INPUT, "%s: lacks the hash of %s", path, run_file_names[i]);
    }
    return OK;
}

status run_state_read(const char *path, run_state *s, error *e) {
    char *text;
    size_t bytes;
    *s = (run_state){0};
    TRY(file_read(path, STATE_MAX, &text, &bytes, e));
    cJSON *json = checksum_is_right(text, bytes) ? cJSON_Parse(text) : NULL;
    free(text);
    if (!json) return fail(e, BAD_INPUT, "%s: is damaged: it is not what snug wrote", path);
    status result = take_values(path, json, s, e);
    cJSON_Delete(json);
    if (result != OK) run_state_free(s);
    return result;
}
