/* backend.c: the CPU backend: memory that is bound once to a plan, and a loop over ops. Compiled once; the ops are
   compiled for float and for double. */
#include "base/bf16.h"
#include "base/host.h"
#include "graph/backend.h"
#include "cpu/core_type.h"
#include "cpu/cpu.h"
#include <cblas.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    backend b;
    const graph *g;
    const plan *p;
    char **blocks;
    cpu_function *const *functions;
    double *op_seconds; /* [n_ops], only with `profile`; ops that run_small runs together count as the first of them */
    int lanes;          /* see lanes_choose; 1: not used */
    lane *turns;        /* what lanes_new made */
} cpu;

uint64_t cpu_head_bytes(const graph *g, const op *o, size_t real_bytes, int lanes) {
    int64_t rows = (int64_t)g->length * (g->batch_invariant ? 1 : g->micro_batch);
    int64_t vocabulary = g->tensors[o->arg[o->code == OP_HEAD ? 4 : 2]].dim[0];
    if (rows > HEAD_ROWS) rows = HEAD_ROWS;
    rows *= head_pieces(g, vocabulary, lanes);
    return (uint64_t)(rows * (vocabulary + 1)) * real_bytes; /* logits, and a loss for each row */
}

/* Is argument i a parameter of which op o gets a rounded copy? EMBED, which reads few rows, rounds them itself. */
static bool takes_rounded(const graph *g, const op *o, int i) {
    return o->code != OP_EMBED && op_describe(o->code)->access[i] == 'R' && graph_reads_rounded(g, o->arg[i]);
}

/* Bytes in front of the op's own working space, for the rounded copies of its parameters. */
static uint64_t rounded_bytes(const graph *g, const op *o) {
    uint64_t bytes = 0;
    for (int i = 0; i < op_describe(o->code)->arguments && g->bf16_weights; i++)
        if (takes_rounded(g, o, i)) bytes += (tensor_bytes(&g->tensors[o->arg[i]], sizeof(float)) + 63) / 64 * 64;
    return bytes;
}

static uint64_t own_scratch(const graph *g, const op *o, size_t real_bytes, tensor_kind *kind) {
    switch (o->code) {
    case OP_HEAD:
    case OP_HEAD_LOSS: *kind = KIND_HEAD; return cpu_head_bytes(g, o, real_bytes, 1);
    case OP_SUM_SQUARES:
        *kind = KIND_TEMP;
        return (uint64_t)((tensor_elements(&g->tensors[o->arg[1]]) + SUM_TILE - 1) / SUM_TILE) * sizeof(double);
    default: return 0;
    }
}

static uint64_t cpu_scratch(const graph *g, const op *o, size_t real_bytes, tensor_kind *kind) {
    return rounded_bytes(g, o) + own_scratch(g, o, real_bytes, kind);
}

/* The host's memory less 1.5 GiB or an eighth, whichever is more: what no cap means. */
static uint64_t host_cap(void) {
    uint64_t all = host_memory();
    uint64_t reserve = all / 8 > 3ull << 29 ? all / 8 : 3ull << 29;
    return all > 2 * reserve ? all - reserve : all / 2;
}

static memory_limits limits(compute_precision p, uint64_t cap) {
    return (memory_limits){.real_bytes = precision_table[p].real_bytes,
                           .alignment = 64,
                           .cap = cap ? cap : host_cap(),
                           .cap_is_shared = !cap};
}

/* The costs are those of two cores of a desktop. Only their ratios are ever shown. */
#define TYPE(p, as, text)                                                                                              \
    [p] = {.kind = BACKEND_CPU,                                                                                        \
           .precision = p,                                                                                             \
           .name = "cpu",                                                                                              \
           .planned_for = "the CPU backend",                                                                           \
           .memory = "RAM",                                                                                            \
           .scratch = cpu_scratch,                                                                                     \
           .cost = {.launch = 15e-6, .flop = {1 / 100e9, 1 / 40e9, 1 / 80e9, 1 / 10e9}, .byte = 1 / 10e9},             \
           .limits = limits,                                                                                           \
           .stored = as,                                                                                               \
           .assumed = text}

