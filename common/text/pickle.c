/* pickle.c: a stack machine for the opcodes of Python's `pickle` that make plain values. See pickle.h. */
#include "text/pickle.h"
#include "base/files.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 16 << 20 }; /* bytes of a file; a vocabulary's takes some hundred thousand at most */

struct pickle {
    const char *path;
    char *bytes;
    size_t n_bytes, at;                                                /* at: of the next byte */
    pickle_value **all;                                                /* every value ever made, to be freed */
    pickle_value **stack;                                              /* NULL: a mark */
    pickle_value **memo;                                               /* by number; NULL: nothing */
    size_t n_all, n_stack, n_memo, all_room, stack_room, n_remembered; /* n_memo: the memo's length */
    error *e;
};

/* ---- the machine's parts ---- */

static void list_push(pickle_value ***list, size_t *n, size_t *room, pickle_value *v) {
    if (*n == *room) {
        *room = 2 * *room + 16;
        *list = xrealloc(*list, *room * sizeof **list);
    }
    (*list)[(*n)++] = v;
}

static status push(pickle *p, pickle_value *v) {
    list_push(&p->stack, &p->n_stack, &p->stack_room, v);
    return OK;
}

static pickle_value *make(pickle *p, pickle_kind kind) {
    pickle_value *v = xcalloc(1, sizeof *v);
    v->kind = kind;
    list_push(&p->all, &p->n_all, &p->all_room, v);
    return v;
}

static status damaged(pickle *p, const char *what) {
    return fail(p->e, BAD_INPUT, "%s is damaged at byte %zu: %s; make it again by nanoGPT's prepare.py", p->path, p->at,
                what);
}

/* The next n bytes as a number, little-endian. */
static status take_number(pickle *p, size_t n, uint64_t *value) {
    *value = 0;
    if (p->n_bytes - p->at < n) return damaged(p, "it ends within a number");
    for (size_t i = 0; i < n; i++) *value |= (uint64_t)(unsigned char)p->bytes[p->at + i] << 8 * i;
    p->at += n;
    return OK;
}

static status push_int(pickle *p, size_t n, bool is_signed) {
    uint64_t raw = 0;
    if (n > 8) return damaged(p, "it has a number of more than 64 bits");
    TRY(take_number(p, n, &raw));
    if (is_signed && n > 0 && n < 8 && raw >> (8 * n - 1)) raw |= UINT64_MAX << 8 * n;
    pickle_value *v = make(p, PICKLE_INT);
    v->number = (int64_t)raw;
    return push(p, v);
}

static status push_text(pickle *p, size_t length_bytes) {
    uint64_t n;
    TRY(take_number(p, length_bytes, &n));
    if (n > p->n_bytes - p->at) return damaged(p, "it ends within a text");
    pickle_value *v = make(p, PICKLE_TEXT);
    v->text = p->bytes + p->at;
    v->bytes = (size_t)n;
    p->at += (size_t)n;
    return push(p, v);
}

static status push_float(pickle *p) {
    uint64_t raw, turned = 0;
    TRY(take_number(p, 8, &raw)); /* the one number that is big-endian */
    for (int i = 0; i < 8; i++) turned = turned << 8 | (raw >> 8 * i & 255);
    pickle_value *v = make(p, PICKLE_FLOAT);
    memcpy(&v->real, &turned, 8);
    return push(p, v);
}

static status push_bool(pickle *p, bool value) {
    pickle_value *v = make(p, PICKLE_BOOL);
    v->number = value;
    return push(p, v);
}

/* The place on the stack of the last mark. */
static status find_mark(pickle *p, size_t *mark) {
    size_t i = p->n_stack;
    *mark = 0;
    while (i > 0 && p->stack[i - 1]) i--;
    if (i == 0) return damaged(p, "a list or dict has no beginning");
    *mark = i - 1;
    return OK;
}

