/* plan_text.c: prints the report of `snug plan` as text: bars against the cap, the table of options, lines to type. */
#include "commands/plan_command.h"
#include "run/device.h"
#include "base/host.h"
#include "base/terminal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the terminal can show ---- */

typedef struct {
    FILE *f;
    bool color;
    const char *block; /* what bars are made of */
} screen;

static screen screen_of(FILE *f) {
    terminal t = terminal_of(f);
    return (screen){f, t.color, t.utf8 ? "\xe2\x96\x88" : "#"};
}

/* Persistent bytes blue, kept activations green, the rest of a pass yellow. */
static const char *color_of(tensor_kind k) {
    if (k <= KIND_BATCH) return "\033[34m";
    return k <= KIND_GELU ? "\033[32m" : "\033[33m";
}

static void paint(const screen *s, const char *color) {
    if (s->color) fputs(color, s->f);
}

/* ---- numbers ---- */

static char *split_print(const fit_request *r, int micro_batch, char *text, size_t size) {
    int64_t last = r->run.shards > 1 ? 0 : r->run.sequences % micro_batch;
    int n = snprintf(text, size, "%d x %lld", micro_batch, (long long)fit_parts(r, micro_batch));
    if (last) snprintf(text + n, size - (size_t)n, ", last %lld", (long long)last);
    return text;
}

typedef struct {
    double bytes;
    const char *name;
} unit;

/* The largest unit of which there is one at least in `bytes`: MiB or, for a table of large plans, GiB at most. */
static unit unit_of(uint64_t bytes, double largest) {
    const unit units[] = {{0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}};
    int u = 0;
    while (u < 2 && (units[u].bytes > largest || (double)bytes < units[u].bytes)) u++;
    return units[u];
}

/* ---- what was asked ---- */

static void print_head(const plan_report *p, FILE *f) {
    const gpt_shape *s = &p->request.shape;
    const gpt_run *r = &p->request.run;
    char parameters[16], sequences[32], tokens[32], cap[32], sold[32], block[32];
    fprintf(f, "model    %s parameters: %d layer%s, %d head%s, %d channels, %d positions\n",
            count_print(gpt_parameters(s), parameters), s->layers, s->layers == 1 ? "" : "s", s->heads,
            s->heads == 1 ? "" : "s", s->channels, s->positions);
    fprintf(f, "         vocabulary %lld (%s)\n", (long long)s->vocabulary, p->vocabulary_from);
    fprintf(f, "step     effective batch %s sequences of %d = %s tokens, %s\n", number_print(r->sequences, sequences),
            r->length, number_print(r->sequences * r->length, tokens),
            precision_table[p->request.type->precision].text);
    if (r->shards > 1) fprintf(f, "         in %d shards, each with a sum of gradients of its own\n", r->shards);
    fprintf(f, "device   planned for %s", p->request.type->planned_for);
    if (p->request.limits.max_block)
        fprintf(f, ": no allocation above %s", bytes_print(p->request.limits.max_block, block, sizeof block));
    fputc('\n', f);
    const char *assumed = p->request.type->assumed;
    if (assumed && *assumed) fprintf(f, "         %s\n", assumed);
    if (p->request.limits.cap)
        fprintf(f, "cap      %s = %s%s\n", bytes_print(p->request.limits.cap, cap, sizeof cap),
                bytes_print_decimal(p->request.limits.cap, sold, sizeof sold),
                p->config->vram_cap ? "" : ", this machine's memory less a reserve");
    else
        fprintf(f, "cap      none: give one, like --vram_cap=10.5GiB\n");
}

/* Cards are sold by a rounder number than they offer. */
static void print_card_note(const plan_report *p, FILE *f) {
    double cap = gib(p->request.limits.cap);
    if (p->request.type->kind == BACKEND_CPU || (cap && (cap <= 10.4 || cap > 12.01))) return;
    fprintf(f, "         A \"12 GB\" card offers about 11.7 GiB, about 10.4 GiB with a desktop on it.\n");
}

