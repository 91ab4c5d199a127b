/* support_capture.c: see support_capture.h. */
#include "support_capture.h"
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

char *capture(status (*command)(const config *, error *), int argc, char **argv, status *s, error *e) {
    config *c = xcalloc(1, sizeof *c);
    char path[] = "/tmp/snug-test-XXXXXX";
    int to = mkstemp(path), out = dup(1);
    ck_assert_msg(to >= 0 && config_parse(c, argc, argv, e) == OK, "%s", e->text);
    fflush(stdout);
    dup2(to, 1);
    *s = command(c, e);
    fflush(stdout);
    dup2(out, 1);
    close(out);
    off_t bytes = lseek(to, 0, SEEK_END);
    char *text = xcalloc((size_t)bytes + 1, 1);
    ck_assert(pread(to, text, (size_t)bytes, 0) == bytes);
    close(to);
    unlink(path);
    config_free(c);
    free(c);
    return text;
}