/* Adds the stack's last n values to the list or dict below them, of which `below` says where it stands. */
static status add_items(pickle *p, size_t below, size_t first, pickle_kind kind) {
    size_t n = p->n_stack - first;
    pickle_value *to = below < p->n_stack ? p->stack[below] : NULL;
    if (!to || to->kind != kind || first > p->n_stack || (kind == PICKLE_DICT && n % 2))
        return damaged(p, "what is added does not fit what it is added to");
    for (size_t i = first; i < p->n_stack; i++) {
        if (!p->stack[i]) return damaged(p, "a mark stands where a value belongs");
        size_t used = kind == PICKLE_DICT ? 2 * to->n + (i - first) : to->n + (i - first);
        size_t after = used;
        list_push(&to->items, &after, &to->room, p->stack[i]);
    }
    to->n += kind == PICKLE_DICT ? n / 2 : n;
    return OK;
}

static status add_from_mark(pickle *p, pickle_kind kind) {
    size_t mark;
    TRY(find_mark(p, &mark));
    if (mark == 0) return damaged(p, "there is nothing to add to");
    TRY(add_items(p, mark - 1, mark + 1, kind));
    p->n_stack = mark;
    return OK;
}

static status add_last(pickle *p, size_t n, pickle_kind kind) {
    if (p->n_stack < n + 1) return damaged(p, "there is nothing to add to");
    TRY(add_items(p, p->n_stack - n - 1, p->n_stack - n, kind));
    p->n_stack -= n;
    return OK;
}

/* A tuple of the stack's values from `first` on takes their place, and that of the mark at `end`. It is read as a list.
 */
static status make_tuple(pickle *p, size_t first, size_t end) {
    if (first > p->n_stack) return damaged(p, "a tuple has too few values");
    pickle_value *v = make(p, PICKLE_LIST);
    for (size_t i = first; i < p->n_stack; i++) {
        if (!p->stack[i]) return damaged(p, "a mark stands where a value belongs");
        list_push(&v->items, &v->n, &v->room, p->stack[i]);
    }
    p->n_stack = end;
    return push(p, v);
}

/* ---- the memo ---- */

static status memo_put(pickle *p, size_t number) {
    if (p->n_stack == 0 || !p->stack[p->n_stack - 1]) return damaged(p, "there is nothing to remember");
    if (number >= p->n_bytes) return damaged(p, "more is remembered than the file can hold");
    if (number >= p->n_memo) {
        size_t room = 2 * number + 16;
        p->memo = xrealloc(p->memo, room * sizeof *p->memo);
        memset(p->memo + p->n_memo, 0, (room - p->n_memo) * sizeof *p->memo);
        p->n_memo = room;
    }
    p->memo[number] = p->stack[p->n_stack - 1];
    return OK;
}

static status memo_get(pickle *p, size_t length_bytes) {
    uint64_t number;
    TRY(take_number(p, length_bytes, &number));
    if (number >= p->n_memo || !p->memo[number]) return damaged(p, "it asks for something that it has not remembered");
    return push(p, p->memo[number]);
}

static status memo_put_numbered(pickle *p, size_t length_bytes) {
    uint64_t number;
    TRY(take_number(p, length_bytes, &number));
    return memo_put(p, (size_t)number);
}

/* ---- opcodes ---- */

static status refuse(pickle *p, unsigned code) {
    bool calls = code < 128 && code && strchr("cRbioQP", (int)code);
    if (calls || code == 0x81 || code == 0x92 || code == 0x93 || (code >= 0x82 && code <= 0x84))
        return fail(p->e, BAD_INPUT,
                    "%s asks at byte %zu (opcode 0x%02x) for something of Python's to be called, which is never done: "
                    "write it with vocab_size, stoi and itos alone, as nanoGPT does, or move it away",
                    p->path, p->at - 1, code);
    return fail(p->e, BAD_INPUT,
                "%s has at byte %zu (opcode 0x%02x) something else than dicts, lists, text and numbers: write it with "
                "vocab_size, stoi and itos alone, as nanoGPT does, or move it away",
                p->path, p->at - 1, code);
}

