/* restart.h: some libraries read their settings from the environment before main. So a program that wants others than
   theirs sets them and starts again, in the same process: once. */
#ifndef SNUG_RESTART_H
#define SNUG_RESTART_H

#include <stdbool.h>

typedef struct {
    const char *name, *value; /* of the environment; NULL: left as it is */
} setting;

/* Sets those that are not set, as far as any are, and starts this program again with the same arguments; does not
   return then. Returns, with the environment as it was: nothing is to be set; this is the second start already; or the
   program can't be started again as it was started, or would get away from what watches it. Call it while no file is
   open and no thread runs. */
void restart_with(char **argv, const setting *list, int n);

/* Is the setting one that restart_with has made in this process? It is nobody's choice then. */
bool restart_has_set(const char *name);

#endif
