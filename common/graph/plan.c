/* plan.c: see plan.h. Lifetimes first, then places. */
#include "graph/plan.h"
#include "graph/occupancy.h"
#include <stdlib.h>
#include <string.h>

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* The lowest offset from `at` on at which `bytes` do not lie across the boundary of two blocks. */
static uint64_t within_block(uint64_t at, uint64_t bytes, uint64_t max_block) {
    if (!max_block) return at;
    uint64_t end_of_block = (at / max_block + 1) * max_block;
    return at + bytes <= end_of_block ? at : end_of_block;
}

/* ---- lifetimes ---- */

static void find_lifetimes(const graph *g, slot *slots) {
    for (int t = 0; t < g->n_tensors; t++) slots[t].first_op = slots[t].last_op = -1;
    for (int i = 0; i < g->n_ops; i++) {
        const op *o = &g->ops[i];
        for (int a = 0; a <= MAX_ARGUMENTS; a++) {
            tensor_id t = a < MAX_ARGUMENTS ? o->arg[a] : o->scratch;
            if (!t) continue;
            if (slots[t].first_op < 0) slots[t].first_op = i;
            slots[t].last_op = i;
        }
    }
    for (int t = 1; t < g->n_tensors; t++)
        if (tensor_is_persistent(&g->tensors[t])) {
            slots[t].first_op = 0;
            slots[t].last_op = g->n_ops - 1;
        }
}

static bool is_placed_in_arena(const graph *g, const slot *slots, int t) {
    return !tensor_is_persistent(&g->tensors[t]) && slots[t].first_op >= 0;
}

/* Must it begin a block? (memory_limits.gemm_first) HEAD's has its product's in front. */
static bool is_first_in_block(const graph *g, const memory_limits *limits, int t) {
    const tensor *x = &g->tensors[t];
    return limits->gemm_first && x->role == ROLE_SCRATCH && (x->kind == KIND_GEMM || x->kind == KIND_HEAD);
}

/* The most bytes of transients that one op needs, which is the lower bound of any arrangement. */
static uint64_t live_peak(const graph *g, const slot *slots, int *peak_op) {
    int64_t *change = xcalloc((size_t)g->n_ops + 1, sizeof *change);
    for (int t = 1; t < g->n_tensors; t++)
        if (is_placed_in_arena(g, slots, t)) {
            change[slots[t].first_op] += (int64_t)slots[t].bytes;
            change[slots[t].last_op + 1] -= (int64_t)slots[t].bytes;
        }
    int64_t alive = 0, peak = 0;
    *peak_op = -1;
    for (int i = 0; i < g->n_ops; i++)
        if ((alive += change[i]) > peak) {
            peak = alive;
            *peak_op = i;
        }
    free(change);
    return (uint64_t)peak;
}

/* ---- placing the transients ---- */

typedef enum { BY_SIZE, BY_TIME, BY_AREA, BY_END, N_ORDERS } placing_order;
typedef struct {
    int id, first, last;
    int stretch, ops; /* the op at which its stretch of time begins (-1: it is the busiest op's), and the ops of that */
    uint64_t bytes, offset;
    bool first_in_block;
    placing_order order;
} item;

/* Cuts time into stretches, so that no item lives in two: what lies in one never meets what lies in another. An item's
   times count from where its stretch begins then, which `busy` does too. Returns the ops of the longest. */
static int cut_into_stretches(item *items, int n, int ops, int *busy) {
    int *until = xcalloc((size_t)ops + 1, sizeof *until); /* the last op of the items that begin at this one */
    int *start = xcalloc((size_t)ops + 1, sizeof *start), *length = xcalloc((size_t)ops + 1, sizeof *length);
    int from = 0, last = -1, longest = 0, home = -1;
    for (int i = 0; i < n; i++)
        if (items[i].last > until[items[i].first]) until[items[i].first] = items[i].last;
    for (int t = 0; t < ops; t++) {
        if (t > last) from = t;
        if (until[t] > last) last = until[t];
        start[t] = from;
        if (++length[from] > longest) longest = length[from];
    }
    if (*busy >= 0) home = start[*busy], *busy -= home;
    for (int i = 0; i < n; i++) {
        item *it = &items[i];
        from = start[it->first];
        it->stretch = from == home ? -1 : from;
        it->ops = length[from];
        it->first -= from;
        it->last -= from;
    }
    free(until);
    free(start);
    free(length);
    return longest;
}

