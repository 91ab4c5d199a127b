/* files.c: see files.h. */
#include "base/files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY ".tmp-" /* and the process's number */

/* ---- writing ---- */

/* "NAME.tmp-123" of the name? */
static bool is_temporary_of(const char *entry, const char *name) {
    size_t n = strlen(name);
    if (strncmp(entry, name, n) || strncmp(entry + n, TEMPORARY, strlen(TEMPORARY))) return false;
    const char *pid = entry + n + strlen(TEMPORARY);
    return *pid && pid[strspn(pid, "0123456789")] == 0;
}

/* A process holds the lock of what it writes, and a kill lets go of it: so this works across machines and containers,
   whose process numbers mean nothing to each other. Where there are no locks nothing is removed. */
static void clear_one(const char *path) {
    struct stat there;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) return;
    if (fstat(fd, &there) == 0 && S_ISREG(there.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(path);
    close(fd);
}

void file_clear_temporaries(const char *path) {
    char *copy = xstrdup(path), *again = xstrdup(path);
    const char *name = basename(copy), *place = dirname(again);
    DIR *folder = xfound(opendir(place));
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (!is_temporary_of(entry->d_name, name)) continue;
        char *left = xprintf("%s/%s", place, entry->d_name);
        clear_one(left);
        free(left);
    }
    if (folder) closedir(folder);
    free(copy);
    free(again);
}

/* Open and locked. Between the two steps another process may take it for a left one and remove it: then once more. */
static int open_temporary(const char *name) {
    for (;;) {
        int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || file_is_at(fd, name)) return fd;
        close(fd);
    }
}

status file_create(file_out *f, const char *path, error *e) {
    struct stat there;
    bool is_there = stat(path, &there) == 0, direct = is_there && !S_ISREG(there.st_mode);
    if (is_there && S_ISDIR(there.st_mode))
        return fail(e, BAD_INPUT, "%s: is a folder; give the name of a file to write", path);
    *f = (file_out){.path = xstrdup(path),
                    .temporary = direct ? NULL : xprintf("%s" TEMPORARY "%ld", path, (long)getpid())};
    if (!direct) file_clear_temporaries(path);
    f->fd = direct ? open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) : open_temporary(f->temporary);
    if (f->fd < 0) {
        status s = fail(e, FAILED, "%s: cannot create: %s", path, strerror(errno));
        free(f->temporary);
        f->temporary = NULL; /* nothing was made, so there is nothing to unlink */
        file_abandon(f);
        return s;
    }
    f->sha = hash_new();
    return OK;
}