static const backend_type types[PRECISION_COUNT] = {
    TYPE(PRECISION_FLOAT32, TYPE_REAL, ""), TYPE(PRECISION_FLOAT64, TYPE_REAL, ""),
    TYPE(PRECISION_BFLOAT16, TYPE_BF16_AS_REAL,
         "it gives bfloat16's numbers, but keeps each in a float: a plan for a GPU is smaller")};

const backend_type *cpu_type(compute_precision p) { return types[p].scratch ? &types[p] : NULL; }

static void release(cpu *c) {
    if (!c->blocks) return;
    for (int i = 0; i < c->p->n_blocks; i++)
        if (c->blocks[i]) munmap(c->blocks[i], c->p->block_bytes[i]);
    free(c->blocks);
    free(c->op_seconds);
    if (c->turns) lanes_free(c->turns, c->lanes);
    c->blocks = NULL;
    c->turns = NULL;
    c->op_seconds = NULL;
    c->b.allocated = 0;
}

/* Has the system find every page now, not at step 1000. The last part may end within a page. */
static void touch(char *block, uint64_t bytes) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), part = 1024 * page;
#pragma omp parallel for schedule(static)
    for (uint64_t at = 0; at < bytes; at += part) {
        uint64_t end = bytes - at < part ? bytes : at + part;
        if (end < bytes && host_find_pages(block + at, end - at)) continue;
        for (uint64_t i = at; i < end; i += page) *(volatile char *)(block + i) = 0;
    }
}

