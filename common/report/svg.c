/* svg.c: see svg.h. */
#include "report/svg.h"
#include "base/utf8.h"
#include <math.h>
#include <string.h>

static const char *escape_of(uint32_t code) {
    switch (code) {
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '&': return "&amp;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return (code < 32 && code != '\t' && code != '\n') || (code >= 127 && code < 160) ? "\xef\xbf\xbd" : NULL;
    }
}

void html_put(FILE *f, const char *text, size_t bytes) {
    for (size_t i = 0, n; i < bytes; i += n) {
        uint32_t code = 0;
        n = utf8_next(text + i, bytes - i, &code);
        const char *escape = n ? escape_of(code) : "\xef\xbf\xbd";
        if (!n) n = 1;
        if (escape)
            fputs(escape, f);
        else
            fwrite(text + i, 1, n, f);
    }
}

void html_print(FILE *f, const char *text) { html_put(f, text, strlen(text)); }

double nice_step(double range, int most) {
    if (!(range > 0) || !isfinite(range)) return 1;
    double power = pow(10, floor(log10(range / most)));
    static const double steps[] = {1, 2, 5, 10, 20};
    for (int i = 0; i < 4; i++)
        if (range / (steps[i] * power) <= most) return steps[i] * power;
    return steps[4] * power;
}

double nice_step_binary(double range, int most) {
    return range > 0 && isfinite(range) ? exp2(ceil(log2(range / most))) : 1;
}
