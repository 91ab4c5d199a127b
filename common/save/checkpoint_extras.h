/* checkpoint_extras.h: what a model's folder says that snug computes nothing with, and that comes out as it went in:
   the other keys of config.json, such as bos_token_id, and generation_config.json. */
#ifndef SNUG_CHECKPOINT_EXTRAS_H
#define SNUG_CHECKPOINT_EXTRAS_H

#include "base/status.h"
#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    cJSON *config;    /* NULL: nothing */
    char *generation; /* the text of generation_config.json; NULL: there is none */
    size_t generation_bytes;
} checkpoint_extras;

/* checkpoint_extras_free releases what x owns, also after a failure. */
status checkpoint_extras_read(const char *folder, checkpoint_extras *x, error *e);
/* Those of a new model whose texts end with token `id`, which is also what they begin with; -1: there is no such token.
 */
checkpoint_extras checkpoint_extras_new(int64_t id);
void checkpoint_extras_free(checkpoint_extras *x);

#endif
