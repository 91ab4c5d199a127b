/* config.c: the option table, and a config's defaults and end. config_parse.c reads command lines, config_file.c
   files, config_store.c puts one value into its place, and config_show.c makes what people see. */
#include "config/config.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define DECIDES_BITS true
#define DECIDES_FREE false
#define LIMITS_INT(a, b) .low = a, .high = b
#define LIMITS_REAL(a, b) .least = a, .most = b
#define LIMITS_BOOL(a, b) .low = a, .high = b
#define LIMITS_TEXT(a, b) .words = b
#define LIMITS_BYTES(a, b) .low = a, .high = b
#define X(kind, key, initial, a, b, in, by, decides, text)                                                             \
    [OPTION_##key] = {.name = &#key[#key[0] == '_'],                                                                   \
                      .type = OPTION_##kind,                                                                           \
                      .group = #in,                                                                                    \
                      .help = text,                                                                                    \
                      .readers = by,                                                                                   \
                      .decides_bits = DECIDES_##decides,                                                               \
                      .offset = offsetof(config, key),                                                                 \
                      LIMITS_##kind(a, b)},
const option_info option_table[OPTION_COUNT] = {OPTIONS(X)};
#undef X

option_id config_find(const char *name) {
    option_id id = 0;
    while (id < OPTION_COUNT && strcmp(option_table[id].name, name) != 0) id++;
    return id;
}

bool option_in_files(option_id id) { return id != OPTION__for; }

#define SET_INT(member, initial) member = initial
#define SET_REAL(member, initial) member = initial
#define SET_BOOL(member, initial) member = initial
#define SET_BYTES(member, initial) member = initial
#define SET_TEXT(member, initial) strcpy(member, initial)
void config_defaults(config *c) {
    *c = (config){0};
#define X(kind, key, initial, ...) SET_##kind(c->key, initial);
    OPTIONS(X)
#undef X
}

bool option_read_by(const option_info *o, const char *command) {
    size_t n = strlen(command);
    for (const char *at = o->readers; (at = strstr(at, command)) != NULL; at += n)
        if ((at == o->readers || at[-1] == ' ') && (!at[n] || at[n] == ' ')) return true;
    return false;
}

const char *option_wanted(const option_info *o) {
    static const char *const wanted[] = {[OPTION_INT] = "a whole number",
                                         [OPTION_REAL] = "a number",
                                         [OPTION_BOOL] = "True or False",
                                         [OPTION_TEXT] = "text in quotes",
                                         [OPTION_BYTES] = "a size in quotes, like '10.5GiB'"};
    return wanted[o->type];
}
