/* sample.c: see sample.h. */
#include "run/sample.h"
#include "base/utf8.h"
#include "save/run_log.h"
#include <cjson/cJSON.h>
#include "base/files.h"
#include "base/rng.h"
#include "base/sort.h"
#include "base/terminal.h"
#include "save/runs.h"
#include "run/device.h"
#include "run/open.h"
#include "run/resume.h"
#include "run/shape.h"
#include "text/tokenizer.h"
#include "base/memory_file.h"
#include <math.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

int64_t sample_pick(double *logits, int64_t n, double temperature, int64_t top_k, double u, double *sorted) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    if (temperature == 0) return best;
    double most = logits[best], least = -INFINITY, sum = 0;
    if (top_k && top_k < n) {
        memcpy(sorted, logits, (size_t)n * sizeof *sorted);
        sort_doubles(sorted, (size_t)n);
        least = sorted[n - top_k];
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
    const config *c;
    model *m;
    const tokenizer *t;
    int32_t *ids;
    int64_t n;
    double *logits, *sorted;
    FILE *notes; /* NULL: none are written */
} writer;

/* How many of n ids are kept where `length` have room: the last ones, from one on that does not begin within a
   character. */
static size_t fitting(const writer *w, const uint32_t *ids, size_t n, size_t length) {
    if (n <= length) return n;
    for (size_t at = n - length, bytes; at < n; at++) {
        const char *text = tokenizer_decode(w->t, ids[at], &bytes);
        if (bytes == 0 || (text[0] & 0xc0) != 0x80) return n - at;
    }
    return length; /* one character needs more tokens than there is room for */
}

/* Reads the ids of the text to begin with, of which as many of the last are kept as the model has positions for. */
static status read_start(writer *w, int length, error *e) {
    char *text = NULL;
    size_t bytes, n;
    uint32_t *ids;
    if (!strncmp(w->c->start, "FILE:", 5))
        TRY(file_read(w->c->start + 5, 1 << 26, &text, &bytes, e));
    else
        bytes = strlen(text = xstrdup(w->c->start));
    error why;
    status s = tokenizer_encode(w->t, text, bytes, &ids, &n, &why);
    free(text);
    if (s != OK) return fail(e, s, "start: %s", why.text);
    if (n == 0) s = fail(e, BAD_INPUT, "start is empty: give at least one character");
    w->n = (int64_t)fitting(w, ids, n, (size_t)length);
    if (w->notes && n > (size_t)length)
        text_print(w->notes,
                   "note: the start has %zu tokens, and the model sees %d: the texts go on from its last %lld\n", n,
                   length, (long long)w->n);
    for (int64_t i = 0; i < w->n; i++) w->ids[i] = (int32_t)ids[n - (size_t)w->n + (size_t)i];
    for (int64_t i = 0; i < w->n && s == OK; i++)
        if (w->ids[i] >= w->m->shape.vocabulary)
            s = fail(e, BAD_INPUT, "the tokenizer has id %d, but the model's vocabulary is %lld", w->ids[i],
                     (long long)w->m->shape.vocabulary);
    free(ids);
    return s;
}

static status next_id(writer *w, int sample, int64_t number, int32_t *id, error *e) {
    model *m = w->m;
    uint32_t words[4];
    TRY(model_logits(m, w->ids, (int)w->n, w->logits, e));
    philox((uint64_t)w->c->seed, (uint32_t)number, (uint32_t)sample, random_word(SITE_SAMPLE, 0), 0, words);
    *id = (int32_t)sample_pick(w->logits, m->shape.vocabulary, w->c->temperature, w->c->top_k,
                               rng_uniform(words[0], words[1]), w->sorted);
    return OK;
}

static void put_token(const writer *w, text_stream *to, int32_t id) {
    size_t bytes;
    const char *s = tokenizer_decode(w->t, (uint32_t)id, &bytes);
    text_stream_put(to, s, bytes);
}

static status write_text(writer *w, text_stream *to, int number, int64_t tokens, error *e) {
    int length = w->m->run.length;
    TRY(read_start(w, length, e));
    for (int64_t i = 0; i < w->n; i++) put_token(w, to, w->ids[i]);
    for (int64_t k = 0; k < tokens; k++) {
        int32_t id;
        TRY(next_id(w, number, k, &id, e));
        put_token(w, to, id);
        fflush(to->f);
        if (w->n == length) memmove(w->ids, w->ids + 1, (size_t)--w->n * sizeof *w->ids);
        w->ids[w->n++] = id;
    }
    return OK;
}

