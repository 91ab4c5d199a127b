/* sample.c: see sample.h. */
#include "run/sample.h"
#include "base/utf8.h"
#include "save/run_log.h"
#include <cjson/cJSON.h>
#include "base/files.h"
#include "base/terminal.h"
#include "save/runs.h"
#include "run/device.h"
#include "run/generate.h"
#include "run/open.h"
#include "run/resume.h"
#include "run/shape.h"
#include "text/tokenizer.h"
#include "base/memory_file.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A text to begin with, and where texts go. The first of those that are written side by side comes as it is drawn, the
   others when it is complete. */
typedef struct {
    const tokenizer *t;
    text_stream to;
    int32_t *start; /* [n] */
    int64_t n;
    int32_t **ids; /* by text, [tokens]; of the first none */
    int64_t *held; /* how many each has */
} writer;

/* How many of n ids are kept where `length` have room: the last ones, from one on that does not begin within a
   character. */
static size_t fitting(const tokenizer *t, const uint32_t *ids, size_t n, size_t length) {
    if (n <= length) return n;
    for (size_t at = n - length, bytes; at < n; at++) {
        const char *text = tokenizer_decode(t, ids[at], &bytes);
        if (bytes == 0 || (text[0] & 0xc0) != 0x80) return n - at;
    }
    return length; /* one character needs more tokens than there is room for */
}

/* Reads the ids of the text to begin with, of which as many of the last are kept as the model has positions for. */
static status read_start(writer *w, const config *c, int64_t vocabulary, int length, FILE *notes, error *e) {
    char *text = NULL;
    size_t bytes, n;
    uint32_t *ids;
    if (!strncmp(c->start, "FILE:", 5))
        TRY(file_read(c->start + 5, 1 << 26, &text, &bytes, e));
    else
        bytes = strlen(text = xstrdup(c->start));
    error why;
    status s = tokenizer_encode(w->t, text, bytes, &ids, &n, &why);
    free(text);
    if (s != OK) return fail(e, s, "start: %s", why.text);
    if (n == 0) s = fail(e, BAD_INPUT, "start is empty: give at least one character");
    w->n = (int64_t)fitting(w->t, ids, n, (size_t)length);
    if (notes && n > (size_t)length)
        text_print(notes, "note: the start has %zu tokens, and the model sees %d: the texts go on from its last %lld\n",
                   n, length, (long long)w->n);
    w->start = xcalloc((size_t)w->n + 1, sizeof *w->start);
    for (int64_t i = 0; i < w->n; i++) w->start[i] = (int32_t)ids[n - (size_t)w->n + (size_t)i];
    for (int64_t i = 0; i < w->n && s == OK; i++)
        if (w->start[i] >= vocabulary)
            s = fail(e, BAD_INPUT, "the tokenizer has id %d, but the model's vocabulary is %lld", w->start[i],
                     (long long)vocabulary);
    free(ids);
    return s;
}

static void put_token(writer *w, int32_t id) {
    size_t bytes;
    const char *s = tokenizer_decode(w->t, (uint32_t)id, &bytes);
    text_stream_put(&w->to, s, bytes);
}

static void put_start(writer *w, FILE *f) {
    w->to = text_stream_to(f);
    for (int64_t i = 0; i < w->n; i++) put_token(w, w->start[i]);
}

static void take_token(void *context, int text, int32_t id) {
    writer *w = context;
    int64_t n = w->held[text]++;
    if (text == 0) {
        put_token(w, id);
        fflush(w->to.f);
        return;
    }
    if ((n & (n - 1)) == 0) w->ids[text] = xrealloc(w->ids[text], (size_t)(n ? 2 * n : 1) * sizeof **w->ids);
    w->ids[text][n] = id;
}

/* Writes `texts` texts to f, each followed by `end`, from number `first` on. */
static status write_texts(writer *w, FILE *f, model *m, const config *c, int first, int texts, int64_t tokens,
                          const char *end, error *e) {
    const generate_request r = {.start = w->start,
                                .n = w->n,
                                .tokens = tokens,
                                .first = first,
                                .texts = texts,
                                .seed = (uint64_t)c->seed,
                                .temperature = c->temperature,
                                .top_k = c->top_k,
                                .put = take_token,
                                .context = w};
    w->ids = xcalloc((size_t)texts, sizeof *w->ids);
    w->held = xcalloc((size_t)texts, sizeof *w->held);
    put_start(w, f);
    status s = generate(m, &r, e);
    text_stream_end(&w->to);
    if (s == OK) fputs(end, f);
    for (int text = 1; text < texts; text++) {
        if (s == OK) {
            put_start(w, f);
            for (int64_t i = 0; i < w->held[text]; i++) put_token(w, w->ids[text][i]);
            text_stream_end(&w->to);
            fputs(end, f);
        }
        free(w->ids[text]);
    }
    free(w->ids);
    free(w->held);
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

/* Texts that the model is too short for need all its positions; others only their own. */
static int positions_for(const config *c, const writer *w, int length) {
    int64_t all = w->n + c->max_new_tokens - 1; /* the last token is drawn, and not read */
    return all < length ? (int)all : length;
}

static status open_writer(const config *c, const writer *w, const char *folder, const gpt_shape *shape, int length,
                          model *m, error *e) {
    fit_request r;
    backend *b;
    const config own = resume_as_trained(c, folder);
    TRY(backend_open(&own, &b, NULL, e));
    open_request(&own, shape, GRAPH_SAMPLE, positions_for(c, w, length), 1, &r);
    r.policy = &recompute_policies[0];
    r.run.batch_invariant = true; /* a text must not depend on those beside it */
    TRY(open_for_texts(&r, b, c->num_samples, m, e));
    return run_load_weights(folder, shape, &m->gpt, m->backend, e);
}

status sample_run(const config *c, error *e) {
    gpt_shape shape;
    model m = {0};
    tokenizer *t = NULL;
    writer w = {0};
    char *folder;
    int length;
    TRY(run_find_latest(c->n_positional ? c->positional[0] : c->out_dir, &folder, e));
    status s = run_check_model(folder, e);
    if (s == OK) s = shape_of_checkpoint(c, folder, &shape, &length, e);
    if (s == OK) s = open_tokenizer(c, folder, &t, e);
    w.t = t;
    if (s == OK) s = read_start(&w, c, shape.vocabulary, length, stderr, e);
    if (s == OK) s = open_writer(c, &w, folder, &shape, length, &m, e);
    for (int k = 0; k < c->num_samples && s == OK; k += m.run.kept) {
        int64_t left = c->num_samples - k;
        s = write_texts(&w, stdout, &m, c, k, left < m.run.kept ? (int)left : m.run.kept, c->max_new_tokens,
                        "\n---------------\n", e);
    }
    if (m.backend) model_close(&m);
    tokenizer_close(t);
    free(w.start);
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
    writer w = {.t = t};
    FILE *f = memory_file(&text, &bytes);
    status s = read_start(&w, c, m->shape.vocabulary, m->run.length, NULL, e);
    if (s == OK) s = write_texts(&w, f, m, c, (int)(iter % INT_MAX), 1, tokens, "", e);
    fclose(f);
    free(w.start);
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
