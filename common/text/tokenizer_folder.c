/* tokenizer_folder.c: what lies beside a vocabulary in a Hugging Face folder: tokenizer_config.json,
   special_tokens_map.json and added_tokens.json. Makes of them, and of tokenizer.json's own list, the one list of added
   tokens that transformers (5.24) arrives at; what it can't follow, it refuses. */
#include "base/files.h"
#include "base/json_value.h"
#include "text/tokenizer_internal.h"
#include <stdlib.h>
#include <string.h>

const char *const tokenizer_folder_names[FOLDER_FILES] = {"tokenizer_config.json", "special_tokens_map.json",
                                                          "added_tokens.json"};
/* transformers' order, in which tokens that are new get their ids. */
static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { ROLES = sizeof roles / sizeof *roles };

/* ---- reading ---- */

static const cJSON *get(const cJSON *object, const char *key) { return cJSON_GetObjectItemCaseSensitive(object, key); }

static bool is_true(const cJSON *object, const char *key) { return cJSON_IsTrue(get(object, key)); }

static status check_config(const tokenizer_folder *f, bool pair, error *e) {
    static const char *const classes[] = {"GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast",
                                          "TokenizersBackend"};
    const cJSON *config = f->json[FOLDER_CONFIG], *class = get(config, "tokenizer_class");
    bool known = !cJSON_IsString(class);
    for (size_t i = 0; i < sizeof classes / sizeof *classes && !known; i++)
        known = !strcmp(class->valuestring, classes[i]);
    if (!known)
        return fail(e, BAD_INPUT,
                    "%s/tokenizer_config.json: tokenizer_class is %s; snug reads GPT2Tokenizer and "
                    "PreTrainedTokenizerFast",
                    f->folder, class->valuestring);
    if (is_true(config, "split_special_tokens"))
        return fail(e, BAD_INPUT, "%s/tokenizer_config.json: split_special_tokens is set, which snug cannot do",
                    f->folder);
    if (pair && (is_true(config, "add_bos_token") || is_true(config, "add_eos_token")))
        return fail(e, BAD_INPUT,
                    "%s/tokenizer_config.json: %s is set; snug adds no token to a text: put it into the text, and set "
                    "this to false",
                    f->folder, is_true(config, "add_bos_token") ? "add_bos_token" : "add_eos_token");
    return OK;
}

static bool has(const char *folder, const char *name) {
    char *path = xprintf("%s/%s", folder, name);
    bool there = file_exists(path);
    free(path);
    return there;
}

status tokenizer_folder_read(const char *folder, bool pair, tokenizer_folder *f, error *e) {
    enum { LARGEST = 64 << 20 };
    status s = OK;
    *f = (tokenizer_folder){.folder = folder};
    for (int i = 0; i < FOLDER_FILES && s == OK; i++) {
        if (!has(folder, tokenizer_folder_names[i])) continue;
        char *path = xprintf("%s/%s", folder, tokenizer_folder_names[i]);
        s = file_read(path, LARGEST, &f->file[i].text, &f->file[i].bytes, e);
        if (s == OK) s = json_read_object(path, &f->json[i], e);
        free(path);
    }
    if (s == OK) s = check_config(f, pair, e);
    const cJSON *class = get(f->json[FOLDER_CONFIG], "tokenizer_class");
    f->gpt2 = pair || (cJSON_IsString(class) ? !strncmp(class->valuestring, "GPT2", 4) : has(folder, "config.json"));
    const cJSON *prefix = get(f->json[FOLDER_CONFIG], "add_prefix_space");
    f->says_prefix_space = cJSON_IsBool(prefix);
    f->prefix_space = cJSON_IsTrue(prefix);
    if (s != OK) tokenizer_folder_free(f);
    return s;
}

void tokenizer_folder_free(tokenizer_folder *f) {
    for (int i = 0; i < FOLDER_FILES; i++) {
        cJSON_Delete(f->json[i]);
        free(f->file[i].text);
    }
    *f = (tokenizer_folder){0};
}

/* ---- the list ---- */

typedef struct {
    const tokenizer_folder *f;
    const cJSON *vocabulary;
    cJSON *list;  /* tokens as in tokenizer.json's added_tokens */
    int64_t next; /* the id of the next new token */
    error *e;
} collector;

static cJSON *find(const cJSON *list, const char *content) {
    cJSON *a;
    cJSON_ArrayForEach(a, list) {
        const cJSON *c = get(a, "content");
        if (cJSON_IsString(c) && !strcmp(c->valuestring, content)) return a;
    }
    return NULL;
}

