/* libraries.c: see libraries.h. */
#include "base/libraries.h"
#include "base/status.h"
#include <cjson/cJSON.h>
#include <openssl/crypto.h>
#include <stdlib.h>

static void *json_malloc(size_t bytes) { return xmalloc(bytes); }

/* libcrypto says for whom the memory is, which nobody needs. */
static void *crypto_malloc(size_t bytes, const char *file, int line) {
    (void)file, (void)line;
    return xmalloc(bytes);
}
static void *crypto_realloc(void *p, size_t bytes, const char *file, int line) {
    (void)file, (void)line;
    return xrealloc(p, bytes);
}
static void crypto_free(void *p, const char *file, int line) {
    (void)file, (void)line;
    free(p);
}

void libraries_use_xmalloc(void) {
    cJSON_InitHooks(&(cJSON_Hooks){json_malloc, free});
    CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);
}
