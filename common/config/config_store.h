/* config_store.h: inside of config: storing one value that was read. Not for other modules. */
#ifndef SNUG_CONFIG_STORE_H
#define SNUG_CONFIG_STORE_H

#include "config/config_value.h"

/* Stores v as the option's value and r's place as where it was given. BAD_INPUT: it is of another type, or out of the
   option's limits. */
status config_store(config *c, option_id id, const value *v, const reader *r);
/* Is this a key of nanoGPT's that means nothing here? config_ignore remembers that it was given. */
bool config_is_ignored(const char *name);
void config_ignore(config *c, const char *name);
/* BAD_INPUT: there is no such option; the message guesses which one was meant. */
status config_unknown(const reader *r, const char *name, size_t bytes);

#endif