/* Big ones first: greedy by size stays within a few per cent of the lower bound on transformer graphs (Pisarchyk & Lee,
   arXiv 2001.03288). By start or end of life it behaves like a stack, which fits graphs that keep everything. Before
   all, what must begin a block: no two of these are alive together, so each finds the arena's start free. */
static int compare_items(const void *pa, const void *pb) {
    const item *a = pa, *b = pb;
    uint64_t life_a = (uint64_t)(a->last - a->first + 1), life_b = (uint64_t)(b->last - b->first + 1);
    uint64_t key_a = a->bytes, key_b = b->bytes;
    if (a->stretch != b->stretch) return a->stretch < b->stretch ? -1 : 1;
    if (a->first_in_block != b->first_in_block) return a->first_in_block ? -1 : 1;
    if (a->order == BY_AREA) {
        key_a = a->bytes / 64 * life_a;
        key_b = b->bytes / 64 * life_b;
    }
    if (a->order == BY_TIME && a->first != b->first) return a->first < b->first ? -1 : 1;
    if (a->order == BY_END && a->last != b->last) return a->last > b->last ? -1 : 1;
    if (key_a != key_b) return key_a > key_b ? -1 : 1;
    if (life_a != life_b) return life_a > life_b ? -1 : 1;
    return a->id - b->id;
}

/* Will the items that are still to be placed, items[placed] and on, end at `give_up` or later? At one op, `busy`: those
   that are alive at it and fit no gap of it must all lie above what is taken. */
static bool is_hopeless(const item *items, int placed, int n, occupancy *taken, int busy, uint64_t give_up) {
    uint64_t from, to, largest_gap = 0;
    occupancy_ask(taken, busy, busy);
    for (occupancy_gap(taken, &from, &to); to != UINT64_MAX; occupancy_gap(taken, &from, &to))
        if (to - from > largest_gap) largest_gap = to - from;
    uint64_t end = from;
    for (int i = placed; i < n && items[i].stretch < 0; i++)
        if (items[i].first <= busy && busy <= items[i].last && items[i].bytes > largest_gap) end += items[i].bytes;
    return end >= give_up;
}

/* Gives each item the lowest offset (or, with best_fit, the tightest gap) at which it overlaps none that is alive with
   it. The first stretch is that of the busiest op, number `busy` of it. Returns the end of the highest, or UINT64_MAX
   as soon as it is sure to reach `give_up`, so that hopeless orders cost little. */
static uint64_t place(item *items, int n, occupancy *taken, uint64_t max_block, bool best_fit, int busy,
                      uint64_t give_up) {
    uint64_t top = 0;
    int next_look = 32;
    for (int i = 0; i < n; i++) {
        item *it = &items[i];
        uint64_t from, to, best_gap = UINT64_MAX;
        bool found = false;
        if (!i || it->stretch != it[-1].stretch) occupancy_clear(taken, it->ops);
        occupancy_ask(taken, it->first, it->last);
        do {
            occupancy_gap(taken, &from, &to);
            uint64_t start = within_block(from, it->bytes, max_block);
            if (start + it->bytes > to || (found && to - from >= best_gap)) continue;
            it->offset = start;
            best_gap = to - from;
            found = true;
        } while (to != UINT64_MAX && !(found && !best_fit));
        if (it->offset + it->bytes > top) top = it->offset + it->bytes;
        if (top >= give_up) return UINT64_MAX;
        occupancy_take(taken, it->first, it->last, it->offset, it->offset + it->bytes);
        if (i == next_look && it->stretch < 0) {
            next_look += next_look / 4;
            if (is_hopeless(items, i + 1, n, taken, busy, give_up)) return UINT64_MAX;
        }
    }
    return top;
}

/* Graphs with more transients than this get first fit by size and by time alone: BY_AREA leaves so many gaps that its
   time grows with the square of the layers, and on such graphs the others were never seen to win. GPT-2 with 48 layers
   and recompute=block has 4465. */
enum { ALL_ORDERS_MAX = 4600 };

/* Tries several greedy orders and takes the best; one that reaches the lower bound ends it. Returns the arena's extent,
   and sets the slots' offsets. */
