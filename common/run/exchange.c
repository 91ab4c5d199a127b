/* exchange.c: see exchange.h. */
#include "run/exchange.h"
#include "base/processes.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A part of a shard's gradient or of a parameter. */
typedef struct {
    tensor_id t;
    int owner;
    int64_t first, count; /* elements */
    int after;            /* of a gradient: the op of micro that adds to it last */
    int add;              /* of a gradient: the op of shard_end that adds it to the step's; -1: somebody else does */
    double place;         /* by which pieces are sorted */
} piece;

typedef enum { LEAVES, IS_SENT, ARRIVES, DONE } piece_state; /* its tensor; by MPI; in its tensor, at the other end */

/* A piece on its way. */
typedef struct {
    piece_state state;
    size_t at, bytes; /* its room in the staging tensor; an owner of a gradient has one behind another, by process */
    void *ticket;     /* the latest copy from or to the device */
} passage;

typedef struct {
    piece *of;
    int n, room;
} pieces;

struct exchange {
    const gpt *m;
    backend *b;
    int ranks, rank;
    size_t real;
    pieces gradients, weights; /* in the order in which all processes handle them */
    int *cuts, n_cuts;         /* ops of micro behind which all gradients of a layer are ready */
    const pieces *now;
    char *sums;              /* [1 + ranks][n_params] reals: this process' sums of squares, and those of each */
    passage *passages;       /* by piece of `now` */
    message *messages;       /* [pieces][ranks]: by the process at the other end */
    int done, begun, ready;  /* of `now`: those before are there; are on their way; may leave */
    char *staging, *mark[2]; /* marks: where a number is copied to, for knowing how far the device is */
    size_t staging_bytes, next;
    void *mark_ticket[2];
    int turn;
    bool ending; /* no op of the micro-batch is left */
    int idle;    /* how often in a row nothing has moved */
    exchange_bytes sent;
};

/* ---- which pieces there are ---- */

static void add_pieces(pieces *all, const graph *g, piece p) {
    int64_t n = tensor_elements(&g->tensors[p.t]);
    for (p.first = 0; p.first < n; p.first += p.count) {
        p.count = n - p.first < GPT_PIECE ? n - p.first : GPT_PIECE;
        if (all->n == all->room) {
            all->room = all->room ? 2 * all->room : 64;
            all->of = xrealloc(all->of, sizeof *all->of * (size_t)all->room);
        }
        all->of[all->n++] = p;
    }
}

/* The op of the span that reads or adds to t last; -1: none. */
static int last_use(const graph *g, span s, tensor_id t) {
    for (int i = s.end - 1; i >= s.first; i--)
        for (int a = 0; a < op_describe(g->ops[i].code)->arguments; a++)
            if (g->ops[i].arg[a] == t) return i;
    return -1;
}

static void add_gradient(exchange *x, tensor_id sum, int owner) {
    const graph *g = x->m->graph;
    int after = last_use(g, g->micro, sum), add = last_use(g, g->shard_end, sum);
    add_pieces(&x->gradients, g, (piece){.t = sum, .owner = owner, .after = after, .add = add, .place = after});
}

