/* progress.c: see progress.h. */
#include "base/progress.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

progress progress_new(FILE *f) {
    terminal t = terminal_of(f);
    return (progress){.part = NAN,
                      .loss = NAN,
                      .ms = NAN,
                      .tokens_per_s = NAN,
                      .ends = NAN,
                      .f = f,
                      .t = t,
                      .every = t.live ? 0.1 : 60,
                      .shown = seconds_now()};
}

/* ---- the line as text ---- */

/* What the line says, from everything in full words to the least: the narrower the window, the further down. */
typedef enum { SPELLED_OUT, SHORT, NO_LABEL, NO_MS, NO_SPEED, NO_MEMORY_BAR, BARE, LEVELS } level;
enum { BAR_MIN = 3, BAR_MAX = 24, ROOM = 256 };

typedef struct {
    char before[ROOM], after[ROOM]; /* the bar; ASCII, so that bytes are columns */
    int bar;                        /* columns of the bar; 0: none */
} line;

static void add(char *to, const char *gap, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add(char *to, const char *gap, const char *format, ...) {
    size_t at = strlen(to);
    if (at) at += (size_t)snprintf(to + at, ROOM - at, "%s", gap);
    va_list list;
    va_start(list, format);
    vsnprintf(to + at, ROOM - at, format, list);
    va_end(list);
}

static void add_number(char *to, const char *gap, double value, const char *unit, bool grouped) {
    char text[32];
    if (!isfinite(value)) return;
    if (value < 10)
        add(to, gap, "%.2g %s", value, unit);
    else if (grouped)
        add(to, gap, "%s %s", number_print(llround(fmin(value, 1e15)), text), unit);
    else
        add(to, gap, "%.0f %s", value, unit);
}

static line compose(const progress *p, level l) {
    line to = {"", "", 0};
    bool spelled = l == SPELLED_OUT;
    const char *gap = spelled ? "  " : " ";
    char text[32], most[32];
    if (p->doing) add(to.before, gap, "%s", p->doing);
    if (p->of && spelled)
        add(to.before, " ", "%s/%s", number_print(p->done, text), number_print(p->of, most));
    else if (p->of)
        add(to.before, " ", "%lld/%lld", (long long)p->done, (long long)p->of);
    else if (p->done)
        add(to.before, " ", "%s", number_print(p->done, text));
    if (isfinite(p->part)) add(to.before, gap, "%2.0f%%", floor(100 * fmin(fmax(p->part, 0), 1)));
    if (l < BARE && isfinite(p->loss)) add(to.before, gap, "loss %.4f", p->loss);
    if (l < NO_SPEED) add_number(to.before, gap, p->tokens_per_s, spelled ? "tokens/s" : "tok/s", spelled);
    if (l < NO_MS && (spelled || p->ms < 1e4))
        add_number(to.before, gap, p->ms, "ms", spelled);
    else if (l < NO_MS && isfinite(p->ms))
        add(to.before, gap, "%.1f s", p->ms / 1e3);
    if (l < NO_MEMORY_BAR && p->cap) {
        if (l < NO_LABEL && p->memory) add(to.before, gap, "%s", p->memory);
        bool small = p->cap < 1ull << 30;
        double unit = small ? 1ull << 20 : 1ull << 30, used = (double)p->used, cap = (double)p->cap / unit;
        const char *name = small ? "MiB" : "GiB";
        if (spelled && !small && used < unit / 10)
            add(to.after, gap, "%.2f MiB of %.2f %s", used / (1 << 20), cap, name);
        else
            add(to.after, gap, spelled ? "%.2f of %.2f %s" : "%.3g/%.3g%s", used / unit, cap, name);
        to.bar = BAR_MIN;
    }
    double left = p->ends - seconds_now();
    if (isfinite(left)) add(to.after, gap, "%s left", time_left_print(fmax(left, 0), text));
    return to;
}

static int columns_of(const line *l, int gaps) {
    int n = (int)(strlen(l->before) + strlen(l->after)) + l->bar;
    return n + (*l->before && (l->bar || *l->after) ? gaps : 0) + (l->bar && *l->after ? 1 : 0);
}

/* The fullest line that fits; the bar takes what is left. */
static line fit_line(const progress *p, int columns, int *gaps) {
    line best = {"", "", 0};
    for (level l = SPELLED_OUT; l < LEVELS; l++) {
        best = compose(p, l);
        *gaps = l == SPELLED_OUT && !best.bar ? 2 : 1;
        int room = columns - 1 - columns_of(&best, *gaps);
        if (room < 0) continue;
        room = room > 2 ? room - 2 : 0; /* the ^C that a terminal echoes should not break the line */
        if (best.bar) best.bar += room < BAR_MAX - BAR_MIN ? room : BAR_MAX - BAR_MIN;
        return best;
    }
    best.after[0] = 0; /* even the least does not fit: as much of its beginning as there is room for */
    best.before[columns > 1 ? columns - 1 : 0] = 0;
    return best;
}

static size_t put_bar(const progress *p, int columns, char *to) {
    int full = p->used < p->cap ? (int)((double)p->used / (double)p->cap * columns + 0.5) : columns;
    size_t at = 0;
    for (int i = 0; i < columns; i++) {
        const char *mark = p->t.utf8 ? (i < full ? "\xe2\x96\x88" : "\xe2\x96\x91") : i < full ? "#" : "-";
        at += (size_t)sprintf(to + at, "%s", mark);
    }
    return at;
}

/* Writes the line; *from and *to enclose the bytes of its bar. Returns its columns. */
static int put_line(const progress *p, int columns, char *text, size_t *from, size_t *to) {
    int gaps;
    line l = fit_line(p, columns, &gaps);
    size_t at = (size_t)sprintf(text, "%s%*s", l.before, *l.before && (l.bar || *l.after) ? gaps : 0, "");
    *from = *to = at;
    if (l.bar) *to = at += put_bar(p, l.bar, text + at);
    sprintf(text + at, "%s%s", l.bar && *l.after ? " " : "", l.after);
    return columns_of(&l, gaps);
}

char *progress_text(const progress *p, int columns, char text[PROGRESS_TEXT]) {
    size_t from, to;
    put_line(p, columns, text, &from, &to);
    return text;
}

/* ---- on the screen ---- */

/* A job in the background would write over the shell's line. */
static bool in_foreground(const progress *p) {
    pid_t group = tcgetpgrp(fileno(p->f));
    return group < 0 || group == getpgrp();
}

static void erase(progress *p) {
    if (!p->drawn) return;
    /* A window that was made narrower wraps the line that stands there, so that several rows have to be cleared. */
    int rows = (p->drawn - 1) / terminal_columns(p->f);
    if (rows) fprintf(p->f, "\033[%dA", rows);
    fputs("\r\033[J", p->f);
    p->drawn = 0;
}

static void draw(progress *p) {
    char text[PROGRESS_TEXT];
    size_t from, to;
    if (!in_foreground(p)) {
        p->drawn = 0;
        return;
    }
    int columns = put_line(p, terminal_columns(p->f), text, &from, &to);
    erase(p);
    p->drawn = columns;
    fprintf(p->f, p->t.color ? "%.*s\033[32m%.*s\033[0m%s" : "%.*s%.*s%s", (int)from, text, (int)(to - from),
            text + from, text + to);
    fflush(p->f);
}

static void print_plain(progress *p) {
    line l = compose(p, SPELLED_OUT);
    fprintf(p->f, "%s%s%s\n", l.before, *l.before && *l.after ? "  " : "", l.after);
    fflush(p->f);
}

void progress_show(progress *p) {
    double now = seconds_now();
    if (now - p->shown < p->every) return;
    p->shown = now;
    if (p->t.live)
        draw(p);
    else
        print_plain(p);
}

void progress_doing(progress *p, const char *doing, int64_t done, int64_t of) {
    bool other = !p->doing || strcmp(p->doing, doing) != 0;
    p->doing = doing;
    p->done = done;
    p->of = of;
    p->part = of ? 0 : NAN;
    if (other && p->t.live) p->shown = 0;
    progress_show(p);
}

void progress_clear(progress *p) {
    erase(p);
    fflush(p->f);
    p->shown = seconds_now();
}

void progress_print(progress *p, const char *format, ...) {
    bool was_there = p->drawn;
    erase(p);
    va_list list;
    va_start(list, format);
    text_print_list(p->f, format, list);
    va_end(list);
    if (was_there) draw(p);
    fflush(p->f);
    if (!p->t.live) p->shown = seconds_now();
}

void progress_part(void *context, double part) {
    progress *p = context;
    p->part = part;
    progress_show(p);
}
