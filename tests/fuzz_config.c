/* fuzz_config.c: any text as a config file is either refused in one line, or read; and then the echo of it reads back
   to the same values. */
#include "config/config.h"
#include "support_fuzz.h"

static char *printed(const config *c) {
    char *text;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    config_print(c, f);
    fclose(f);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    config *c = xcalloc(1, sizeof *c), *again = xcalloc(1, sizeof *again);
    error e = {""};
    config_defaults(c);
    config_defaults(again);
    status s = config_read_text(c, "fuzz.py", (const char *)data, size, &e);
    fuzz_check_error(s, &e);
    if (s == OK) {
        s = config_check(c, &e);
        fuzz_check_error(s, &e);
        char *text = printed(c);
        s = config_read_text(again, "again.py", text, strlen(text), &e);
        FUZZ_ASSERT(s == OK);
        char *second = printed(again);
        FUZZ_ASSERT(!strcmp(text, second));
        free(text);
        free(second);
    }
    config_free(c);
    config_free(again);
    free(c);
    free(again);
    return 0;
}
