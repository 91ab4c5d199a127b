/* config_names.h: inside of config: what the names in config files stand for. Not for other modules. */
#ifndef SNUG_CONFIG_NAMES_H
#define SNUG_CONFIG_NAMES_H

#include "config/config_value.h"

enum { NAMES_MAX = 1000 };

/* One name that a file has given a value. */
typedef struct {
    char *name, *source; /* source: the file */
    value *v;
    int line;
    bool fresh; /* given since names_take_fresh: a setting of that name is still to be stored */
    bool used;  /* something has read it */
} named_value;
struct names {
    named_value *list;
    int n;
    const config *c; /* for settings that no file has given a value */
};

/* Gives a name its value. False: there are NAMES_MAX names already. */
bool names_set(struct names *names, const char *name, const value *v, const char *source, int line);
/* Forgets what files said about a name: the command line has given it another value. */
void names_forget(struct names *names, const char *name);
/* What a name stands for: the value that a file gave it, a setting's, or the default of a key that nanoGPT has and snug
   does not. UNKNOWN where it stands for a module, and, as `wrong`, where it stands for nothing. */
value names_get(struct names *names, const char *name, int line);
void names_free(struct names *names);

/* Is this a key of nanoGPT's that means nothing here, such as wandb_log? */
bool name_is_skipped(const char *name);

#endif
