/* calibrate.c: see calibrate.h. Runs single ops of a small model, and divides their times by their operations and
   bytes. */
#include "run/calibrate.h"
#include "base/files.h"
#include "base/fnv.h"
#include "base/host.h"
#include "base/json_file.h"
#include "base/json_value.h"
#include "graph/home.h"
#include "run/model.h"
#include "run/device.h"
#include "base/timer.h"
#include "base/version.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- timing ops ---- */

typedef struct {
    model m;
    step_args step;
    double launch;
} bench;

/* Seconds for running an op `times` times in a row and waiting for the last: the least of three tries, or of fewer as
   soon as they have taken enough, since what comes and goes more quickly disturbs the short ones. */
static status time_op(bench *t, int op_index, int times, double *seconds, error *e) {
    const double enough = 5e-3;
    backend *b = t->m.backend;
    double least = INFINITY, all = 0, one;
    for (int i = 0; i < 3 && all < enough; i++) {
        double start = seconds_now();
        for (int k = 0; k < times; k++) TRY(b->run(b, (span){op_index, op_index + 1}, &t->step, e));
        TRY(model_read(&t->m, t->m.gpt.norm, 0, 1, &one, e));
        double took = seconds_now() - start;
        all += took;
        if (took < least) least = took;
    }
    *seconds = least;
    return OK;
}

/* Seconds of one run of an op. A short op is run many times in a row, so that the waiting hardly counts. */
static status op_time(bench *t, int op_index, double *seconds, error *e) {
    enum { MORE = 17 };
    double many;
    TRY(time_op(t, op_index, 1, seconds, e));
    if (*seconds > 3e-3) return OK;
    TRY(time_op(t, op_index, MORE, &many, e));
    double one = (many - *seconds) / (MORE - 1);
    *seconds = one > 0 ? one : many / MORE;
    return OK;
}

/* ---- from times to constants ---- */

/* What an op's time is used for: the speed of a kind of arithmetic, or that of memory. GELU stands for vector
   arithmetic; ops with hardly any arithmetic stand for memory; norms have both and are used for neither. */
enum { BYTES = WORK_KINDS, NOTHING, SORTS };
static int sort_of(op_code code) {
    switch (code) {
    case OP_GELU:
    case OP_GELU_DX: return WORK_VECTOR;
    case OP_ADAMW: return BYTES;
    default: return cost_work(code) == WORK_VECTOR ? NOTHING : (int)cost_work(code);
    }
}

static double *constant_of(cost_model *c, int sort) { return sort == BYTES ? &c->byte : &c->flop[sort]; }

/* The optimizer is timed on the largest tensor only, since small ones lie in the processor's cache. */
static bool is_worth_timing(const graph *g, int i) {
    const op *o = &g->ops[i];
    if (sort_of(o->code) == NOTHING) return false;
    return o->code != OP_ADAMW || o->arg[0] == 1;
}

/* Measures the constants of `sorts`, a bit each; the others stay as they are. */
static status measure_ops(bench *t, unsigned sorts, cost_model *out, error *e) {
    const graph *g = t->m.gpt.graph;
    size_t real = t->m.backend->limits.real_bytes;
    double seconds[SORTS] = {0}, counts[SORTS] = {0}, one;
    int tiny = g->begin.first; /* zeroing the smallest tensor: nothing but a launch */
    for (int i = g->begin.first; i < g->begin.end; i++)
        if (tensor_elements(&g->tensors[g->ops[i].arg[0]]) < tensor_elements(&g->tensors[g->ops[tiny].arg[0]]))
            tiny = i;
    TRY(op_time(t, tiny, &out->launch, e));
    for (int i = g->micro.first; i < g->finish.end; i++) {
        const op *o = &g->ops[i];
        int sort = sort_of(o->code);
        if (!is_worth_timing(g, i) || !(sorts >> sort & 1)) continue;
        TRY(op_time(t, i, &one, e));
        double net = one - out->launch * cost_launches(g, o, t->step.sequences, out);
        seconds[sort] += net > 0.2 * one ? net : 0.2 * one; /* launches may overlap, so take away 80 % at most */
        counts[sort] += sort == BYTES ? op_traffic(g, o, t->step.sequences, real) : op_flops(g, o, t->step.sequences);
    }
    for (int w = 0; w <= BYTES; w++)
        if (counts[w] > 0) *constant_of(out, w) = seconds[w] / counts[w];
    /* When the same op is run again and again, its threads wait for each other hardly at all; in a step they do. */
    const backend_type *type = t->m.backend->type;
    if (type->kind == BACKEND_CPU && out->launch < type->cost.launch) out->launch = type->cost.launch;
    out->measured = true;
    return OK;
}

/* ---- the models that are measured ---- */

typedef struct {
    int length, channels, vocabulary, sequences;
} bench_size;
/* The first size takes a CPU a tenth of a second. The second keeps all of a GPU busy, and is used on devices on which
   it takes no longer than that. */
static const bench_size SIZES[] = {{256, 512, 2048, 2}, {1024, 768, 8192, 4}};
enum { N_SIZES = sizeof SIZES / sizeof *SIZES, HEAD_SIZE = 64 };

