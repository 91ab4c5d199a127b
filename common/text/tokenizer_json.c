/* tokenizer_json.c: reads tokenizer.json (of Hugging Face `tokenizers`), and GPT-2's vocab.json with merges.txt.
   Accepts tokenizers like GPT-2's and snug's own two simple ones; of any other it says which part is not supported. */
#include "base/files.h"
#include "base/json_file.h"
#include "base/mapped_file.h"
#include "text/tokenizer_internal.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

/* ---- the byte alphabet ---- */

/* Printable Latin-1 stands for itself; the other 68 bytes are written as the letters from U+0100 on, in order. */
uint32_t letter_of_byte(unsigned char b) {
    if (b <= 32) return 256u + b;
    if (b >= 127 && b <= 160) return 256u + 33 + (b - 127u);
    return b == 173 ? 256u + 67 : b;
}

int byte_of_letter(uint32_t code) {
    if (code >= 256 && code < 256 + 33) return (int)code - 256;
    if (code >= 256 + 33 && code < 256 + 67) return (int)code - 256 - 33 + 127;
    if (code == 256 + 67) return 173;
    return code > 32 && code < 256 && letter_of_byte((unsigned char)code) == code ? (int)code : -1;
}

/* Turns letters into bytes, in place; returns their number, or -1 if a character is not in the byte alphabet. */
static int64_t letters_to_bytes(char *text) {
    size_t bytes = strlen(text), n = 0;
    for (size_t i = 0, length; i < bytes; i += length) {
        uint32_t code;
        if ((length = utf8_next(text + i, bytes - i, &code)) == 0) return -1;
        int byte = byte_of_letter(code);
        if (byte < 0) return -1;
        text[n++] = (char)byte;
    }
    return (int64_t)n;
}

/* ---- while reading ---- */

/* Tokens by their bytes, for looking up the ids of merges and added tokens. */
typedef struct {
    uint32_t *slot;
    uint64_t mask;
} text_index;

typedef struct {
    const char *path;
    tokenizer *t;
    text_index index;
    tokenizer_folder folder; /* all zero for a tokenizer.json alone */
    error *e;
} reader;

static uint32_t *index_slot(const reader *r, const char *text, size_t bytes) {
    const tokenizer *t = r->t;
    uint64_t i = text_hash(text, bytes) & r->index.mask;
    for (uint32_t id; (id = r->index.slot[i]) != NO_ID; i = (i + 1) & r->index.mask)
        if (t->text_bytes[id] == bytes && memcmp(t->text[id], text, bytes) == 0) break;
    return &r->index.slot[i];
}

/* A JSON number as an id; false if it is not an integer from 0 to limit - 1. */
static bool read_id(const cJSON *value, uint32_t limit, uint32_t *id) {
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0 && value->valuedouble < limit)) return false;
    *id = (uint32_t)value->valuedouble;
    return (double)*id == value->valuedouble;
}

static bool is_set(const cJSON *object, const char *key) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return v && !cJSON_IsNull(v) && !cJSON_IsFalse(v) && !(cJSON_IsString(v) && !*v->valuestring) &&
           !(cJSON_IsNumber(v) && v->valuedouble == 0);
}

static bool is_added(const cJSON *added, const char *content) {
    const cJSON *a;
    cJSON_ArrayForEach(a, added) {
        const cJSON *c = cJSON_GetObjectItemCaseSensitive(a, "content");
        if (cJSON_IsString(c) && !strcmp(c->valuestring, content)) return true;
    }
    return false;
}