static status cpu_bind(backend *b, const graph *g, const plan *p, error *e) {
    cpu *c = (cpu *)b;
    if (c->blocks) return fail(e, FAILED, "cpu: already bound");
    if (b->limits.cap && p->total > b->limits.cap)
        return fail(e, NO_MEMORY, "the plan needs %llu bytes, the cap is %llu bytes", (unsigned long long)p->total,
                    (unsigned long long)b->limits.cap);
    c->g = g;
    c->p = p;
    c->blocks = xcalloc((size_t)p->n_blocks, sizeof *c->blocks);
    for (int i = 0; i < p->n_blocks; i++) {
        if (!p->block_bytes[i]) continue;
        void *block = mmap(NULL, p->block_bytes[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) {
            release(c);
            return fail(e, NO_MEMORY, "the system refused %llu bytes of memory", (unsigned long long)p->block_bytes[i]);
        }
        c->blocks[i] = block;
        touch(block, p->block_bytes[i]);
        b->allocated += p->block_bytes[i];
    }
    if (b->profile) c->op_seconds = xcalloc((size_t)g->n_ops, sizeof *c->op_seconds);
    c->lanes = lanes_choose(g, p, b->limits.real_bytes, omp_get_max_threads());
    c->turns = lanes_new(c->lanes);
    return OK;
}

/* The address of tensor t, or of lane l's part of it. */
static char *address(const cpu *c, tensor_id t, int l) {
    const slot *s = &c->p->slots[t];
    if (!t || s->first_op < 0) return NULL;
    uint64_t at = tensor_is_persistent(&c->g->tensors[t]) || c->lanes == 1
                      ? s->offset
                      : lane_offset(c->p->block_bytes[s->block], s->offset, c->lanes, l);
    return c->blocks[s->block] + at;
}

/* How many sequences a lane has at most. */
static int lane_sequences(const cpu *c) { return c->g->micro_batch / c->lanes; }

/* ---- bfloat16: the ops compute in float ---- */

/* to[n] = from[n] rounded; to may be from. */
static void round_all(const float *from, float *to, int64_t n) {
#pragma omp parallel for schedule(static) if (n > 16384)
    for (int64_t i = 0; i < n; i++) to[i] = bf16_round(from[i]);
}

/* Puts rounded copies in the place of those parameters that are read so. Returns where the op's own working space
   begins. */
static void *round_parameters(const graph *g, cpu_call *call) {
    char *to = call->scratch;
    for (int i = 0; i < op_describe(call->o->code)->arguments && g->bf16_weights; i++) {
        if (!takes_rounded(g, call->o, i)) continue;
        const tensor *t = &g->tensors[call->o->arg[i]];
        round_all(call->arg[i], (float *)(void *)to, tensor_elements(t));
        call->arg[i] = to;
        to += (tensor_bytes(t, sizeof(float)) + 63) / 64 * 64;
    }
    return to;
}

/* Rounds what the op has written to tensors that are bfloat16, all of them [B,T,n]; KEEP copies what is rounded. */
static void round_outputs(const graph *g, const cpu_call *call) {
    const op_info *info = op_describe(call->o->code);
    for (int i = 0; i < info->arguments && g->bf16_weights; i++)
        if (info->access[i] != 'R' && call->o->code != OP_KEEP && g->tensors[call->o->arg[i]].type == TYPE_BF16_AS_REAL)
            round_all(call->arg[i], call->arg[i], rows_of(call) * dim(call, i, 2));
}

/* Calls op i. turn: the state of lane l, whose sequences it works on; NULL: all sequences. */
static void run_op(cpu *c, int i, const step_args *step, int l, lane *turn) {
    const op *o = &c->g->ops[i];
    cpu_call call = {
        .g = c->g, .o = o, .scratch = address(c, o->scratch, l), .step = step, .lanes = c->lanes, .lane = turn};
    for (int a = 0; a < MAX_ARGUMENTS; a++) {
        char *at = address(c, o->arg[a], l);
        if (at && c->g->tensors[o->arg[a]].role == ROLE_INPUT) { /* tokens and targets, [U,T] */
            int row = graph_holds_step(c->g, o->arg[a]) ? step->first_sequence : l * lane_sequences(c);
            at += (size_t)row * (size_t)step->length * sizeof(int32_t);
        }
        call.arg[a] = at;
    }
    call.scratch = round_parameters(c->g, &call);
    c->functions[o->code](&call);
    round_outputs(c->g, &call);
    lane_pass(&call, LANE_ALL);
}

/* For the profile: counts the time since *since as op i's, and sets *since to now. */
static void note_time(cpu *c, int i, double *since) {
    if (!c->b.profile) return;
    double now = omp_get_wtime();
    c->op_seconds[i] += now - *since;
    *since = now;
}

/* Runs the ops of a span on the sequences of one lane. The profile takes the first lane's times, since that one never
   waits for another. */
static void run_lane(cpu *c, span s, const step_args *step, int l, lane *turn) {
    int most = lane_sequences(c);
    step_args own = *step;
    own.first_sequence += l * most;
    own.sequences = own.sequences - l * most < most ? own.sequences - l * most : most;
    double since = omp_get_wtime();
    for (int i = s.first; i < s.end; i++) {
        run_op(c, i, &own, l, turn);
        if (l == 0) note_time(c, i, &since);
    }
}

/* For the ops that go through a parameter's elements once a step: how many elements it has. For other ops 0. */
static int64_t once_elements(const graph *g, const op *o) {
    bool once = o->code == OP_ZERO || o->code == OP_SUM_SQUARES || o->code == OP_ADAMW;
    return once ? tensor_elements(&g->tensors[o->arg[o->code == OP_SUM_SQUARES]]) : 0;
}

/* The end of the run of ops that begins with op `first` and has the same code, on small tensors; at least first + 1. */
static int end_of_small(const graph *g, int first, int end) {
    int i = first;
    for (; i < end && g->ops[i].code == g->ops[first].code; i++) {
        int64_t n = once_elements(g, &g->ops[i]);
        if (n == 0 || n > SUM_TILE) break;
    }
    return i > first ? i : first + 1;
}

/* Runs ops of one code on small tensors, each in one thread. So threads wait for each other once instead of after each
   tensor; and the next such ops give a tensor to the same thread, which has it in its cache. */
static void run_small(cpu *c, span s, const step_args *step) {
    int64_t all = 0;
    for (int i = s.first; i < s.end; i++) all += once_elements(c->g, &c->g->ops[i]);
#pragma omp parallel
    {
        int64_t before = 0, me = omp_get_thread_num(), threads = omp_get_num_threads();
        for (int i = s.first; i < s.end; i++) {
            if (before * threads / all == me) run_op(c, i, step, 0, NULL);
            before += once_elements(c->g, &c->g->ops[i]);
        }
    }
}

/* Runs the ops of a span on all sequences, the threads sharing each op. */
static void run_shared(cpu *c, span s, const step_args *step) {
    double since = omp_get_wtime();
    for (int i = s.first, end; i < s.end; i = end) {
        end = end_of_small(c->g, i, s.end);
        if (end > i + 1)
            run_small(c, (span){i, end}, step);
        else
            run_op(c, i, step, 0, NULL);
        note_time(c, i, &since);
    }
}

static status cpu_run(backend *b, span s, const step_args *step, error *e) {
    cpu *c = (cpu *)b;
    (void)e;
    int most = lane_sequences(c), used = (step->sequences + most - 1) / most;
    if (c->lanes == 1 || used < 2) {
        run_shared(c, s, step);
        return OK;
    }
    lanes_start(c->turns, used);
#pragma omp parallel num_threads(used)
    for (int l = omp_get_thread_num(); l < used; l += omp_get_num_threads())
        run_lane(c, s, step, l, lane_of(c->turns, l));
    return OK;
}

static status cpu_op_seconds(backend *b, double *seconds, error *e) {
    cpu *c = (cpu *)b;
    (void)e;
    for (int i = 0; i < c->g->n_ops; i++) {
        seconds[i] += c->op_seconds[i];
        c->op_seconds[i] = 0;
    }
    return OK;
}

/* The only place in which OpenBLAS uses all threads. */
static status cpu_gemm_rate(backend *b, int64_t m, int64_t n, int64_t k, double *flops, error *e) {
    int threads = omp_get_max_threads();
    (void)e;
    openblas_set_num_threads(threads);
    *flops = b->limits.real_bytes == 8 ? cpu_gemm_rate_f64(m, n, k) : cpu_gemm_rate_f32(m, n, k);
    openblas_set_num_threads(1);
    omp_set_num_threads(threads);
    return OK;
}

/* Copies bytes to or from t, whose parts lie apart in the lanes' parts of the arena unless it is persistent. */
static void copy(cpu *c, tensor_id t, char *data, size_t offset, size_t bytes, bool write) {
    const tensor *x = &c->g->tensors[t];
    size_t part = tensor_bytes(x, c->b.limits.real_bytes);
    if (!tensor_is_persistent(x)) part /= (size_t)c->lanes;
    while (bytes) {
        size_t at = offset % part, some = part - at < bytes ? part - at : bytes;
        char *here = address(c, t, (int)(offset / part)) + at;
        memcpy(write ? here : data, write ? data : here, some);
        data += some, offset += some, bytes -= some;
    }
}

static status cpu_write(backend *b, tensor_id t, const void *data, size_t offset, size_t bytes, error *e) {
    (void)e;
    copy((cpu *)b, t, (char *)data, offset, bytes, true);
    return OK;
}

static status cpu_read(backend *b, tensor_id t, void *data, size_t offset, size_t bytes, error *e) {
    (void)e;
    copy((cpu *)b, t, data, offset, bytes, false);
    return OK;
}

static char *cpu_host_address(const backend *b, tensor_id t) { return address((const cpu *)b, t, 0); }

static void cpu_unbind(backend *b) { release((cpu *)b); }

static void cpu_close(backend *b) {
    cpu_unbind(b);
    free(b);
}

backend *cpu_open(size_t real_bytes, uint64_t cap) {
    return cpu_open_as(real_bytes == 8 ? PRECISION_FLOAT64 : PRECISION_FLOAT32, cap);
}

backend *cpu_open_as(compute_precision p, uint64_t cap) {
    const backend_type *type = cpu_type(p);
    cpu *c = xcalloc(1, sizeof *c);
    c->functions = precision_table[p].real_bytes == 8 ? cpu_functions_f64 : cpu_functions_f32;
    c->b = (backend){.type = type,
                     .gemm = "default",
                     .limits = type->limits(type->precision, cap),
                     .memory = host_memory(),
                     .bind = cpu_bind,
                     .run = cpu_run,
                     .write = cpu_write,
                     .read = cpu_read,
                     .host_address = cpu_host_address,
                     .op_seconds = cpu_op_seconds,
                     .gemm_rate = cpu_gemm_rate,
                     .unbind = cpu_unbind,
                     .close = cpu_close};
    int threads = omp_get_max_threads();
    omp_set_max_active_levels(1); /* in a lane, the op's parallel loops run in the lane's thread alone */
    openblas_set_num_threads(1);  /* R6: threads share tiles, and each product is one thread's */
    omp_set_num_threads(threads); /* which OpenBLAS has set to 1 as well */
    snprintf(c->b.device, sizeof c->b.device, "CPU, OpenBLAS %s", openblas_get_corename());
    core_type_advice(c->b.advice, sizeof c->b.advice);
    c->b.threads = threads;
    return &c->b;
}
