/* checkpoint_extras.c: see checkpoint_extras.h. */
#include "save/checkpoint_extras.h"
#include "base/files.h"
#include "base/json_value.h"
#include <stdlib.h>

static status read_generation(const char *folder, checkpoint_extras *x, error *e) {
    char *path = xprintf("%s/generation_config.json", folder);
    status s = OK;
    if (file_exists(path)) s = file_read(path, 1 << 20, &x->generation, &x->generation_bytes, e);
    free(path);
    return s;
}

status checkpoint_extras_read(const char *folder, checkpoint_extras *x, error *e) {
    char *path = xprintf("%s/config.json", folder);
    *x = (checkpoint_extras){0};
    status s = json_read_object(path, &x->config, e);
    free(path);
    return s == OK ? read_generation(folder, x, e) : s;
}

void checkpoint_extras_free(checkpoint_extras *x) {
    cJSON_Delete(x->config);
    free(x->generation);
    *x = (checkpoint_extras){0};
}

checkpoint_extras checkpoint_extras_new(int64_t id) {
    static const char *const keys[] = {"bos_token_id", "eos_token_id"};
    cJSON *config = cJSON_CreateObject();
    for (int i = 0; i < 2; i++)
        cJSON_AddItemToObject(config, keys[i], id < 0 ? cJSON_CreateNull() : cJSON_CreateNumber((double)id));
    return (checkpoint_extras){.config = config};
}