/* One entry of the vocabulary. A text written in the byte alphabet becomes bytes; an added token stays as it is. */
static status read_token(reader *r, cJSON *entry, const cJSON *added) {
    tokenizer *t = r->t;
    char *text = entry->string;
    uint32_t id, code;
    if (!read_id(entry, t->size, &id)) /* `size` counts all tokens: with a larger id, one below would be missing */
        return fail(r->e, BAD_INPUT, "%s: token '%s' has no id from 0 to %u: with %u tokens a larger one leaves a hole",
                    r->path, text, t->size - 1, t->size);
    if (t->text[id])
        return fail(r->e, BAD_INPUT, "%s: tokens '%s' and '%s' have the same id %u", r->path, t->text[id], text, id);
    size_t bytes = strlen(text);
    if (t->kind == CHARACTERS && bytes == 0) bytes = 1; /* U+0000: cJSON ends the string there */
    if (t->kind == CHARACTERS && utf8_next(text, bytes, &code) != bytes && !is_added(added, text))
        return fail(r->e, BAD_INPUT, "%s: token '%s' is not one character, and there are no merges that could make it",
                    r->path, text);
    if (t->kind != CHARACTERS && !is_added(added, text)) {
        char *letters = xstrdup(text);
        int64_t n = letters_to_bytes(letters);
        if (n > 0) tokenizer_set_text(t, id, letters, (size_t)n);
        free(letters);
        if (n <= 0)
            return fail(r->e, BAD_INPUT, "%s: token '%s' (id %u) is not written in GPT-2's byte alphabet", r->path,
                        text, id);
    } else {
        tokenizer_set_text(t, id, text, bytes);
    }
    uint32_t *slot = index_slot(r, t->text[id], t->text_bytes[id]);
    if (*slot != NO_ID)
        return fail(r->e, BAD_INPUT, "%s: token '%s' stands in the vocabulary twice (ids %u and %u)", r->path, text,
                    *slot, id);
    *slot = id;
    return OK;
}

/* `added` may have tokens that are not in the vocabulary. Together their ids must be 0 .. size - 1, none missing. */
static status read_vocabulary(reader *r, token_kind kind, cJSON *vocabulary, const cJSON *added) {
    if (!cJSON_IsObject(vocabulary) || !vocabulary->child)
        return fail(r->e, BAD_INPUT, "%s: there is no vocabulary (an object of tokens and ids) in it", r->path);
    int64_t tokens = cJSON_GetArraySize(vocabulary), beyond = 0;
    const cJSON *a;
    uint32_t id;
    cJSON_ArrayForEach(a, added) beyond +=
        read_id(cJSON_GetObjectItemCaseSensitive(a, "id"), TOKENIZER_SIZE_MAX, &id) && id >= tokens;
    if (tokens + beyond > TOKENIZER_SIZE_MAX)
        return fail(r->e, BAD_INPUT, "%s: %lld tokens are more than the %d that can be", r->path,
                    (long long)(tokens + beyond), TOKENIZER_SIZE_MAX);
    r->t = tokenizer_new(kind, (uint32_t)(tokens + beyond));
    uint64_t slots = 4;
    while (slots < 2 * (uint64_t)r->t->size) slots *= 2;
    r->index = (text_index){xcalloc(slots, sizeof(uint32_t)), slots - 1};
    memset(r->index.slot, 0xff, slots * sizeof(uint32_t));
    for (cJSON *entry = vocabulary->child; entry; entry = entry->next) TRY(read_token(r, entry, added));
    return OK;
}

static status add_token(reader *r, const char *content, uint32_t id, added_token flags) {
    tokenizer *t = r->t;
    size_t bytes = strlen(content);
    if (bytes == 0) return fail(r->e, BAD_INPUT, "%s: an added token is empty", r->path);
    if (id >= t->size)
        return fail(r->e, BAD_INPUT, "%s: added token '%s' has id %u, which leaves a hole below it (%u tokens in all)",
                    r->path, content, id, t->size);
    if (!t->text[id]) {
        if (*index_slot(r, content, bytes) != NO_ID)
            return fail(r->e, BAD_INPUT, "%s: added token '%s' has id %u, and another one in the vocabulary", r->path,
                        content, id);
        tokenizer_set_text(t, id, content, bytes);
        *index_slot(r, content, bytes) = id;
        t->added_only[id] = true;
    } else if (t->text_bytes[id] != bytes || memcmp(t->text[id], content, bytes)) {
        return fail(r->e, BAD_INPUT, "%s: id %u is both '%s' and the added token '%s'", r->path, id, t->text[id],
                    content);
    }
    flags.content = xstrdup(content);
    flags.bytes = bytes;
    flags.id = id;
    t->added = xrealloc(t->added, (t->n_added + 1) * sizeof *t->added);
    t->added[t->n_added++] = flags;
    return OK;
}

