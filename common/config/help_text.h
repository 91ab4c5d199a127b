/* help_text.h: the words that help.c and help_man.c print: groups of options, and what each command does. Not
   for other modules. */
#ifndef SNUG_HELP_TEXT_H
#define SNUG_HELP_TEXT_H

#include "config/config.h"
#include <stddef.h>

typedef struct {
    const char *group, *title;
} help_group;
extern const help_group help_groups[];
extern const int help_n_groups;

typedef struct {
    const char *command;
    const char *details, *example;
} help_text;
/* What is written about a command; NULL when there is nothing. */
const help_text *help_text_of(const char *command);
/* What there is to say about an option beyond its line, at most five lines; NULL when there is nothing. */
const char *help_of_option(option_id id);
/* Does the command read any option? */
bool help_reads_any(const char *command);
/* " (1..1024)", " (random|sequential)" or "". */
char *help_limits(const option_info *o, char *text, size_t size);

#endif
