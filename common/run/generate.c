/* generate.c: see generate.h. */
#include "run/generate.h"
#include "base/rng.h"
#include "base/sort.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t sample_pick(double *logits, int64_t n, double temperature, int64_t top_k, double u, double *space) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    if (temperature == 0) return best;
    double most = logits[best], least = -INFINITY, sum = 0;
    if (top_k && top_k < n) {
        memcpy(space, logits, (size_t)n * sizeof *space);
        least = nth_double(space, (size_t)n, (size_t)(n - top_k));
    }
    for (int64_t i = 0; i < n; i++) sum += logits[i] = logits[i] < least ? 0 : exp((logits[i] - most) / temperature);
    int64_t last = best;
    u *= sum;
    for (int64_t i = 0; i < n; i++) {
        if (logits[i] == 0) continue;
        last = i;
        if ((u -= logits[i]) < 0) break;
    }
    return last;
}

typedef struct {
    const generate_request *r;
    model *m;
    int64_t n;              /* positions that each text has, at most the model's; all have equally many */
    bool outgrown;          /* the texts have lost their first positions, and what was kept is of other places */
    int32_t *ids;           /* [texts,T] */
    int32_t *latest;        /* [texts] */
    double *logits, *space; /* [V] */
} writer;

static int32_t *ids_of(const writer *w, int text) { return w->ids + text * w->m->run.length; }

/* Gets w->logits of one text's next token. What can be done for all texts at once is done at the turn of the first. */
static status next_logits(writer *w, int text, bool is_start, error *e) {
    model *m = w->m;
    int n = (int)w->n;
    if (is_start) {
        if (text == 0) TRY(model_text(m, ids_of(w, 0), n, 0, w->r->texts, e));
        return model_logits_of(m, 0, n, w->logits, e);
    }
    if (!m->run.kept || w->outgrown)
        TRY(model_text(m, ids_of(w, text), n, text, 1, e));
    else if (text == 0)
        TRY(model_next(m, w->latest, w->r->texts, n - 1, e));
    return model_logits_of(m, text, n, w->logits, e);
}

static void append(writer *w) {
    int64_t length = w->m->run.length;
    if (w->n == length) w->outgrown = true;
    for (int text = 0; text < w->r->texts; text++) {
        int32_t *ids = ids_of(w, text);
        if (w->outgrown) memmove(ids, ids + 1, (size_t)(length - 1) * sizeof *ids);
        ids[w->outgrown ? length - 1 : w->n] = w->latest[text];
    }
    if (!w->outgrown) w->n++;
}

static status write_texts(writer *w, error *e) {
    const generate_request *r = w->r;
    for (int64_t k = 0; k < r->tokens; k++) {
        for (int text = 0; text < r->texts; text++) {
            uint32_t words[4];
            TRY(next_logits(w, text, k == 0, e));
            philox(r->seed, (uint32_t)k, (uint32_t)(r->first + text), random_word(SITE_SAMPLE, 0), 0, words);
            w->latest[text] = (int32_t)sample_pick(w->logits, w->m->shape.vocabulary, r->temperature, r->top_k,
                                                   rng_uniform(words[0], words[1]), w->space);
            r->put(r->context, text, w->latest[text]);
        }
        append(w);
    }
    return OK;
}

status generate(model *m, const generate_request *r, error *e) {
    size_t texts = (size_t)r->texts, length = (size_t)m->run.length, vocabulary = (size_t)m->shape.vocabulary;
    writer w = {.r = r, .m = m, .n = r->n};
    w.ids = xcalloc(texts * length, sizeof *w.ids);
    w.latest = xcalloc(texts, sizeof *w.latest);
    w.logits = xcalloc(vocabulary, sizeof *w.logits);
    w.space = xcalloc(vocabulary, sizeof *w.space);
    for (int text = 0; text < r->texts; text++) memcpy(ids_of(&w, text), r->start, (size_t)r->n * sizeof *w.ids);
    status s = write_texts(&w, e);
    free(w.ids);
    free(w.latest);
    free(w.logits);
    free(w.space);
    return s;
}