status sample_text(FILE *f, FILE *notes, model *m, const tokenizer *t, const config *c, int number, int64_t tokens,
                   error *e) {
    writer w = {.c = c, .m = m, .t = t, .notes = notes};
    w.ids = xcalloc((size_t)m->run.length + 1, sizeof *w.ids);
    w.logits = xcalloc((size_t)m->shape.vocabulary, sizeof *w.logits);
    w.sorted = xcalloc((size_t)m->shape.vocabulary, sizeof *w.sorted);
    text_stream to = text_stream_to(f);
    status s = write_text(&w, &to, number, tokens, e);
    text_stream_end(&to);
    free(w.ids);
    free(w.logits);
    free(w.sorted);
    return s;
}

/* That of --tokenizer, or else the checkpoint's own. */
static status open_tokenizer(const config *c, const char *folder, tokenizer **t, error *e) {
    tokenizer *own = NULL;
    if (!c->given[OPTION_tokenizer]) {
        if (tokenizer_is_in(folder)) return tokenizer_open(folder, t, e);
        return fail(e, BAD_INPUT,
                    "%s has no tokenizer: say by --tokenizer=DIR where the one of its data is: a folder with "
                    "tokenizer.json, with vocab.json and merges.txt, or with nanoGPT's meta.pkl",
                    folder);
    }
    TRY(tokenizer_open(c->tokenizer, t, e));
    if (tokenizer_is_in(folder) && tokenizer_open(folder, &own, NULL) == OK && !tokenizer_same(*t, own))
        text_print(stderr, "note: %s is another tokenizer than the checkpoint's own: ids stand for other text\n",
                   c->tokenizer);
    tokenizer_close(own);
    return OK;
}

status sample_run(const config *c, error *e) {
    gpt_shape shape;
    fit_request r;
    backend *b;
    model m = {0};
    tokenizer *t = NULL;
    char *folder;
    int length;
    TRY(run_find_latest(c->n_positional ? c->positional[0] : c->out_dir, &folder, e));
    status s = run_check_model(folder, e);
    if (s == OK) s = shape_of_checkpoint(c, folder, &shape, &length, e);
    if (s == OK) s = open_tokenizer(c, folder, &t, e);
    const config own = s == OK ? resume_as_trained(c, folder) : *c;
    if (s == OK) s = backend_open(&own, &b, NULL, e);
    if (s == OK) {
        open_request(&own, &shape, GRAPH_EVAL, length, 1, &r);
        s = open_model(&r, b, &m, NULL, NULL, e);
    }
    if (s == OK) s = run_load_weights(folder, &shape, &m.gpt, m.backend, e);
    for (int k = 0; k < c->num_samples && s == OK; k++) {
        s = sample_text(stdout, k ? NULL : stderr, &m, t, c, k, c->max_new_tokens, e);
        if (s == OK) printf("\n---------------\n");
    }
    if (m.backend) model_close(&m);
    tokenizer_close(t);
    free(folder);
    return s;
}

/* ---- samples of a run, in its log ---- */

/* How many positions are computed to draw n tokens, each of which takes a pass over the whole text before it. */
static double positions_of(int64_t n, int64_t length) {
    double grows = (double)(n < length ? n : length), all = (double)n;
    return grows * (grows + 1) / 2 + (all - grows) * (double)length;
}

static int64_t sample_tokens(const config *c, int64_t length) {
    double evaluation = 2.0 * (double)c->eval_iters * (double)c->batch_size * (double)length;
    int64_t n = 200;
    while (n && positions_of(n, length) > evaluation / 4) n--;
    return n < 16 ? 0 : n; /* shorter texts tell nothing */
}

/* Bytes that are not UTF-8, such as a character that is cut off, become U+FFFD, since the log is JSON. */
static char *repaired(const char *text, size_t bytes) {
    char *good = xcalloc(3 * bytes + 1, 1), *at = good;
    for (size_t i = 0, n; i < bytes; i += n) {
        uint32_t code;
        n = utf8_next(text + i, bytes - i, &code);
        memcpy(at, n ? text + i : "\xef\xbf\xbd", n ? n : 3);
        at += n ? n : 3;
        if (!n) n = 1;
    }
    return good;
}

status sample_log(run_log *log, const config *c, model *m, const tokenizer *t, int64_t iter, error *e) {
    int64_t tokens = sample_tokens(c, m->run.length);
    char *text = NULL;
    size_t bytes = 0;
    if (!t || !tokens) return OK;
    FILE *f = memory_file(&text, &bytes);
    status s = sample_text(f, NULL, m, t, c, (int)(iter % INT_MAX), tokens, e);
    fclose(f);
    if (s == OK) {
        cJSON *line = cJSON_CreateObject();
        char *good = repaired(text, bytes);
        cJSON_AddNumberToObject(line, "iter", (double)iter);
        cJSON_AddStringToObject(line, "sample", good);
        char *object = cJSON_PrintUnformatted(line);
        s = run_log_line(log, object, e);
        free(object);
        free(good);
        cJSON_Delete(line);
    } else if (s == BAD_INPUT)
        s = OK;
    free(text);
    return s;
}
