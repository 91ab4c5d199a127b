/* graph.c: building, checking and printing graphs. Knows no model and no device. */
#include "graph/graph.h"
#include <stdlib.h>
#include <string.h>

#define X(name, text) text,
const char *const kind_names[KIND_COUNT] = {KINDS(X)};
#undef X

static const char *const role_names[] = {"param", "grad", "moment", "copy", "step", "input", "act", "scratch"};

#define X(name, writes, reads) [OP_##name] = writes reads,
#define ARGUMENT(access, optional, name) optional
static const char *const optional_arguments[OP_COUNT] = {OPS(X)};
#undef X
#undef ARGUMENT

const op_info *op_describe(op_code code) {
#define X(name, writes, reads) [OP_##name] = {#name, sizeof(writes reads) - 1, writes reads},
#define ARGUMENT(access, optional, name) access
    static const op_info table[OP_COUNT] = {OPS(X)};
#undef X
#undef ARGUMENT
    return &table[code];
}

/* ---- building ---- */

graph *graph_new(graph_purpose purpose, int micro_batch, int length, bool batch_invariant) {
    graph *g = xcalloc(1, sizeof *g);
    g->purpose = purpose;
    g->micro_batch = micro_batch;
    g->length = length;
    g->batch_invariant = batch_invariant;
    g->tensor_room = 1024; /* GPT-2 with 12 layers has some 1500 */
    g->tensors = xcalloc((size_t)g->tensor_room, sizeof *g->tensors);
    g->n_tensors = 1;
    return g;
}

void graph_free(graph *g) {
    if (!g) return;
    free(g->tensors);
    free(g->ops);
    free(g);
}

tensor_id graph_tensor(graph *g, const char *name, int layer, tensor_role role, tensor_kind kind, tensor_type type,
                       int rank, const int64_t *dims) {
    if (g->n_tensors == g->tensor_room) {
        g->tensor_room *= 2;
        g->tensors = xrealloc(g->tensors, (size_t)g->tensor_room * sizeof *g->tensors);
    }
    tensor *t = &g->tensors[g->n_tensors];
    *t = (tensor){.layer = layer, .role = role, .kind = kind, .type = type, .rank = rank};
    memcpy(t->name, name, strnlen(name, sizeof t->name - 1)); /* a large model has 100,000: no snprintf */
    for (int i = 0; i < rank; i++) t->dim[i] = dims[i];
    if (!g->of_role[role].first) g->of_role[role].first = g->n_tensors;
    g->of_role[role].last = g->n_tensors;
    return g->n_tensors++;
}

op_attr *graph_op(graph *g, op_code code, const tensor_id *arguments) {
    if (g->n_ops == g->op_room) {
        g->op_room = g->op_room ? 2 * g->op_room : 1024;
        g->ops = xrealloc(g->ops, (size_t)g->op_room * sizeof *g->ops);
    }
    op *o = &g->ops[g->n_ops++];
    *o = (op){.code = code, .attr = {.layer = -1}};
    for (int i = 0; i < op_describe(code)->arguments; i++) o->arg[i] = arguments[i];
    return &o->attr;
}

void graph_add_scratch(graph *g, scratch_rule *rule, size_t real_bytes) {
    for (int i = 0; i < g->n_ops; i++) {
        tensor_kind kind = KIND_TEMP;
        uint64_t bytes = rule(g, &g->ops[i], real_bytes, &kind);
        if (!bytes) continue;
        int64_t words = (int64_t)((bytes + 3) / 4); /* as so many 4-byte words, whatever the op puts into it */
        tensor_id id = graph_tensor(g, "scratch", g->ops[i].attr.layer, ROLE_SCRATCH, kind, TYPE_INT32, 1, &words);
        g->ops[i].scratch = id;
    }
}

/* ---- asking ---- */

