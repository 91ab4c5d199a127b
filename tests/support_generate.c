/* support_generate.c: see support_generate.h. */
#include "support_generate.h"
#include "base/rng.h"
#include "run/generate.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Multiples of nothing, with biases; more columns than gemm_rows takes at once; and more positions than attention takes
   keys at once. */
static const gpt_shape shapes[GENERATE_SHAPES] = {
    {.layers = 2, .heads = 3, .channels = 27, .positions = 19, .vocabulary = 71, .bias = true, .norm_epsilon = 1e-5},
    {.layers = 1,
     .heads = 2,
     .channels = 160,
     .positions = 9,
     .vocabulary = 83,
     .tanh_gelu = true,
     .norm_epsilon = 1e-5},
    {.layers = 1, .heads = 1, .channels = 16, .positions = 290, .vocabulary = 50, .norm_epsilon = 1e-5},
};
static error e;

static uint32_t state;
static uint32_t draw(void) { return (state = state * 1664525u + 1013904223u) >> 8; }

/* kept: how many texts; 0: a model without. Its weights are large enough that every position counts. */
static void open_with(model *m, generate_open *open, int shape, int kept) {
    const gpt_shape *s = &shapes[shape];
    gpt_run run = {.purpose = kept ? GRAPH_SAMPLE : GRAPH_EVAL,
                   .micro_batch = 1,
                   .sequences = 1,
                   .length = (int)s->positions,
                   .kept = kept,
                   .batch_invariant = true};
    ck_assert_msg(model_open(m, open(), s, &run, &e) == OK, "%s", e.text);
    state = 7;
    for (tensor_id p = 1; p <= m->gpt.n_params; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        double *x = xcalloc((size_t)n, sizeof *x), size = 2 / sqrt((double)s->channels);
        for (int64_t i = 0; i < n; i++) x[i] = size * (draw() / 8388608.0 - 1);
        ck_assert_msg(model_write(m, p, 0, n, x, &e) == OK, "%s", e.text);
        free(x);
    }
}

enum { TEXTS = 5 };

