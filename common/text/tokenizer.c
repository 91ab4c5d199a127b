/* tokenizer.c: what the three kinds of tokenizer have in common, and the two simple ones. See tokenizer.h. */
#include "text/tokenizer_internal.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { PORTION = 1 << 16, CODES = 0x110000 };

tokenizer *tokenizer_new(token_kind kind, uint32_t size) {
    tokenizer *t = xcalloc(1, sizeof *t);
    t->kind = kind;
    t->size = size;
    t->text = xcalloc(size, sizeof *t->text);
    t->text_bytes = xcalloc(size, sizeof *t->text_bytes);
    t->added_only = xcalloc(size, sizeof *t->added_only);
    for (int i = 0; i < 256; i++) t->id_of_byte[i] = NO_ID;
    return t;
}

void tokenizer_close(tokenizer *t) {
    if (!t) return;
    for (uint32_t i = 0; i < t->size; i++) free(t->text[i]);
    for (uint32_t i = 0; i < t->n_added; i++) free(t->added[i].content);
    splitter_free(t->split);
    free(t->text);
    free(t->text_bytes);
    free(t->added_only);
    free(t->id_of_code);
    free(t->merges);
    free(t->merge_table);
    free(t->added);
    free(t);
}

void tokenizer_set_text(tokenizer *t, uint32_t id, const char *text, size_t bytes) {
    t->text[id] = xcalloc(bytes + 1, 1);
    memcpy(t->text[id], text, bytes);
    t->text_bytes[id] = (uint32_t)bytes;
}

void tokenizer_finish(tokenizer *t) {
    if (t->kind == CHARACTERS) {
        for (uint32_t id = 0, code; id < t->size; id++)
            if (!t->added_only[id] && utf8_next(t->text[id], t->text_bytes[id], &code) && code >= t->codes)
                t->codes = code + 1;
        t->id_of_code = xcalloc(t->codes, sizeof *t->id_of_code);
        memset(t->id_of_code, 0xff, t->codes * sizeof *t->id_of_code);
        for (uint32_t id = 0, code; id < t->size; id++)
            if (!t->added_only[id] && utf8_next(t->text[id], t->text_bytes[id], &code)) t->id_of_code[code] = id;
        return;
    }
    for (uint32_t id = 0; id < t->size; id++)
        if (!t->added_only[id] && t->text_bytes[id] == 1) t->id_of_byte[(unsigned char)t->text[id][0]] = id;
    t->kind = t->n_merges == 0 && t->n_added == 0 ? BYTES : BPE;
    merge_table_build(t);
}

status tokenizer_from_characters(const char *text, size_t bytes, tokenizer **t, error *e) {
    bool *seen = xcalloc(CODES, sizeof *seen);
    uint32_t code, size = 0;
    size_t i = 0;
    *t = NULL;
    for (size_t length; i < bytes && (length = utf8_next(text + i, bytes - i, &code)); i += length) {
        size += !seen[code];
        seen[code] = true;
    }
    if (i == bytes && size > 0) {
        *t = tokenizer_new(CHARACTERS, size);
        for (uint32_t c = 0, id = 0; c < CODES; c++) {
            char utf8[4] = {0};
            if (seen[c]) tokenizer_set_text(*t, id++, utf8, utf8_put(c, utf8));
        }
        tokenizer_finish(*t);
    }
    free(seen);
    if (*t) return OK;
    return bytes == 0 ? fail(e, BAD_INPUT, "the text is empty: it has no characters to make a vocabulary of")
                      : not_utf8(text, i, e);
}

tokenizer *tokenizer_bytes(void) {
    tokenizer *t = tokenizer_new(BYTES, 256);
    for (uint32_t id = 0; id < 256; id++) {
        char byte = (char)id;
        tokenizer_set_text(t, id, &byte, 1);
    }
    t->split = splitter_new(); /* not used here, but what the saved file says to Hugging Face */
    tokenizer_finish(t);
    return t;
}

int64_t tokenizer_size(const tokenizer *t) { return t->size; }

bool tokenizer_same(const tokenizer *a, const tokenizer *b) {
    bool same = a->size == b->size;
    for (uint32_t id = 0; same && id < a->size; id++)
        same = a->text_bytes[id] == b->text_bytes[id] && !memcmp(a->text[id], b->text[id], a->text_bytes[id]);
    return same;
}

const char *tokenizer_kind_name(const tokenizer *t) {
    return t->kind == CHARACTERS ? "char" : t->kind == BYTES ? "byte" : "bpe";
}

const char *tokenizer_decode(const tokenizer *t, uint32_t id, size_t *bytes) {
    *bytes = id < t->size ? t->text_bytes[id] : 0;
    return id < t->size ? t->text[id] : "";
}

int64_t tokenizer_find(const tokenizer *t, const char *token) {
    size_t bytes = strlen(token);
    for (uint32_t id = 0; id < t->size; id++)
        if (t->text_bytes[id] == bytes && memcmp(t->text[id], token, bytes) == 0) return id;
    return -1;
}