int64_t tensor_elements(const tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

uint64_t tensor_bytes(const tensor *t, size_t real_bytes) {
    uint64_t each = t->type == TYPE_INT32 ? 4 : t->type == TYPE_BF16 ? 2 : real_bytes;
    return (uint64_t)tensor_elements(t) * each;
}

bool tensor_is_persistent(const tensor *t) { return t->role != ROLE_ACT && t->role != ROLE_SCRATCH; }

bool graph_reads_rounded(const graph *g, tensor_id t) {
    return g->bf16_weights && g->tensors[t].role == ROLE_PARAM && g->tensors[t].rank == 2;
}

bool graph_holds_step(const graph *g, tensor_id input) { return g->tensors[input].dim[0] > g->micro_batch; }

static bool within(span s, int i) { return s.first <= i && i < s.end; }

bool graph_is_once(const graph *g, int i) {
    return within(g->begin, i) || within(g->shard_begin, i) || within(g->shard_end, i) || within(g->finish, i);
}

tensor_id graph_next(const graph *g, tensor_role role, tensor_id before) {
    const tensor_id first = g->of_role[role].first, last = g->of_role[role].last;
    bool flat = before && g->tensors[before].rank < 2;
    if (!first) return 0;
    for (tensor_id t = before ? before + 1 : first;; t++) {
        if (t > last) {
            if (flat) return 0;
            flat = true;
            t = first;
        }
        if (g->tensors[t].role == role && (g->tensors[t].rank < 2) == flat) return t;
    }
}

char *tensor_print(const tensor *t, char *text, size_t size) {
    if (t->layer < 0)
        snprintf(text, size, "%s", t->name);
    else
        snprintf(text, size, "%s[%d]", t->name, t->layer);
    return text;
}

/* ---- checking ---- */

static bool complain(error *e, const graph *g, int op_index, tensor_id t, const char *what) {
    char text[64] = "none";
    if (t > 0 && t < g->n_tensors) tensor_print(&g->tensors[t], text, sizeof text);
    fail(e, FAILED, "graph: op %d (%s), tensor %s: %s", op_index, op_describe(g->ops[op_index].code)->name, text, what);
    return false;
}

static bool same_shape(const tensor *a, const tensor *b) {
    return a->rank == b->rank && !memcmp(a->dim, b->dim, sizeof a->dim[0] * (size_t)a->rank);
}

/* Checks the shapes that belong together in an op, which the table does not say. */
static bool check_shapes(const graph *g, int index, error *e) {
    const op *o = &g->ops[index];
    const tensor *t[MAX_ARGUMENTS];
    for (int i = 0; i < MAX_ARGUMENTS; i++) t[i] = &g->tensors[o->arg[i]];
#define SAME(i, j)                                                                                                     \
    if (!same_shape(t[i], t[j])) return complain(e, g, index, o->arg[j], "shape differs from its partner's")
#define DIM(i, d, n)                                                                                                   \
    if (t[i]->dim[d] != (n)) return complain(e, g, index, o->arg[i], "wrong dimension")
    switch (o->code) {
    case OP_LINEAR:
        DIM(1, 2, t[2]->dim[0]);
        DIM(0, 2, t[2]->dim[1]);
        break;
    case OP_LINEAR_DX:
        DIM(1, 2, t[2]->dim[1]);
        DIM(0, 2, t[2]->dim[0]);
        break;
    case OP_LINEAR_DW:
        DIM(0, 0, t[3]->dim[2]);
        DIM(0, 1, t[2]->dim[2]);
        break;
    case OP_NORM:
        SAME(0, 2);
        DIM(3, 0, t[2]->dim[2]);
        break;
    case OP_NORM_DX:
        SAME(0, 1);
        SAME(0, 2);
        break;
    case OP_NORM_DW:
        SAME(2, 3);
        DIM(0, 0, t[2]->dim[2]);
        break;
    case OP_RESIDUAL_NORM:
        SAME(0, 1);
        SAME(0, 3);
        SAME(0, 4);
        DIM(6, 0, t[0]->dim[2]);
        break;
    case OP_GELU:
    case OP_GELU_DX:
        SAME(0, 1);
        if (o->arg[2]) DIM(2, 0, t[0]->dim[2]);
        break;
    case OP_RESIDUAL_DX:
    case OP_ADD: SAME(0, 1); break;
    case OP_ATTENTION:
        DIM(2, 2, 3 * t[0]->dim[2]);
        DIM(1, 1, o->attr.heads);
        break;
    case OP_KEEP: DIM(1, 2, t[0]->dim[2] / 2 * 3); break;
    case OP_ATTENTION_ONE:
        DIM(1, 2, 3 * t[0]->dim[2]);
        DIM(2, 2, 2 * t[0]->dim[2]);
        DIM(0, 0, t[2]->dim[0]);
        DIM(0, 1, 1);
        break;
    case OP_ATTENTION_DX:
        SAME(0, 2);
        SAME(1, 3);
        break;
    case OP_HEAD:
        SAME(1, 3);
        SAME(2, 4);
        break;
    case OP_EMBED:
        DIM(2, 1, t[0]->dim[2]);
        DIM(3, 1, t[0]->dim[2]);
        break;
    case OP_ADAMW:
        SAME(0, 1);
        SAME(0, 2);
        SAME(0, 3);
        break;
    default: break;
    }
#undef SAME
#undef DIM
    return true;
}

/* Checks one argument of an op. written[t] is 1 + the number of the span in which t was written; adds[t] counts the ops
   in micro that add to t. */
static bool check_argument(const graph *g, int index, int i, int span_number, int *written, int *adds, error *e) {
    const op *o = &g->ops[index];
    const op_info *info = op_describe(o->code);
    tensor_id id = o->arg[i];
    if (id == 0) return optional_arguments[o->code][i] == '?' || complain(e, g, index, 0, "an argument is missing");
    if (id < 0 || id >= g->n_tensors) return complain(e, g, index, 0, "no such tensor");
    const tensor *t = &g->tensors[id];
    char access = info->access[i];
    if (t->role == ROLE_SCRATCH) return complain(e, g, index, id, "scratch cannot be an argument");
    if (t->role == ROLE_INPUT && access != 'R') return complain(e, g, index, id, "inputs are read only");
    if (t->role == ROLE_PARAM && access != 'R' && o->code != OP_ADAMW)
        return complain(e, g, index, id, "only ADAMW changes parameters");
    if (t->home == HOME_HOST && o->code != OP_ADAMW) return complain(e, g, index, id, "only ADAMW reaches the host");
    if (t->role == ROLE_ACT && access == 'W') {
        if (written[id]) return complain(e, g, index, id, "an activation is written twice (R3)");
        written[id] = span_number + 1;
    } else if (t->role == ROLE_ACT && written[id] != span_number + 1)
        return complain(e, g, index, id, "used before it is written in this span");
    if (t->role == ROLE_GRAD && access == 'A' && index >= g->micro.first && index < g->micro.end && ++adds[id] > 1 &&
        g->batch_invariant)
        return complain(e, g, index, id, "a gradient has two accumulating ops (R4)");
    return true;
}

bool graph_check(const graph *g, error *e) {
    const span spans[] = {g->begin, g->shard_begin, g->micro, g->shard_end, g->finish, g->eval, g->sample, g->next};
    int *written = xcalloc((size_t)g->n_tensors, sizeof *written), *adds = xcalloc((size_t)g->n_tensors, sizeof *adds);
    bool good = true;
    int covered = 0;
    for (int s = 0; s < (int)(sizeof spans / sizeof *spans) && good; s++) {
        if (spans[s].first < 0 || spans[s].end > g->n_ops || spans[s].first > spans[s].end) {
            fail(e, FAILED, "graph: span %d is [%d, %d) of %d ops", s, spans[s].first, spans[s].end, g->n_ops);
            good = false;
        }
        for (int i = spans[s].first; i < spans[s].end && good; i++, covered++) {
            for (int a = 0; a < op_describe(g->ops[i].code)->arguments && good; a++)
                good = check_argument(g, i, a, s, written, adds, e);
            good = good && check_shapes(g, i, e);
        }
    }
    if (good && covered != g->n_ops) {
        fail(e, FAILED, "graph: spans cover %d of %d ops", covered, g->n_ops);
        good = false;
    }
    free(written);
    free(adds);
    return good;
}

/* ---- printing ---- */

static void dump_span(const graph *g, const char *name, span s, FILE *f) {
    if (s.first == s.end) return;
    fprintf(f, "%s:\n", name);
    for (int i = s.first; i < s.end; i++) {
        const op *o = &g->ops[i];
        const op_info *info = op_describe(o->code);
        fprintf(f, "%5d  %-13s", i, info->name);
        for (int a = 0; a < info->arguments; a++) {
            char text[64] = "-";
            if (o->arg[a]) tensor_print(&g->tensors[o->arg[a]], text, sizeof text);
            fprintf(f, " %c:%s", info->access[a], text);
        }
        if (o->scratch) fprintf(f, " scratch:%llu", (unsigned long long)tensor_bytes(&g->tensors[o->scratch], 4));
        fputc('\n', f);
    }
}

void graph_dump(const graph *g, size_t real_bytes, FILE *f) {
    fprintf(f, "tensors:\n");
    for (int i = 1; i < g->n_tensors; i++) {
        const tensor *t = &g->tensors[i];
        char text[64], shape[96] = "";
        for (int d = 0; d < t->rank; d++)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", d ? "," : "", (long long)t->dim[d]);
        bool bf16 = t->type == TYPE_BF16 || t->type == TYPE_BF16_AS_REAL;
        fprintf(f, "%5d  %-16s %-8s %-24s [%s] %llu%s\n", i, tensor_print(t, text, sizeof text), role_names[t->role],
                kind_names[t->kind], shape, (unsigned long long)tensor_bytes(t, real_bytes), bf16 ? " bf16" : "");
    }
    dump_span(g, "begin (once a step)", g->begin, f);
    dump_span(g, "shard_begin (once a shard)", g->shard_begin, f);
    dump_span(g, "micro (once a micro-batch)", g->micro, f);
    dump_span(g, "shard_end (once a shard)", g->shard_end, f);
    dump_span(g, "finish (once a step)", g->finish, f);
    dump_span(g, "eval", g->eval, f);
    dump_span(g, "sample", g->sample, f);
    dump_span(g, "next (one position more)", g->next, f);
}
