/* config.c: the option table, and a config's defaults and end. config_parse.c reads command lines, config_file.c files,
   config_value.c one value, config_store.c puts it into its place, and config_show.c makes what people see. */
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
    [OPTION_##key] = {.name = #key,                                                                                    \
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

void config_free(config *c) {
    for (int i = 0; i < OPTION_COUNT; i++) free(c->given[i]);
    for (int i = 0; i < c->n_positional; i++) free(c->positional[i]);
    for (int i = 0; i < c->n_notes; i++) free(c->notes[i]);
    for (size_t i = 0; i < sizeof c->ignored / sizeof *c->ignored; i++) free(c->ignored[i]);
    free(c->positional);
    free(c->config_file);
    *c = (config){0};
}
