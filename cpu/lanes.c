/* lanes.c: runs small models in lanes: each thread takes sequences of its own through all ops of a span. The threads
   share nothing but weights and gradients then. They do not wait for one another at the end of each op, and what a
   thread has written stays in its cache. Compiled once, for both precisions. */
#include "cpu/cpu.h"
#include "graph/cost.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Multiply-adds of an op's products beyond which it is faster to share out its tiles to all threads than to use lanes.
   For the head it is fewer, since in the middle of it each lane waits for the one before. */
static const double MOST_WORK = 2e8, MOST_HEAD_WORK = 6e7;

/* ---- the arena in lanes ----
   A lane's part of the arena is a small copy of the whole plan: each tensor lies at its planned offset divided by the
   number of lanes, and has room for the lane's sequences. So lanes never touch each other's memory, although tensors of
   the plan share memory at different times, and lanes are not all at the same op. */

enum { LINE = 64 };

uint64_t lane_offset(uint64_t block_bytes, uint64_t offset, int lanes, int l) {
    uint64_t parts = (uint64_t)lanes * LINE;
    return ((uint64_t)l * (block_bytes / parts) + offset / parts) * LINE;
}

/* Since lane_offset rounds down to whole cache lines, tensors stay apart only if each lane's part of each is a whole
   number of lines. */
static bool fits_in_lanes(const graph *g, const plan *p, const op *o, size_t real_bytes, int lanes) {
    bool by_sequence = false;
    uint64_t parts = (uint64_t)lanes * LINE;
    for (int a = 0; a < MAX_ARGUMENTS; a++) {
        const tensor *t = &g->tensors[o->arg[a]];
        if (!o->arg[a] || t->role != ROLE_ACT) continue;
        if (t->dim[0] != g->micro_batch || tensor_bytes(t, real_bytes) % parts) return false;
        by_sequence = true;
    }
    if (!o->scratch) return by_sequence; /* of the ops that run in lanes only the head has scratch */
    return by_sequence && p->slots[o->scratch].bytes / parts * LINE >= cpu_head_bytes(g, o, real_bytes, lanes);
}

int lanes_choose(const graph *g, const plan *p, size_t real_bytes, int threads) {
    int lanes = threads < g->micro_batch ? threads : g->micro_batch;
    while (g->micro_batch % lanes) lanes--;
    if (g->bf16_weights) return 1; /* the rounded copies of parameters (backend.c) are one for all threads */
    if (lanes < 2 || 2 * lanes <= threads || !g->batch_invariant) return 1; /* else half of the threads would rest */
    for (int i = 0; i < g->n_ops; i++) {
        const op *o = &g->ops[i];
        if (graph_is_once(g, i)) continue;
        if (!fits_in_lanes(g, p, o, real_bytes, lanes)) return 1;
        double work = op_flops(g, o, g->micro_batch) / 2;
        if (work > (o->code == OP_HEAD ? MOST_HEAD_WORK : MOST_WORK)) return 1;
    }
    return lanes;
}

/* ---- taking turns ----
   A lane looks for some microseconds whether its turn has come, and then sleeps: others may need the core, the lane
   before among them. Both write what they have to tell before they look for what the other tells (in one order of all,
   as C11's plain atomics have it), so that no one falls asleep unseen. */

enum { LOOKS = 10000 };

struct lane {
    _Atomic int64_t done; /* this lane has passed all turns below it */
    atomic_bool awaited;  /* the lane behind sleeps, or is about to */
    pthread_mutex_t lock;
    pthread_cond_t passed;
    char apart[LINE]; /* no two in one cache line, since another thread watches each of them */
};

/* all[0] stands for a lane before the first, which is done with everything, so that the first never waits. */
lane *lanes_new(int lanes) {
    lane *all = xcalloc((size_t)lanes + 1, sizeof(lane));
    for (int l = 0; l <= lanes; l++) {
        pthread_mutex_init(&all[l].lock, NULL);
        pthread_cond_init(&all[l].passed, NULL);
    }
    lanes_start(all, lanes);
    return all;
}

void lanes_free(lane *all, int lanes) {
    for (int l = 0; l <= lanes; l++) {
        pthread_mutex_destroy(&all[l].lock);
        pthread_cond_destroy(&all[l].passed);
    }
    free(all);
}

void lanes_start(lane *all, int lanes) {
    for (int l = 0; l <= lanes; l++) {
        atomic_init(&all[l].done, l ? 0 : INT64_MAX);
        atomic_init(&all[l].awaited, false);
    }
}

lane *lane_of(lane *all, int l) { return &all[l + 1]; }

static int64_t turn(const cpu_call *c, int64_t part) { return (int64_t)(c->o - c->g->ops) * (LANE_ALL + 1) + part + 1; }

void lane_wait(const cpu_call *c, int64_t part) {
    if (!c->lane) return;
    lane *before = c->lane - 1;
    const int64_t wanted = turn(c, part);
    for (int i = 0; i < LOOKS; i++)
        if (atomic_load_explicit(&before->done, memory_order_acquire) >= wanted) return;
    pthread_mutex_lock(&before->lock);
    before->awaited = true;
    while (before->done < wanted) pthread_cond_wait(&before->passed, &before->lock);
    before->awaited = false;
    pthread_mutex_unlock(&before->lock);
}

void lane_pass(const cpu_call *c, int64_t part) {
    lane *own = c->lane;
    if (!own) return;
    own->done = turn(c, part);
    if (!own->awaited) return;
    pthread_mutex_lock(&own->lock);
    pthread_cond_signal(&own->passed);
    pthread_mutex_unlock(&own->lock);
}
