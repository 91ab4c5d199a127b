/* choice.c: chooses between snug's own float32 products and CLBlast's: measures both once for a device, a build and a
   model, and keeps the result. The graph for it is the same for all runs of a model, so that micro-batch, policy and
   cap do not influence the choice. */
#include "base/files.h"
#include "base/hash.h"
#include "base/json_file.h"
#include "base/json_value.h"
#include "base/version.h"
#include "opencl/product.h"
#include "opencl/tune/tune.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is kept: a file for each device, driver, CLBlast and build, in it an entry for each model ---- */

static char *choice_path(const device_info *d) {
    char hex[HASH_HEX];
    char *device = gemm_device_key(d), *key = xprintf("%s|%s|%s", device, snug_version(), snug_build());
    hash_bytes(key, strlen(key), hex);
    char *name = xprintf("products-%.16s.json", hex), *path = file_cache_path(name);
    free(name);
    free(key);
    free(device);
    return path;
}

void opencl_choice_forget(const device_info *d) {
    char *path = choice_path(d);
    if (path) unlink(path);
    free(path);
}

static void model_key(const product_list *all, char hex[HASH_HEX]) {
    char *text = xprintf("%d", all->n);
    for (int i = 0; i < all->n; i++) {
        const product *p = &all->list[i];
        char *more = xprintf("%s|%d%d %lld %lld %lld %g", text, p->ta, p->tb, (long long)p->m, (long long)p->n,
                             (long long)p->k, p->times);
        free(text);
        text = more;
    }
    hash_bytes(text, strlen(text), hex);
    free(text);
}

static bool get_rate(const cJSON *entry, const char *name, double *rate) {
    const cJSON *v = json_get(entry, name);
    *rate = cJSON_IsNumber(v) ? v->valuedouble : 0;
    return isfinite(*rate) && *rate > 0;
}

/* Reads an entry, which must have two rates. Anything else is treated as missing, and measured again. */
static bool read_entry(const cJSON *entry, opencl_choice *c) {
    return entry && get_rate(entry, "own_flops", &c->own) && get_rate(entry, "clblast_flops", &c->clblast);
}

static bool recall(const device_info *d, const char *model, opencl_choice *c) {
    cJSON *object = NULL;
    char *path = choice_path(d);
    bool found = path && json_read_object(path, &object, NULL) == OK && read_entry(json_get(object, model), c);
    cJSON_Delete(object);
    free(path);
    return found;
}

/* Keeps the entry. A failure does not matter. */
static void keep(const device_info *d, const char *model, const opencl_choice *c) {
    cJSON *object = NULL;
    char *path = choice_path(d);
    if (!path) return;
    if (json_read_object(path, &object, NULL) != OK) object = cJSON_CreateObject();
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddNumberToObject(entry, "own_flops", c->own);
    cJSON_AddNumberToObject(entry, "clblast_flops", c->clblast);
    cJSON_DeleteItemFromObjectCaseSensitive(object, model);
    cJSON_AddItemToObject(object, model, entry);
    json_write(path, object, false, NULL);
    free(path);
}

/* Are snug's own products faster? Within 2 per cent the answer is the default for such a device, so that two first
   measurements on the same device agree. */
static bool is_own_faster(const device_info *d, const opencl_choice *c) {
    const double clearly = 1.02;
    if (c->own > clearly * c->clblast) return true;
    if (c->clblast > clearly * c->own) return false;
    return opencl_defaults_to_own(d);
}

/* For people: "41.2 TFLOP/s". */
static char *rate_text(double flops, char text[32]) {
    snprintf(text, 32, flops < 1e12 ? "%.1f GFLOP/s" : "%.1f TFLOP/s", flops / (flops < 1e12 ? 1e9 : 1e12));
    return text;
}

static void decide(const device_info *d, opencl_choice *c) {
    char own[32], clblast[32];
    c->gemm = is_own_faster(d, c) ? PRODUCTS_OWN : PRODUCTS_CLBLAST;
    rate_text(c->own, own);
    rate_text(c->clblast, clblast);
    if (!strcmp(c->gemm, PRODUCTS_OWN))
        snprintf(c->text, sizeof c->text, "matrix products: snug's own, %s at this model's shapes (CLBlast: %s)", own,
                 clblast);
    else
        snprintf(c->text, sizeof c->text, "matrix products: CLBlast's, %s at this model's shapes (snug's own: %s)",
                 clblast, own);
}

