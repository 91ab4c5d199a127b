/* help.h: `snug help`, `snug help COMMAND`, `snug help OPTION` and the man page, all from the table of commands and the
   option table of config.h. */
#ifndef SNUG_HELP_H
#define SNUG_HELP_H

#include "config/config.h"

typedef struct {
    const char *name, *arguments, *help; /* "plan", "[CONFIG.py]", one line */
    int words;                           /* arguments without -- that it takes; -1: any number */
    status (*run)(const config *, error *);
    bool computes; /* with all threads, for more than a moment */
} command;

/* topic NULL: all commands and all options; a command or an option: what there is to know about it; "man": the man page
   (docs/snug.1 is this). BAD_INPUT: none of these. */
status help_print(FILE *f, const command *commands, int n, const char *topic, error *e);

/* The options, by group, in lines of at most 100 columns: those that `command` reads, or all of them (NULL). */
void help_options(FILE *f, const char *command);
/* The man page, in roff. */
void help_man(FILE *f, const command *commands, int n);

#endif
