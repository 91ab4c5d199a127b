/* status.c: see status.h. */
#include "base/status.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

status fail(error *e, status s, const char *format, ...) {
    if (!e) return s;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(e->text, sizeof e->text, format, arguments);
    va_end(arguments);
    utf8_clean(e->text, strchr(format, '\n') != NULL); /* as only the one that shows a kernel compiler's log has */
    return s;
}

void out_of_memory(unsigned long bytes) {
    char line[128];
    int n = bytes ? snprintf(line, sizeof line, "snug: out of host memory: the system refused %lu bytes\n", bytes)
                  : snprintf(line, sizeof line, "snug: out of host memory\n");
    fflush(stdout);
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)n);
    (void)ignored;
    _exit(1);
}

static void *or_die(void *p, unsigned long bytes) {
    if (!p) out_of_memory(bytes);
    return p;
}

void *xmalloc(unsigned long bytes) { return or_die(malloc(bytes ? bytes : 1), bytes); }
void *xcalloc(unsigned long count, unsigned long size) {
    return or_die(calloc(count ? count : 1, size ? size : 1), count * size);
}
void *xrealloc(void *p, unsigned long size) { return or_die(realloc(p, size ? size : 1), size); }
char *xstrdup(const char *s) { return strcpy(xcalloc(strlen(s) + 1, 1), s); }

void *xfound(void *p) {
    if (!p && errno == ENOMEM) out_of_memory(0);
    return p;
}

char *xvprintf(const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *s = xcalloc((unsigned long)n + 1, 1);
    vsnprintf(s, (unsigned long)n + 1, format, arguments);
    return s;
}

char *xprintf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *s = xvprintf(format, arguments);
    va_end(arguments);
    return s;
}
