/* json_value.c: see json_value.h. */
#include "base/json_value.h"
#include <math.h>
#include <string.h>

status json_read_object(const char *path, cJSON **object, error *e) {
    TRY(json_read(path, object, e));
    if (cJSON_IsObject(*object)) return OK;
    cJSON_Delete(*object);
    *object = NULL;
    return fail(e, BAD_INPUT, "%s: a JSON object { ... } is expected", path);
}

const cJSON *json_get(const cJSON *object, const char *key) {
    const cJSON *found = NULL;
    for (const cJSON *c = object ? object->child : NULL; c; c = c->next)
        if (c->string && !strcmp(c->string, key)) found = c;
    return cJSON_IsNull(found) ? NULL : found;
}

bool json_integer(const cJSON *v, int64_t *value) {
    if (!cJSON_IsNumber(v) || !(fabs(v->valuedouble) < 9007199254740992.0) || floor(v->valuedouble) != v->valuedouble)
        return false;
    *value = (int64_t)v->valuedouble;
    return true;
}

void json_print(FILE *f, const char *s) { json_print_string(f, s, strlen(s)); }