static uint64_t place_transients(const graph *g, const memory_limits *limits, slot *slots, uint64_t max_block,
                                 uint64_t bound, int busy) {
    item *items = xcalloc((size_t)g->n_tensors, sizeof *items);
    int n = 0;
    for (int t = 1; t < g->n_tensors; t++)
        if (is_placed_in_arena(g, slots, t))
            items[n++] = (item){.id = t,
                                .first = slots[t].first_op,
                                .last = slots[t].last_op,
                                .bytes = slots[t].bytes,
                                .first_in_block = is_first_in_block(g, limits, t)};
    occupancy *taken = occupancy_new(cut_into_stretches(items, n, g->n_ops, &busy));
    uint64_t extent = UINT64_MAX;
    for (int pass = 0; pass < 2 * N_ORDERS && extent > bound; pass++) {
        if (n > ALL_ORDERS_MAX && pass != 2 * BY_SIZE && pass != 2 * BY_TIME) continue;
        for (int i = 0; i < n; i++) items[i].order = (placing_order)(pass / 2);
        if (pass % 2 == 0) qsort(items, (size_t)n, sizeof *items, compare_items);
        uint64_t top = place(items, n, taken, max_block, pass % 2, busy, extent);
        if (top >= extent) continue;
        extent = top;
        for (int i = 0; i < n; i++) slots[items[i].id].offset = items[i].offset;
    }
    free(items);
    occupancy_free(taken);
    return n ? extent : 0;
}

/* ---- the plan ---- */

/* Tensors that share an address space until it is cut into blocks. */
typedef enum { PERSISTENT, ARENA, HOST } region;
static region region_of(const tensor *t) {
    if (!tensor_is_persistent(t)) return ARENA;
    return t->home == HOME_HOST ? HOST : PERSISTENT;
}

/* Turns a region's offsets in one long address space into blocks and offsets in them, and adds the blocks to *blocks,
   each just long enough for its last tensor. Returns the sum of their bytes. */
static uint64_t cut_into_blocks(const graph *g, slot *slots, region which, uint64_t extent, uint64_t max_block,
                                uint64_t **blocks, int *n_blocks) {
    if (!extent) return 0;
    uint64_t step = max_block ? max_block : extent, sum = 0;
    int first_block = *n_blocks;
    *n_blocks += (int)((extent + step - 1) / step);
    *blocks = xrealloc(*blocks, sizeof **blocks * (size_t)*n_blocks);
    for (int b = first_block; b < *n_blocks; b++) (*blocks)[b] = 0;
    for (int t = 1; t < g->n_tensors; t++) {
        slot *s = &slots[t];
        if (region_of(&g->tensors[t]) != which || (which == ARENA && s->first_op < 0)) continue;
        s->block = first_block + (int)(s->offset / step);
        s->offset %= step;
        uint64_t end = s->offset + s->bytes;
        if (end > (*blocks)[s->block]) (*blocks)[s->block] = end;
    }
    for (int b = first_block; b < *n_blocks; b++) sum += (*blocks)[b];
    return sum;
}

/* Places the persistent tensors role by role, so that parameters, gradients and both moments lie in the same order. If
   one block holds them, neighbours of one role are neighbours in the others, and one kernel can update them (see
   graph_next). Each region has its own end. */
static void place_persistent(const graph *g, slot *slots, uint64_t max_block, uint64_t end[HOST + 1]) {
    end[PERSISTENT] = end[HOST] = 0;
    for (tensor_role role = ROLE_PARAM; role <= ROLE_INPUT; role++)
        for (tensor_id t = graph_next(g, role, 0); t; t = graph_next(g, role, t)) {
            uint64_t *at = &end[region_of(&g->tensors[t])];
            slots[t].offset = within_block(*at, slots[t].bytes, max_block);
            *at = slots[t].offset + slots[t].bytes;
        }
}

/* Finds the sizes and lifetimes of all tensors, and places the persistent ones. The transients are left. */
static status measure(const graph *g, const memory_limits *limits, uint64_t max_block, plan *p, error *e) {
    uint64_t end[HOST + 1];
    *p = (plan){.slots = xcalloc((size_t)g->n_tensors, sizeof(slot))};
    find_lifetimes(g, p->slots);
    for (int t = 1; t < g->n_tensors; t++) {
        slot *s = &p->slots[t];
        s->bytes = round_up(tensor_bytes(&g->tensors[t], limits->real_bytes), limits->alignment);
        if (max_block && s->bytes > max_block) {
            char text[64];
            fail(e, BAD_INPUT, "%s needs %llu bytes in one piece, but the device's largest allocation is %llu bytes",
                 tensor_print(&g->tensors[t], text, sizeof text), (unsigned long long)s->bytes,
                 (unsigned long long)max_block);
            plan_free(p);
            return BAD_INPUT;
        }
    }
    place_persistent(g, p->slots, max_block, end);
    p->persistent = cut_into_blocks(g, p->slots, PERSISTENT, end[PERSISTENT], max_block, &p->block_bytes, &p->n_blocks);
    p->host_total = cut_into_blocks(g, p->slots, HOST, end[HOST], max_block, &p->host_block_bytes, &p->host_blocks);
    p->transient_live_peak = live_peak(g, p->slots, &p->peak_op);
    return OK;
}