static status read_added(reader *r, const cJSON *added) {
    const cJSON *a;
    cJSON_ArrayForEach(a, added) {
        const cJSON *content = cJSON_GetObjectItemCaseSensitive(a, "content");
        uint32_t id;
        if (!cJSON_IsString(content) || !read_id(cJSON_GetObjectItemCaseSensitive(a, "id"), TOKENIZER_SIZE_MAX, &id))
            return fail(r->e, BAD_INPUT,
                        "%s: added_tokens has an entry without a content or with an id that is none below %d", r->path,
                        TOKENIZER_SIZE_MAX);
        if (is_set(a, "single_word"))
            return fail(r->e, BAD_INPUT, "%s: added token '%s' asks for single_word, which snug cannot do", r->path,
                        content->valuestring);
        added_token flags = {.lstrip = is_set(a, "lstrip"),
                             .rstrip = is_set(a, "rstrip"),
                             .special = is_set(a, "special"),
                             .normalized = is_set(a, "normalized")};
        TRY(add_token(r, content->valuestring, id, flags));
    }
    for (uint32_t id = 0; id < r->t->size; id++)
        if (!r->t->text[id])
            return fail(r->e, BAD_INPUT,
                        "%s: no token has id %u, though there are %u tokens: the ids must have no holes", r->path, id,
                        r->t->size);
    return OK;
}

/* ---- merges ---- */

/* left and right are written in the byte alphabet; both are decoded in place. `where` and `number` name the merge in
   errors. */
static status add_merge(reader *r, char *left, char *right, const char *where, long number) {
    tokenizer *t = r->t;
    char *shown = xprintf("'%s' + '%s'", left, right);
    int64_t a = letters_to_bytes(left), b = letters_to_bytes(right);
    uint32_t ids[3] = {NO_ID, NO_ID, NO_ID};
    if (a > 0 && b > 0) {
        char *both = xcalloc((size_t)(a + b), 1);
        memcpy(both, left, (size_t)a);
        memcpy(both + a, right, (size_t)b);
        ids[0] = *index_slot(r, left, (size_t)a);
        ids[1] = *index_slot(r, right, (size_t)b);
        ids[2] = *index_slot(r, both, (size_t)(a + b));
        free(both);
    }
    status s = OK;
    if (a <= 0 || b <= 0)
        s = fail(r->e, BAD_INPUT, "%s: %s %ld, %s, is not written in GPT-2's byte alphabet", r->path, where, number,
                 shown);
    else if (ids[0] == NO_ID || ids[1] == NO_ID || ids[2] == NO_ID)
        s = fail(r->e, BAD_INPUT, "%s: %s %ld, %s: the vocabulary lacks %s", r->path, where, number, shown,
                 ids[2] == NO_ID && ids[0] != NO_ID && ids[1] != NO_ID ? "the token they make" : "one of them");
    else
        t->merges[t->n_merges++] = (merge){ids[0], ids[1], ids[2]};
    free(shown);
    return s;
}

static status add_merge_line(reader *r, char *line, const char *where, long number) {
    char *space = strchr(line, ' ');
    if (!space || space == line || !space[1] || strchr(space + 1, ' '))
        return fail(r->e, BAD_INPUT, "%s: %s %ld, '%.60s', is not two tokens with one space between them", r->path,
                    where, number, line);
    *space = 0;
    return add_merge(r, line, space + 1, where, number);
}

static status read_merges(reader *r, cJSON *merges) {
    if (!cJSON_IsArray(merges)) return fail(r->e, BAD_INPUT, "%s: model.merges is missing or no list", r->path);
    r->t->merges = xcalloc((unsigned long)cJSON_GetArraySize(merges), sizeof(merge));
    long number = 0;
    for (cJSON *m = merges->child; m; m = m->next) {
        cJSON *left = cJSON_IsArray(m) ? m->child : NULL, *right = left ? left->next : NULL;
        number++;
        if (cJSON_IsString(m))
            TRY(add_merge_line(r, m->valuestring, "merge", number));
        else if (cJSON_IsString(left) && cJSON_IsString(right) && !right->next)
            TRY(add_merge(r, left->valuestring, right->valuestring, "merge", number));
        else
            return fail(r->e, BAD_INPUT, "%s: merge %ld is neither \"a b\" nor [\"a\", \"b\"]", r->path, number);
    }
    return OK;
}

