/* run_log.c: see run_log.h. */
#include "save/run_log.h"
#include "base/files.h"
#include "base/json_value.h"
#include "base/mapped_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static status open_file(run_log *l, error *e) {
    TRY(file_check_plain(l->path, e));
    l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return l->fd >= 0 ? OK : fail(e, FAILED, "%s: cannot open: %s", l->path, strerror(errno));
}

status run_log_open(const char *out, run_log *l, error *e) {
    *l = (run_log){.path = xprintf("%s/log.jsonl", out), .fd = -1};
    status s = open_file(l, e);
    if (s != OK) run_log_close(l);
    return s;
}

void run_log_close(run_log *l) {
    if (l->fd >= 0) close(l->fd);
    free(l->path);
    *l = (run_log){.fd = -1};
}

status run_log_line(run_log *l, const char *object, error *e) {
    struct stat before;
    if (!file_is_at(l->fd, l->path)) { /* the file was deleted or replaced: a line written to it would be lost */
        if (l->fd >= 0) close(l->fd);
        TRY(open_file(l, e));
    }
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

static bool line_stays(const char *line, size_t bytes, int64_t iter, bool evaluated) {
    cJSON *json = cJSON_ParseWithLength(line, bytes);
    int64_t at;
    bool stays = json && json_integer(json_get(json, "iter"), &at) &&
                 (at < iter || (at == iter && evaluated && !json_get(json, "loss")));
    cJSON_Delete(json);
    return stays;
}

/* Lines are in the order of their steps, so that all lines before one that stays will stay too. */
static size_t bytes_that_stay(const mapped_file *f, int64_t iter, bool evaluated) {
    size_t kept = iter < 0 ? 0 : f->bytes;
    while (kept) {
        const char *before = memrchr(f->data, '\n', kept - 1);
        size_t first = before ? (size_t)(before + 1 - f->data) : 0;
        bool whole = f->data[kept - 1] == '\n';
        if (whole && line_stays(f->data + first, kept - 1 - first, iter, evaluated)) break;
        kept = first;
    }
    return kept;
}

static status cut_to(const char *path, size_t bytes, error *e) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fail(e, FAILED, "%s: cannot open: %s", path, strerror(errno));
    status s = OK;
    if (ftruncate(fd, (off_t)bytes) < 0 || fsync(fd) < 0)
        s = fail(e, FAILED, "%s: cannot cut back: %s", path, strerror(errno));
    close(fd);
    return s;
}

status run_log_cut(const char *out, int64_t iter, bool evaluated, error *e) {
    char *path = xprintf("%s/log.jsonl", out);
    mapped_file f;
    status s = OK;
    if (access(path, F_OK) == 0) {
        s = file_map(path, "", &f, e);
        if (s == OK) {
            size_t kept = bytes_that_stay(&f, iter, evaluated), all = f.bytes;
            file_unmap(&f);
            if (kept < all) s = cut_to(path, kept, e);
        }
    }
    free(path);
    return s;
}