status file_put(file_out *f, const void *data, size_t bytes, error *e) {
    const char *at = data;
    for (size_t left = bytes; left;) {
        ssize_t n = write(f->fd, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(e, FAILED, "%s: cannot write: %s", f->path, strerror(errno));
        at += n;
        left -= (size_t)n;
    }
    hash_add(f->sha, data, bytes);
    return OK;
}

/* Flushes fd to the disk. EINVAL means that there is no fsync for it, as for folders on some network file systems; from
   a file that answer is an error. */
static status sync_fd(int fd, const char *path, bool folder, error *e) {
    int r;
    do r = fsync(fd);
    while (r < 0 && errno == EINTR);
    if (r == 0 || (folder && errno == EINVAL)) return OK;
    return fail(e, FAILED, "%s: cannot flush to the disk: %s", path, strerror(errno));
}

status file_sync(const char *path, error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(e, FAILED, "%s: cannot open: %s", path, strerror(errno));
    struct stat there;
    status s = sync_fd(fd, path, fstat(fd, &there) == 0 && S_ISDIR(there.st_mode), e);
    close(fd);
    return s;
}

static status sync_folder_of(const char *path, error *e) {
    char *copy = xstrdup(path);
    status s = file_sync(dirname(copy), e);
    free(copy);
    return s;
}

status file_finish(file_out *f, bool durable, char *sha256, error *e) {
    status s = durable && f->temporary ? sync_fd(f->fd, f->path, false, e) : OK;
    int fd = f->fd;
    f->fd = -1;
    /* Some file systems report a full disk only when a file is closed. EINTR is no failure: Linux has closed it. */
    if (close(fd) < 0 && errno != EINTR && s == OK)
        s = fail(e, FAILED, "%s: cannot write: %s", f->path, strerror(errno));
    if (s == OK && f->temporary) {
        if (rename(f->temporary, f->path) < 0)
            s = fail(e, FAILED, "%s: cannot rename into place: %s", f->path, strerror(errno));
        else {
            free(f->temporary);
            f->temporary = NULL;
            if (durable) s = sync_folder_of(f->path, e);
        }
    }
    if (s == OK) {
        hash_end(f->sha, sha256);
        f->sha = NULL;
    }
    file_abandon(f);
    return s;
}

void file_abandon(file_out *f) {
    if (f->fd >= 0) close(f->fd);
    if (f->temporary) unlink(f->temporary);
    if (f->sha) hash_end(f->sha, NULL);
    free(f->temporary);
    free(f->path);
    *f = (file_out){.fd = -1};
}

status file_write(const char *path, const void *data, size_t bytes, bool durable, char *sha256, error *e) {
    file_out f;
    TRY(file_create(&f, path, e));
    status s = file_put(&f, data, bytes, e);
    if (s == OK) return file_finish(&f, durable, sha256, e);
    file_abandon(&f);
    return s;
}

/* ---- reading ---- */

static status read_all(int fd, const char *path, char *text, size_t bytes, error *e) {
    for (size_t at = 0; at < bytes;) {
        ssize_t n = read(fd, text + at, bytes - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(e, FAILED, "%s: cannot read: %s", path, strerror(errno));
        if (n == 0) return fail(e, FAILED, "%s: became shorter while it was read", path);
        at += (size_t)n;
    }
    return OK;
}

status file_read(const char *path, size_t limit, char **text, size_t *bytes, error *e) {
    *text = NULL;
    *bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe given by mistake must not block */
    if (fd < 0) return fail(e, errno == ENOENT ? BAD_INPUT : FAILED, "%s: cannot open: %s", path, strerror(errno));
    struct stat there;
    status s = OK;
    if (fstat(fd, &there) < 0)
        s = fail(e, FAILED, "%s: cannot read: %s", path, strerror(errno));
    else if (!S_ISREG(there.st_mode))
        s = fail(e, BAD_INPUT, "%s: is not a regular file", path);
    else if ((uint64_t)there.st_size > limit)
        s = fail(e, BAD_INPUT, "%s: %lld bytes, more than the %zu that such a file may have", path,
                 (long long)there.st_size, limit);
    if (s == OK) {
        *bytes = (size_t)there.st_size;
        *text = xcalloc(*bytes + 1, 1);
        s = read_all(fd, path, *text, *bytes, e);
    }
    close(fd);
    if (s == OK) return OK;
    free(*text);
    *text = NULL;
    return s;
}

status file_copy(const char *from, const char *to, char *sha256, error *e) {
    char *text;
    size_t bytes;
    TRY(file_read(from, (size_t)1 << 30, &text, &bytes, e));
    status s = file_write(to, text, bytes, false, sha256, e);
    free(text);
    return s;
}

bool file_exists(const char *path) {
    struct stat there;
    return lstat(path, &there) == 0;
}

bool file_is_at(int fd, const char *path) {
    struct stat open_one, there;
    return fstat(fd, &open_one) == 0 && stat(path, &there) == 0 && open_one.st_ino == there.st_ino &&
           open_one.st_dev == there.st_dev;
}

status file_check_plain(const char *path, error *e) {
    struct stat there;
    if (stat(path, &there) < 0 || S_ISREG(there.st_mode)) return OK;
    return fail(e, BAD_INPUT, "%s: is %s, and should be a file: move it away", path,
                S_ISDIR(there.st_mode) ? "a folder" : "no regular file");
}

char *file_cache_path(const char *name) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/') return xprintf("%s/snug/%s", xdg, name);
    return home && home[0] == '/' ? xprintf("%s/.cache/snug/%s", home, name) : NULL;
}

/* ---- folders ---- */

status folder_make(const char *path, error *e) {
    struct stat there;
    if (stat(path, &there) == 0) {
        if (S_ISDIR(there.st_mode)) return OK;
        return fail(e, BAD_INPUT, "%s: is a file; a folder is needed there", path);
    }
    char *copy = xstrdup(path);
    const char *parent = dirname(copy);
    status s = strcmp(parent, path) ? folder_make(parent, e) : OK;
    free(copy);
    if (s == OK && mkdir(path, 0777) < 0 && errno != EEXIST)
        s = fail(e, FAILED, "%s: cannot make the folder: %s", path, strerror(errno));
    return s;
}

static status cannot_remove(const char *path, error *e) {
    return errno == ENOENT ? OK : fail(e, FAILED, "%s: cannot remove: %s", path, strerror(errno));
}

status folder_remove(const char *path, error *e) {
    struct stat there;
    if (lstat(path, &there) < 0) return cannot_remove(path, e);
    if (!S_ISDIR(there.st_mode)) return unlink(path) < 0 ? cannot_remove(path, e) : OK;
    DIR *folder = xfound(opendir(path));
    if (!folder) return cannot_remove(path, e);
    status s = OK;
    struct dirent *entry;
    while (s == OK && (entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char *inner = xprintf("%s/%s", path, entry->d_name);
        s = folder_remove(inner, e);
        free(inner);
    }
    closedir(folder);
    if (s == OK && rmdir(path) < 0) s = cannot_remove(path, e);
    return s;
}