/* ---- bars ---- */

enum { BAR_WIDTH = 44 };

static int column_of(uint64_t bytes, uint64_t full) { return (int)((double)bytes / (double)full * BAR_WIDTH + 0.5); }

typedef struct {
    uint64_t full, cap; /* bytes of the whole width; of the line that marks the cap, 0 = none is drawn */
    unit in;
} bar_scale;

/* Each bar begins where the one above it ended. A line through all of them marks the cap; what is beyond it is red. */
static void print_bar(const screen *s, const bar_scale *z, const char *name, uint64_t bytes, uint64_t before,
                      const char *color) {
    int from = column_of(before, z->full), to = column_of(before + bytes, z->full),
        line = z->cap ? column_of(z->cap, z->full) : -1;
    if (to == from) from -= from == BAR_WIDTH, to = from + 1; /* one column at least, however few bytes it is */
    fprintf(s->f, "  %-24s%10.2f %s  ", name, (double)bytes / z->in.bytes, z->in.name);
    for (int i = 0; i < to || i <= line; i++) {
        if (i == line) fputc('|', s->f);
        if (i < from || i >= to) {
            if (i < line) fputc(' ', s->f);
            continue;
        }
        paint(s, line >= 0 && i >= line ? "\033[31m" : color);
        fputs(s->block, s->f);
        paint(s, "\033[0m");
    }
    fputc('\n', s->f);
}

static void print_verdict(const plan_report *p, const screen *s) {
    uint64_t cap = p->request.limits.cap, peak = p->asked.peak;
    char split[48], size[32], exact[32], policy[32], words[48];
    const int layers = p->request.shape.layers;
    recompute_print(p->asked.policy, p->asked.layers, layers, policy, sizeof policy);
    split_print(&p->request, p->asked_micro_batch, split, sizeof split);
    fprintf(s->f, "\nAs asked: micro-batch %s, recompute %s%s: %s", split, policy, p->request.policy ? "" : " (auto)",
            bytes_print(peak, size, sizeof size));
    fprintf(s->f, " = %s bytes\n", number_print((int64_t)peak, exact));
    if (p->asked.layers)
        fprintf(s->f, "%s: %s, the first ones; the others keep everything.\n", policy,
                recompute_say(p->asked.policy, p->asked.layers, layers, words, sizeof words));
    if (!cap) return;
    uint64_t difference = p->asked_fits ? cap - peak : peak - cap;
    paint(s, p->asked_fits ? "\033[1;32m" : "\033[1;31m");
    fputs(p->asked_fits ? "FITS" : "DOES NOT FIT", s->f);
    paint(s, "\033[0m");
    fprintf(s->f, ": %s %s, %s bytes\n", bytes_print(difference, size, sizeof size),
            p->asked_fits ? "are free" : "too much", number_print((int64_t)difference, exact));
    if (p->asked.offload)
        fprintf(s->f, "With %s in %s of the host's memory%s.\n", offload_table[p->asked.offload].text,
                bytes_print(p->asked.host, size, sizeof size),
                p->request.may_offload ? ", since it does not fit otherwise" : "");
    if (p->asked_fits && !p->asked.one_upload)
        fprintf(s->f, "Tokens go to the device at each micro-batch: those of a whole step would not fit.\n");
}

