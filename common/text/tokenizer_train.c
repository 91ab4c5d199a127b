/* tokenizer_train.c: learns a byte-level BPE (Sennrich et al., arXiv 1508.07909): merges the most frequent pair of
   neighbours within words, again and again. Of equally frequent pairs the one with the smaller ids is merged first, as
   in Hugging Face's trainer. */
#include "text/tokenizer_internal.h"
#include <stdlib.h>
#include <string.h>

enum { LEAST_COUNT = 2 }; /* a pair that occurs once teaches nothing */

typedef struct {
    uint32_t *ids;
    uint32_t n;
    uint64_t count;
} word;
/* `count` is how often the pair occurs now. `in_words` may name words that have lost it since. */
typedef struct {
    uint64_t pair;
    int64_t count;
    uint32_t *in_words, n, room;
    bool used, touched;
} pair_entry;
typedef struct {
    int64_t count;
    uint64_t pair;
} pair_rank;

typedef struct {
    tokenizer *t;
    word *words;
    uint32_t n_words;
    uint32_t *storage; /* all words' ids */
    pair_entry *pairs; /* open addressing */
    uint64_t mask, used;
    pair_rank *heap; /* most frequent first; entries may be out of date, which next_pair notices and corrects */
    size_t n_heap, heap_room;
    uint64_t *touched; /* pairs that became more frequent in the merge at hand */
    size_t n_touched, touched_room;
    uint32_t *by_text; /* open addressing over token texts: two merges can make the same token */
    uint64_t text_mask;
} trainer;

static pair_entry *pair_find(trainer *r, uint64_t pair) {
    uint64_t i = (pair * 0x9E3779B97F4A7C15u >> 20) & r->mask;
    while (r->pairs[i].used && r->pairs[i].pair != pair) i = (i + 1) & r->mask;
    return &r->pairs[i];
}

static pair_entry *pair_of(trainer *r, uint32_t left, uint32_t right) {
    uint64_t pair = (uint64_t)left << 32 | right;
    pair_entry *p = pair_find(r, pair);
    if (p->used) return p;
    if (++r->used > r->mask / 2) {
        pair_entry *old = r->pairs;
        uint64_t slots = r->mask + 1;
        r->mask = 2 * slots - 1;
        r->pairs = xcalloc(2 * slots, sizeof *r->pairs);
        for (uint64_t i = 0; i < slots; i++)
            if (old[i].used) *pair_find(r, old[i].pair) = old[i];
        free(old);
        p = pair_find(r, pair);
    }
    *p = (pair_entry){.pair = pair, .used = true};
    return p;
}

static void pair_add(trainer *r, uint32_t left, uint32_t right, uint32_t in_word, int64_t count) {
    pair_entry *p = pair_of(r, left, right);
    p->count += count;
    if (count <= 0) return;
    if (!p->touched) {
        if (r->n_touched == r->touched_room)
            r->touched = xrealloc(r->touched, (r->touched_room = 2 * r->touched_room + 1024) * sizeof *r->touched);
        r->touched[r->n_touched++] = p->pair;
        p->touched = true;
    }
    if (p->n > 0 && p->in_words[p->n - 1] == in_word) return;
    if (p->n == p->room) p->in_words = xrealloc(p->in_words, (p->room = 2 * p->room + 2) * sizeof *p->in_words);
    p->in_words[p->n++] = in_word;
}

static bool rank_before(pair_rank a, pair_rank b) { return a.count != b.count ? a.count > b.count : a.pair < b.pair; }

static void heap_push(trainer *r, pair_rank c) {
    if (r->n_heap == r->heap_room)
        r->heap = xrealloc(r->heap, (r->heap_room = 2 * r->heap_room + 1024) * sizeof *r->heap);
    size_t i = r->n_heap++;
    for (; i > 0 && rank_before(c, r->heap[(i - 1) / 2]); i = (i - 1) / 2) r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = c;
}

static pair_rank heap_pop(trainer *r) {
    pair_rank top = r->heap[0], last = r->heap[--r->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < r->n_heap; i = child) {
        if (child + 1 < r->n_heap && rank_before(r->heap[child + 1], r->heap[child])) child++;
        if (!rank_before(r->heap[child], last)) break;
        r->heap[i] = r->heap[child];
    }
    r->heap[i] = last;
    return top;
}

static uint32_t *text_slot(trainer *r, const char *text, size_t bytes) {
    uint64_t i = text_hash(text, bytes) & r->text_mask;
    for (uint32_t id; (id = r->by_text[i]) != NO_ID; i = (i + 1) & r->text_mask)
        if (r->t->text_bytes[id] == bytes && memcmp(r->t->text[id], text, bytes) == 0) break;
    return &r->by_text[i];
}

/* The token that left and right make together: a new one, unless another pair has made the same before. */
static uint32_t token_of(trainer *r, uint32_t left, uint32_t right, uint32_t *tokens) {
    const tokenizer *t = r->t;
    size_t a = t->text_bytes[left], b = t->text_bytes[right];
    char *both = xcalloc(a + b, 1);
    memcpy(both, t->text[left], a);
    memcpy(both + a, t->text[right], b);
    uint32_t *slot = text_slot(r, both, a + b);
    if (*slot == NO_ID) {
        *slot = (*tokens)++;
        tokenizer_set_text(r->t, *slot, both, a + b);
    }
    free(both);
    return *slot;
}