/* Those that make one value. */
static status run_value(pickle *p, unsigned code) {
    uint64_t n;
    switch (code) {
    case 'N': return push(p, make(p, PICKLE_NONE));
    case 0x88: return push_bool(p, true);
    case 0x89: return push_bool(p, false);
    case 'K': return push_int(p, 1, false);
    case 'M': return push_int(p, 2, false);
    case 'J': return push_int(p, 4, true);
    case 0x8a: TRY(take_number(p, 1, &n)); return push_int(p, (size_t)n, true);
    case 'G': return push_float(p);
    case 0x8c: return push_text(p, 1);
    case 'X': return push_text(p, 4);
    case 0x8d: return push_text(p, 8);
    case '}': return push(p, make(p, PICKLE_DICT));
    case ']':
    case ')': return push(p, make(p, PICKLE_LIST));
    default: return refuse(p, code);
    }
}

static status run_opcode(pickle *p, unsigned code) {
    uint64_t unused;
    size_t mark;
    switch (code) {
    case 0x95: return take_number(p, 8, &unused); /* how long a frame is: for readers of streams */
    case '(': return push(p, NULL);
    case 's': return add_last(p, 2, PICKLE_DICT);
    case 'u': return add_from_mark(p, PICKLE_DICT);
    case 'a': return add_last(p, 1, PICKLE_LIST);
    case 'e': return add_from_mark(p, PICKLE_LIST);
    case 0x85:
    case 0x86:
    case 0x87: {
        size_t n = code - 0x84;
        return make_tuple(p, p->n_stack < n ? p->n_stack + 1 : p->n_stack - n, p->n_stack < n ? 0 : p->n_stack - n);
    }
    case 't': TRY(find_mark(p, &mark)); return make_tuple(p, mark + 1, mark);
    case 0x94: return memo_put(p, p->n_remembered++);
    case 'q': return memo_put_numbered(p, 1);
    case 'r': return memo_put_numbered(p, 4);
    case 'h': return memo_get(p, 1);
    case 'j': return memo_get(p, 4);
    default: return run_value(p, code);
    }
}

static status run(pickle *p, const pickle_value **root) {
    uint64_t protocol;
    if (p->n_bytes < 2 || (unsigned char)p->bytes[0] != 0x80)
        return fail(p->e, BAD_INPUT,
                    "%s is no Python pickle of protocol 2 or newer; make it again by nanoGPT's prepare.py", p->path);
    p->at = 1;
    TRY(take_number(p, 1, &protocol));
    if (protocol < 2 || protocol > 5)
        return fail(p->e, BAD_INPUT, "%s is a Python pickle of protocol %d; 2 to 5 are read", p->path, (int)protocol);
    while (p->at < p->n_bytes) {
        unsigned code = (unsigned char)p->bytes[p->at++];
        if (code == '.') {
            if (p->n_stack != 1 || !p->stack[0]) return damaged(p, "it ends, but not with one value");
            *root = p->stack[0];
            return OK;
        }
        TRY(run_opcode(p, code));
    }
    return damaged(p, "it has no end");
}

status pickle_open(const char *path, pickle **opened, const pickle_value **root, error *e) {
    pickle *p = xcalloc(1, sizeof *p);
    p->path = path;
    p->e = e;
    *opened = NULL;
    status s = file_read(path, LARGEST, &p->bytes, &p->n_bytes, e);
    if (s == OK) s = run(p, root);
    if (s == OK)
        *opened = p;
    else
        pickle_close(p);
    return s;
}

void pickle_close(pickle *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n_all; i++) {
        free(p->all[i]->items);
        free(p->all[i]);
    }
    free(p->all);
    free(p->stack);
    free(p->memo);
    free(p->bytes);
    free(p);
}

const pickle_value *pickle_get(const pickle_value *d, const char *key) {
    const pickle_value *found = NULL;
    for (size_t i = 0; d && d->kind == PICKLE_DICT && i < d->n; i++) {
        const pickle_value *k = d->items[2 * i];
        if (k->kind == PICKLE_TEXT && k->bytes == strlen(key) && !memcmp(k->text, key, k->bytes))
            found = d->items[2 * i + 1];
    }
    return found;
}
