/* run_log.c: see run_log.h. */
#include "save/run_log.h"
#include "base/files.h"
#include "base/json_value.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_MAX = INT32_MAX };

status run_log_open(const char *out, run_log *l, error *e) {
    *l = (run_log){.path = xprintf("%s/log.jsonl", out)};
    l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (l->fd >= 0) return OK;
    status s = fail(e, FAILED, "%s: cannot open: %s", l->path, strerror(errno));
    run_log_close(l);
    return s;
}

void run_log_close(run_log *l) {
    if (l->fd >= 0) close(l->fd);
    free(l->path);
    *l = (run_log){.fd = -1};
}

status run_log_line(run_log *l, const char *object, error *e) {
    struct stat before;
    int known = fstat(l->fd, &before);
    char *line = xprintf("%s\n", object);
    status s = OK;
    for (size_t at = 0, bytes = strlen(line); s == OK && at < bytes;) {
        ssize_t n = write(l->fd, line + at, bytes - at);
        if (n >= 0)
            at += (size_t)n;
        else if (errno != EINTR)
            s = fail(e, FAILED, "%s: cannot write: %s", l->path, strerror(errno));
    }
    if (s != OK && known == 0 && ftruncate(l->fd, before.st_size) < 0)
        s = fail(e, FAILED, "%s: cannot write, and the last line is torn: %s", l->path, strerror(errno));
    free(line);
    return s;
}

static bool line_stays(const char *line, size_t bytes, int64_t iter) {
    cJSON *json = cJSON_ParseWithLength(line, bytes);
    int64_t at;
    bool stays = json && json_integer(json_get(json, "iter"), &at) && (json_get(json, "loss") ? at < iter : at <= iter);
    cJSON_Delete(json);
    return stays;
}

status run_log_cut(const char *out, int64_t iter, error *e) {
    char *path = xprintf("%s/log.jsonl", out), *text = NULL;
    size_t bytes = 0, kept = 0;
    status s = access(path, F_OK) < 0 && errno == ENOENT ? OK : file_read(path, LOG_MAX, &text, &bytes, e);
    for (size_t at = 0; s == OK && at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t length = end ? (size_t)(end - text) + 1 - at : bytes - at;
        if (end && line_stays(text + at, length - 1, iter)) {
            memmove(text + kept, text + at, length);
            kept += length;
        }
        at += length;
    }
    if (s == OK && kept < bytes) s = file_write(path, text, kept, true, NULL, e);
    free(text);
    free(path);
    return s;
}