/* Fills the weights with numbers like a model's, so that the arithmetic has no special cases; they repeat, which is
   faster than drawing all of them. */
static status fill_weights(model *m, error *e) {
    enum { CHUNK = 1 << 14 };
    double *part = xcalloc(CHUNK, sizeof *part);
    status s = OK;
    for (int i = 0; i < CHUNK; i++) part[i] = 0.02 * sin(i);
    for (tensor_id p = 1; p <= m->gpt.n_params && s == OK; p++) {
        int64_t n = tensor_elements(&m->gpt.graph->tensors[p]);
        for (int64_t i = 0; i < n && s == OK; i += CHUNK)
            s = model_write(m, p, i, n - i < CHUNK ? n - i : CHUNK, part, e);
    }
    free(part);
    return s;
}

static status open_size(bench *t, backend *b, const bench_size *z, offload_policy offload, error *e) {
    gpt_shape shape = {.layers = 1,
                       .heads = z->channels / HEAD_SIZE,
                       .channels = z->channels,
                       .positions = z->length,
                       .vocabulary = z->vocabulary,
                       .norm_epsilon = 1e-5};
    gpt_run run = {.purpose = GRAPH_TRAIN,
                   .micro_batch = z->sequences,
                   .length = z->length,
                   .sequences = z->sequences,
                   .batch_invariant = true,
                   .beta1 = 0.9,
                   .beta2 = 0.95,
                   .grad_clip = 1,
                   .offload = offload};
    *t = (bench){.step = {.sequences = z->sequences, .length = z->length}};
    return model_open(&t->m, b, &shape, &run, e);
}

unsigned calibrate_merge(cost_model *least, const cost_model *other) {
    const double agree = 1.25;
    cost_model b = *other;
    unsigned apart = 0;
    for (int w = 0; w <= BYTES; w++) {
        double *x = constant_of(least, w), y = *constant_of(&b, w);
        if (*x > agree * y || y > agree * *x) apart |= 1u << w;
        if (y < *x) *x = y;
    }
    if (other->launch < least->launch) least->launch = other->launch;
    return apart;
}

/* Measures one size on b, which stays open: each constant up to `most` times, until two measurements agree, and takes
   the least. *agree, of most > 1: all have been measured twice with the same result. */
static status measure_size(backend *b, const bench_size *z, int most, cost_model *out, bool *agree, error *e) {
    bench t;
    double unused;
    unsigned open = (2u << BYTES) - 1;
    *out = b->type->cost; /* what is not measured */
    TRY(open_size(&t, b, z, OFFLOAD_NONE, e));
    const graph *g = t.m.gpt.graph;
    status s = fill_weights(&t.m, e);
    if (s == OK) s = b->run(b, g->begin, &t.step, e); /* all ops once, so that kernels are built and memory is used */
    if (s == OK) s = b->run(b, g->micro, &t.step, e);
    if (s == OK) s = b->run(b, g->finish, &t.step, e);
    if (s == OK) s = model_read(&t.m, t.m.gpt.norm, 0, 1, &unused, e); /* which waits for them */
    if (s == OK) s = measure_ops(&t, open, out, e);
    for (int i = 1; i < most && s == OK && open; i++) {
        cost_model again = *out;
        s = measure_ops(&t, open, &again, e);
        if (s == OK) open = calibrate_merge(out, &again);
    }
    *agree = !open;
    model_unbind(&t.m);
    return s;
}

/* The bus: what AdamW of the largest tensor takes longer where both moments come from the host's memory and go back.
   The two fastest of four tries have to agree within a quarter; else out->transfer stays as it is. */
static status measure_transfer(backend *b, const bench_size *z, cost_model *out, error *e) {
    enum { TRIES = 4 };
    bench t;
    double first = INFINITY, second = INFINITY, one;
    TRY(open_size(&t, b, z, OFFLOAD_MOMENTS, e));
    const graph *g = t.m.gpt.graph;
    int i = g->finish.first;
    while (!(g->ops[i].code == OP_ADAMW && is_worth_timing(g, i))) i++;
    status s = b->run(b, (span){i, i + 1}, &t.step, e);
    for (int k = 0; k < TRIES && s == OK; k++) {
        s = op_time(&t, i, &one, e);
        if (s != OK || one >= second) continue;
        second = one < first ? first : one;
        if (one < first) first = one;
    }
    size_t real = b->limits.real_bytes;
    double moving = first - out->launch - op_traffic(g, &g->ops[i], z->sequences, real) * out->byte;
    if (moving < 0.2 * first) moving = 0.2 * first; /* where moving is hardly slower than the update, as on CPUs */
    if (s == OK && second < 1.25 * first) out->transfer = moving / home_traffic(g, &g->ops[i], real);
    model_unbind(&t.m);
    return s;
}

status calibrate_measure(backend *b, cost_model *out, error *e) {
    bool agree;
    status s = measure_size(b, &SIZES[0], 1, out, &agree, e);
    b->close(b);
    return s;
}

/* Will measuring this size take about a second at most? Counts the matrix products of a layer and of the head, three
   times. */
