/* nearest.c: see nearest.h. */
#include "base/nearest.h"
#include "base/status.h"
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- words ---- */

static bool same(char a, char b) {
    if (a == '-') a = '_';
    if (b == '-') b = '_';
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static int least(int a, int b) { return a < b ? a : b; }

int nearest_distance(const char *a, const char *b) {
    enum { LONGEST = 255 };
    int rows[3][LONGEST + 1]; /* rows[i % 3][j]: from a's first i letters to b's first j */
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST) return INT_MAX;
    for (size_t j = 0; j <= m; j++) rows[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *now = rows[i % 3], *above = rows[(i - 1) % 3], *second = rows[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(above[j - 1] + !same(a[i - 1], b[j - 1]), least(above[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                now[j] = least(now[j], second[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void nearest_try(nearest *n, const char *word) {
    int trusted = (int)strlen(n->typed) / 3, d = nearest_distance(n->typed, word);
    if (d > (trusted > 1 ? trusted : 1) || (size_t)d >= strlen(n->typed)) return;
    if (!n->word || d < n->distance) n->word = word, n->distance = d;
}

/* ---- paths ---- */

static bool exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

/* Does `name` consist of `stem`, anything, and the suffix? As gpt2_1558m.py does of 1558M. */
static bool holds(const char *name, const char *stem, const char *suffix) {
    size_t n = strlen(name), m = strlen(stem), s = strlen(suffix);
    if (n < s + m || strcmp(name + n - s, suffix) != 0) return false;
    if (n == s + m) return strncasecmp(name, stem, m) == 0;
    for (size_t i = 0; m >= 4 && i + m + s <= n; i++)
        if (strncasecmp(name + i, stem, m) == 0) return true;
    return false;
}

/* The entry of `folder` that is nearest to `part`; the caller frees it. Of several equally near the first by name. */
static char *nearest_entry(const char *folder, const char *part, const char *suffix) {
    DIR *d = xfound(opendir(*folder ? folder : "."));
    char *best = NULL;
    int distance = INT_MAX;
    for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        nearest n = {.typed = part};
        char *stem = xstrdup(name); /* compared without its suffix, too: both may be mistyped and forgotten */
        size_t bytes = strlen(name), ending = suffix ? strlen(suffix) : 0;
        if (ending && bytes > ending && !strcmp(name + bytes - ending, suffix)) stem[bytes - ending] = 0;
        nearest_try(&n, name);
        nearest_try(&n, stem);
        int found = suffix && holds(name, part, suffix) ? 0 : n.word ? n.distance : INT_MAX;
        free(stem);
        if (found == INT_MAX || found > distance || (found == distance && strcmp(name, best) > 0)) continue;
        free(best);
        best = xstrdup(name);
        distance = found;
    }
    if (d) closedir(d);
    return best;
}

char *nearest_path(const char *path, const char *suffix) {
    if (!*path || exists(path)) return NULL;
    char *found = xstrdup(*path == '/' ? "/" : "");
    for (const char *at = path; *at;) {
        size_t n = strcspn(at, "/");
        char *part = xprintf("%.*s", (int)n, at), *next = xprintf("%s%s", found, part);
        bool last = !at[n + strspn(at + n, "/")];
        if (n && !exists(next)) {
            char *entry = nearest_entry(found, part, last ? suffix : NULL);
            free(next);
            next = entry ? xprintf("%s%s", found, entry) : NULL;
            free(entry);
        }
        free(part);
        free(found);
        if (!next) return NULL;
        found = last ? next : xprintf("%s/", *next == '/' && !next[1] ? "" : next);
        if (!last) free(next);
        at += n + strspn(at + n, "/");
    }
    if (exists(found)) return found;
    free(found);
    return NULL;
}