/* Where the cap is many times the peak, bars as long as their share of it would all be one block. */
static void print_bars(const plan_report *p, const screen *s) {
    enum { TOO_SMALL = 5, SMALL_PART = 10 }; /* so that what is a hundredth of it has two digits */
    uint64_t cap = p->request.limits.cap, peak = p->asked.peak, before = 0;
    bool alone = cap / TOO_SMALL >= peak;
    bar_scale z = {
        .full = cap > peak && !alone ? cap : peak, .cap = alone ? 0 : cap, .in = unit_of(peak / SMALL_PART, 1 << 20)};
    print_verdict(p, s);
    fprintf(s->f, "Alive at its peak (%s)%s:\n", p->peak_op,
            alone && cap ? "; the bars are shares of the peak, since the cap is far away" : "");
    for (int k = 0; k < KIND_COUNT; k++) {
        if (!p->alive[k]) continue;
        print_bar(s, &z, kind_names[k], p->alive[k], before, color_of((tensor_kind)k));
        before += p->alive[k];
    }
    if (p->gaps) print_bar(s, &z, "gaps between tensors", p->gaps, before, "");
    print_bar(s, &z, "all together", peak, 0, "\033[1m");
}

/* ---- the table ---- */

static const plan_row *base_row(const plan_report *p) {
    for (int i = 0; i < p->n_rows; i++)
        if (p->rows[i].base) return &p->rows[i];
    return &p->rows[0];
}

static void print_row(const plan_report *p, const plan_row *row, unit in, const screen *s) {
    const plan_row *base = base_row(p);
    char split[48], policy[32];
    int columns = fprintf(
        s->f, "%c %-16s%-10s", row->chosen ? '>' : ' ',
        split_print(&row->request, row->option.micro_batch, split, sizeof split),
        recompute_print(row->option.policy, row->option.layers, row->request.shape.layers, policy, sizeof policy));
    if (!row->known) {
        fprintf(s->f, "one tensor is larger than the largest allocation\n");
        return;
    }
    paint(s, row->fits ? "\033[32m" : "\033[31m");
    int longer = columns > 28 ? columns - 28 : 0; /* attention:11 leaves less room */
    fprintf(s->f, "%*.2f %s %-4s", 7 - longer, (double)row->option.peak / in.bytes, in.name, row->fits ? "" : "over");
    paint(s, "\033[0m");
    if (base->known && row != base)
        fprintf(s->f, "%7.2f", ((double)base->option.peak - (double)row->option.peak) / in.bytes);
    else
        fprintf(s->f, "%7s", "-");
    if (base->known)
        fprintf(s->f, "  x%.2f", row->option.seconds / base->option.seconds);
    else
        fprintf(s->f, "  %5s", "");
    fprintf(s->f, "  %s%s\n", row->training, row == p->rounding ? " (see below)" : "");
}

/* The rule by which fit_choose chose, and why it is the rule. */
static void print_rule(const plan_report *p, FILE *f) {
    const memory_limits *l = &p->request.limits;
    const char *reserve = l->cap_is_shared ? "half of the memory" : "a fifth of the cap";
    if (!p->fits)
        fprintf(f, "  > the smallest that was left to choose.\n");
    else if (p->request.micro_batch && p->request.policy)
        fprintf(f, "  > what you asked for: nothing was left to choose.\n");
    else if (fit_leaves_reserve(&p->request, p->chosen.peak))
        fprintf(
            f,
            "  > snug's choice: of all within %d %% of the fastest that fits, as no prediction is better than that,\n"
            "    the largest micro-batch with the least recomputation that leaves %s free: few\n"
            "    sequences at once use a device badly.\n",
            FIT_NOISE_PERCENT, reserve);
    else
        fprintf(
            f,
            "  > snug's choice: of all within %d %% of the fastest that fits, as no prediction is better than that,\n"
            "    the least memory, since %s%s%s.\n",
            FIT_NOISE_PERCENT, l->cap ? "none of them leaves " : "no cap was given", l->cap ? reserve : "",
            l->cap ? " free" : "");
    char policy[48];
    if (p->fits && !p->request.policy && p->chosen.layers)
        fprintf(f,
                "    Then %s, the first ones: the others keep everything, since that fits\n"
                "    as well and is faster.\n",
                recompute_say(p->chosen.policy, p->chosen.layers, p->request.shape.layers, policy, sizeof policy));
}