static bool is_quick(const bench_size *z, const cost_model *c) {
    double rows = (double)z->length * z->sequences, C = z->channels;
    return 3 * 6 * rows * (12 * C * C * c->flop[WORK_MATRIX] + z->vocabulary * C * c->flop[WORK_HEAD]) < 0.7;
}

/* ---- the cache ---- */

/* The file for this kind of device, choice of device, precision and build; NULL if there is no folder for caches. */
static char *cache_path(const config *c, const backend_type *type) {
    char *key = xprintf("%s|%s|%s|%s|%s|%s", type->name, c->device, c->dtype, c->matmul_precision, snug_version(),
                        snug_build());
    unsigned long long hash = fnv_add(FNV_START, key, strlen(key)); /* `plan` has no time to load libcrypto's */
    free(key);
    char *name = xprintf("cost-%016llx.json", hash), *path = file_cache_path(name);
    free(name);
    return path;
}

static const char *const FLOP_KEYS[WORK_KINDS] = {"matrix", "attention", "head", "vector"};

/* Reads a positive number; false for anything else, so that a damaged file only leads to a new measurement. */
static bool get_seconds(const cJSON *object, const char *key, double *out) {
    const cJSON *v = json_get(object, key);
    if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble) || v->valuedouble <= 0) return false;
    *out = v->valuedouble;
    return true;
}

static bool has_text(const cJSON *object, const char *key, const char *text) {
    const cJSON *v = json_get(object, key);
    return cJSON_IsString(v) && !strcmp(v->valuestring, text);
}

bool calibrate_recall(const config *c, const backend_type *type, const backend *open, cost_model *out) {
    char device[DEVICE_TEXT];
    cJSON *object = NULL;
    cost_model m = type->cost;
    m.measured = true;
    char *path = cache_path(c, type);
    bool found = path && json_read_object(path, &object, NULL) == OK;
    if (found && open)
        found = has_text(object, "device", backend_print(open, device)) && has_text(object, "gemm", open->gemm);
    found = found && get_seconds(object, "launch", &m.launch) && get_seconds(object, "byte", &m.byte);
    for (int w = 0; w < WORK_KINDS && found; w++) found = get_seconds(object, FLOP_KEYS[w], &m.flop[w]);
    if (found && type->has_host) get_seconds(object, "transfer", &m.transfer); /* may not be there: then it is stated */
    m.busy = found && cJSON_IsTrue(json_get(object, "busy"));
    if (found) *out = m;
    cJSON_Delete(object);
    free(path);
    return found;
}

static void keep(const config *c, const backend *b, const cost_model *m) {
    char device[DEVICE_TEXT];
    char *path = cache_path(c, b->type);
    if (!path) return;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "device", backend_print(b, device));
    cJSON_AddStringToObject(object, "gemm", b->gemm);
    cJSON_AddNumberToObject(object, "launch", m->launch);
    cJSON_AddNumberToObject(object, "byte", m->byte);
    if (m->transfer != b->type->cost.transfer) cJSON_AddNumberToObject(object, "transfer", m->transfer);
    for (int w = 0; w < WORK_KINDS; w++) cJSON_AddNumberToObject(object, FLOP_KEYS[w], m->flop[w]);
    cJSON_AddBoolToObject(object, "busy", m->busy);
    json_write(path, object, false, NULL);
    free(path);
}

bool calibrate_doubt(const config *c, const backend *b, double predicted, double took) {
    const double telling = 0.02; /* shorter steps are mostly launches, whose prediction is rough */
    bool wrong = predicted > telling && took < predicted / 2;
    char *path = wrong ? cache_path(c, b->type) : NULL;
    bool forgotten = path && unlink(path) == 0;
    free(path);
    return forgotten;
}

status calibrate_ensure(const config *c, backend *b, FILE *report, cost_model *out, error *e) {
    *out = b->type->cost;
    bool known = calibrate_recall(c, b->type, b, out), busy = host_is_busy();
    if (known && (!out->busy || busy)) return OK;
    if (report && known)
        fprintf(report, "measuring this device's speed again: other programs kept the machine busy the last time\n");
    else if (report)
        fprintf(report, "measuring this device's speed, once\n");
    const bench_size *used = NULL;
    for (int i = 0; i < N_SIZES; i++) {
        cost_model m;
        if (i && !is_quick(&SIZES[i], out)) break;
        bool agree;
        status s = measure_size(b, &SIZES[i], busy ? 2 : 5, &m, &agree, e); /* busy: again the next time anyway */
        if (s == NO_MEMORY || s == BAD_INPUT) break; /* the cap, or the largest allocation, is too small for it */
        TRY(s);
        *out = m;
        out->busy = busy || !agree;
        used = &SIZES[i];
    }
    if (used && b->type->has_host) {
        status s = measure_transfer(b, used, out, e); /* as stated where the host's memory is short */
        if (s != NO_MEMORY && s != BAD_INPUT) TRY(s);
    }
    if (out->measured)
        keep(c, b, out);
    else if (report)
        fprintf(report, "the cap is too small to measure in: choosing by stated constants\n");
    return OK;
}