/* A token with the flags of `like`: an object as in tokenizer.json, or a text, which has none. special: whatever it
 * says. */
static cJSON *make_token(const char *content, const cJSON *like, bool special) {
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    cJSON *t = cJSON_CreateObject();
    special = special || is_true(like, "special");
    cJSON_AddStringToObject(t, "content", content);
    for (int i = 0; i < 3; i++) cJSON_AddBoolToObject(t, flags[i], is_true(like, flags[i]));
    const cJSON *normalized = get(like, "normalized");
    cJSON_AddBoolToObject(t, "normalized", normalized ? cJSON_IsTrue(normalized) : !special);
    cJSON_AddBoolToObject(t, "special", special);
    return t;
}

/* Adds a token, or gives one that is there these flags. It gets the id that it has in the vocabulary, or else the next
   one. wanted: the id that the file `from` gives it; -1: none. */
static status add(collector *c, cJSON *token, int64_t wanted, const char *from) {
    const char *content = get(token, "content")->valuestring;
    cJSON *there = find(c->list, content);
    const cJSON *known = there ? get(there, "id") : get(c->vocabulary, content);
    int64_t id = c->next;
    if (known && !(json_integer(known, &id) && id >= 0)) id = -1; /* read_added and read_token say so */
    if (wanted >= 0 && id != wanted) {
        fail(c->e, BAD_INPUT, "%s/%s gives '%s' the id %lld, but it comes to %lld: the ids must have no holes",
             c->f->folder, from, content, (long long)wanted, (long long)id);
        cJSON_Delete(token);
        return BAD_INPUT;
    }
    if (id == c->next) c->next++;
    cJSON_AddNumberToObject(token, "id", (double)id);
    if (there)
        cJSON_ReplaceItemViaPointer(c->list, there, token);
    else
        cJSON_AddItemToArray(c->list, token);
    return OK;
}

/* A special token that the configuration names: a text, or an object with one. */
static status add_special(collector *c, const cJSON *v, const char *from) {
    const cJSON *content = cJSON_IsObject(v) ? get(v, "content") : v;
    if (!cJSON_IsString(content) || !*content->valuestring || find(c->list, content->valuestring)) return OK;
    return add(c, make_token(content->valuestring, cJSON_IsObject(v) ? v : NULL, true), -1, from);
}

/* special_tokens_map.json counts before tokenizer_config.json, but not where that lists all added tokens. */
static bool has_decoder(const tokenizer_folder *f) { return get(f->json[FOLDER_CONFIG], "added_tokens_decoder"); }

static const cJSON *named(const tokenizer_folder *f, const char *key) {
    const cJSON *map = has_decoder(f) ? NULL : get(f->json[FOLDER_SPECIAL], key);
    return map ? map : get(f->json[FOLDER_CONFIG], key);
}

static bool is_role(const char *key) {
    for (int i = 0; i < ROLES; i++)
        if (!strcmp(key, roles[i])) return true;
    return false;
}

static bool ends_in_token(const char *key) {
    size_t n = strlen(key);
    return n > 6 && !strcmp(key + n - 6, "_token");
}

/* "extra_special_tokens", which older files call "additional_special_tokens". */
static const cJSON *extra_tokens(const tokenizer_folder *f) {
    const cJSON *v = named(f, "extra_special_tokens");
    return v && v->child ? v : named(f, "additional_special_tokens");
}

static bool is_named(const tokenizer_folder *f, const char *content) {
    const cJSON *v;
    for (int i = 0; i < ROLES; i++) {
        v = named(f, roles[i]);
        const cJSON *text = cJSON_IsObject(v) ? get(v, "content") : v;
        if (cJSON_IsString(text) && !strcmp(text->valuestring, content)) return true;
    }
    cJSON_ArrayForEach(v, extra_tokens(f)) if (cJSON_IsString(v) && !strcmp(v->valuestring, content)) return true;
    return false;
}

static status add_named(collector *c) {
    const tokenizer_folder *f = c->f;
    const cJSON *v, *extra = extra_tokens(f), end = {.type = cJSON_String, .valuestring = END_OF_TEXT};
    for (int i = 0; i < ROLES; i++) {
        v = named(f, roles[i]);
        if (!v && f->gpt2 && i < 3) v = &end; /* GPT2Tokenizer's own bos, eos and unk */
        TRY(add_special(c, v, "tokenizer_config.json"));
    }
    cJSON_ArrayForEach(v,
                       f->json[FOLDER_CONFIG]) if (ends_in_token(v->string) && !is_role(v->string) && cJSON_IsString(v))
        TRY(add_special(c, v, "tokenizer_config.json"));
    cJSON_ArrayForEach(v, extra) TRY(add_special(c, v, "tokenizer_config.json"));
    return OK;
}