static void print_table(const plan_report *p, const screen *s) {
    const plan_row *base = base_row(p);
    uint64_t most = 0;
    char split[48], policy[32];
    for (int i = 0; i < p->n_rows; i++)
        if (p->rows[i].known && p->rows[i].option.peak > most) most = p->rows[i].option.peak;
    unit in = unit_of(most, 0x1p30);
    bool measured = p->request.cost.measured;
    fprintf(s->f, "\n  %-16s%-10s%11s     %7s  %-5s  %s\n", "micro x accum.", "recompute", "peak", "saved",
            measured ? "time" : "guess", "training");
    for (int i = 0; i < p->n_rows; i++) print_row(p, &p->rows[i], in, s);
    print_rule(p, s->f);
    if (base->known)
        fprintf(s->f, "  saved, in %s, and %s compare with %s, recompute %s.\n", in.name,
                measured ? "time, a step's," : "guess, a step's time,",
                split_print(&base->request, base->option.micro_batch, split, sizeof split),
                recompute_print(base->option.policy, base->option.layers, base->request.shape.layers, policy,
                                sizeof policy));
    if (base->known && !measured)
        fprintf(s->f, "  Guessed from stated constants: no device was measured yet, which `snug train` does once.\n");
    if (p->rounding)
        fprintf(s->f,
                "  The row with rounding has batch_invariant=False: the embedding's gradient needs no second copy;\n"
                "  what is lost: another split, or another cap, then gives other bits, so that hashes can't be "
                "compared.\n");
}

/* A warning and no more: the machine that trains may be another one. */
static void print_host(const plan_report *p, FILE *f) {
    uint64_t need = p->chosen.host, have = host_memory_free();
    char bytes[32], free_bytes[32], exact[32];
    if (!need) return;
    fprintf(f, "\nOn the host: %s = %s bytes, %s, there and back once a step.\n",
            bytes_print(need, bytes, sizeof bytes), number_print((int64_t)need, exact),
            offload_table[p->chosen.offload].text);
    if (need > have)
        fprintf(f, "This machine has too little: %s are free.\n", bytes_print(have, free_bytes, sizeof free_bytes));
}

/* ---- speed, and what to type ---- */

static void print_speed(const plan_report *p, FILE *f) {
    const plan_row *row = p->rounding ? p->rounding : &p->rows[0];
    char step[32], steps[32];
    int exponent = 15;
    while (exponent > 3 && row->option.flops < 0.9995 * pow(10, exponent)) exponent -= 3;
    fprintf(f, "\nOperations a step: %.3g x 10^%d.", row->option.flops / pow(10, exponent), exponent);
    if (p->request.cost.measured) {
        fprintf(f, " Predicted: %s a step, %s steps in 8 hours (from this\ndevice's measured constants%s).\n",
                duration_print(row->option.seconds, step),
                number_print((int64_t)(8 * 3600 / row->option.seconds), steps),
                p->request.cost.busy ? "; other programs ran then, so `snug train` will measure again" : "");
        return;
    }
    fprintf(f, " How long they take is known once a device was measured.\n");
}

static void print_lines(const plan_report *p, FILE *f) {
    if (!p->fits && !p->rounding) return;
    char *line = plan_command_line(p);
    text_print(f, "\n%s:\n  %s\n", p->fits ? "To run" : "To run, giving up equal bits", line);
    free(line);
}

void plan_text(const plan_report *p, FILE *f) {
    screen s = screen_of(f);
    print_head(p, f);
    print_card_note(p, f);
    if (p->asked_known)
        print_bars(p, &s);
    else
        fprintf(f, "\nAs asked, micro-batch %d, one tensor is larger than the device's largest allocation.\n",
                p->asked_micro_batch);
    print_table(p, &s);
    print_host(p, f);
    print_speed(p, f);
    print_lines(p, f);
    plan_nanogpt_short(&p->nanogpt, f);
}