static status read_merges_file(reader *r, const char *path) {
    mapped_file f;
    TRY(file_map(path, "it belongs beside vocab.json", &f, r->e));
    char *text = xcalloc(f.bytes + 1, 1);
    memcpy(text, f.data, f.bytes);
    size_t bytes = f.bytes, lines = 1;
    for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
    file_unmap(&f);
    r->t->merges = xcalloc(lines, sizeof(merge));
    r->path = path;
    status s = OK;
    long number = 0;
    for (char *line = text, *next; line && s == OK; line = next) {
        number++;
        if ((next = strchr(line, '\n'))) *next++ = 0;
        size_t n = strlen(line);
        if (n > 0 && line[n - 1] == '\r') line[n - 1] = 0;
        if (*line && !(number == 1 && !strncmp(line, "#version", 8))) s = add_merge_line(r, line, "line", number);
    }
    free(text);
    return s;
}

/* ---- files ---- */

/* GPT-2's ByteLevel, alone or in a Sequence of one; NULL if `part` is something else. */
static const cJSON *byte_level(const cJSON *part) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(part, "pretokenizers");
    if (cJSON_IsArray(list) && cJSON_GetArraySize(list) == 1) part = list->child;
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(part, "type");
    return cJSON_IsString(type) && !strcmp(type->valuestring, "ByteLevel") ? part : NULL;
}

static status check_model(reader *r, const cJSON *root, const cJSON *model) {
    static const char *const wanted_off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                             "byte_fallback", "ignore_merges"};
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(model, "type");
    if (!cJSON_IsObject(model))
        return fail(r->e, BAD_INPUT, "%s has no \"model\": it is not a tokenizer.json of Hugging Face tokenizers",
                    r->path);
    if (cJSON_IsString(type) && strcmp(type->valuestring, "BPE"))
        return fail(r->e, BAD_INPUT, "%s: the model is %s; snug knows GPT-2's BPE", r->path, type->valuestring);
    for (size_t i = 0; i < sizeof wanted_off / sizeof *wanted_off; i++)
        if (is_set(model, wanted_off[i]))
            return fail(r->e, BAD_INPUT, "%s: model.%s is set; GPT-2's BPE has none, and snug cannot do it", r->path,
                        wanted_off[i]);
    if (is_set(root, "normalizer"))
        return fail(r->e, BAD_INPUT, "%s has a normalizer; GPT-2's tokenizer has none, and snug cannot do it", r->path);
    return OK;
}

/* A post-processor may put tokens before or after each text, which snug never does. NULL, or the name of such a token.
 */
static const char *token_put_around(const cJSON *post) {
    const cJSON *part, *id;
    cJSON_ArrayForEach(part, cJSON_GetObjectItemCaseSensitive(post, "processors")) {
        const char *token = token_put_around(part);
        if (token) return token;
    }
    cJSON_ArrayForEach(part, cJSON_GetObjectItemCaseSensitive(post, "single")) {
        id = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(part, "SpecialToken"), "id");
        if (cJSON_IsString(id)) return id->valuestring;
    }
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(post, "type");
    bool other = cJSON_IsString(type) &&
                 (!strcmp(type->valuestring, "RobertaProcessing") || !strcmp(type->valuestring, "BertProcessing"));
    return other ? type->valuestring : NULL;
}

/* Whether a space is put before each text: GPT2Tokenizer looks into tokenizer_config.json alone, the other class into
   tokenizer.json, where the two must not differ. */
static status read_prefix_space(reader *r, const cJSON *byte_level) {
    const tokenizer_folder *f = &r->folder;
    bool json = is_set(byte_level, "add_prefix_space");
    r->t->prefix_space = f->gpt2 ? f->prefix_space : json;
    if (f->gpt2 || !f->says_prefix_space || f->prefix_space == json) return OK;
    return fail(r->e, BAD_INPUT,
                "%s has add_prefix_space %s, and tokenizer_config.json beside it %s: make them the same", r->path,
                json ? "on" : "off", json ? "off" : "on");
}

