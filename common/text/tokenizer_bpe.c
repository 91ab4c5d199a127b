/* tokenizer_bpe.c: byte-level BPE encoding (Sennrich et al., arXiv 1508.07909, on bytes as GPT-2 does it): blocks of
   the text in parallel, with a cache of words for each thread. */
#include "text/tokenizer_internal.h"
#include "base/fnv.h"
#include "base/utf8.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 256 << 10, /* bytes of text that one thread takes at a time */
    BLOCKS = 64,       /* blocks that are encoded before their ids are handed to the caller, in order */
    CACHE_SLOTS = 1 << 15,
    CACHED_BYTES = 27,
    CACHED_IDS = 8,
};

/* ---- merges ---- */

uint64_t text_hash(const char *bytes, size_t n) {
    uint64_t h = fnv_add(FNV_START, bytes, n); /* its bits are mixed once more, for a table's low ones */
    return h ^ h >> 29;
}

static uint64_t pair_slot(uint64_t pair) { return (pair * 0x9E3779B97F4A7C15u) >> 20; }

void merge_table_build(tokenizer *t) {
    uint64_t slots = 4;
    while (slots < 2 * (uint64_t)t->n_merges + 2) slots *= 2;
    t->merge_mask = slots - 1;
    t->merge_table = xcalloc(slots, sizeof *t->merge_table);
    for (uint64_t i = 0; i < slots; i++) t->merge_table[i].rank = NO_ID;
    for (uint32_t rank = 0; rank < t->n_merges; rank++) {
        const merge *m = &t->merges[rank];
        uint64_t pair = (uint64_t)m->left << 32 | m->right, i = pair_slot(pair) & t->merge_mask;
        while (t->merge_table[i].rank != NO_ID && t->merge_table[i].pair != pair) i = (i + 1) & t->merge_mask;
        t->merge_table[i] = (merge_slot){
            pair, rank, m->id}; /* of a merge that is listed twice the later rank counts, as in `tokenizers` */
    }
}

const merge_slot *merge_find(const tokenizer *t, uint32_t left, uint32_t right) {
    uint64_t pair = (uint64_t)left << 32 | right;
    for (uint64_t i = pair_slot(pair) & t->merge_mask;; i = (i + 1) & t->merge_mask) {
        const merge_slot *m = &t->merge_table[i];
        if (m->rank == NO_ID) return NULL;
        if (m->pair == pair) return m;
    }
}

/* ---- one word ---- */

typedef struct {
    uint32_t id;
    int64_t previous, next;
} symbol; /* id NO_ID: merged into its left neighbour */
typedef struct {
    uint32_t rank, id;
    int64_t at;
} candidate; /* symbols at and its next one make `id` */
typedef struct {
    unsigned char bytes, n;
    char word[CACHED_BYTES];
    uint32_t ids[CACHED_IDS];
} cached_word; /* bytes 0: empty */

typedef struct {
    split_work *split;
    cached_word *cache;
    symbol *symbols;
    candidate *heap; /* smallest rank first, then leftmost */
    size_t room, n_heap;
} worker;

