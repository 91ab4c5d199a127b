/* terminal.c: see terminal.h. */
#include "base/terminal.h"
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
