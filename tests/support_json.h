/* support_json.h: members of JSON that a command printed; a test fails where one is not of its kind. */
#ifndef SNUG_TEST_SUPPORT_JSON_H
#define SNUG_TEST_SUPPORT_JSON_H

#include <cjson/cJSON.h>
#include <check.h>
#include <stdbool.h>

static inline double number(const cJSON *o, const char *key) {
    const cJSON *v = cJSON_GetObjectItem(o, key);
    ck_assert_msg(cJSON_IsNumber(v), "%s is not a number", key);
    return v->valuedouble;
}

static inline const char *string(const cJSON *o, const char *key) {
    const cJSON *v = cJSON_GetObjectItem(o, key);
    ck_assert_msg(cJSON_IsString(v), "%s is not text", key);
    return v->valuestring;
}

/* Also false where there is no such member. */
static inline bool truth(const cJSON *o, const char *key) { return cJSON_IsTrue(cJSON_GetObjectItem(o, key)); }

#endif
