/* config_names.c: see config_names.h. */
#include "config/config_names.h"
#include "base/nearest.h"
#include <stdlib.h>
#include <string.h>

/* ---- names that nanoGPT's train.py and bench.py give ---- */

static const struct {
    const char *name;
    value_type type;
    bool truth;
    const char *text;
} skipped[] = {
    {"wandb_log", VALUE_BOOL, false, ""},          {"wandb_project", VALUE_TEXT, false, "owt"},
    {"wandb_run_name", VALUE_TEXT, false, "gpt2"}, {"compile", VALUE_BOOL, true, ""},
    {"backend", VALUE_TEXT, false, "nccl"},        {"profile", VALUE_BOOL, false, ""},
    {"real_data", VALUE_BOOL, true, ""},
};
enum { N_SKIPPED = sizeof skipped / sizeof *skipped };

bool name_is_skipped(const char *name) {
    for (int i = 0; i < N_SKIPPED; i++)
        if (!strcmp(name, skipped[i].name)) return true;
    return !strncmp(name, "wandb_", 6);
}

static bool is_module(const char *name) {
    static const char *const modules[] = {"os", "time", "math", "pickle", "np", "torch"};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (!strcmp(name, modules[i])) return true;
    return false;
}

/* ---- the names of files ---- */

static named_value *find(const struct names *names, const char *name) {
    for (int i = 0; i < names->n; i++)
        if (!strcmp(names->list[i].name, name)) return &names->list[i];
    return NULL;
}

bool names_set(struct names *names, const char *name, const value *v, const char *source, int line) {
    named_value *x = find(names, name);
    if (!x) {
        if (names->n == NAMES_MAX) return false;
        if (!names->list) names->list = xcalloc(NAMES_MAX, sizeof *names->list);
        x = &names->list[names->n++];
        *x = (named_value){.name = xstrdup(name), .v = xcalloc(1, sizeof *x->v)};
    }
    free(x->source);
    x->source = xstrdup(source);
    *x->v = *v;
    x->line = line;
    x->fresh = true;
    return true;
}

static void clear(named_value *x) {
    free(x->name);
    free(x->source);
    free(x->v);
}

void names_forget(struct names *names, const char *name) {
    named_value *x = find(names, name);
    if (!x) return;
    clear(x);
    *x = names->list[--names->n];
}

void names_free(struct names *names) {
    for (int i = 0; names && i < names->n; i++) clear(&names->list[i]);
    if (names) free(names->list);
    free(names);
}

/* ---- looking them up ---- */

static value of_setting(const config *c, option_id id, int line) {
    const void *from = (const char *)c + option_table[id].offset;
    switch (option_table[id].type) {
    case OPTION_INT: return value_int(*(const int64_t *)from);
    case OPTION_REAL: return value_real(*(const double *)from);
    case OPTION_BOOL: return value_bool(*(const bool *)from);
    case OPTION_TEXT: return value_text(from, strlen(from), line);
    case OPTION_BYTES: break;
    }
    return value_unknown(line, false, "%s can't be used in arithmetic: write the value itself", option_table[id].name);
}

/* It may have been mistyped: then a name is near. */
static value of_nothing(const struct names *names, const char *name, int line) {
    static const char *const words[] = {"True", "False", "None"};
    nearest n = {.typed = name};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) nearest_try(&n, words[i]);
    for (int i = 0; i < names->n; i++) nearest_try(&n, names->list[i].name);
    for (int i = 0; i < OPTION_COUNT; i++) nearest_try(&n, option_table[i].name);
    return value_unknown(line, true, "%s stands for nothing here%s%s%s", name, n.word ? ": did you mean " : "",
                         n.word ? n.word : "", n.word ? "?" : "");
}

value names_get(struct names *names, const char *name, int line) {
    named_value *x = find(names, name);
    option_id id = config_find(name);
    if (x) {
        x->used = true;
        return *x->v;
    }
    if (id != OPTION_COUNT) return of_setting(names->c, id, line);
    for (int i = 0; i < N_SKIPPED; i++)
        if (!strcmp(name, skipped[i].name))
            return skipped[i].type == VALUE_BOOL ? value_bool(skipped[i].truth)
                                                 : value_text(skipped[i].text, strlen(skipped[i].text), line);
    if (is_module(name)) return value_unknown(line, false, "%s is a module, of which nothing is executed", name);
    return of_nothing(names, name, line);
}
