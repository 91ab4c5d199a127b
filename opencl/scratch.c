/* scratch.c: how much working space each op needs on OpenCL, from shapes alone, so that `plan` needs no device. bind
   checks that CLBlast does not ask for more; snug's own products (`own`) need none. It has no OpenCL in it and is
   compiled in every build. */
#include "opencl/scratch.h"

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

uint64_t scratch_gemm(int64_t m, int64_t n, int64_t k) {
    uint64_t M = (uint64_t)round_up(m, GEMM_TILE), N = (uint64_t)round_up(n, GEMM_TILE),
             K = (uint64_t)round_up(k, GEMM_TILE);
    return (uint64_t)round_up((int64_t)(4 * (M * K + K * N + M * N)), SCRATCH_ALIGNMENT);
}

uint64_t scratch_partials(int64_t sequences, int64_t T, int64_t C, int64_t planes) {
    return 4 * (uint64_t)(sequences * ((T + PARTIAL_ROWS - 1) / PARTIAL_ROWS) * planes * C);
}

head_layout scratch_head(const graph *g, const op *o, bool own) {
    bool gradient = o->code == OP_HEAD;
    const tensor *x = &g->tensors[o->arg[gradient ? 3 : 1]], *wte = &g->tensors[o->arg[gradient ? 4 : 2]];
    int64_t B = x->dim[0], T = x->dim[1], C = x->dim[2], V = wte->dim[0];
    head_layout l;
    l.rows = smaller(HEAD_ROWS, g->batch_invariant ? T : B * T);
    int64_t words = HEAD_TILE_BYTES / (4 * C) / GEMM_TILE * GEMM_TILE;
    l.tile = own ? V : smaller(V, words < GEMM_TILE ? GEMM_TILE : smaller(words, HEAD_TILE_WORDS));
    l.part = smaller(V, HEAD_PART_WORDS);
    l.line = own ? round_up(V, HEAD_LINE) : 0;
    l.logits = own ? 0 : scratch_gemm(l.rows, l.tile, C);
    l.parts = l.logits + (uint64_t)round_up(4 * l.rows * (own ? l.line : V), SCRATCH_ALIGNMENT);
    int64_t parts = own && gradient && l.part < V ? (V + l.part - 1) / l.part : 0;
    l.row_losses = l.parts + (uint64_t)round_up(4 * parts * l.rows * C, SCRATCH_ALIGNMENT);
    l.bytes = l.row_losses + 4 * (uint64_t)(B * T);
    return l;
}

/* How many of p, m and v have the host as their home. */
static int staged_arguments(const graph *g, const op *o) {
    int n = 0;
    for (int i = 0; i < 3; i++) n += g->tensors[o->arg[i]].home == HOME_HOST;
    return n;
}

uint64_t scratch_staging(const graph *g, const op *o) {
    int away = staged_arguments(g, o);
    if (!away) return 0;
    int64_t bytes = 4 * tensor_elements(&g->tensors[o->arg[1]]), most = STAGING_BYTES / away;
    if (bytes < STAGING_LEAST) bytes = STAGING_LEAST;
    return (uint64_t)smaller(round_up(bytes, SCRATCH_ALIGNMENT), most / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT);
}

static uint64_t scratch_of(const graph *g, const op *o, bool own, tensor_kind *kind) {
    const tensor *t[MAX_ARGUMENTS];
    for (int i = 0; i < MAX_ARGUMENTS; i++) t[i] = &g->tensors[o->arg[i]];
    *kind = KIND_TEMP;
    switch (o->code) {
    case OP_LINEAR:
    case OP_LINEAR_DX: {
        const tensor *w = t[2]; /* [I,O] */
        int64_t rows = smaller(GEMM_ROWS, t[0]->dim[0] * t[0]->dim[1]);
        bool few = o->code == OP_LINEAR && t[0]->dim[1] == 1; /* linear_rows */
        *kind = KIND_GEMM;
        return own || few ? 0 : scratch_gemm(rows, w->dim[0], w->dim[1]);
    }
    case OP_LINEAR_DW: {
        const tensor *dy = t[2];
        int64_t rows = smaller(GEMM_ROWS, g->batch_invariant ? dy->dim[1] : dy->dim[0] * dy->dim[1]);
        uint64_t bias = o->arg[1] ? scratch_partials(dy->dim[0], dy->dim[1], dy->dim[2], 1) : 0;
        if (own) return bias;
        *kind = KIND_GEMM;
        return larger(scratch_gemm(t[0]->dim[0], t[0]->dim[1], rows), bias);
    }
    case OP_HEAD:
    case OP_HEAD_LOSS: *kind = KIND_HEAD; return scratch_head(g, o, own).bytes;
    case OP_NORM_DW: return scratch_partials(t[2]->dim[0], t[2]->dim[1], t[2]->dim[2], 2);
    case OP_ATTENTION_DX: return 4 * (uint64_t)tensor_elements(t[4]); /* delta, shaped as lse */
    case OP_SUM_SQUARES: return 8 * SQUARE_GROUPS;
    case OP_ADAMW: return (uint64_t)staged_arguments(g, o) * scratch_staging(g, o);
    default: return 0;
    }
}

uint64_t opencl_scratch(const graph *g, const op *o, size_t real_bytes, tensor_kind *kind) {
    (void)real_bytes; /* this backend knows 4 only */
    return scratch_of(g, o, false, kind);
}

uint64_t opencl_scratch_own(const graph *g, const op *o, size_t real_bytes, tensor_kind *kind) {
    (void)real_bytes;
    return scratch_of(g, o, true, kind);
}
