/* word_counts.c: how often each word (by GPT-2's rule) occurs in the texts that a BPE is learnt from. */
#include "text/tokenizer_internal.h"
#include "base/utf8.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20, BLOCKS = 64 };

word_counts *word_counts_new(void) {
    word_counts *w = xcalloc(1, sizeof *w);
    w->mask = (1 << 12) - 1;
    w->slots = xcalloc(w->mask + 1, sizeof *w->slots);
    return w;
}

void word_counts_free(word_counts *w) {
    if (!w) return;
    free(w->slots);
    free(w->text);
    free(w);
}

static counted_word *find_slot(const word_counts *w, uint64_t hash, const char *word, size_t bytes) {
    uint64_t i = hash & w->mask;
    for (; w->slots[i].count; i = (i + 1) & w->mask) {
        const counted_word *s = &w->slots[i];
        if (s->hash == hash && s->bytes == bytes && memcmp(w->text + s->at, word, bytes) == 0) break;
    }
    return &w->slots[i];
}

static void grow(word_counts *w) {
    counted_word *old = w->slots;
    uint64_t slots = w->mask + 1;
    w->mask = 2 * slots - 1;
    w->slots = xcalloc(2 * slots, sizeof *w->slots);
    for (uint64_t i = 0; i < slots; i++)
        if (old[i].count) *find_slot(w, old[i].hash, w->text + old[i].at, old[i].bytes) = old[i];
    free(old);
}

static void count_word(word_counts *w, const char *word, size_t bytes, uint64_t times) {
    uint64_t hash = text_hash(word, bytes);
    counted_word *s = find_slot(w, hash, word, bytes);
    s->count += times;
    if (s->count > times) return;
    if (w->text_bytes + bytes > w->text_room) {
        w->text_room = 2 * (w->text_bytes + bytes);
        w->text = xrealloc(w->text, w->text_room);
    }
    memcpy(w->text + w->text_bytes, word, bytes);
    *s = (counted_word){hash, times, w->text_bytes, (uint32_t)bytes};
    w->text_bytes += bytes;
    if (++w->used > w->mask / 2) grow(w);
}

/* *bad: the first byte of the block that is not UTF-8 or cannot be split, or `end` when all is well. */
static void count_block(word_counts *w, split_work *split, const char *text, size_t begin, size_t end, size_t *bad) {
    int64_t characters;
    *bad = begin + utf8_valid(text + begin, end - begin, &characters);
    if (*bad < end) return;
    for (size_t at = begin, bytes; at < end; at += bytes) {
        bytes = split_next(split, text + begin, end - begin, at - begin);
        if (bytes == 0 || bytes > UINT32_MAX) {
            *bad = at;
            return;
        }
        count_word(w, text + at, bytes, 1);
    }
}

status word_counts_add(word_counts *w, const char *text, size_t begin, size_t end, error *e) {
    splitter *rule = splitter_new();
    size_t cut[BLOCKS + 1], bad[BLOCKS], wrong = SIZE_MAX;
    while (begin < end && wrong == SIZE_MAX) {
        int n = 0;
        for (cut[0] = begin; n < BLOCKS && begin < end; n++) cut[n + 1] = begin = split_cut(text, begin, end, BLOCK);
#pragma omp parallel if (n > 1)
        {
            word_counts *own = word_counts_new();
            split_work *split = split_work_new(rule);
#pragma omp for schedule(dynamic)
            for (int i = 0; i < n; i++) count_block(own, split, text, cut[i], cut[i + 1], &bad[i]);
#pragma omp critical(word_counts)
            for (uint64_t i = 0; i <= own->mask; i++) /* counts add up to the same in whatever order threads come */
                if (own->slots[i].count)
                    count_word(w, own->text + own->slots[i].at, own->slots[i].bytes, own->slots[i].count);
            split_work_free(split);
            word_counts_free(own);
        }
        for (int i = 0; i < n && wrong == SIZE_MAX; i++)
            if (bad[i] < cut[i + 1]) wrong = bad[i];
    }
    splitter_free(rule);
    return wrong == SIZE_MAX ? OK : not_utf8(text, wrong, e);
}
