/* config_show.c: a config as text: the echo of a run, and sizes in bytes from and to what people write. */
#include "base/terminal.h"
#include "config/config.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- values as config lines ---- */

static void show_text(const char *s, char *to) {
    *to++ = '\'';
    for (; *s; s++) {
        const char *letter = strchr("\nn\tt\rr\\\\''", *s);
        if (*s == '\n' || *s == '\t' || *s == '\r' || *s == '\\' || *s == '\'')
            *to++ = '\\', *to++ = letter[1];
        else if (iscntrl((unsigned char)*s))
            to += sprintf(to, "\\x%02x", (unsigned char)*s);
        else
            *to++ = *s;
    }
    *to++ = '\'';
    *to = 0;
}

/* The shortest decimal that reads back as the same double. */
static void show_real(double x, char *to) {
    int digits = 1;
    do snprintf(to, VALUE_TEXT_MAX, "%.*g", digits, x);
    while (strtod(to, NULL) != x && digits++ < 17);
}

char *config_value(const config *c, option_id id, char text[VALUE_TEXT_MAX]) {
    const void *from = (const char *)c + option_table[id].offset;
    switch (option_table[id].type) {
    case OPTION_INT: sprintf(text, "%" PRId64, *(const int64_t *)from); break;
    case OPTION_REAL: show_real(*(const double *)from, text); break;
    case OPTION_BOOL: strcpy(text, *(const bool *)from ? "True" : "False"); break;
    case OPTION_TEXT: show_text(from, text); break;
    case OPTION_BYTES: {
        char size[32];
        if (*(const uint64_t *)from)
            sprintf(text, "'%s'", config_cap_print(c, size, sizeof size));
        else
            strcpy(text, "0");
    }
    }
    return text;
}

void config_print(const config *c, FILE *f) {
    config initial;
    config_defaults(&initial);
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        char now[VALUE_TEXT_MAX], usual[VALUE_TEXT_MAX];
        config_value(c, id, now);
        if (!option_in_files(id) || strcmp(now, config_value(&initial, id, usual)) == 0) continue;
        text_print(f, "%s = %s", option_table[id].name, now);
        if (option_table[id].type == OPTION_BYTES) { /* both units: 12GB and 12GiB are easily taken for each other */
            char size[32], sold[32];
            uint64_t bytes = *(const uint64_t *)(const void *)((const char *)c + option_table[id].offset);
            fprintf(f, "  # %s, %s", bytes_print(bytes, size, sizeof size),
                    bytes_print_decimal(bytes, sold, sizeof sold));
        }
        fputc('\n', f);
    }
}

/* ---- bytes ---- */

/* floor(0.d1d2d3... * unit), exactly: from the last digit to the first, rounding down at each loses nothing, since
   floor((n + x) / 10) = floor((n + floor(x)) / 10) for an integer n. */
static uint64_t fraction_of(const char *digits, size_t n, uint64_t unit) {
    uint64_t sum = 0;
    while (n-- > 0) sum = (sum + (uint64_t)(digits[n] - '0') * unit) / 10;
    return sum;
}

status config_bytes(const char *text, uint64_t *bytes, error *e) {
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"B", 1},           {"kB", 1000},        {"MB", 1000000},
                 {"GB", 1000000000}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20},
                 {"GiB", 1ull << 30}};
    const char *digits = text + strspn(text, " "), *at = digits;
    char shown[41];
    snprintf(shown, sizeof shown, "%s", text);
    uint64_t whole = 0, unit = 0, sum;
    bool overflow = false;
    for (; isdigit((unsigned char)*at); at++)
        overflow = overflow || __builtin_mul_overflow(whole, 10, &whole) ||
                   __builtin_add_overflow(whole, (uint64_t)(*at - '0'), &whole);
    const char *fraction = *at == '.' ? at + 1 : at;
    size_t fraction_digits = strspn(fraction, "0123456789");
    if (at == digits && !fraction_digits)
        return fail(e, BAD_INPUT, "'%s' is not a size: write a number and a unit, like 10.5GiB or 12GB", shown);
    at = fraction + fraction_digits;
    bool zero = digits + strspn(digits, "0.") >= at;
    at += strspn(at, " ");
    *bytes = 0;
    if (zero && !*at) return OK;
    if (!*at)
        return fail(e, BAD_INPUT, "'%s' has no unit: write %.20sGiB (2^30 bytes each) or %.20sGB (10^9)", shown, digits,
                    digits);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcasecmp(at, units[i].name) == 0) unit = units[i].bytes;
    if (!unit)
        return fail(e, BAD_INPUT, "'%s' has an unknown unit: write B, kB, MB, GB (1000), or KiB, MiB, GiB (1024)",
                    shown);
    if (overflow || __builtin_mul_overflow(whole, unit, &sum) ||
        __builtin_add_overflow(sum, fraction_of(fraction, fraction_digits, unit), &sum))
        return fail(e, BAD_INPUT, "'%s' is past 2^64 bytes: write a size that a device can have", shown);
    if (!sum && !zero) return fail(e, BAD_INPUT, "'%s' is less than a byte: write a larger size, or 0 for none", shown);
    *bytes = sum;
    return OK;
}

char *config_cap_print(const config *c, char *text, unsigned long size) {
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"GiB", 0x1p30}, {"GB", 1e9}, {"MiB", 0x1p20}, {"MB", 1e6}, {"KiB", 0x1p10}, {"kB", 1e3}};
    enum { UNITS = sizeof units / sizeof *units, DECIMALS = 3 };
    uint64_t bytes = c->vram_cap, back;
    snprintf(text, size, "%s", c->vram_cap_text);
    if (*text && config_bytes(text, &back, NULL) == OK && back == bytes) return text;
    for (int i = 0; i < DECIMALS * UNITS; i++) {
        snprintf(text, size, "%.*f%s", i / UNITS, (double)bytes / units[i % UNITS].bytes, units[i % UNITS].name);
        if (config_bytes(text, &back, NULL) == OK && back == bytes) return text;
    }
    snprintf(text, size, "%" PRIu64 "B", bytes);
    return text;
}

char *bytes_print(uint64_t bytes, char *text, unsigned long size) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double scaled = (double)bytes / 1024;
    int u = 0;
    while (scaled >= 1023.995 && u < 5) scaled /= 1024, u++; /* from 1023.995 on it would print as 1024.00 */
    if (bytes < 1024)
        snprintf(text, size, "%d B", (int)bytes);
    else
        snprintf(text, size, "%.2f %s", scaled, units[u]);
    return text;
}

char *bytes_print_decimal(uint64_t bytes, char *text, unsigned long size) {
    const char *const units[] = {"kB", "MB", "GB"};
    double scaled = (double)bytes / 1000;
    int u = 0;
    while (scaled >= 999.995 && u < 2) scaled /= 1000, u++;
    snprintf(text, size, "%.2f %s", scaled, units[u]);
    return text;
}