/* ---- encoding ---- */

status not_utf8(const char *text, size_t at, error *e) {
    return fail(e, BAD_INPUT, "byte %zu (0x%02x) is not UTF-8; convert the text, or take --tokenizer=byte", at,
                (unsigned char)text[at]);
}

/* The next added token at or after `at`: the leftmost, of those the longest. *from == end when there is none. */
static const added_token *find_added(const tokenizer *t, const char *text, size_t at, size_t end, size_t *from) {
    bool first[256] = {false};
    for (uint32_t i = 0; i < t->n_added; i++) first[(unsigned char)t->added[i].content[0]] = true;
    *from = end;
    for (size_t i = at; t->n_added > 0 && i < end; i++) {
        if (!first[(unsigned char)text[i]]) continue;
        const added_token *best = NULL;
        for (uint32_t k = 0; k < t->n_added; k++) {
            const added_token *a = &t->added[k];
            if (a->bytes <= end - i && memcmp(text + i, a->content, a->bytes) == 0 && (!best || a->bytes > best->bytes))
                best = a;
        }
        if (!best) continue;
        *from = i;
        return best;
    }
    return NULL;
}

/* lstrip and rstrip: the token takes the white space beside it. */
static size_t space_before(const char *text, size_t begin, size_t at) {
    while (at > begin) {
        size_t i = at - 1;
        uint32_t code;
        while (i > begin && (text[i] & 0xc0) == 0x80) i--;
        if (utf8_next(text + i, at - i, &code) != at - i || !is_space(code)) break;
        at = i;
    }
    return at;
}

static size_t space_after(const char *text, size_t at, size_t end) {
    uint32_t code;
    for (size_t length; at < end && (length = utf8_next(text + at, end - at, &code)) && is_space(code);) at += length;
    return at;
}

static status encode_simple(const tokenizer *t, const char *text, size_t begin, size_t end, token_sink *take,
                            void *context, error *e) {
    uint32_t *ids = xcalloc(PORTION, sizeof *ids), code;
    size_t n = 0;
    status s = OK;
    for (size_t i = begin, length = 1; i < end && s == OK; i += length) {
        if (t->kind == BYTES) {
            ids[n] = t->id_of_byte[(unsigned char)text[i]];
            if (ids[n] == NO_ID)
                s = fail(e, BAD_INPUT, "byte %zu: the vocabulary has no token for 0x%02x", i, (unsigned char)text[i]);
        } else if ((length = utf8_next(text + i, end - i, &code)) == 0) {
            s = not_utf8(text, i, e);
        } else {
            ids[n] = code < t->codes ? t->id_of_code[code] : NO_ID;
            if (ids[n] == NO_ID)
                s = fail(e, BAD_INPUT,
                         "byte %zu: the character U+%04X '%.*s' is not among the vocabulary's %u; leave it out, or "
                         "prepare the data with a text that has it",
                         i, code, code < 0x20 ? 0 : (int)length, text + i, t->size);
        }
        if (s == OK && ++n == PORTION) {
            s = take(context, ids, n, e);
            n = 0;
        }
    }
    if (s == OK && n > 0) s = take(context, ids, n, e);
    free(ids);
    return s;
}

status tokenizer_stream(const tokenizer *t, const char *text, size_t begin, size_t end, token_sink *take, void *context,
                        error *e) {
    bpe_encoder *b = t->kind == BPE ? bpe_encoder_new(t) : NULL;
    status s = OK;
    while (begin < end && s == OK) {
        size_t from, to = end;
        const added_token *a = find_added(t, text, begin, end, &from);
        if (a) {
            to = a->rstrip ? space_after(text, from + a->bytes, end) : from + a->bytes;
            if (a->lstrip) from = space_before(text, begin, from);
        }
        if (from > begin)
            s = b ? bpe_encode(b, text, begin, from, take, context, e)
                  : encode_simple(t, text, begin, from, take, context, e);
        if (s == OK && a) s = take(context, &a->id, 1, e);
        begin = to;
    }
    bpe_encoder_free(b);
    return s;
}

typedef struct {
    uint32_t *ids;
    size_t n, room;
} id_list;

static status append_ids(void *context, const uint32_t *ids, size_t n, error *e) {
    id_list *list = context;
    (void)e;
    if (list->n + n > list->room) {
        list->room = (list->n + n) * 2;
        list->ids = xrealloc(list->ids, list->room * sizeof *list->ids);
    }
    memcpy(list->ids + list->n, ids, n * sizeof *ids);
    list->n += n;
    return OK;
}

status tokenizer_encode(const tokenizer *t, const char *text, size_t bytes, uint32_t **ids, size_t *n, error *e) {
    id_list list = {xcalloc(16, sizeof(uint32_t)), 0, 16};
    *ids = NULL;
    *n = 0;
    status s = tokenizer_stream(t, text, 0, bytes, append_ids, &list, e);
    if (s != OK) {
        free(list.ids);
        return s;
    }
    *ids = list.ids;
    *n = list.n;
    return OK;
}
