/* terminal.c: see terminal.h. */
#include "base/terminal.h"
#include "base/status.h"
#include "base/utf8.h"
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool is_utf8(void) {
    locale_t l = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (!l) return false;
    bool yes = !strcmp(nl_langinfo_l(CODESET, l), "UTF-8");
    freelocale(l);
    return yes;
}

terminal terminal_of(FILE *f) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool live = isatty(fileno(f)) && term && *term && strcmp(term, "dumb") != 0;
    return (terminal){.live = live, .color = live && !(no_color && *no_color), .utf8 = is_utf8()};
}

int terminal_columns(FILE *f) {
    struct winsize size;
    return ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* ---- text of others ---- */

void text_print_list(FILE *f, const char *format, va_list list) {
    char *text = xvprintf(format, list);
    utf8_clean(text, true);
    fputs(text, f);
    free(text);
}

void text_print(FILE *f, const char *format, ...) {
    va_list list;
    va_start(list, format);
    text_print_list(f, format, list);
    va_end(list);
}

text_stream text_stream_to(FILE *f) {
    int fd = fileno(f); /* memory streams have none */
    return (text_stream){.f = f, .escapes = fd >= 0 && isatty(fd)};
}

/* Could more bytes make a character of these n? */
static bool is_beginning(const char *s, size_t n) {
    unsigned char lead = (unsigned char)s[0];
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || n >= length) return false;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80) return false;
    return true;
}

/* Writes the first character of what is held, or its first byte where that begins none. */
static void put_first(text_stream *t) {
    uint32_t code = 0;
    size_t n = utf8_next(t->held, t->n_held, &code);
    if (n && !utf8_is_control(code))
        fwrite(t->held, 1, n, t->f);
    else if (n > 1)
        fprintf(t->f, "\\u%04x", (unsigned)code);
    else
        fprintf(t->f, "\\x%02x", (unsigned char)t->held[0]);
    if (!n) n = 1;
    t->n_held -= n;
    memmove(t->held, t->held + n, t->n_held);
}

void text_stream_put(text_stream *t, const char *text, size_t bytes) {
    if (!t->escapes) {
        fwrite(text, 1, bytes, t->f);
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        t->held[t->n_held++] = text[i];
        while (t->n_held && !is_beginning(t->held, t->n_held)) put_first(t);
    }
}

void text_stream_end(text_stream *t) {
    while (t->n_held) put_first(t);
}

/* ---- numbers ---- */

char *number_print(int64_t n, char text[32]) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int i = 0; i < length; i++) {
        if (i > (n < 0) && (length - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
    return text;
}

char *count_print(int64_t n, char text[16]) {
    double x = (double)n;
    if (x < 999.5)
        snprintf(text, 16, "%.0f", x);
    else if (x < 999500)
        snprintf(text, 16, "%.3gK", x / 1e3);
    else if (x < 999.5e6)
        snprintf(text, 16, "%.3gM", x / 1e6);
    else
        snprintf(text, 16, "%.0fM", x / 1e6);
    return text;
}

char *duration_print(double s, char text[32]) {
    if (s < 1)
        snprintf(text, 32, "%.3g ms", 1e3 * s);
    else if (s < 600)
        snprintf(text, 32, "%.3g s", s);
    else if (s < 36000)
        snprintf(text, 32, "%.1f min", s / 60);
    else
        snprintf(text, 32, "%.1f h", s / 3600);
    return text;
}

char *time_left_print(double seconds, char text[32]) {
    double s = ceil(seconds);
    if (s < 60)
        snprintf(text, 32, "%.0fs", s);
    else if (s < 3600)
        snprintf(text, 32, "%.0fm%02.0fs", floor(s / 60), fmod(s, 60));
    else if (s < 86400)
        snprintf(text, 32, "%.0fh%02.0fm", floor(s / 3600), floor(fmod(s, 3600) / 60));
    else
        snprintf(text, 32, "%.0fd%02.0fh", floor(s / 86400), floor(fmod(s, 86400) / 3600));
    return text;
}

double gib(uint64_t bytes) { return (double)bytes / (double)(1ull << 30); }
