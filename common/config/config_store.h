/* config_store.h: inside of config: storing one value that was read. Not for other modules. */
#ifndef SNUG_CONFIG_STORE_H
#define SNUG_CONFIG_STORE_H

#include "config/config_token.h"
#include "config/config_value.h"

/* Stores v as the option's value and r's place as where it was given. BAD_INPUT: it is of another type, or out of the
   option's limits. */
status config_store(config *c, option_id id, const value *v, const reader *r);
/* Remembers that a key was given that means nothing here (name_is_skipped), for a note. is_off: its value is False. */
void config_ignore(config *c, const char *name, bool is_off);
/* The names that files have given values: made when there are none yet. */
struct names *config_names(config *c);
/* What is to be said once every argument has been read, of names in files and settings that the command does not read.
   BAD_INPUT: a name that nothing reads is close to a setting's. */
status config_command_notes(config *c, error *e);
/* Adds a line that is the config's from now on. */
void config_note(config *c, char *line);
/* A file near to the one that `word` may mean: beside it, and with a suffix also where configs usually lie. The caller
   frees it; NULL: none. */
char *config_near_file(const char *word, const char *suffix);
/* BAD_INPUT: there are more words among the arguments than the command takes (-1: any number), or one is a path that
   is not there and is near to one that is. */
status config_check_words(const config *c, int words, error *e);
/* BAD_INPUT: there is no such option; the message guesses which one was meant. */
status config_unknown(const reader *r, const char *name, size_t bytes);

#endif
