/* attention_shapes.c: see attention_shapes.h. */
#include "opencl/attention_shapes.h"
#include <stdio.h>
#include <string.h>

static int round_up(int n, int to) { return (n + to - 1) / to * to; }

/* Bytes of local memory that dropout's decisions take, as KEPT_SPACE in attention_common.cl has them. */
static int kept_bytes(const attention_wish *w, int rows, int columns) {
    return w->dropout ? rows * (columns / 4 + 1) : 0;
}

/* How often to halve the lanes of a group, at most `halvings` times: until there are as many groups as the device has
   units. It changes no bit (see attention_gpu.cl). */
static int shrink(const attention_wish *w, int kept, int halvings) {
    int64_t rows = (int64_t)w->sequences * w->heads;
    int n = 0;
    while (n < halvings && rows * ((w->length + kept - 1) / kept) < (int64_t)w->units) kept /= 2, n++;
    return n;
}

/* ---- SERIAL ---- */

/* The largest tiles whose local memory fits 32 KiB (the sums are attention.cl's arrays); a lane keeps one vector of
 * rows. */
static bool serial_shape(const attention_wish *w, attention_shape *s) {
    static const int sides[][2] = {{16, 16}, {16, 8}, {8, 8}}; /* kept, streamed */
    enum { FLOATS = 32768 / 4 };
    int D = w->head_size, streamed[3] = {0};
    for (int i = (int)(sizeof sides / sizeof *sides) - 1; i >= 0; i--) {
        int a = sides[i][0], n = sides[i][1];
        const int floats[] = {D * (a + 1) + D * (n + 1) + n * (a + 1) + a,
                              2 * D * (a + 1) + 2 * D * (n + 1) + n * (a + 1),
                              2 * D * (a + 1) + 2 * D * (n + 1) + 2 * n * (a + 1)};
        for (int k = 0; k < 3; k++)
            if (floats[k] <= FLOATS) s->kept[k] = a, streamed[k] = n;
    }
    for (int k = 0; k < 3; k++) s->lanes[k] = 1;
    snprintf(s->options, sizeof s->options,
             "-DSERIAL=1 -DSIDE=1 -DFR=%d -DFS=%d -DQR=%d -DQS=%d -DKR=%d -DKS=%d -DONE_KEYS=64", s->kept[0],
             streamed[0], s->kept[1], streamed[1], s->kept[2], streamed[2]);
    return s->kept[0] && s->kept[1] && s->kept[2];
}

/* ---- FLOAT32 ---- */

/* Of attention_gpu.cl: rows of a lane, lanes along the kept rows, streamed rows, of them through p at a time; for heads
   of at most 32 `blocks` channels. In the order of preference: those of 45 KiB come before those of 32 KiB. Measured on
   an H100: docs/notebook.md. */
typedef struct {
    int blocks, rows, side, streamed, part;
} gpu_tiles;
static const gpu_tiles FORWARD[] = {
    {1, 8, 8, 64, 32},                                       /* 29 KiB */
    {2, 4, 16, 64, 32}, {2, 8, 8, 32, 16}, {2, 8, 8, 32, 8}, /* 44, 31.5, 28: the second has no room for dropout */
    {3, 4, 16, 32, 16}, {3, 4, 8, 32, 16},                   /* 44, 28 */
    {4, 4, 8, 32, 16},  {4, 4, 8, 16, 16},                   /* 36, 28 */
    {8, 2, 8, 16, 16},  {8, 2, 8, 8, 8},                     /* 34, 25 */
};
static const gpu_tiles BACKWARD[] = {
    {1, 8, 8, 32, 16},                    /* 29 */
    {2, 4, 16, 32, 8}, {2, 4, 8, 32, 16}, /* 45, 29 */
    {3, 4, 8, 32, 16}, {3, 4, 8, 8, 8},   /* 41, 29 */
    {4, 4, 8, 16, 8},  {4, 2, 8, 16, 8},  /* 42, 25 */
    {8, 2, 8, 8, 8},   {8, 1, 8, 8, 8},   /* 41, 25 */
};