static int compare_pieces(const void *pa, const void *pb) {
    const piece *a = pa, *b = pb;
    if (a->place != b->place) return a->place < b->place ? -1 : 1;
    if (a->t != b->t) return a->t < b->t ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static void sort(pieces *all) { qsort(all->of, (size_t)all->n, sizeof *all->of, compare_pieces); }

/* By when they are ready. Recomputation, in which processes may differ, puts ops between those of the backward pass and
   leaves their order. The head's gradient comes first, is large, and has one owner, whose link would keep all waiting:
   its pieces take turns with the layers. */
static void order_gradients(exchange *x) {
    pieces *all = &x->gradients;
    const tensor *t = x->m->graph->tensors;
    int of_head = 0;
    sort(all);
    while (of_head < all->n && all->of[of_head].t == all->of[0].t) of_head++;
    x->cuts = xcalloc((size_t)all->n, sizeof *x->cuts);
    for (int k = of_head; k < all->n; k++)
        if (k + 1 == all->n || t[all->of[k + 1].t].layer != t[all->of[k].t].layer)
            x->cuts[x->n_cuts++] = all->of[k].after;
    for (int k = 0; k < of_head; k++) all->of[k].place = x->cuts[(int64_t)k * (x->n_cuts - 1) / of_head] + 0.5;
    sort(all);
}

/* All owners are equally far at any time. */
static void order_weights(exchange *x) {
    int64_t *owned = xcalloc((size_t)x->ranks, sizeof *owned), *before = xcalloc((size_t)x->ranks, sizeof *before);
    for (int k = 0; k < x->weights.n; k++) owned[x->weights.of[k].owner] += x->weights.of[k].count;
    for (int k = 0; k < x->weights.n; k++) {
        piece *p = &x->weights.of[k];
        p->place = (double)before[p->owner] / (double)owned[p->owner];
        before[p->owner] += p->count;
    }
    sort(&x->weights);
    free(owned);
    free(before);
}

exchange *exchange_new(const gpt *m, backend *b) {
    exchange *x = xcalloc(1, sizeof *x);
    *x = (exchange){.m = m, .b = b, .ranks = processes_count(), .rank = processes_rank(), .real = b->limits.real_bytes};
    for (tensor_id p = 1; p <= m->n_params; p++) {
        add_gradient(x, m->sum[p], m->owner[p]);
        if (m->embedding_sum && m->graph->tensors[m->embedding_sum].of == p)
            add_gradient(x, m->embedding_sum, m->owner[p]);
        add_pieces(&x->weights, m->graph, (piece){.t = p, .owner = m->owner[p]});
    }
    order_gradients(x);
    order_weights(x);
    size_t most = (size_t)(x->gradients.n > x->weights.n ? x->gradients.n : x->weights.n);
    x->passages = xcalloc(most, sizeof *x->passages);
    x->messages = xcalloc(most * (size_t)x->ranks, sizeof *x->messages);
    x->sums = xcalloc((size_t)(1 + x->ranks) * (size_t)m->n_params, x->real);
    x->staging = b->host_address(b, m->staging);
    x->staging_bytes = tensor_bytes(&m->graph->tensors[m->staging], x->real) - GPT_MARKS * x->real;
    for (int i = 0; i < GPT_MARKS; i++) x->mark[i] = x->staging + x->staging_bytes + (size_t)i * x->real;
    return x;
}

void exchange_free(exchange *x) {
    if (!x) return;
    free(x->gradients.of);
    free(x->weights.of);
    free(x->cuts);
    free(x->sums);
    free(x->passages);
    free(x->messages);
    free(x);
}

exchange_bytes exchange_sent(const exchange *x) {
    exchange_bytes *each = xcalloc((size_t)x->ranks, sizeof *each), sum = {0};
    processes_gather(&x->sent, sizeof x->sent, each);
    for (int r = 0; r < x->ranks; r++) {
        sum.all += each[r].all;
        sum.gradients += each[r].gradients;
        sum.early += each[r].early;
    }
    free(each);
    return sum;
}

/* ---- one piece ---- */

static bool is_gradient(const exchange *x) { return x->now == &x->gradients; }
static size_t bytes_of(const exchange *x, const piece *p) { return (size_t)p->count * x->real; }

static status copy(const exchange *x, const piece *p, char *host, bool write, void **ticket, error *e) {
    size_t offset = (size_t)p->first * x->real, bytes = bytes_of(x, p);
    if (x->b->copy) return x->b->copy(x->b, p->t, host, offset, bytes, write, ticket, e);
    return write ? x->b->write(x->b, p->t, host, offset, bytes, e) : x->b->read(x->b, p->t, host, offset, bytes, e);
}

static status copied(const exchange *x, void **ticket, bool *done, error *e) {
    *done = !*ticket;
    return *done ? OK : x->b->copied(x->b, ticket, done, e);
}

static void send(exchange *x, int k, int to) {
    const passage *way = &x->passages[k];
    size_t bytes = bytes_of(x, &x->now->of[k]);
    x->messages[k * x->ranks + to] = processes_begin_send(to, x->staging + way->at, bytes);
    x->sent.all += bytes;
    if (is_gradient(x)) x->sent.gradients += bytes;
    if (is_gradient(x) && !x->ending) x->sent.early += bytes;
}

/* Finds room for piece k behind those on their way, or at the beginning again. Never all of it, so that full and empty
   differ. */
static bool find_room(exchange *x, int k, size_t bytes) {
    passage *way = &x->passages[k];
    size_t oldest = x->done < x->begun ? x->passages[x->done].at : 0;
    if (x->done == x->begun) x->next = 0;
    bool wrapped = x->done < x->begun && x->next <= oldest;
    if (!wrapped && x->next + bytes > x->staging_bytes) x->next = 0, wrapped = true;
    if (wrapped && x->next + bytes >= oldest) return false;
    *way = (passage){.at = x->next, .bytes = bytes};
    x->next += bytes;
    return true;
}

/* Begins with piece k, if there is room. */
static status begin(exchange *x, int k, bool *begins, error *e) {
    const piece *p = &x->now->of[k];
    passage *way = &x->passages[k];
    size_t bytes = bytes_of(x, p);
    bool own = p->owner == x->rank, collects = is_gradient(x) && own;
    *begins = find_room(x, k, collects ? bytes * (size_t)x->ranks : bytes);
    if (!*begins) return OK;
    memset(&x->messages[k * x->ranks], 0, sizeof *x->messages * (size_t)x->ranks);
    for (int r = 0; r < x->ranks && collects; r++)
        if (r != x->rank)
            x->messages[k * x->ranks + r] = processes_begin_receive(r, x->staging + way->at + (size_t)r * bytes, bytes);
    if (is_gradient(x) || own)
        return copy(x, p, x->staging + way->at + (collects ? (size_t)x->rank * bytes : 0), false, &way->ticket, e);
    x->messages[k * x->ranks + p->owner] = processes_begin_receive(p->owner, x->staging + way->at, bytes);
    way->state = IS_SENT;
    return OK;
}

/* All processes' sums of piece k are here: adds them to the step's, in order, which is the device's too. */
static status add_shards(exchange *x, int k, error *e) {
    const piece *p = &x->now->of[k];
    passage *way = &x->passages[k];
    step_args a = {.length = x->m->graph->length, .add_first = p->first, .add_count = p->count};
    for (int r = 0; r < x->ranks; r++) {
        void **ticket = r + 1 < x->ranks ? NULL : &way->ticket;
        TRY(copy(x, p, x->staging + way->at + (size_t)r * bytes_of(x, p), true, ticket, e));
        TRY(x->b->run(x->b, (span){p->add, p->add + 1}, &a, e));
    }
    return OK;
}

/* It has left its tensor. An owner sends its weights to all, and others their gradients to the owner. */
static void send_on(exchange *x, int k) {
    const piece *p = &x->now->of[k];
    bool own = p->owner == x->rank;
    for (int r = 0; r < x->ranks; r++)
        if (r != x->rank && (is_gradient(x) ? r == p->owner : own)) send(x, k, r);
}

static status arrive(exchange *x, int k, error *e) {
    const piece *p = &x->now->of[k];
    passage *way = &x->passages[k];
    bool own = p->owner == x->rank;
    way->state = ARRIVES;
    if (is_gradient(x)) return own ? add_shards(x, k, e) : OK;
    return own ? OK : copy(x, p, x->staging + way->at, true, &way->ticket, e);
}

/* Takes piece k as far as it can go now. */
static status go_on_with(exchange *x, int k, bool *moves, error *e) {
    passage *way = &x->passages[k];
    bool done = true;
    if (way->state == LEAVES) {
        TRY(copied(x, &way->ticket, &done, e));
        if (!done) return OK;
        send_on(x, k);
        way->state = IS_SENT;
        *moves = true;
    }
    if (way->state == IS_SENT) {
        for (int r = 0; r < x->ranks; r++) done &= processes_ended(&x->messages[k * x->ranks + r]);
        if (!done) return OK;
        TRY(arrive(x, k, e));
        *moves = true;
    }
    if (way->state == ARRIVES) {
        TRY(copied(x, &way->ticket, &done, e));
        if (done) way->state = DONE, *moves = true;
    }
    return OK;
}

/* ---- all of them ---- */

/* Does what can be done without waiting; *moves: something could. */
static status go_on(exchange *x, bool *moves, error *e) {
    bool begins = true;
    *moves = false;
    for (int k = x->done; k < x->begun; k++) {
        if (x->passages[k].state != DONE) TRY(go_on_with(x, k, moves, e));
        if (x->passages[k].state == LEAVES) break; /* none leaves before it: messages arrive in the order of pieces */
    }
    while (x->done < x->begun && x->passages[x->done].state == DONE) x->done++;
    while (x->begun < x->ready && begins) {
        TRY(begin(x, x->begun, &begins, e));
        if (begins) x->begun++, *moves = true;
    }
    return OK;
}

/* Once more, while waiting for something: leaves the core to others when nothing has moved for a while. */
static status go_on_or_rest(exchange *x, error *e) {
    enum { LOOKS = 100, MICROSECONDS = 50 };
    bool moves;
    TRY(go_on(x, &moves, e));
    x->idle = moves ? 0 : x->idle + 1;
    if (x->idle > LOOKS) usleep(MICROSECONDS);
    return OK;
}

static void start(exchange *x, const pieces *which) {
    x->now = which;
    x->done = x->begun = x->ready = 0;
    x->ending = false;
}

static status end(exchange *x, error *e) {
    x->ready = x->now->n;
    while (x->done < x->now->n) TRY(go_on_or_rest(x, e));
    return OK;
}

void exchange_begin(exchange *x) { start(x, &x->gradients); }

bool exchange_cut(const exchange *x, int op) {
    for (int i = 0; i < x->n_cuts; i++)
        if (x->cuts[i] == op) return true;
    return false;
}

/* Lets the host be ahead of the device by the part that it has just enqueued and no more, since what is read from now
   on is read after that. */
static status wait_for_part_before(exchange *x, error *e) {
    bool done;
    if (!x->b->copy) return OK;
    x->turn = !x->turn;
    TRY(x->b->copy(x->b, x->m->losses, x->mark[!x->turn], 0, x->real, false, &x->mark_ticket[!x->turn], e));
    for (;;) {
        TRY(copied(x, &x->mark_ticket[x->turn], &done, e));
        if (done) return OK;
        TRY(go_on_or_rest(x, e));
    }
}

status exchange_reach(exchange *x, int end, error *e) {
    bool moves = true;
    x->ending = end == x->m->graph->micro.end;
    while (x->ready < x->gradients.n && x->gradients.of[x->ready].after < end) x->ready++;
    while (moves) TRY(go_on(x, &moves, e));
    return wait_for_part_before(x, e);
}

status exchange_end(exchange *x, error *e) {
    bool done;
    x->ending = true;
    TRY(end(x, e));
    for (int i = 0; i < GPT_MARKS; i++) TRY(copied(x, &x->mark_ticket[i], &done, e)); /* long since */
    return OK;
}

status exchange_weights(exchange *x, error *e) {
    start(x, &x->weights);
    return end(x, e);
}

status exchange_sums(exchange *x, error *e) {
    const gpt *m = x->m;
    size_t bytes = (size_t)m->n_params * x->real;
    char *own = x->sums, *all = own + bytes;
    TRY(x->b->read(x->b, m->sums, own, 0, bytes, e));
    processes_gather(own, bytes, all);
    for (tensor_id p = 1; p <= m->n_params; p++) {
        size_t at = (size_t)(p - 1) * x->real;
        memcpy(own + at, all + (size_t)m->owner[p] * bytes + at, x->real);
    }
    return x->b->write(x->b, m->sums, own, 0, bytes, e);
}

void exchange_losses(double *losses, double *room, int64_t sequences, int shards) {
    int n = processes_count();
    if (n == 1) return;
    processes_gather(losses, (size_t)sequences * sizeof *losses, room);
    for (int s = 0; s < shards; s++) {
        int64_t first = gpt_shard(sequences, shards, s), end = gpt_shard(sequences, shards, s + 1);
        memcpy(losses + first, room + s % n * sequences + first, (size_t)(end - first) * sizeof *losses);
    }
}
