/* tokenizer_encode.c: a text cut at the tokens that were added by name; what lies between goes to the BPE, or here to
   the two simple kinds. */
#include "text/tokenizer_internal.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { PORTION = 1 << 16 };

/* The next added token at or after `at`: the leftmost, and of several there the longest. *from is where it begins, or
   `end` when there is none. */
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

/* A token with lstrip or rstrip takes the white space before or after it. */
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
