/* test_plan_check.c: graphs and plans that are spoilt in one place, which their checks have to notice; and a plan that
   can't be. */
#include "graph/backend.h"
#include "support_plan.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Each spoils the graph of a small model in one way. */
static void plant(int fault, graph *g) {
    int linear = find_op(g, OP_LINEAR, g->micro.first), dw = find_op(g, OP_LINEAR_DW, 0);
    op swap;
    switch (fault) {
    case 0: g->ops[linear].arg[1] = 0; break;                         /* a missing argument */
    case 1: g->ops[linear].arg[0] = g->ops[linear - 1].arg[0]; break; /* an activation written twice */
    case 2:                                                           /* read before it is written */
        swap = g->ops[linear];
        g->ops[linear] = g->ops[linear + 1];
        g->ops[linear + 1] = swap;
        break;
    case 3: g->ops[find_op(g, OP_LINEAR_DW, dw + 1)].arg[0] = g->ops[dw].arg[0]; break; /* two sums (or a shape) */
    case 4: g->tensors[g->ops[linear].arg[2]].dim[1]++; break;                          /* a shape */
    case 5: g->ops[find_op(g, OP_HEAD_LOSS, 0)].arg[1] = g->ops[linear].arg[0]; break;  /* from another span */
    case 6: g->finish.end--; break;                                                     /* an op in no span */
    case 7: g->ops[find_op(g, OP_ZERO, 0)].arg[0] = 1; break;                           /* a parameter is cleared */
    case 8: g->ops[linear].arg[1] = g->n_tensors + 5; break;                            /* no such tensor */
    case 9: g->ops[linear].arg[1] = g->ops[find_op(g, OP_HEAD, 0)].scratch; break;      /* scratch as an argument */
    case 10: g->ops[find_op(g, OP_EMBED, 0)].arg[0] = g->ops[find_op(g, OP_EMBED, 0)].arg[1]; break; /* input written */
    case 11: g->ops[find_op(g, OP_EMBED_DW, 0)].arg[0] = g->ops[find_op(g, OP_HEAD, 0)].arg[2]; break; /* R4 */
    case 12: g->micro.first = -1; break;
    default: ck_abort();
    }
}
enum { FAULTS = 13 };

START_TEST(graph_check_notices_planted_faults) {
    gpt m = build(&SMALL, run_of(GRAPH_TRAIN, 2, 8, true, 0.1, 1), cpu_type(PRECISION_FLOAT32)->scratch);
    error e = {""};
    plant(_i, m.graph);
    ck_assert_msg(!graph_check(m.graph, &e), "fault %d went by", _i);
    ck_assert_msg(!strncmp(e.text, "graph: ", 7), "'%s'", e.text);
    gpt_free(&m);
}
END_TEST

START_TEST(plan_check_notices_planted_faults) {
    memory_limits limits = {.real_bytes = 4, .alignment = 64};
    gpt m = build(&SMALL, run_of(GRAPH_TRAIN, 2, 8, true, 0.1, 1), cpu_type(PRECISION_FLOAT32)->scratch);
    plan p = make(m.graph, &limits);
    error e;
    int x = m.graph->ops[find_op(m.graph, OP_LINEAR, 0)].arg[1],
        y = m.graph->ops[find_op(m.graph, OP_LINEAR, 0)].arg[0];
    ck_assert(plan_check(m.graph, &p, &limits, &e));
    switch (_i) {
    case 0: p.slots[y].offset = p.slots[x].offset; break;
    case 1: p.slots[y].offset += 4; break;
    case 2: p.slots[y].offset = p.block_bytes[p.slots[y].block] - 64; break;
    case 3: p.slots[y].bytes = 64; break;
    case 4: p.total += 64; break;
    case 5: limits.max_block = 4096; break;
    }
    ck_assert_msg(!plan_check(m.graph, &p, &limits, &e), "fault %d went by", _i);
    plan_free(&p);
    gpt_free(&m);
}
END_TEST

START_TEST(a_tensor_larger_than_the_largest_allocation_is_named) {
    gpt m = build(&SMALL, run_of(GRAPH_TRAIN, 2, 8, true, 0, 0), cpu_type(PRECISION_FLOAT32)->scratch);
    plan p;
    error e;
    ck_assert_int_eq(plan_make(m.graph, &(memory_limits){.real_bytes = 4, .alignment = 64, .max_block = 1024}, &p, &e),
                     BAD_INPUT);
    ck_assert_msg(strstr(e.text, "wte") && strstr(e.text, "1024"), "%s", e.text);
    gpt_free(&m);
}
END_TEST

Suite *plan_check_suite(void);
Suite *plan_check_suite(void) {
    Suite *s = suite_create("plan_check");
    TCase *t = tcase_create("plan_check");
    tcase_add_loop_test(t, graph_check_notices_planted_faults, 0, FAULTS);
    tcase_add_loop_test(t, plan_check_notices_planted_faults, 0, 6);
    tcase_add_test(t, a_tensor_larger_than_the_largest_allocation_is_named);
    suite_add_tcase(s, t);
    return s;
}