/* Of the attention (0), the dq (1) or the dkv kernel (2); what its arrays add up to. */
static uint64_t gpu_local(const attention_wish *w, const gpu_tiles *t, int kernel) {
    int kept = t->rows * t->side, row = 16 * (8 * ((w->head_size + 31) / 32) + 1), p = t->part == 8 ? 8 : t->part + 8;
    int decisions = kernel == 2 ? kept_bytes(w, t->streamed, kept) : kept_bytes(w, kept, t->streamed);
    return (uint64_t)((kernel ? 2 * kept : kept) * row + t->streamed * row + 4 * kept * p + decisions);
}

/* Finds the first entry of the table that fits; false if none does. */
static bool gpu_choose(const attention_wish *w, const gpu_tiles *table, int n, bool backward, gpu_tiles *found) {
    for (int i = 0; i < n; i++) {
        uint64_t local = gpu_local(w, &table[i], backward), other = backward ? gpu_local(w, &table[i], 2) : 0;
        if (32 * table[i].blocks < w->head_size || (local > other ? local : other) > w->local) continue;
        *found = table[i];
        while (found->side > 1 && 8 * (uint64_t)found->side > w->group) found->side /= 2;
        return true;
    }
    return false;
}

/* Halves the lanes where that gives idle units something to do, but not below 32. */
static void gpu_shrink(const attention_wish *w, gpu_tiles *t) {
    int halvings = 0;
    while (8 * (t->side >> (halvings + 1)) >= 32) halvings++;
    t->side >>= shrink(w, t->rows * t->side, halvings);
}

static bool gpu_shape(const attention_wish *w, attention_shape *s) {
    gpu_tiles f, b;
    if (!gpu_choose(w, FORWARD, sizeof FORWARD / sizeof *FORWARD, false, &f)) return false;
    if (!gpu_choose(w, BACKWARD, sizeof BACKWARD / sizeof *BACKWARD, true, &b)) return false;
    gpu_shrink(w, &f);
    gpu_shrink(w, &b);
    for (int k = 0; k < 3; k++) {
        const gpu_tiles *t = k ? &b : &f;
        uint64_t local = gpu_local(w, t, k);
        s->kept[k] = t->rows * t->side;
        s->lanes[k] = 8 * t->side;
        if (local > s->local) s->local = local;
    }
    s->sums[0] = f.streamed;
    s->sums[1] = b.streamed;
    snprintf(s->options, sizeof s->options,
             "-DSERIAL=0 -DRN=%d -DTY=%d -DFS=%d -DPG=%d -DBRN=%d -DBTY=%d -DBS=%d -DBG=%d -DONE_KEYS=%d", f.rows,
             f.side, f.streamed, f.part, b.rows, b.side, b.streamed, b.part, f.streamed);
    return true;
}

/* ---- TF32, BF16 ---- */

/* Of attention_mma.cl: warps, streamed rows, PART and PREFETCH. Measured like those above. */
typedef struct {
    attention_way way;
    bool stored16;
    int head_size, warps, streamed, part, prefetch;
} mma_tiles;
static const mma_tiles MMA[] = {
    {ATTENTION_TF32, false, 32, 4, 32, 32, 1},  {ATTENTION_TF32, false, 64, 4, 32, 16, 0},
    {ATTENTION_TF32, false, 128, 4, 16, 16, 0}, {ATTENTION_BF16, false, 32, 4, 64, 64, 1},
    {ATTENTION_BF16, false, 64, 8, 32, 32, 1},  {ATTENTION_BF16, false, 128, 8, 16, 16, 0},
    {ATTENTION_BF16, true, 32, 4, 64, 64, 1},   {ATTENTION_BF16, true, 64, 4, 32, 32, 1},
    {ATTENTION_BF16, true, 128, 8, 16, 16, 1},
};

