/* params_cache.c: the file that keeps what `snug tune` found, one for each device, driver and CLBlast. A file that is
   damaged, or was made for something else, is treated as missing. */
#include "base/files.h"
#include "base/json_file.h"
#include "base/json_value.h"
#include "opencl/params.h"
#include <clblast_c.h>
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "libclblast.so.1.5.3": CLBlast has no function that tells its version, but the name of its file does. */
static void clblast_version(char *text, size_t size) {
    Dl_info where = {0};
    union {
        CLBlastStatusCode (*function)(void);
        void *address;
    } any = {.function = CLBlastClearCache};
    char *path = dladdr(any.address, &where) && where.dli_fname ? xfound(realpath(where.dli_fname, NULL)) : NULL;
    const char *name = path ? strrchr(path, '/') : NULL;
    snprintf(text, size, "%s", name ? name + 1 : "CLBlast");
    free(path);
}

char *gemm_device_key(const device_info *d) {
    char clblast[128];
    clblast_version(clblast, sizeof clblast);
    return xprintf("%s|%s|%s|%s|%s|%s", d->name, d->vendor, d->platform_name, d->driver, d->version, clblast);
}

/* The file's path; NULL if there is no folder for caches. */
static char *make_path(const char *key) {
    char hex[HASH_HEX];
    hash_bytes(key, strlen(key), hex);
    char *name = xprintf("gemm-%.16s.json", hex), *path = file_cache_path(name);
    free(name);
    return path;
}

/* Six digits, which read back as they were written; cJSON does not promise that for all 17 of a double. */
#define RATE "%.6g"

static void make_check(const char *key, const char *params, const gemm_record *r, char hex[HASH_HEX]) {
    char *all = xprintf("%s\n%s\n%s\n" RATE " " RATE " " RATE, key, params, r->date, r->own, r->untuned, r->tuned);
    hash_bytes(all, strlen(all), hex);
    free(all);
}

static const char *text_of(const cJSON *object, const char *name) {
    const cJSON *v = json_get(object, name);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static void add_rate(cJSON *object, const char *name, double rate) {
    char text[32];
    snprintf(text, sizeof text, RATE, rate);
    cJSON_AddRawToObject(object, name, text);
}

static double rate_of(const cJSON *object, const char *name) {
    const cJSON *v = json_get(object, name);
    return cJSON_IsNumber(v) && isfinite(v->valuedouble) ? v->valuedouble : 0;
}

bool gemm_record_recall(const device_info *d, gemm_record *r) {
    char *key = gemm_device_key(d), *path = make_path(key), hex[HASH_HEX];
    cJSON *object = NULL;
    bool good = path && json_read_object(path, &object, NULL) == OK;
    if (good) {
        const char *params = text_of(object, "parameters");
        *r = (gemm_record){.own = rate_of(object, "own_gflops"),
                           .untuned = rate_of(object, "untuned_gflops"),
                           .tuned = rate_of(object, "tuned_gflops")};
        snprintf(r->date, sizeof r->date, "%s", text_of(object, "date"));
        make_check(key, params, r, hex);
        good = !strcmp(hex, text_of(object, "check")) && gemm_params_parse(params, &r->params) &&
               gemm_params_sound(&r->params, d);
    }
    cJSON_Delete(object);
    free(path);
    free(key);
    return good;
}

status gemm_record_keep(const device_info *d, const gemm_record *r, error *e) {
    char *key = gemm_device_key(d), *path = make_path(key), hex[HASH_HEX], params[GEMM_TEXT_MAX];
    if (!path) {
        free(key);
        return fail(e, FAILED, "no place for the tuned parameters: set HOME or XDG_CACHE_HOME");
    }
    gemm_params_print(&r->params, params);
    make_check(key, params, r, hex);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "device", key);
    cJSON_AddStringToObject(object, "date", r->date);
    add_rate(object, "own_gflops", r->own);
    add_rate(object, "untuned_gflops", r->untuned);
    add_rate(object, "tuned_gflops", r->tuned);
    cJSON_AddStringToObject(object, "parameters", params);
    cJSON_AddStringToObject(object, "check", hex);
    status s = json_write(path, object, true, e);
    free(path);
    free(key);
    return s;
}

status gemm_record_drop(const device_info *d, error *e) {
    char *key = gemm_device_key(d), *path = make_path(key);
    status s = OK;
    if (path && unlink(path) < 0 && errno != ENOENT)
        s = fail(e, FAILED, "'%s': cannot remove it: %s", path, strerror(errno));
    free(path);
    free(key);
    return s;
}
