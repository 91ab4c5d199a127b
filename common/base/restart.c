/* restart.c: see restart.h. An environment variable tells the second start of the first: whose process it was, and what
   was set. Those that are left over from another process, of which this one may be a child, say nothing. */
#include "base/restart.h"
#include "base/status.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define MARK "SNUG_RESTARTED" /* "PROCESS NAME NAME ": each name with a space before and behind it */

/* The names that the first start has set; NULL: this is no second start. */
static const char *names_set(void) {
    const char *mark = getenv(MARK);
    char *end;
    if (!mark || strtol(mark, &end, 10) != (long)getpid() || *end != ' ') return NULL;
    return end;
}

bool restart_has_set(const char *name) {
    const char *names = names_set();
    char *word = xprintf(" %s ", name);
    bool has = names && strstr(names, word);
    free(word);
    return has;
}

/* Not where valgrind watches, which does not follow; nor where the dynamic linker was started with the program's name,
   since then /proc/self/exe is the linker, which has none itself. */
static bool can_start(void) {
    const char *preloaded = getenv("LD_PRELOAD");
    return getauxval(AT_BASE) && !(preloaded && strstr(preloaded, "vgpreload"));
}

/* A program that went on without a setting would have other results than one that had the memory for it. */
static void set(const char *name, const char *value) {
    if (setenv(name, value, 1) != 0) out_of_memory(0);
}

void restart_with(char **argv, const setting *list, int n) {
    char path[PATH_MAX + 1], *names = xprintf("%ld ", (long)getpid());
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX); /* its own name, so that ps shows that */
    bool *ours = xcalloc((size_t)n, sizeof *ours), any = false;
    for (int i = 0; i < n; i++) {
        ours[i] = list[i].value && !getenv(list[i].name);
        if (!ours[i]) continue;
        char *more = xprintf("%s%s ", names, list[i].name);
        free(names);
        names = more;
        any = true;
    }
    if (any && length > 0 && !names_set() && can_start()) {
        path[length] = 0;
        set(MARK, names); /* first, since without it there would be no end */
        for (int i = 0; i < n; i++)
            if (ours[i]) set(list[i].name, list[i].value);
        execv(path, argv);
        for (int i = 0; i < n; i++)
            if (ours[i]) unsetenv(list[i].name);
        unsetenv(MARK);
    }
    free(names);
    free(ours);
}
