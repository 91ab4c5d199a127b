/* support_steps.c: see support_steps.h. */
#include "support_steps.h"
#include <check.h>
#include <stdlib.h>

gpt_run steps_run(int64_t sequences, int length, int micro_batch, unsigned recompute) {
    return (gpt_run){.purpose = GRAPH_TRAIN,
                     .micro_batch = micro_batch,
                     .length = length,
                     .sequences = sequences,
                     .batch_invariant = true,
                     .dropout = 0.1,
                     .weight_decay = 0.1,
                     .beta1 = 0.9,
                     .beta2 = 0.95,
                     .grad_clip = 1,
                     .recompute = recompute};
}

void steps_batch(batch *b, int64_t vocabulary, int step) {
    uint32_t state = 12345u + (uint32_t)step;
    for (int64_t i = 0; i < b->sequences * b->length; i++) {
        state = state * 1664525u + 1013904223u;
        b->x[i] = (int32_t)((state >> 8) % (uint32_t)vocabulary);
        state = state * 1664525u + 1013904223u;
        b->y[i] = state % 7 == 0 ? -1 : (int32_t)((state >> 8) % (uint32_t)vocabulary);
    }
}

void steps_train(backend *device, const gpt_shape *shape, const gpt_run *run, char hash[HASH_HEX], double *loss) {
    error e = {""};
    model m;
    double norm, last;
    ck_assert_msg(model_open(&m, device, shape, run, &e) == OK, "%s", e.text);
    ck_assert_msg(model_init(&m, 7, &e) == OK, "%s", e.text);
    batch b = batch_new(run->sequences, run->length);
    for (int step = 0; step < 3; step++) {
        steps_batch(&b, shape->vocabulary, step);
        step_settings s = {.step = step, .lr = 1e-2, .seed = 99};
        ck_assert_msg(model_gradients(&m, &b, &s, &last, &e) == OK, "%s", e.text);
        ck_assert_msg(model_finish(&m, &s, &norm, &e) == OK, "%s", e.text);
    }
    ck_assert_msg(model_hash(&m, hash, &e) == OK, "%s", e.text);
    if (loss) *loss = last;
    batch_free(&b);
    model_close(&m);
}
