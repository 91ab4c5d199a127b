/* support_faultfs.c: stands before the C library's file calls and lets the k-th fail, as a full disk or a dying one
   would. By itself it does nothing. Linked into the tests it is told by faultfs_arm; as build/preload_faultfs.so by
       FAULTFS_K=12 FAULTFS_ERRNO=28 [FAULTFS_STICKY=1] [FAULTFS_PATH=out/] LD_PRELOAD=build/preload_faultfs.so snug
   train ... where only calls on paths that contain FAULTFS_PATH count, and with FAULTFS_SYNC=1 of those only fsync.
   With FAULTFS_STOP=1 the call does not fail: the process stops itself before it, as by SIGSTOP, and does the call when
   it is told to go on. So a script comes between two calls of its choice. */
#include "support_faultfs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    bool armed, sticky, sync_only, stops;
    int k, number, calls;
    const char *path;
} fault;

void faultfs_arm(int k, bool sticky, int number) {
    fault.k = k;
    fault.sticky = sticky;
    fault.number = number;
    fault.calls = 0;
    fault.armed = true;
}

int faultfs_disarm(void) {
    fault.armed = false;
    return fault.calls;
}

__attribute__((constructor)) static void arm_by_environment(void) {
    const char *k = getenv("FAULTFS_K"), *number = getenv("FAULTFS_ERRNO");
    fault.path = getenv("FAULTFS_PATH");
    fault.sync_only = getenv("FAULTFS_SYNC") != NULL;
    fault.stops = getenv("FAULTFS_STOP") != NULL;
    if (k && fault.stops) faultfs_arm(atoi(k), false, 0);
    if (k && number) faultfs_arm(atoi(k), getenv("FAULTFS_STICKY") != NULL, atoi(number));
}

/* True when this call is the one to fail; errno is set then. */
static bool call_fails(const char *path, bool sync) {
    if (!fault.armed || (fault.sync_only && !sync) || (fault.path && !strstr(path, fault.path))) return false;
    fault.calls++;
    if (!fault.k || fault.calls < fault.k || (fault.calls > fault.k && !fault.sticky)) return false;
    if (fault.stops) raise(SIGSTOP);
    errno = fault.number;
    return !fault.stops;
}

static bool fails(const char *path) { return call_fails(path, false); }

static bool fd_fails(int fd, bool sync) {
    char link[64], path[4096] = "";
    if (!fault.armed) return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return call_fails(path, sync);
}

static bool fails_fd(int fd) { return fd_fails(fd, false); }

/* A call other than write is not refused where only a short write was ordered. */
static bool refused(bool failed) { return failed && fault.number != FAULT_SHORT_WRITE; }

static int open_by(int folder, const char *path, int flags, mode_t mode) {
    if (refused(fails(path))) return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE_OF(flags)                                                                                                 \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode_t mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                          \
    va_end(rest)

int open(const char *path, int flags, ...) {
    MODE_OF(flags);
    return open_by(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE_OF(flags);
    return open_by(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE_OF(flags);
    return open_by(folder, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t bytes) {
    if (fails_fd(fd)) {
        if (fault.number != FAULT_SHORT_WRITE) return -1;
        bytes = (bytes + 1) / 2;
    }
    return syscall(SYS_write, fd, data, bytes);
}

int ftruncate(int fd, off_t bytes) { return refused(fails_fd(fd)) ? -1 : (int)syscall(SYS_ftruncate, fd, bytes); }
int fsync(int fd) { return refused(fd_fails(fd, true)) ? -1 : (int)syscall(SYS_fsync, fd); }
int mkdir(const char *path, mode_t mode) {
    return refused(fails(path)) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int symlink(const char *to, const char *path) {
    return refused(fails(path)) ? -1 : (int)syscall(SYS_symlinkat, to, AT_FDCWD, path);
}
int rename(const char *from, const char *to) {
    return refused(fails(to)) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return refused(fails(to)) ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, flags);
}