void products_print(const device_info *d, FILE *f) {
    cJSON *object = NULL;
    opencl_choice c = {0};
    char *path = choice_path(d);
    if (path && json_read_object(path, &object, NULL) == OK)
        for (const cJSON *entry = object->child; entry; entry = entry->next)
            if (read_entry(entry, &c)) {
                decide(d, &c);
                fprintf(f, "    %s\n", c.text);
            }
    cJSON_Delete(object);
    free(path);
}

/* ---- measuring ---- */

/* The rate of all samples together, in operations a second, weighted by their work. The first run of each compiles its
   kernels and does not count; the others are as many for each tile of snug's own (product_tiles.h). */
static status time_all(const opencl_options *o, const product_samples *samples, double *rate, error *e) {
    backend *b;
    gemm_bench t;
    double seconds = 0, one;
    TRY(opencl_open(o, &b, e));
    status s = gemm_bench_open(&t, (opencl *)b, samples->p, samples->n, e);
    if (s != OK) {
        b->close(b);
        return s;
    }
    for (int i = 0; i < samples->n && s == OK; i++) {
        s = gemm_bench_time(&t, &samples->p[i], 1, &one, e);
        if (s == OK) s = gemm_bench_time(&t, &samples->p[i], one > 0.2 ? PRODUCT_TILES : 2 * PRODUCT_TILES, &one, e);
        seconds += one * samples->weight[i];
    }
    b->close(b);
    gemm_bench_close(&t);
    *rate = samples->all / seconds;
    return s;
}

/* Measures both ways with small samples first. These say how large the samples may be, and end the measurement if one
   way is far behind: on a CPU at once, since small samples are what keeps a GPU waiting for launches. */
static status measure(const opencl_options *o, const device_info *d, product_list *all, opencl_choice *c, error *e) {
    static const int64_t sides[] = {4096, 2048, 1024, 512, 256};
    const bool cpu = d->type & CL_DEVICE_TYPE_CPU;
    const double seconds = 0.3, hopeless = cpu ? 1.5 : 2; /* a CPU does small ones no worse than large ones */
    product_samples samples;
    int side = 4;
    opencl_options ways[2] = {*o, *o};
    ways[0].gemm = PRODUCTS_OWN;
    ways[1].gemm = PRODUCTS_CLBLAST;
    for (int round = 0; round < 2; round++) {
        samples_take(&samples, all, sides[side]);
        TRY(time_all(&ways[0], &samples, &c->own, e));
        TRY(time_all(&ways[1], &samples, &c->clblast, e));
        double slower = c->own < c->clblast ? c->own : c->clblast, faster = c->own + c->clblast - slower;
        if (faster > hopeless * slower && (cpu || sides[side] > 256)) break;
        if (round) break;
        for (side = 0; side < 4; side++) {
            samples_take(&samples, all, sides[side]);
            if (samples.once <= seconds * slower) break;
        }
        if (side == 4) break;
    }
    return OK;
}

/* Which device is meant, and the products that CLBlast would be asked for there. Opens nothing: a start where all is
   known already shall not pay for a second context. */
static status list_products(const opencl_options *o, const graph *g, device_info *device, product_list *all, error *e) {
    device_info *list;
    int count, index = 0;
    char why[512];
    TRY(devices_list(&list, &count, e));
    status s = devices_choose(list, count, o->selector, &index, why, sizeof why, e);
    if (s == OK) {
        opencl *b = xcalloc(1, sizeof *b);
        *device = b->device.info = list[index];
        b->min_indirect = gemm_params_base(device).value[PARAM_XGEMM_MIN_INDIRECT_SIZE];
        s = gemm_list(b, g, g->micro, all, e);
        free(b);
    }
    free(list);
    return s;
}

status opencl_choose(const opencl_options *o, const graph *g, FILE *report, opencl_choice *c, error *e) {
    const double worth = 2e9; /* a model with less work than this is not worth a second of measuring */
    product_list all;
    char model[HASH_HEX];
    double work = 0;
    device_info device;
    *c = (opencl_choice){.gemm = NULL};
    TRY(list_products(o, g, &device, &all, e));
    status s = OK;
    for (int i = 0; i < all.n; i++) work += product_flops(&all.list[i]) * all.list[i].times;
    if (s == OK && work >= worth) {
        model_key(&all, model);
        bool known = recall(&device, model, c);
        if (!known && report) fprintf(report, "measuring matrix products on this device, once for this model\n");
        if (!known) s = measure(o, &device, &all, c, e);
        if (!known && s == OK) keep(&device, model, c);
        if (s == OK) decide(&device, c);
        if (s == NO_MEMORY) s = OK; /* the cap is too small to measure in */
    }
    free(all.list);
    return s;
}
