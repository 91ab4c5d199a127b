/* status.c: see status.h. */
#include "base/status.h"
#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

status fail(error *e, status s, const char *format, ...) {
    if (!e) return s;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(e->text, sizeof e->text, format, arguments);
    va_end(arguments);
    utf8_clean(e->text, strchr(format, '\n') != NULL); /* as only the one that shows a kernel compiler's log has */
    return s;
}

static void *or_die(void *p) {
    if (p) return p;
    fputs("snug: out of host memory\n", stderr);
    exit(1);
}

void *xcalloc(unsigned long count, unsigned long size) { return or_die(calloc(count ? count : 1, size ? size : 1)); }
void *xrealloc(void *p, unsigned long size) { return or_die(realloc(p, size ? size : 1)); }
char *xstrdup(const char *s) { return strcpy(xcalloc(strlen(s) + 1, 1), s); }

char *xprintf(const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    char *s = xcalloc((unsigned long)n + 1, 1);
    vsnprintf(s, (unsigned long)n + 1, format, again);
    va_end(again);
    va_end(arguments);
    return s;
}
