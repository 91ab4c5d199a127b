/* fuzz_expression.c: any text as the value of a setting is refused in one line, or has a value; and that value, written
   as Python writes it, means itself. */
#include "config/config.h"
#include "support_fuzz.h"

/* Gives x the value, and start what Python would write for it; false: that is refused. */
static bool repr_of(config *c, const char *text, size_t size) {
    error e = {""};
    char *line = xprintf("x = (%.*s\n)\nstart = repr(x)\n", (int)size, text);
    config_defaults(c);
    status s = config_read_text(c, "fuzz.py", line, strlen(line), &e);
    fuzz_check_error(s, &e);
    free(line);
    return s == OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    config *c = xcalloc(1, sizeof *c), *again = xcalloc(1, sizeof *again);
    if (repr_of(c, (const char *)data, strnlen((const char *)data, size))) {
        FUZZ_ASSERT(repr_of(again, c->start, strlen(c->start)));
        FUZZ_ASSERT(!strcmp(c->start, again->start));
    }
    config_free(c);
    config_free(again);
    free(c);
    free(again);
    return 0;
}