static uint64_t whole_slots(const memory_limits *limits) {
    return limits->max_block / limits->alignment * limits->alignment;
}

status plan_lifetimes(const graph *g, const memory_limits *limits, plan *p, error *e) {
    TRY(measure(g, limits, whole_slots(limits), p, e));
    p->total = p->persistent;
    return OK;
}

status plan_bound(const graph *g, const memory_limits *limits, uint64_t *bytes, error *e) {
    plan p;
    TRY(measure(g, limits, whole_slots(limits), &p, e));
    *bytes = p.persistent + p.transient_live_peak;
    plan_free(&p);
    return OK;
}

status plan_make(const graph *g, const memory_limits *limits, plan *p, error *e) {
    uint64_t max_block = whole_slots(limits);
    TRY(measure(g, limits, max_block, p, e));
    uint64_t extent = place_transients(g, limits, p->slots, max_block, p->transient_live_peak, p->peak_op);
    p->transient = cut_into_blocks(g, p->slots, ARENA, extent, max_block, &p->block_bytes, &p->n_blocks);
    p->total = p->persistent + p->transient;
    return OK;
}

void plan_free(plan *p) {
    free(p->slots);
    free(p->block_bytes);
    free(p->host_block_bytes);
    *p = (plan){0};
}

void plan_alive(const graph *g, const plan *p, int op_index, uint64_t by_kind[KIND_COUNT]) {
    memset(by_kind, 0, sizeof *by_kind * KIND_COUNT);
    for (int t = 1; t < g->n_tensors; t++) {
        const slot *s = &p->slots[t];
        if (g->tensors[t].home == HOME_DEVICE && s->first_op >= 0 && s->first_op <= op_index && op_index <= s->last_op)
            by_kind[g->tensors[t].kind] += s->bytes;
    }
}

/* The sum of the blocks; more than all there are where one is larger than the largest allocation. */
static uint64_t add_up(const uint64_t *blocks, int n, uint64_t max_block) {
    uint64_t sum = 0;
    for (int b = 0; b < n; b++) {
        if (max_block && blocks[b] > max_block) return UINT64_MAX;
        sum += blocks[b];
    }
    return sum;
}

bool plan_check(const graph *g, const plan *p, const memory_limits *limits, error *e) {
    uint64_t sum = add_up(p->block_bytes, p->n_blocks, limits->max_block);
    uint64_t host = add_up(p->host_block_bytes, p->host_blocks, limits->max_block);
    if (sum == UINT64_MAX || host == UINT64_MAX)
        return fail(e, FAILED, "plan: a block is larger than the largest allocation"), false;
    if (sum != p->total || p->total != p->persistent + p->transient || host != p->host_total)
        return fail(e, FAILED, "plan: the blocks do not add up to the total"), false;
    for (int i = 1; i < g->n_tensors; i++) {
        const slot *a = &p->slots[i];
        tensor_home home = g->tensors[i].home;
        const uint64_t *blocks = home == HOME_HOST ? p->host_block_bytes : p->block_bytes;
        if (a->first_op < 0) continue;
        if (a->block < 0 || a->block >= (home == HOME_HOST ? p->host_blocks : p->n_blocks) ||
            a->offset + a->bytes > blocks[a->block] || a->offset % limits->alignment ||
            a->bytes < tensor_bytes(&g->tensors[i], limits->real_bytes))
            return fail(e, FAILED, "plan: tensor %d does not lie in its block", i), false;
        if (a->offset && is_first_in_block(g, limits, i))
            return fail(e, FAILED, "plan: tensor %d does not begin a block", i), false;
        for (int j = 1; j < i; j++) {
            const slot *b = &p->slots[j];
            if (b->first_op < 0 || g->tensors[j].home != home || a->block != b->block || a->last_op < b->first_op ||
                b->last_op < a->first_op)
                continue;
            if (a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes)
                return fail(e, FAILED, "plan: tensors %d and %d overlap", i, j), false;
        }
    }
    return true;
}