static bool candidate_before(const candidate *a, const candidate *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(worker *w, candidate c) {
    size_t i = w->n_heap++;
    for (; i > 0 && candidate_before(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static candidate heap_pop(worker *w) {
    candidate top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && candidate_before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!candidate_before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return top;
}

static void push_pair(worker *w, const tokenizer *t, int64_t left) {
    int64_t right = left < 0 ? -1 : w->symbols[left].next;
    if (right < 0) return;
    const merge_slot *m = merge_find(t, w->symbols[left].id, w->symbols[right].id);
    if (m) heap_push(w, (candidate){m->rank, m->id, left});
}

/* Writes the word's ids, at most one for each byte, and returns their number. Stops at a byte that has no token, whose
   place goes to *bad. */
static size_t encode_word(worker *w, const tokenizer *t, const char *word, size_t bytes, uint32_t *ids, int64_t *bad) {
    if (bytes > w->room) {
        w->room = bytes * 2;
        w->symbols = xrealloc(w->symbols, w->room * sizeof *w->symbols);
        w->heap = xrealloc(w->heap, 3 * w->room * sizeof *w->heap); /* each merge adds two candidates at most */
    }
    symbol *s = w->symbols;
    for (size_t i = 0; i < bytes; i++) {
        s[i] = (symbol){t->id_of_byte[(unsigned char)word[i]], (int64_t)i - 1, i + 1 < bytes ? (int64_t)i + 1 : -1};
        if (s[i].id == NO_ID) {
            *bad = (int64_t)i;
            return 0;
        }
    }
    w->n_heap = 0;
    for (size_t i = 0; i + 1 < bytes; i++) push_pair(w, t, (int64_t)i);
    while (w->n_heap > 0) {
        candidate c = heap_pop(w);
        symbol *left = &s[c.at];
        if (left->id == NO_ID || left->next < 0) continue;
        const merge_slot *now = merge_find(t, left->id, s[left->next].id);
        if (!now || now->rank != c.rank) continue; /* a neighbour was merged since */
        symbol *right = &s[left->next];
        left->id = c.id;
        left->next = right->next;
        right->id = NO_ID;
        if (left->next >= 0) s[left->next].previous = c.at;
        push_pair(w, t, left->previous);
        push_pair(w, t, c.at);
    }
    size_t n = 0;
    for (int64_t i = 0; i >= 0; i = s[i].next) ids[n++] = s[i].id;
    return n;
}

static size_t encode_cached(worker *w, const tokenizer *t, const char *word, size_t bytes, uint32_t *ids,
                            int64_t *bad) {
    if (bytes > CACHED_BYTES) return encode_word(w, t, word, bytes, ids, bad);
    cached_word *c = &w->cache[text_hash(word, bytes) % CACHE_SLOTS];
    if (c->bytes == bytes && memcmp(c->word, word, bytes) == 0) {
        memcpy(ids, c->ids, c->n * sizeof *ids);
        return c->n;
    }
    size_t n = encode_word(w, t, word, bytes, ids, bad);
    if (n == 0 || n > CACHED_IDS) return n;
    c->bytes = (unsigned char)bytes;
    c->n = (unsigned char)n;
    memcpy(c->word, word, bytes);
    memcpy(c->ids, ids, n * sizeof *ids);
    return n;
}

/* ---- blocks ---- */

typedef struct {
    size_t begin, end, n, room;
    uint32_t *ids;
    status s;
    error e;
} block;
struct bpe_encoder {
    const tokenizer *t;
    int threads;
    worker *workers;
    block *blocks;
};

bpe_encoder *bpe_encoder_new(const tokenizer *t) {
    bpe_encoder *b = xcalloc(1, sizeof *b);
    b->t = t;
    b->threads = omp_get_max_threads();
    b->workers = xcalloc((size_t)b->threads, sizeof *b->workers);
    b->blocks = xcalloc(BLOCKS, sizeof *b->blocks);
    return b;
}

void bpe_encoder_free(bpe_encoder *b) {
    if (!b) return;
    for (int i = 0; i < b->threads; i++) {
        worker *w = &b->workers[i];
        split_work_free(w->split);
        free(w->cache);
        free(w->symbols);
        free(w->heap);
    }
    for (int i = 0; i < BLOCKS; i++) free(b->blocks[i].ids);
    free(b->workers);
    free(b->blocks);
    free(b);
}

static status encode_block(const bpe_encoder *b, worker *w, const char *text, block *k) {
    const tokenizer *t = b->t;
    int64_t characters, bad = -1;
    size_t good = k->begin + utf8_valid(text + k->begin, k->end - k->begin, &characters);
    if (good < k->end) return not_utf8(text, good, &k->e);
    if (!w->cache) w->cache = xcalloc(CACHE_SLOTS, sizeof *w->cache);
    if (!w->split && t->split) w->split = split_work_new(t->split);
    if (k->room < k->end - k->begin) { /* there are at most as many ids as bytes */
        k->room = k->end - k->begin;
        k->ids = xrealloc(k->ids, k->room * sizeof *k->ids);
    }
    k->n = 0;
    for (size_t at = k->begin, bytes; at < k->end; at += bytes) {
        bytes = t->split ? split_next(w->split, text + k->begin, k->end - k->begin, at - k->begin) : k->end - at;
        if (bytes == 0) return fail(&k->e, FAILED, "byte %zu: the text cannot be split into words (PCRE2 gave up)", at);
        k->n += encode_cached(w, t, text + at, bytes, k->ids + k->n, &bad);
        if (bad >= 0)
            return fail(&k->e, BAD_INPUT, "byte %zu: the vocabulary has no token for the byte 0x%02x", at + (size_t)bad,
                        (unsigned char)text[at + (size_t)bad]);
    }
    return OK;
}

status bpe_encode(bpe_encoder *b, const char *text, size_t begin, size_t end, token_sink *take, void *context,
                  error *e) {
    while (begin < end) {
        int n = 0;
        for (; n < BLOCKS && begin < end; n++) {
            size_t cut = b->t->split ? split_cut(text, begin, end, BLOCK) : end;
            b->blocks[n].begin = begin;
            b->blocks[n].end = begin = cut;
        }
#pragma omp parallel for schedule(dynamic) num_threads(b->threads) if (n > 1)
        for (int i = 0; i < n; i++)
            b->blocks[i].s = encode_block(b, &b->workers[omp_get_thread_num()], text, &b->blocks[i]);
        for (int i = 0; i < n; i++) {
            if (b->blocks[i].s != OK) return fail(e, b->blocks[i].s, "%s", b->blocks[i].e.text);
            TRY(take(context, b->blocks[i].ids, b->blocks[i].n, e));
        }
    }
    return OK;
}
