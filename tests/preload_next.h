/* preload_next.h: for what stands before a library's functions, preloaded or in a test: the functions behind it. */
#ifndef SNUG_TEST_PRELOAD_NEXT_H
#define SNUG_TEST_PRELOAD_NEXT_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *next_of(const char *name) {
    void *f = dlsym(RTLD_NEXT, name);
    if (f) return f;
    fprintf(stderr, "preloaded: no %s behind it\n", name);
    abort();
}

/* `real`: the function of the same name in the next library, with its type. */
#define NEXT(function)                                                                                                 \
    static __typeof__(&function) real;                                                                                 \
    if (!real) *(void **)&real = next_of(#function)

#endif