static status read_tokenizer(reader *r, cJSON *root, const cJSON *added) {
    cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    cJSON *vocabulary = cJSON_GetObjectItemCaseSensitive(model, "vocab");
    cJSON *merges = cJSON_GetObjectItemCaseSensitive(model, "merges");
    const cJSON *before = cJSON_GetObjectItemCaseSensitive(root, "pre_tokenizer"), *bytes = byte_level(before);
    bool characters = (!before || cJSON_IsNull(before)) && cJSON_IsArray(merges) && !merges->child;
    if (!bytes && !characters)
        return fail(r->e, BAD_INPUT, "%s: the pre_tokenizer is not GPT-2's ByteLevel; snug cannot do another", r->path);
    const char *around = token_put_around(cJSON_GetObjectItemCaseSensitive(root, "post_processor"));
    if (around)
        return fail(
            r->e, BAD_INPUT,
            "%s: the post_processor puts tokens around each text (%s), which snug does not: set it to null, and "
            "put them into the text",
            r->path, around);
    TRY(read_vocabulary(r, characters ? CHARACTERS : BPE, vocabulary, added));
    TRY(read_prefix_space(r, bytes));
    const cJSON *regex = cJSON_GetObjectItemCaseSensitive(bytes, "use_regex");
    if (bytes && (r->folder.gpt2 || !cJSON_IsFalse(regex))) r->t->split = splitter_new();
    TRY(read_added(r, added));
    return characters ? OK : read_merges(r, merges);
}

/* GPT-2's older pair of files. */
static status read_pair(reader *r, cJSON *vocabulary, const cJSON *added, const char *merges) {
    TRY(read_vocabulary(r, BPE, vocabulary, added));
    r->t->prefix_space = r->folder.prefix_space;
    r->t->split = splitter_new();
    TRY(read_added(r, added));
    return read_merges_file(r, merges);
}

/* The text of tokenizer.json to be saved again, so that nothing is dropped: as it is, or with the tokens that other
   files have added. Has to be called before the merges are read, which are decoded in place. */
static status keep_json(reader *r, cJSON *root, const cJSON *own, const cJSON *added, kept_file *kept) {
    if (!added || cJSON_Compare(added, own, true))
        return file_read(r->path, (size_t)1 << 30, &kept->text, &kept->bytes, r->e);
    cJSON *more = cJSON_Duplicate(root, true);
    cJSON_DeleteItemFromObjectCaseSensitive(more, "added_tokens");
    cJSON_AddItemToObject(more, "added_tokens", cJSON_Duplicate(added, true));
    kept->text = cJSON_Print(more);
    kept->bytes = strlen(kept->text);
    cJSON_Delete(more);
    return OK;
}

/* Hands the files that were read to the tokenizer. */
static void keep_files(reader *r, kept_file *json, bool changed) {
    tokenizer *t = r->t;
    t->gpt2 = r->folder.gpt2;
    for (int i = 0; i < FOLDER_FILES; i++) {
        t->beside[i] = r->folder.file[i];
        r->folder.file[i] = (kept_file){0};
    }
    if (t->kind == CHARACTERS && changed) return; /* U+0000 would be lost: tokenizer_save writes its own text */
    t->json = *json;
    *json = (kept_file){0};
}

/* folder: NULL for a tokenizer.json alone. merges: NULL for a tokenizer.json, else path is a vocab.json. */
static status read_files(reader *r, const char *folder, cJSON *root, const char *merges) {
    const char *path = r->path;
    cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model"), *added = NULL;
    cJSON *own = merges ? NULL : cJSON_GetObjectItemCaseSensitive(root, "added_tokens");
    cJSON *vocabulary = merges ? root : cJSON_GetObjectItemCaseSensitive(model, "vocab");
    if (!merges) TRY(check_model(r, root, model));
    if (folder) TRY(tokenizer_folder_read(folder, merges != NULL, &r->folder, r->e));
    if (folder) TRY(tokenizer_folder_added(&r->folder, vocabulary, own, &added, r->e));
    const cJSON *all = folder ? added : own;
    kept_file json = {0};
    status s = merges ? OK : keep_json(r, root, own, added, &json);
    if (s == OK) s = merges ? read_pair(r, vocabulary, all, merges) : read_tokenizer(r, root, all);
    r->path = path;
    if (s == OK) keep_files(r, &json, added && !cJSON_Compare(added, own, true));
    free(json.text);
    cJSON_Delete(added);
    return s;
}

status tokenizer_read_file(const char *folder, const char *path, const char *merges, tokenizer **t, error *e) {
    cJSON *root;
    TRY(json_read(path, &root, e));
    reader r = {.path = path, .e = e};
    status s = read_files(&r, folder, root, merges);
    cJSON_Delete(root);
    free(r.index.slot);
    tokenizer_folder_free(&r.folder);
    if (s == OK)
        tokenizer_finish(*t = r.t);
    else
        tokenizer_close(r.t);
    return s;
}
