/* test_shards.c: gradient_shards in one process (R12 of the design): where shards begin; that a step's gradients are
   the shards' sums, each from 0, added in order; the same bits for every split, policy and home of the tokens; and what
   shards take of memory. */
#include "graph/recompute.h"
#include "run/open.h"
#include "run/resume.h"
#include "support_steps.h"
#include <check.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static const gpt_shape shape = {
    .layers = 2, .heads = 2, .channels = 16, .positions = 9, .vocabulary = 37, .bias = true, .norm_epsilon = 1e-5};

START_TEST(shards_are_cut_by_the_floor_of_their_share) {
    for (int64_t n = 1; n < 40; n++)
        for (int shards = 1; shards < 50; shards++) {
            int64_t at = 0, most = 0;
            for (int s = 0; s < shards; s++) {
                while ((at + 1) * shards <= (s + 1) * n) at++; /* the most sequences that are a share of s + 1 */
                int64_t first = gpt_shard(n, shards, s), end = gpt_shard(n, shards, s + 1);
                ck_assert_int_eq(end, at);
                if (end - first > most) most = end - first;
            }
            ck_assert_int_eq(gpt_shard(n, shards, 0), 0);
            ck_assert_int_eq(at, n);
            ck_assert_int_eq(gpt_shard_most(n, shards), most);
        }
    ck_assert_int_eq(gpt_shard(12, 0, 1), 12); /* not set */
    ck_assert_int_eq(gpt_shard_most(12, 0), 12);
}
END_TEST

/* ---- the chain of sums ---- */

/* All tensors of a role and a name's beginning, in the order of their ids, one after another. */
static float *read_gradients(model *m, const char *prefix, int64_t *count) {
    float *all = NULL;
    error e = {""};
    *count = 0;
    for (tensor_id t = 1; t < m->gpt.graph->n_tensors; t++) {
        const tensor *x = &m->gpt.graph->tensors[t];
        if (x->role != ROLE_GRAD || strncmp(x->name, prefix, strlen(prefix)) != 0) continue;
        int64_t n = tensor_elements(x);
        all = xrealloc(all, sizeof *all * (size_t)(*count + n));
        ck_assert_int_eq(m->backend->read(m->backend, t, all + *count, 0, (size_t)n * sizeof *all, &e), OK);
        *count += n;
    }
    return all;
}

static void open_small(model *m, int sequences, int shards, int micro_batch) {
    error e = {""};
    gpt_run run = steps_run(sequences, 9, micro_batch, 0);
    run.shards = shards;
    run.one_upload = true;
    ck_assert_msg(model_open(m, cpu_open(4, 0), &shape, &run, &e) == OK, "%s", e.text);
    ck_assert_int_eq(model_init(m, 3, &e), OK);
}

/* What one shard's sequences leave, by a graph that knows of no shards, and with the whole step's targets. */
static float *gradients_of(model *m, const batch *b, int first, int end, int64_t *count) {
    step_settings s = {.step = 2, .seed = 11};
    step_args a = {.length = 9, .step = 2, .seed = 11};
    error e = {""};
    ck_assert_int_eq(m->backend->run(m->backend, m->gpt.graph->begin, &a, &e), OK);
    ck_assert_int_eq(model_upload(m, b, &e), OK);
    for (; first < end; first++) {
        ck_assert_int_eq(model_load(m, b, &s, first, first + 1, model_inverse(b), &a, &e), OK);
        ck_assert_int_eq(m->backend->run(m->backend, m->gpt.graph->micro, &a, &e), OK);
    }
    return read_gradients(m, "d_", count);
}

START_TEST(the_steps_gradients_are_the_shards_sums_added_in_order) {
    enum { SEQUENCES = 11, SHARDS = 4 };
    static const int begins[SHARDS + 1] = {0, 2, 5, 8, 11}; /* by hand */
    model one, many;
    error e = {""};
    double loss, whole;
    int64_t n, same;
    batch b = batch_new(SEQUENCES, 9);
    steps_batch(&b, shape.vocabulary, 2);
    open_small(&one, SEQUENCES, 1, 1);
    open_small(&many, SEQUENCES, SHARDS, 2);
    float *sum = gradients_of(&one, &b, 0, 0, &n), *at_once = gradients_of(&one, &b, 0, SEQUENCES, &n);
    for (int s = 0; s < SHARDS; s++) {
        float *part = gradients_of(&one, &b, begins[s], begins[s + 1], &n);
        for (int64_t i = 0; i < n; i++) sum[i] += part[i];
        free(part);
    }
    step_settings settings = {.step = 2, .seed = 11};
    ck_assert_int_eq(model_gradients(&many, &b, &settings, &loss, &e), OK);
    float *got = read_gradients(&many, "d_", &same);
    ck_assert_int_eq(same, n);
    ck_assert_int_eq(memcmp(got, sum, (size_t)n * sizeof *sum), 0);
    ck_assert_msg(memcmp(sum, at_once, (size_t)n * sizeof *sum) != 0, "the order of sums makes no difference here");
    /* The losses are one by sequence, and added as ever. */
    ck_assert_int_eq(model_gradients(&one, &b, &settings, &whole, &e), OK);
    ck_assert(whole == loss);
    free(sum), free(got), free(at_once);
    batch_free(&b);
    model_close(&one);
    model_close(&many);
}
END_TEST