/* Replaces left, right by id throughout one word and keeps the counts of the pairs beside it. */
static void merge_in_word(trainer *r, uint32_t w, uint32_t left, uint32_t right, uint32_t id) {
    word *k = &r->words[w];
    int64_t count = (int64_t)k->count;
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->n; i++) {
        if (i + 1 == k->n || k->ids[i] != left || k->ids[i + 1] != right) {
            k->ids[n++] = k->ids[i];
            continue;
        }
        if (n > 0) {
            pair_add(r, k->ids[n - 1], left, w, -count);
            pair_add(r, k->ids[n - 1], id, w, count);
        }
        if (i + 2 < k->n) {
            pair_add(r, right, k->ids[i + 2], w, -count);
            pair_add(r, id, k->ids[i + 2], w, count);
        }
        k->ids[n++] = id;
        i++;
    }
    k->n = n;
}

/* Puts the pairs that have become more frequent into the heap; those that became rarer are left to next_pair. */
static void push_touched(trainer *r) {
    for (size_t i = 0; i < r->n_touched; i++) {
        pair_entry *p = pair_find(r, r->touched[i]);
        p->touched = false;
        if (p->count >= LEAST_COUNT) heap_push(r, (pair_rank){p->count, p->pair});
    }
    r->n_touched = 0;
}

/* The most frequent pair now, or NULL when none occurs often enough. */
static pair_entry *next_pair(trainer *r) {
    while (r->n_heap > 0) {
        pair_rank top = heap_pop(r);
        pair_entry *p = pair_find(r, top.pair);
        if (p->count == top.count) return p;
        if (p->count >= LEAST_COUNT && p->count < top.count) heap_push(r, (pair_rank){p->count, p->pair});
    }
    return NULL;
}

static void merge_pair(trainer *r, pair_entry *p, uint32_t *tokens) {
    uint32_t left = (uint32_t)(p->pair >> 32), right = (uint32_t)p->pair, *in_words = p->in_words, n = p->n;
    uint64_t pair = p->pair;
    uint32_t id = token_of(r, left, right, tokens);
    tokenizer *t = r->t;
    if ((t->n_merges & (t->n_merges - 1)) == 0)
        t->merges = xrealloc(t->merges, (2 * t->n_merges + 1) * sizeof *t->merges);
    t->merges[t->n_merges++] = (merge){left, right, id};
    p->in_words = NULL;
    p->n = p->room = 0;
    for (uint32_t i = 0; i < n; i++) merge_in_word(r, in_words[i], left, right, id);
    free(in_words);
    pair_find(r, pair)->count = 0; /* looked up again, since the table may have grown and moved */
    push_touched(r);
}

static void load_words(trainer *r, const word_counts *counts) {
    r->words = xcalloc(counts->used, sizeof *r->words);
    r->storage = xcalloc(counts->text_bytes, sizeof *r->storage);
    for (uint64_t i = 0; i <= counts->mask; i++) {
        const counted_word *c = &counts->slots[i];
        if (!c->count) continue;
        word *w = &r->words[r->n_words];
        *w = (word){r->storage + c->at, c->bytes, c->count};
        for (uint32_t k = 0; k < c->bytes; k++) w->ids[k] = r->t->id_of_byte[(unsigned char)counts->text[c->at + k]];
        for (uint32_t k = 0; k + 1 < c->bytes; k++)
            pair_add(r, w->ids[k], w->ids[k + 1], r->n_words, (int64_t)c->count);
        r->n_words++;
    }
    push_touched(r);
}

/* The 256 bytes in GPT-2's order, which is that of their letters: the printable ones come first. */
static void add_bytes(trainer *r) {
    for (uint32_t letter = 0, id = 0; letter < 256 + 68; letter++) {
        int byte = byte_of_letter(letter);
        if (byte < 0) continue;
        char c = (char)byte;
        tokenizer_set_text(r->t, id, &c, 1);
        r->t->id_of_byte[byte] = id;
        *text_slot(r, &c, 1) = id++;
    }
}

static void trainer_free(trainer *r) {
    for (uint64_t i = 0; i <= r->mask; i++) free(r->pairs[i].in_words);
    free(r->pairs);
    free(r->words);
    free(r->storage);
    free(r->heap);
    free(r->touched);
    free(r->by_text);
}

status tokenizer_train(const word_counts *counts, int64_t size, tokenizer **t, error *e) {
    *t = NULL;
    if (size < BPE_SIZE_MIN || size > BPE_SIZE_MAX)
        return fail(e, BAD_INPUT, "a BPE of %lld ids: the size must be from %d (256 bytes and " END_OF_TEXT ") to %d",
                    (long long)size, BPE_SIZE_MIN, BPE_SIZE_MAX);
    trainer r = {.t = tokenizer_new(BPE, (uint32_t)size), .mask = (1 << 14) - 1, .text_mask = 4 * BPE_SIZE_MAX - 1};
    while (r.text_mask > 4 * (uint64_t)size) r.text_mask >>= 1;
    r.by_text = xcalloc(r.text_mask + 1, sizeof *r.by_text);
    memset(r.by_text, 0xff, (r.text_mask + 1) * sizeof *r.by_text);
    r.pairs = xcalloc(r.mask + 1, sizeof *r.pairs);
    add_bytes(&r);
    load_words(&r, counts);
    uint32_t tokens = 256;
    for (pair_entry *p; tokens < size - 1 && (p = next_pair(&r));) merge_pair(&r, p, &tokens);
    trainer_free(&r);
    tokenizer_set_text(r.t, tokens, END_OF_TEXT, strlen(END_OF_TEXT));
    r.t->size = tokens + 1;
    r.t->added = xcalloc(1, sizeof *r.t->added);
    r.t->added[0] = (added_token){xstrdup(END_OF_TEXT), strlen(END_OF_TEXT), tokens, .special = true};
    r.t->n_added = 1;
    r.t->split = splitter_new();
    tokenizer_finish(r.t);
    *t = r.t;
    return OK;
}