static const mma_tiles *mma_find(const attention_wish *w) {
    for (size_t i = 0; i < sizeof MMA / sizeof *MMA; i++)
        if (MMA[i].way == w->way && MMA[i].stored16 == w->stored16 && MMA[i].head_size == w->head_size) return &MMA[i];
    return NULL;
}

/* Of the dkv kernel, which has the most. */
static uint64_t mma_local(const attention_wish *w, const mma_tiles *t, int warps) {
    int D = w->head_size, words = w->way == ATTENTION_BF16 ? D / 2 : D, row = words == 16 ? 16 : words + 4;
    int tile = t->streamed * row + (w->way == ATTENTION_BF16 ? t->streamed / 2 * (D + 8) : 0);
    int exchange = w->emulate ? warps * 32 * 8 * 4 : 0;
    return (uint64_t)(2 * 4 * tile + 2 * 4 * t->streamed + exchange +
                      round_up(kept_bytes(w, t->streamed, warps * 16), 16));
}

static bool mma_shape(const attention_wish *w, const mma_tiles *t, attention_shape *s) {
    int warps = t->warps, halvings = 0;
    while (warps >> (halvings + 1)) halvings++;
    warps >>= shrink(w, 16 * warps, halvings);
    s->local = mma_local(w, t, warps);
    for (int k = 0; k < 3; k++) s->kept[k] = 16 * warps, s->lanes[k] = 32 * warps;
    s->sums[0] = s->sums[1] = t->streamed;
    snprintf(s->options, sizeof s->options,
             "-DSERIAL=0 -DBF16=%d -DWARPS=%d -DNS=%d -DPART=%d -DPREFETCH=%d -DEMULATE=%d -DONE_KEYS=64",
             w->way == ATTENTION_BF16, warps, t->streamed, t->part, t->prefetch, w->emulate);
    return s->local <= w->local && (uint64_t)s->lanes[0] <= w->group;
}

/* ---- all ---- */

bool attention_shape_for(const attention_wish *w, attention_shape *s) {
    const mma_tiles *mma = mma_find(w);
    *s = (attention_shape){.way = w->way};
    bool found = w->way == ATTENTION_SERIAL && serial_shape(w, s);
    if (mma) found = mma_shape(w, mma, s);
    if (!found && w->way != ATTENTION_SERIAL) {
        *s = (attention_shape){.way = ATTENTION_FLOAT32};
        found = gpu_shape(w, s);
    }
    size_t n = strlen(s->options);
    snprintf(s->options + n, sizeof s->options - n, " -DD=%d -DHEADS=%d -DDROPOUT=%d -DACT16=%d", w->head_size,
             w->heads, w->dropout, w->stored16);
    return found;
}

status attention_program(device *d, const attention_shape *s, cl_program *program, error *e) {
    static const char *const serial[] = {"philox.h", "bf16.cl", "prelude.cl", "attention_common.cl", "attention.cl"},
                             *const gpu[] = {"philox.h", "bf16.cl", "prelude.cl", "attention_common.cl",
                                             "attention_gpu.cl"},
                             *const mma[] = {"philox.h",        "bf16.cl",
                                             "prelude.cl",      "attention_common.cl",
                                             "mma_ptx.cl",      "attention_mma_tiles.cl",
                                             "attention_mma.cl"};
    static const char *const words[] = {" -DASM=asm", " -DASM=__asm__"};
    bool ptx = s->way == ATTENTION_TF32 || s->way == ATTENTION_BF16;
    status result = FAILED;
    for (int w = 0; w < (ptx ? 2 : 1) && result != OK; w++) { /* NVIDIA's compiler has been seen to take the first */
        char options[512];
        snprintf(options, sizeof options, "-cl-std=CL1.2 -Du32=uint -Du64=ulong %s%s", s->options, ptx ? words[w] : "");
        if (ptx)
            result = device_build(d, mma, 7, options, program, e);
        else
            result = device_build(d, s->way == ATTENTION_SERIAL ? serial : gpu, 5, options, program, e);
    }
    return result;
}
