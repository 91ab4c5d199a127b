/* weights_file.c: see weights_file.h. */
#include "save/weights_file.h"
#include "base/files.h"
#include "base/json_value.h"
#include <stdlib.h>
#include <string.h>

#define INDEX "model.safetensors.index.json"

const char *weight_name(const char *name) {
    static const char *const prefixes[] = {"_orig_mod.", "module.", "model.", "transformer."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n)) continue;
        name += n;
        i = (size_t)-1; /* another may follow: begin again */
    }
    return name;
}

/* ---- several files ---- */

/* Hugging Face's index: {"weight_map": {TENSOR: FILE}}. A file has to lie in the folder: an index from elsewhere must
   not make other files be read. */
static status check_index(const char *path, const cJSON *map, error *e) {
    if (!cJSON_IsObject(map) || !map->child)
        return fail(e, BAD_INPUT, "%s: has no \"weight_map\" that says which file holds which tensor", path);
    for (const cJSON *entry = map->child; entry; entry = entry->next) {
        const char *name = cJSON_IsString(entry) ? entry->valuestring : "";
        if (!*name || strchr(name, '/') || name[0] == '.')
            return fail(e, BAD_INPUT, "%s: the file of \"%.200s\", '%.200s', is no name of a file beside it", path,
                        entry->string, name);
    }
    return OK;
}

static int find_file(const weights_file *w, const char *path) {
    for (int i = 0; i < w->n_files; i++)
        if (!strcmp(w->files[i].path, path)) return i;
    return -1;
}

static status open_one(weights_file *w, const char *path, const char *sha256, error *e) {
    w->files = xrealloc(w->files, (size_t)(w->n_files + 1) * sizeof *w->files);
    TRY(st_open_hashed(path, sha256, &w->files[w->n_files], e));
    w->n_files++;
    return OK;
}

/* Opens the file of each tensor in the map, and looks whether it holds the tensor. */
static status open_parts(weights_file *w, const char *folder, const cJSON *map, error *e) {
    TRY(check_index(w->path, map, e));
    status s = OK;
    for (const cJSON *entry = map->child; entry && s == OK; entry = entry->next) {
        char *path = xprintf("%s/%s", folder, entry->valuestring);
        if (find_file(w, path) < 0) s = open_one(w, path, NULL, e);
        if (s == OK && !st_find(&w->files[find_file(w, path)], entry->string))
            s = fail(e, BAD_INPUT, "%s: says that %s holds \"%.200s\", which it does not", w->path, path,
                     entry->string);
        free(path);
    }
    return s;
}

static status open_index(weights_file *w, const char *folder, error *e) {
    cJSON *index;
    TRY(json_read_object(w->path, &index, e));
    status s = open_parts(w, folder, json_get(index, "weight_map"), e);
    cJSON_Delete(index);
    return s;
}

/* ---- names ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const weight *)a)->name, ((const weight *)b)->name);
}

static status sort_names(weights_file *w, error *e) {
    int n = 0;
    for (int i = 0; i < w->n_files; i++) n += w->files[i].n;
    w->weights = xcalloc((size_t)n + 1, sizeof *w->weights);
    for (int i = 0; i < w->n_files; i++)
        for (int k = 0; k < w->files[i].n; k++) {
            const st_tensor *t = &w->files[i].tensors[k];
            w->weights[w->n++] = (weight){weight_name(t->name), t, false};
        }
    qsort(w->weights, (size_t)n, sizeof *w->weights, by_name);
    for (int i = 1; i < n; i++)
        if (!strcmp(w->weights[i - 1].name, w->weights[i].name))
            return fail(e, BAD_INPUT, "%s: \"%.200s\" is there twice, also as \"%.200s\": remove one", w->path,
                        w->weights[i - 1].tensor->name, w->weights[i].tensor->name);
    return OK;
}

/* model.safetensors comes first, as in transformers. */
status weights_open(const char *folder, const char *sha256, weights_file *w, error *e) {
    char *one = xprintf("%s/model.safetensors", folder), *index = xprintf("%s/" INDEX, folder);
    bool parts = !file_exists(one) && file_exists(index);
    *w = (weights_file){.path = parts ? index : one};
    free(parts ? one : index);
    status s = parts ? open_index(w, folder, e) : open_one(w, w->path, sha256, e);
    if (s == OK) s = sort_names(w, e);
    if (s != OK) weights_close(w);
    return s;
}

void weights_close(weights_file *w) {
    for (int i = 0; i < w->n_files; i++) st_close(&w->files[i]);
    free(w->files);
    free(w->weights);
    free(w->path);
    *w = (weights_file){0};
}

const st_tensor *weights_take(weights_file *w, const char *name) {
    weight key = {.name = name};
    weight *found = w->n ? bsearch(&key, w->weights, (size_t)w->n, sizeof key, by_name) : NULL;
    if (!found) return NULL;
    found->used = true;
    return found->tensor;
}