/* ---- the same bits ---- */

static void train(compute_precision p, int sequences, int shards, int micro_batch, int policy, bool one_upload,
                  char hash[HASH_HEX]) {
    gpt_run run = steps_run(sequences, 9, micro_batch, recompute_policies[policy].dropped);
    run.shards = shards;
    run.one_upload = one_upload;
    run.stored = cpu_type(p)->stored;
    steps_train(cpu_open_as(p, 0), &shape, &run, hash, NULL);
}

/* _i: which precision. */
START_TEST(every_split_gives_the_bits_of_its_shards) {
    static const compute_precision precisions[] = {PRECISION_FLOAT32, PRECISION_FLOAT64, PRECISION_BFLOAT16};
    static const int shards[] = {0, 1, 2, 3, 7, 9}; /* of 7 sequences: none, one, and empty ones too */
    char hash[6][HASH_HEX], other[HASH_HEX];
    for (int s = 0; s < 6; s++) {
        int most = (int)gpt_shard_most(7, shards[s]);
        train(precisions[_i], 7, shards[s], most, 0, true, hash[s]);
        for (int micro = 1; micro <= 4; micro++) {
            omp_set_num_threads(1 + micro % 2);
            train(precisions[_i], 7, shards[s], micro > most ? most : micro, micro % RECOMPUTE_POLICIES, micro % 2,
                  other);
            ck_assert_msg(!strcmp(hash[s], other), "%d shards, micro-batch %d", shards[s], micro);
        }
    }
    ck_assert_str_eq(hash[0], hash[1]);
    ck_assert_str_eq(hash[4], hash[5]); /* empty shards add 0 */
    for (int s = 2; s < 5; s++)
        ck_assert_msg(strcmp(hash[s - 1], hash[s]) != 0, "%d shards make no difference", shards[s]);
}
END_TEST

/* ---- memory ---- */

static uint64_t peak_of(int shards, bool invariant, uint64_t *gradients) {
    gpt_run run = steps_run(8, 9, 2, 0);
    gpt m;
    plan p;
    error e = {""};
    memory_limits limits = {.real_bytes = 4, .alignment = 64};
    run.shards = shards;
    run.batch_invariant = invariant;
    ck_assert_msg(gpt_build(&shape, &run, NULL, 4, &m, &e) == OK, "%s", e.text);
    ck_assert_int_eq(plan_make(m.graph, &limits, &p, &e), OK);
    ck_assert_msg(plan_check(m.graph, &p, &limits, &e), "%s", e.text);
    uint64_t total = p.total;
    *gradients = 0;
    for (tensor_id t = 1; t < m.graph->n_tensors; t++)
        if (m.graph->tensors[t].role == ROLE_GRAD) *gradients += p.slots[t].bytes;
    plan_free(&p);
    gpt_free(&m);
    return total;
}

START_TEST(shards_take_a_second_gradient_buffer_and_one_takes_none) {
    for (int invariant = 0; invariant < 2; invariant++) {
        uint64_t one, two, many, none, g1, g2, g5, g0;
        none = peak_of(0, invariant, &g0), one = peak_of(1, invariant, &g1);
        two = peak_of(2, invariant, &g2), many = peak_of(5, invariant, &g5);
        ck_assert_uint_eq(none, one);
        ck_assert_uint_eq(g2, 2 * g1);
        ck_assert_uint_eq(g5, g2);
        ck_assert_uint_eq(two, one + g1);
        ck_assert_uint_eq(many, two);
    }
}
END_TEST

/* ---- several processes: their graphs, which need no MPI ---- */

