/* tokenizer_encode.c: a text cut at the tokens that were added by name; what lies between goes to the BPE, or here to
   the two simple kinds. */
#include "text/tokenizer_internal.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { PORTION = 1 << 16 };

/* The next added token of a kind at or after `at`: the leftmost, and of several there the longest. *from is where it
   begins, or `end` when there is none. */
static const added_token *find_added(const tokenizer *t, bool normalized, const char *text, size_t at, size_t end,
                                     size_t *from) {
    bool first[256] = {false}, any = false;
    for (uint32_t i = 0; i < t->n_added; i++) {
        if (t->added[i].normalized != normalized) continue;
        first[(unsigned char)t->added[i].content[0]] = any = true;
    }
    *from = end;
    for (size_t i = at; any && i < end; i++) {
        if (!first[(unsigned char)text[i]]) continue;
        const added_token *best = NULL;
        for (uint32_t k = 0; k < t->n_added; k++) {
            const added_token *a = &t->added[k];
            if (a->normalized == normalized && a->bytes <= end - i && memcmp(text + i, a->content, a->bytes) == 0 &&
                (!best || a->bytes > best->bytes))
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

/* ---- between added tokens ---- */

typedef struct {
    const tokenizer *t;
    bpe_encoder *b; /* NULL: not a BPE */
    const char *text;
    token_sink *take;
    void *context;
} stream;

static status drop_ids(void *context, const uint32_t *ids, size_t n, error *e) {
    (void)context, (void)ids, (void)n, (void)e;
    return OK;
}

/* text[begin .. end-1] as if a space stood before it: a copy of its beginning has one. */
static status encode_after_space(const stream *s, size_t begin, size_t end, error *e) {
    enum { BEGINNING = 4096 };
    const tokenizer *t = s->t;
    uint32_t space = t->id_of_byte[' '];
    if (space == NO_ID) return fail(e, BAD_INPUT, "a space is put before each text, and the vocabulary has none");
    if (!s->b) {
        TRY(s->take(s->context, &space, 1, e));
        return encode_simple(t, s->text, begin, end, s->take, s->context, e);
    }
    size_t cut = t->split ? split_cut(s->text, begin, end, BEGINNING) : end;
    TRY(bpe_encode(s->b, s->text, begin, cut, drop_ids, NULL, e)); /* for errors, whose places count from text[0] */
    char *copy = xcalloc(cut - begin + 1, 1);
    copy[0] = ' ';
    memcpy(copy + 1, s->text + begin, cut - begin);
    status done = bpe_encode(s->b, copy, 0, cut - begin + 1, s->take, s->context, e);
    free(copy);
    return done == OK ? bpe_encode(s->b, s->text, cut, end, s->take, s->context, e) : done;
}

/* starts: a text begins there, or an added token has ended. */
static status encode_between(const stream *s, size_t begin, size_t end, bool starts, error *e) {
    if (begin == end) return OK;
    if (s->t->prefix_space && starts && s->text[begin] != ' ') return encode_after_space(s, begin, end, e);
    return s->b ? bpe_encode(s->b, s->text, begin, end, s->take, s->context, e)
                : encode_simple(s->t, s->text, begin, end, s->take, s->context, e);
}

/* Hugging Face's tokenizers look for all tokens that are not to be normalized first, and for the others in what is
 * left. */
static status encode_around(const stream *s, bool normalized, size_t begin, size_t end, bool starts, error *e) {
    status done = OK;
    while (begin < end && done == OK) {
        size_t from, to = end;
        const added_token *a = find_added(s->t, normalized, s->text, begin, end, &from);
        if (a) {
            to = a->rstrip ? space_after(s->text, from + a->bytes, end) : from + a->bytes;
            if (a->lstrip) from = space_before(s->text, begin, from);
        }
        done = normalized ? encode_between(s, begin, from, starts, e) : encode_around(s, true, begin, from, starts, e);
        if (done == OK && a) done = s->take(s->context, &a->id, 1, e);
        begin = to;
        starts = true;
    }
    return done;
}

status tokenizer_stream(const tokenizer *t, const char *text, size_t begin, size_t end, token_sink *take, void *context,
                        error *e) {
    stream s = {
        .t = t, .b = t->kind == BPE ? bpe_encoder_new(t) : NULL, .text = text, .take = take, .context = context};
    status done = encode_around(&s, false, begin, end, begin == 0, e);
    bpe_encoder_free(s.b);
    return done;
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