static void compare(model *kept, model *full, int text, const int32_t *ids, int n, double tolerance) {
    int64_t v = kept->shape.vocabulary;
    double got[100], want[100], off = 0, size = 0;
    ck_assert_msg(model_logits_of(kept, text, n, got, &e) == OK, "%s", e.text);
    ck_assert_msg(model_logits(full, ids, n, want, &e) == OK, "%s", e.text);
    for (int64_t i = 0; i < v; i++) {
        off += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    ck_assert_msg(sqrt(off) <= tolerance * sqrt(size), "text %d after %d tokens: logits are off by %.2g", text, n,
                  sqrt(off / size));
}

void generate_expect_logits(generate_open *open_kept, generate_open *open_full, int shape, double tolerance) {
    enum { START = 4 };
    model kept, full;
    open_with(&kept, open_kept, shape, TEXTS);
    open_with(&full, open_full, shape, 0);
    int length = kept.run.length;
    int32_t(*ids)[300] = xcalloc(TEXTS, sizeof *ids), latest[TEXTS];
    state = 11;
    for (int text = 0; text < TEXTS; text++)
        for (int i = 0; i < length; i++)
            ids[text][i] = i < START && text ? ids[0][i] : (int32_t)(draw() % (uint32_t)kept.shape.vocabulary);
    ck_assert_msg(model_text(&kept, ids[0], START, 0, TEXTS, &e) == OK, "%s", e.text);
    compare(&kept, &full, 0, ids[0], START, tolerance);
    for (int n = START + 1; n <= length; n++) {
        for (int text = 0; text < TEXTS; text++) latest[text] = ids[text][n - 1];
        if (n == START + 3) { /* text 3 gets other tokens before this one; of none of the others anything changes */
            for (int i = 0; i < n; i++) ids[3][i] = (ids[3][i] + 1) % (int32_t)kept.shape.vocabulary;
            ck_assert_msg(model_text(&kept, ids[3], n - 1, 3, 1, &e) == OK, "%s", e.text);
            compare(&kept, &full, 3, ids[3], n - 1, tolerance);
            latest[3] = ids[3][n - 1];
        }
        ck_assert_msg(model_next(&kept, latest, TEXTS, n - 1, &e) == OK, "%s", e.text);
        bool few = length < 100 || n % 64 < 2 || n == length;
        for (int text = 0; text < TEXTS && few; text++) compare(&kept, &full, text, ids[text], n, tolerance);
    }
    free(ids);
    model_close(&kept);
    model_close(&full);
}

enum { TOKENS = 45, NUMBER = 17 }; /* NUMBER: of the first text */
static const int32_t START_IDS[] = {3, 1, 4, 1, 5};
enum { N_START = 5 };

static void put(void *context, int text, int32_t id) {
    int32_t *to = context; /* [TEXTS, 1 + TOKENS]: a count, and the ids */
    to += text * (1 + TOKENS);
    to[1 + to[0]++] = id;
}

/* to: [texts, 1 + TOKENS], zeros */
static void generate_into(model *m, int first, int texts, int32_t *to) {
    generate_request r = {.start = START_IDS,
                          .n = N_START,
                          .tokens = TOKENS,
                          .first = first,
                          .texts = texts,
                          .seed = 5,
                          .temperature = 0.9,
                          .top_k = 30,
                          .put = put,
                          .context = to};
    ck_assert_msg(generate(m, &r, &e) == OK, "%s", e.text);
    for (int text = 0; text < texts; text++) ck_assert_int_eq(to[text * (1 + TOKENS)], TOKENS);
}

/* As nanoGPT's generate: idx[:, -block_size:], then one more. */
static void by_windows(model *full, int number, int32_t *to) {
    int length = full->run.length, n = N_START;
    int32_t ids[N_START + TOKENS];
    double logits[100], space[100];
    memcpy(ids, START_IDS, sizeof START_IDS);
    for (int k = 0; k < TOKENS; k++, n++) {
        int from = n > length ? n - length : 0;
        uint32_t words[4];
        ck_assert_msg(model_logits(full, ids + from, n - from, logits, &e) == OK, "%s", e.text);
        philox(5, (uint32_t)k, (uint32_t)number, random_word(SITE_SAMPLE, 0), 0, words);
        ids[n] = (int32_t)sample_pick(logits, full->shape.vocabulary, 0.9, 30, rng_uniform(words[0], words[1]), space);
        put(to, 0, ids[n]);
    }
}

void generate_expect_tokens(generate_open *open_kept, generate_open *open_full, int shape) {
    static const int counts[] = {1, 2, TEXTS};
    model kept, full;
    open_with(&full, open_full, shape, 0);
    for (int c = 0; c < 3; c++) {
        open_with(&kept, open_kept, shape, counts[c]);
        int32_t got[TEXTS][1 + TOKENS] = {{0}}, want[TEXTS][1 + TOKENS] = {{0}};
        generate_into(&kept, NUMBER, counts[c], got[0]);
        for (int text = 0; text < counts[c]; text++) {
            by_windows(&full, NUMBER + text, want[text]);
            for (int k = 1; k <= TOKENS; k++)
                ck_assert_msg(got[text][k] == want[text][k], "%d texts: token %d of text %d is %d, not %d", counts[c],
                              k - 1, text, got[text][k], want[text][k]);
        }
        model_close(&kept);
    }
    int32_t alone[1][1 + TOKENS] = {{0}}, want[1 + TOKENS] = {0};
    generate_into(&full, NUMBER, 1, alone[0]); /* a model that keeps nothing */
    by_windows(&full, NUMBER, want);
    ck_assert_int_eq(memcmp(alone, want, sizeof want), 0);
    model_close(&full);
}

/* Logits of the last text's every position, beside `texts` - 1 others. */
static void logits_beside(generate_open *open, int shape, int texts, double *logits /* [positions, V] */) {
    model m;
    open_with(&m, open, shape, texts);
    int32_t ids[TEXTS], first = 2;
    int64_t v = m.shape.vocabulary;
    ck_assert_msg(model_text(&m, &first, 1, 0, texts, &e) == OK, "%s", e.text);
    for (int n = 1; n < m.run.length; n++) {
        for (int text = 0; text < texts; text++) ids[text] = (int32_t)((n * (texts - text) + n * n) % v);
        ck_assert_msg(model_next(&m, ids, texts, n, &e) == OK, "%s", e.text);
        ck_assert_msg(model_logits_of(&m, texts - 1, n + 1, logits + n * v, &e) == OK, "%s", e.text);
    }
    model_close(&m);
}

void generate_expect_same_bits(generate_open *open, int shape) {
    size_t n = (size_t)(shapes[shape].positions * shapes[shape].vocabulary);
    double *alone = xcalloc(n, sizeof *alone), *beside = xcalloc(n, sizeof *beside);
    logits_beside(open, shape, 1, alone);
    for (int texts = 2; texts <= TEXTS; texts++) {
        logits_beside(open, shape, texts, beside);
        ck_assert_msg(!memcmp(alone, beside, n * sizeof *alone), "beside %d texts a text has other logits", texts - 1);
    }
    free(alone);
    free(beside);
}