START_TEST(each_parameter_has_one_owner_and_what_it_keeps_is_there_once) {
    for (int ranks = 1; ranks <= 8; ranks *= 2) {
        int64_t all = 0, moments = 0, totals = 0, kept = 0, most = 0, largest = 0;
        int updates = 0, squares = 0, joins = 0, additions = 0, n = 0;
        for (int rank = 0; rank < ranks; rank++) {
            gpt_run run = steps_run(8, 9, 1, 0);
            gpt m;
            error e = {""};
            int64_t own = 0;
            int in_layer = 0;
            run.shards = 8, run.ranks = ranks, run.rank = rank;
            ck_assert_msg(gpt_build(&shape, &run, NULL, 4, &m, &e) == OK, "%s", e.text);
            const graph *g = m.graph;
            n = m.n_params;
            for (tensor_id p = 1; p <= n; p++) {
                int64_t size = tensor_elements(&g->tensors[p]);
                bool mine = m.owner[p] == rank;
                if (!rank) all += size, largest = size > largest ? size : largest;
                ck_assert(m.owner[p] >= 0 && m.owner[p] < ranks && m.sum[p]);
                ck_assert((m.grad[p] != 0) == mine && (m.m[p] != 0) == mine && (m.v[p] != 0) == mine);
                if (mine) totals += size, moments += 2 * size;
                in_layer += mine && g->tensors[p].layer == 1 && g->tensors[p].rank == 2;
            }
            for (tensor_id t = 1; t < g->n_tensors; t++)
                if (g->tensors[t].role == ROLE_MOMENT || !strncmp(g->tensors[t].name, "d_", 2))
                    own += tensor_elements(&g->tensors[t]);
            kept += own;
            if (own > most) most = own;
            /* Of two each has a share of the last layer, so that both receive while it is sent. */
            ck_assert(ranks != 2 || (in_layer && in_layer < 4));
            for (int i = g->shard_end.first; i < g->shard_end.end; i++) additions++;
            for (int i = g->finish.first; i < g->finish.end; i++) {
                updates += g->ops[i].code == OP_ADAMW;
                squares += g->ops[i].code == OP_SUM_SQUARES;
                joins += g->ops[i].code == OP_ADD;
            }
            gpt_free(&m);
        }
        ck_assert_int_eq(totals, all);
        ck_assert_int_eq(moments, 2 * all);
        ck_assert(updates == n && squares == n && joins == 1 && additions == n + 1);
        ck_assert_int_le(most, kept / ranks + 4 * largest); /* each goes to whoever has least */
    }
}
END_TEST

START_TEST(what_processes_send_has_room_in_the_plan) {
    for (int ranks = 1; ranks <= 4; ranks *= 2)
        for (int has_host = 0; has_host < 2; has_host++) {
            gpt_run run = steps_run(8, 9, 1, 0);
            gpt m;
            plan p;
            error e = {""};
            memory_limits limits = {.real_bytes = 4, .alignment = 64};
            run.shards = 8, run.ranks = ranks, run.has_host = has_host;
            ck_assert_msg(gpt_build(&shape, &run, NULL, 4, &m, &e) == OK, "%s", e.text);
            ck_assert_int_eq(plan_make(m.graph, &limits, &p, &e), OK);
            ck_assert_int_eq(m.staging != 0, ranks > 1);
            if (ranks > 1) {
                /* By hand: four layers of 12 C^2 weights and 13 C of biases and norms; and two reals for marks. */
                ck_assert_int_eq(tensor_elements(&m.graph->tensors[m.staging]), 4 * (12 * 16 * 16 + 13 * 16) + 2);
                ck_assert_int_eq(m.graph->tensors[m.staging].home, has_host ? HOME_HOST : HOME_DEVICE);
            }
            ck_assert_uint_eq(p.host_total, ranks > 1 && has_host ? p.slots[m.staging].bytes : 0);
            plan_free(&p);
            gpt_free(&m);
        }
}
END_TEST

/* ---- resuming ---- */

START_TEST(a_resumed_run_keeps_its_shards_unless_others_are_given) {
    static config c;
    char *text;
    size_t bytes;
    run_state s = run_state_new("a", "b", "c");
    config_defaults(&c);
    ck_assert_int_eq(resume_shards(&c, &s), 1); /* of a run that knew of none */
    run_state_set(&s, "gradient_shards", "4");
    ck_assert_int_eq(resume_shards(&c, &s), 4);
    backend b = {.device = "a"};
    FILE *f = open_memstream(&text, &bytes);
    resume_notes(&c, &s, &b, f);
    fflush(f);
    ck_assert_msg(!strstr(text, "gradient_shards"), "%s", text);
    c.gradient_shards = 2;
    ck_assert_int_eq(resume_shards(&c, &s), 2);
    resume_notes(&c, &s, &b, f);
    fclose(f);
    ck_assert_msg(strstr(text, "settings have changed: gradient_shards is 2, was 4") != NULL, "%s", text);
    free(text);
    run_state_free(&s);
}
END_TEST

Suite *shards_suite(void);
Suite *shards_suite(void) {
    Suite *suite = suite_create("shards");
    TCase *t = tcase_create("shards");
    tcase_add_test(t, shards_are_cut_by_the_floor_of_their_share);
    tcase_add_test(t, the_steps_gradients_are_the_shards_sums_added_in_order);
    tcase_add_loop_test(t, every_split_gives_the_bits_of_its_shards, 0, 3);
    tcase_add_test(t, shards_take_a_second_gradient_buffer_and_one_takes_none);
    tcase_add_test(t, each_parameter_has_one_owner_and_what_it_keeps_is_there_once);
    tcase_add_test(t, what_processes_send_has_room_in_the_plan);
    tcase_add_test(t, a_resumed_run_keeps_its_shards_unless_others_are_given);
    suite_add_tcase(suite, t);
    return suite;
}
