/* lanes.c: small models by lanes: each thread takes its own sequences through all ops of a span, alone. Threads then
   share the weights and the gradients and nothing else: they never meet at an op's end, and what a thread has written
   stays in its cache. Compiled once. */
#include "cpu/cpu.h"
#include "graph/cost.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Multiply-adds of an op's products beyond which its tiles are better shared out to whoever is free. The head may have
   fewer, since a lane waits for the one before in the middle of it. */
static const double MOST_WORK = 2e8, MOST_HEAD_WORK = 6e7;

/* ---- the arena in lanes ----
   A lane's part of the arena is the whole one in small: each tensor lies at its offset divided by the number of lanes,
   and holds that part of its sequences. Lanes never meet in memory, whatever the plan puts on top of one another. */

enum { LINE = 64 };

uint64_t lane_offset(uint64_t block_bytes, uint64_t offset, int lanes, int l) {
    uint64_t parts = (uint64_t)lanes * LINE;
    return ((uint64_t)l * (block_bytes / parts) + offset / parts) * LINE;
}

/* Offsets are rounded down to lines: tensors keep apart if their sizes are whole lines a lane. */
static bool fits_in_lanes(const graph *g, const plan *p, const op *o, size_t real_bytes, int lanes) {
    bool by_sequence = false;
    uint64_t parts = (uint64_t)lanes * LINE;
    for (int a = 0; a < MAX_ARGUMENTS; a++) {
        const tensor *t = &g->tensors[o->arg[a]];
        if (!o->arg[a] || t->role != ROLE_ACT) continue;
        if (t->dim[0] != g->micro_batch || tensor_bytes(t, real_bytes) % parts) return false;
        by_sequence = true;
    }
    if (!o->scratch) return by_sequence; /* none but the head has scratch here */
    return by_sequence && p->slots[o->scratch].bytes / parts * LINE >= cpu_head_bytes(g, o, real_bytes, lanes);
}

int lanes_choose(const graph *g, const plan *p, size_t real_bytes, int threads) {
    int lanes = threads < g->micro_batch ? threads : g->micro_batch;
    while (g->micro_batch % lanes) lanes--;
    if (lanes < 2 || 2 * lanes <= threads || !g->batch_invariant) return 1; /* else half of the threads would rest */
    for (int i = 0; i < g->n_ops; i++) {
        const op *o = &g->ops[i];
        bool once = (i >= g->begin.first && i < g->begin.end) || (i >= g->finish.first && i < g->finish.end);
        if (once) continue;
        if (!fits_in_lanes(g, p, o, real_bytes, lanes)) return 1;
        double work = op_flops(g, o, g->micro_batch) / 2;
        if (work > (o->code == OP_HEAD ? MOST_HEAD_WORK : MOST_WORK)) return 1;
    }
    return lanes;
}

/* ---- taking turns ---- */

struct lane {
    _Atomic int64_t done;                   /* the turn after the last one taken */
    char apart[2 * LINE - sizeof(int64_t)]; /* no two in a line: each is watched by another thread */
};

lane *lanes_new(int lanes) { return xcalloc((size_t)lanes + 1, sizeof(lane)); }

/* all[0] stands before the first lane, and is done with everything. */
void lanes_start(lane *all, int lanes) {
    for (int l = 0; l <= lanes; l++) atomic_init(&all[l].done, l ? 0 : INT64_MAX);
}

lane *lane_of(lane *all, int l) { return &all[l + 1]; }

static int64_t turn(const cpu_call *c, int64_t part) { return (int64_t)(c->o - c->g->ops) * (LANE_ALL + 1) + part + 1; }

void lane_wait(const cpu_call *c, int64_t part) {
    enum { LOOKS = 10000 }; /* some microseconds; then let others have the core */
    if (!c->lane) return;
    for (int i = 0; atomic_load_explicit(&c->lane[-1].done, memory_order_acquire) < turn(c, part); i++)
        if (i > LOOKS) sched_yield();
}

void lane_pass(const cpu_call *c, int64_t part) {
    if (c->lane) atomic_store_explicit(&c->lane->done, turn(c, part), memory_order_release);
}
