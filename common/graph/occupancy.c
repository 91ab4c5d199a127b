/* occupancy.c: see occupancy.h. A segment tree over time. Each of its nodes stands for a range of times and keeps two
   unions of byte ranges: what is taken at all of those times, and what is taken at some of them. A lifetime is cut into
   O(log n) nodes that lie within it. All that lives together with it is taken at some of their times, or throughout one
   of the nodes above them; so a question is answered from O(log n) unions. What lies side by side becomes one range of
   bytes, so the unions stay short where tensors are packed well: a few ranges, however many layers there are. */
#include "graph/occupancy.h"
#include "base/status.h"
#include <stdlib.h>
#include <string.h>

/* Unions are lists, ascending; between two ranges there is a gap. 0 ends a list. */
typedef struct {
    uint64_t from, to;
    int next;
} range;

enum { FAN = 8, LEVELS = 12 }; /* children of a node; more levels than 2^31 times need */
enum {
    UNIONS_MAX = LEVELS * (1 + 2 * FAN)
}; /* that one question can need: of each level a node above it, and at
      either end all children but one */

struct occupancy {
    int times, nodes;        /* of the root, node 0: a power of FAN; and what is below it, with it */
    int *all, *some;         /* by node: the first range */
    range *ranges;           /* of all lists; ranges[0] is unused */
    int n_ranges, room;      /* in use or given back */
    int spare;               /* list of those given back */
    range asked[UNIONS_MAX]; /* of each union that the question needs: its first range that may matter */
    int n_asked;
    uint64_t at; /* gaps before it have been given */
};

/* For so many times. */
static void size(occupancy *o, int times) {
    for (o->times = o->nodes = 1; o->times < times; o->nodes += o->times) o->times *= FAN;
}

occupancy *occupancy_new(int times) {
    occupancy *o = xcalloc(1, sizeof *o);
    size(o, times);
    o->all = xcalloc((size_t)o->nodes, sizeof *o->all);
    o->some = xcalloc((size_t)o->nodes, sizeof *o->some);
    o->room = 1024;
    o->ranges = xcalloc((size_t)o->room, sizeof *o->ranges);
    o->n_ranges = 1;
    return o;
}

void occupancy_clear(occupancy *o, int times) {
    size(o, times);
    memset(o->all, 0, (size_t)o->nodes * sizeof *o->all);
    memset(o->some, 0, (size_t)o->nodes * sizeof *o->some);
    o->n_ranges = 1;
    o->spare = 0;
}

void occupancy_free(occupancy *o) {
    free(o->all);
    free(o->some);
    free(o->ranges);
    free(o);
}

static int child(int node, int i) { return FAN * node + 1 + i; }

/* ---- taking ---- */

static int new_range(occupancy *o, uint64_t from, uint64_t to) {
    int i = o->spare;
    if (i) {
        o->spare = o->ranges[i].next;
    } else {
        if (o->n_ranges == o->room) {
            o->room *= 2;
            o->ranges = xrealloc(o->ranges, (size_t)o->room * sizeof *o->ranges);
        }
        i = o->n_ranges++;
    }
    o->ranges[i] = (range){from, to, 0};
    return i;
}

/* Adds [from, to) to the union that begins at *first. */
static void unite(occupancy *o, int *first, uint64_t from, uint64_t to) {
    int before = 0, i = *first;
    while (i && o->ranges[i].to < from) before = i, i = o->ranges[i].next;
    if (!i || o->ranges[i].from > to) {
        int fresh = new_range(o, from, to);
        o->ranges[fresh].next = i;
        *(before ? &o->ranges[before].next : first) = fresh;
        return;
    }
    range *r = &o->ranges[i];
    if (from < r->from) r->from = from;
    if (to > r->to) r->to = to;
    for (int k = r->next; k && o->ranges[k].from <= r->to; k = r->next) { /* it has grown into its neighbours */
        if (o->ranges[k].to > r->to) r->to = o->ranges[k].to;
        r->next = o->ranges[k].next;
        o->ranges[k].next = o->spare;
        o->spare = k;
    }
}

typedef struct {
    int first, last; /* times */
    uint64_t from, to;
} taking;

/* node stands for `times` times from `start` on. */
static void take(occupancy *o, int node, int start, int times, const taking *t) {
    unite(o, &o->some[node], t->from, t->to);
    if (t->first <= start && start + times - 1 <= t->last) {
        unite(o, &o->all[node], t->from, t->to);
        return;
    }
    int part = times / FAN, i = t->first > start ? (t->first - start) / part : 0;
    for (; i < FAN && start + i * part <= t->last; i++) take(o, child(node, i), start + i * part, part, t);
}

void occupancy_take(occupancy *o, int first, int last, uint64_t from, uint64_t to) {
    if (from < to) take(o, 0, 0, o->times, &(taking){first, last, from, to});
}

/* ---- asking ---- */

static void ask(occupancy *o, int node, int start, int times, int first, int last) {
    if (!o->some[node]) return;
    if (first <= start && start + times - 1 <= last) {
        o->asked[o->n_asked++] = o->ranges[o->some[node]];
        return;
    }
    if (o->all[node]) o->asked[o->n_asked++] = o->ranges[o->all[node]];
    int part = times / FAN, i = first > start ? (first - start) / part : 0;
    for (; i < FAN && start + i * part <= last; i++) ask(o, child(node, i), start + i * part, part, first, last);
}

void occupancy_ask(occupancy *o, int first, int last) {
    o->n_asked = 0;
    o->at = 0;
    ask(o, 0, 0, o->times, first, last);
}

void occupancy_gap(occupancy *o, uint64_t *start, uint64_t *end) {
    bool moved = true;
    while (moved) { /* until `at` is free in all unions; *end is where the first of them is taken again */
        moved = false;
        *end = UINT64_MAX;
        for (int k = 0; k < o->n_asked; k++) {
            range *r = &o->asked[k];
            while (r->to <= o->at && r->next) *r = o->ranges[r->next];
            if (r->to <= o->at) { /* it ends here */
                *r = o->asked[--o->n_asked];
                k--;
            } else if (r->from <= o->at) {
                o->at = r->to;
                moved = true;
            } else if (r->from < *end)
                *end = r->from;
        }
    }
    *start = o->at;
    o->at = *end;
}
