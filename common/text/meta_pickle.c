/* meta_pickle.c: see meta_pickle.h. */
#include "text/meta_pickle.h"
#include "base/utf8.h"
#include "text/pickle.h"
#include "text/tokenizer_internal.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *path;
    int64_t vocabulary;        /* 0: not said */
    const pickle_value **itos; /* [n], by id */
    int64_t n;
    error *e;
} meta;

static status bad(const meta *m, const char *what) {
    return fail(m->e, BAD_INPUT, "%s: %s; make it again by nanoGPT's prepare.py, or move it away", m->path, what);
}

/* Takes one pair of an id and its text. Of two pairs with one id the later counts, as in Python. */
static status take(meta *m, const pickle_value *id, const pickle_value *text, int64_t n, const char *dict) {
    if (id->kind != PICKLE_INT || text->kind != PICKLE_TEXT)
        return fail(m->e, BAD_INPUT, "%s: %s is no dict of whole numbers and texts", m->path, dict);
    if (id->number < 0 || id->number >= n)
        return fail(m->e, BAD_INPUT, "%s: %s has id %lld, which leaves a hole among its %lld ids", m->path, dict,
                    (long long)id->number, (long long)n);
    m->itos[id->number] = text;
    return OK;
}

static status read_itos(meta *m, const pickle_value *itos) {
    if (itos->kind != PICKLE_DICT && itos->kind != PICKLE_LIST) return bad(m, "itos is neither a dict nor a list");
    m->n = (int64_t)itos->n;
    m->itos = xcalloc(itos->n + 1, sizeof *m->itos);
    for (size_t i = 0; i < itos->n; i++) {
        pickle_value id = {.kind = PICKLE_INT, .number = (int64_t)i};
        if (itos->kind == PICKLE_DICT)
            TRY(take(m, itos->items[2 * i], itos->items[2 * i + 1], m->n, "itos"));
        else
            TRY(take(m, &id, itos->items[i], m->n, "itos"));
    }
    return OK;
}

static bool same_text(const pickle_value *a, const pickle_value *b) {
    return a->bytes == b->bytes && !memcmp(a->text, b->text, a->bytes);
}

static status read_stoi(meta *m, const pickle_value *stoi) {
    if (stoi->kind != PICKLE_DICT) return bad(m, "stoi is no dict");
    if (m->itos && (int64_t)stoi->n != m->n) return bad(m, "itos and stoi differ in length");
    if (!m->itos) m->itos = xcalloc(stoi->n + 1, sizeof *m->itos);
    m->n = (int64_t)stoi->n;
    for (size_t i = 0; i < stoi->n; i++) {
        const pickle_value *text = stoi->items[2 * i], *id = stoi->items[2 * i + 1];
        bool known = id->kind == PICKLE_INT && id->number >= 0 && id->number < m->n && m->itos[id->number];
        if (known && text->kind == PICKLE_TEXT && !same_text(m->itos[id->number], text))
            return bad(m, "itos and stoi contradict each other");
        TRY(take(m, id, text, m->n, "stoi"));
    }
    return OK;
}

static status read_meta(meta *m, const pickle_value *root) {
    const pickle_value *size = pickle_get(root, "vocab_size"), *itos = pickle_get(root, "itos"),
                       *stoi = pickle_get(root, "stoi");
    if (root->kind != PICKLE_DICT || !(size || itos || stoi))
        return bad(m, "it is no dict with vocab_size, itos or stoi, as nanoGPT's meta.pkl is");
    if (itos) TRY(read_itos(m, itos));
    if (stoi) TRY(read_stoi(m, stoi));
    for (int64_t i = 0; i < m->n; i++)
        if (!m->itos[i]) return bad(m, "an id is there twice, and so another is missing");
    if (size && (size->kind != PICKLE_INT || size->number < 1 || size->number > TOKENIZER_SIZE_MAX))
        return bad(m, "vocab_size is not a whole number from 1 to 16777216");
    m->vocabulary = size ? size->number : m->n;
    if (m->vocabulary < m->n)
        return fail(m->e, BAD_INPUT, "%s: vocab_size is %lld, but there are %lld ids", m->path,
                    (long long)m->vocabulary, (long long)m->n);
    return m->vocabulary ? OK : bad(m, "it has no ids");
}

static status make_tokenizer(const meta *m, tokenizer **t) {
    if (!m->n) return fail(m->e, BAD_INPUT, "%s has neither itos nor stoi: it says nothing of the ids' text", m->path);
    tokenizer *made = tokenizer_new(CHARACTERS, (uint32_t)m->n);
    status s = OK;
    for (int64_t i = 0; i < m->n && s == OK; i++) {
        uint32_t code;
        const pickle_value *text = m->itos[i];
        if (text->bytes == 0 || utf8_next(text->text, text->bytes, &code) != text->bytes)
            s = fail(m->e, BAD_INPUT, "%s: the text of id %lld, '%.*s', is not one character", m->path, (long long)i,
                     (int)(text->bytes < 40 ? text->bytes : 40), text->text);
        tokenizer_set_text(made, (uint32_t)i, text->text, text->bytes);
    }
    if (s == OK) tokenizer_finish(made);
    for (uint32_t id = 0, code; s == OK && id < made->size; id++)
        if (utf8_next(made->text[id], made->text_bytes[id], &code) && made->id_of_code[code] != id)
            s = fail(m->e, BAD_INPUT, "%s: ids %u and %u are the same character", m->path, id, made->id_of_code[code]);
    if (s == OK)
        *t = made;
    else
        tokenizer_close(made);
    return s;
}

/* t: NULL where only the vocabulary is wanted. */
static status read_file(const char *path, int64_t *vocabulary, tokenizer **t, error *e) {
    pickle *p;
    const pickle_value *root;
    meta m = {.path = path, .e = e};
    TRY(pickle_open(path, &p, &root, e));
    status s = read_meta(&m, root);
    *vocabulary = m.vocabulary;
    if (s == OK && t) s = make_tokenizer(&m, t);
    free(m.itos);
    pickle_close(p);
    return s;
}

status meta_pickle_vocabulary(const char *path, int64_t *vocabulary, error *e) {
    return read_file(path, vocabulary, NULL, e);
}

status meta_pickle_tokenizer(const char *path, tokenizer **t, error *e) {
    int64_t unused;
    *t = NULL;
    return read_file(path, &unused, t, e);
}