/* ---- tokens that are listed with their ids ---- */

typedef struct {
    int64_t id;
    const char *content;
    const cJSON *like;
    bool special;
    const char *from;
} listed;

static int by_id(const void *a, const void *b) {
    int64_t x = ((const listed *)a)->id, y = ((const listed *)b)->id;
    return (x > y) - (x < y);
}

static status bad_entry(const collector *c, const char *file, const char *what) {
    return fail(c->e, BAD_INPUT, "%s/%s: %s is no id from 0 on with a token's text", c->f->folder, file, what);
}

/* tokenizer_config.json's added_tokens_decoder: {"50257": {"content": ...}}. */
static status list_decoder(const collector *c, listed *l, int *n) {
    const cJSON *v;
    cJSON_ArrayForEach(v, get(c->f->json[FOLDER_CONFIG], "added_tokens_decoder")) {
        char *end;
        const cJSON *content = get(v, "content");
        long long id = strtoll(v->string, &end, 10);
        if (*end || end == v->string || id < 0 || id >= TOKENIZER_SIZE_MAX || !cJSON_IsString(content) ||
            !*content->valuestring)
            return bad_entry(c, "tokenizer_config.json", "an entry of added_tokens_decoder");
        l[(*n)++] = (listed){id, content->valuestring, v, false, "tokenizer_config.json"};
    }
    return OK;
}

/* added_tokens.json: {"<|pad|>": 50257}. */
static status list_added(const collector *c, listed *l, int *n) {
    const cJSON *v;
    cJSON_ArrayForEach(v, c->f->json[FOLDER_ADDED]) {
        int64_t id;
        if (!json_integer(v, &id) || id < 0 || id >= TOKENIZER_SIZE_MAX || !*v->string)
            return bad_entry(c, "added_tokens.json", "an entry");
        l[(*n)++] = (listed){id, v->string, NULL, is_named(c->f, v->string), "added_tokens.json"};
    }
    return OK;
}

/* GPT2Tokenizer is built anew from the vocabulary, and takes tokenizer.json's list with those of the other files. */
static status list_own(const collector *c, const cJSON *own, listed *l, int *n) {
    const cJSON *v;
    cJSON_ArrayForEach(v, own) {
        const cJSON *content = get(v, "content");
        int64_t id;
        if (!json_integer(get(v, "id"), &id) || id < 0 || !cJSON_IsString(content) || !*content->valuestring)
            return bad_entry(c, "tokenizer.json", "an entry of added_tokens");
        l[(*n)++] = (listed){id, content->valuestring, v, false, "tokenizer.json"};
    }
    return OK;
}

static status add_listed(collector *c, const cJSON *own) {
    const tokenizer_folder *f = c->f;
    const cJSON *decoder = get(f->json[FOLDER_CONFIG], "added_tokens_decoder");
    int n = 0, room = cJSON_GetArraySize(decoder) + cJSON_GetArraySize(f->json[FOLDER_ADDED]) + cJSON_GetArraySize(own);
    listed *l = xcalloc((size_t)room + 1, sizeof *l);
    status s = decoder ? list_decoder(c, l, &n) : list_added(c, l, &n);
    if (s == OK && !decoder && f->gpt2) s = list_own(c, own, l, &n);
    qsort(l, (size_t)n, sizeof *l, by_id);
    for (int i = 0; i < n && s == OK; i++)
        s = add(c, make_token(l[i].content, l[i].like, l[i].special), l[i].id, l[i].from);
    free(l);
    return s;
}

status tokenizer_folder_added(const tokenizer_folder *f, const cJSON *vocabulary, const cJSON *own, cJSON **list,
                              error *e) {
    collector c = {.f = f, .vocabulary = vocabulary, .e = e};
    c.list = own && !f->gpt2 ? cJSON_Duplicate(own, true) : cJSON_CreateArray();
    c.next = cJSON_GetArraySize(vocabulary);
    const cJSON *a;
    cJSON_ArrayForEach(a, c.list) {
        int64_t id;
        if (json_integer(get(a, "id"), &id) && id >= c.next && id < TOKENIZER_SIZE_MAX) c.next = id + 1;
    }
    status s = add_listed(&c, own);
    if (s == OK) s = add_named(&c);
    if (s == OK)
        *list = c.list;
    else
        cJSON_Delete(c.list);
    return s;
}
