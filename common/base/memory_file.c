/* memory_file.c: see memory_file.h. */
#include "base/memory_file.h"
#include "base/status.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    char **text;
    size_t *bytes, room;
} memory;

static ssize_t add(void *cookie, const char *data, size_t n) {
    memory *m = cookie;
    if (m->room - *m->bytes <= n) {
        m->room = 2 * (*m->bytes + n) + 64;
        *m->text = xrealloc(*m->text, m->room);
    }
    memcpy(*m->text + *m->bytes, data, n);
    *m->bytes += n;
    (*m->text)[*m->bytes] = 0;
    return (ssize_t)n;
}

static int end(void *cookie) {
    free(cookie);
    return 0;
}

FILE *memory_file(char **text, size_t *bytes) {
    memory *m = xcalloc(1, sizeof *m);
    *m = (memory){.text = text, .bytes = bytes, .room = 1};
    *text = xcalloc(1, 1);
    *bytes = 0;
    FILE *f = fopencookie(m, "w", (cookie_io_functions_t){.write = add, .close = end});
    if (!f) out_of_memory(0);
    return f;
}
