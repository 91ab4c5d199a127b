/* mapped_file.c: see mapped_file.h. */
#include "base/mapped_file.h"
#include "base/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files that become shorter while they are mapped ---- */

enum { WATCHED = 16 };

/* Mutable, since a signal handler can reach nothing else. An entry without data is free; data is set last. */
static struct {
    char *line;
    const char *volatile data;
    size_t bytes;
} watched[WATCHED];

static void on_bus_error(int number, siginfo_t *info, void *context) {
    const char *at = info->si_addr;
    (void)context;
    for (int i = 0; i < WATCHED; i++) {
        if (!watched[i].data || at < watched[i].data || at >= watched[i].data + watched[i].bytes) continue;
        ssize_t ignored = write(STDERR_FILENO, watched[i].line, strlen(watched[i].line));
        (void)ignored;
        _exit(1);
    }
    signal(number, SIG_DFL); /* another's: it comes again when this handler is left */
}

static void watch(const char *path, const void *data, size_t bytes) {
    struct sigaction ours = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, NULL);
    for (int i = 0; i < WATCHED; i++) {
        if (watched[i].data) continue;
        free(watched[i].line);
        watched[i].line =
            xprintf("snug: %s has become shorter, or its disk has failed, while it was read: put it back and "
                    "start again; what was saved is good\n",
                    path);
        utf8_clean(watched[i].line, true);
        watched[i].bytes = bytes;
        watched[i].data = data;
        return;
    }
}

static void unwatch(const void *data) {
    for (int i = 0; i < WATCHED; i++)
        if (watched[i].data == data) {
            watched[i].data = NULL;
            free(watched[i].line);
            watched[i].line = NULL;
        }
}

/* ---- mapping ---- */

static status map_descriptor(int fd, const char *path, mapped_file *f, error *e) {
    struct stat info;
    if (fstat(fd, &info) != 0) return fail(e, FAILED, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) return fail(e, BAD_INPUT, "%s is a folder; a file is wanted here", path);
    if (!S_ISREG(info.st_mode)) return fail(e, BAD_INPUT, "%s is not a regular file; copy its content into one", path);
    *f = (mapped_file){"", (size_t)info.st_size};
    if (info.st_size == 0) return OK; /* mmap refuses length 0 */
    void *map = mmap(NULL, f->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return fail(e, FAILED, "%s cannot be mapped: %s", path, strerror(errno));
    f->data = map;
    watch(path, map, f->bytes);
    return OK;
}

status file_map(const char *path, const char *advice, mapped_file *f, error *e) {
    *f = (mapped_file){"", 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return fail(e, BAD_INPUT, "%s does not exist%s%s", path, *advice ? "; " : "", advice);
    if (fd < 0) return fail(e, BAD_INPUT, "%s cannot be read: %s", path, strerror(errno));
    status s = map_descriptor(fd, path, f, e);
    close(fd);
    return s;
}

void file_unmap(mapped_file *f) {
    if (f->bytes > 0) {
        unwatch(f->data);
        munmap((void *)f->data, f->bytes);
    }
    *f = (mapped_file){"", 0};
}

const char *file_mistaken(const mapped_file *f) {
    static const struct {
        const char *magic;
        size_t bytes;
        const char *what;
    } known[] = {
        {"GGUF", 4, "a GGUF model of llama.cpp"},
        {"\x80\x02", 2, "a Python pickle"},
        {"\x80\x03", 2, "a Python pickle"},
        {"\x80\x04", 2, "a Python pickle"},
        {"\x80\x05", 2, "a Python pickle"},
        {"PK\x03\x04", 4, "a zip archive (PyTorch checkpoints are)"},
        {"\x93NUMPY", 6, "a NumPy .npy file"},
        {"\x1f\x8b", 2, "a gzip file"},
        {"\x28\xb5\x2f\xfd", 4, "a zstd file"},
        {"\x89HDF", 4, "an HDF5 file, as TensorFlow writes"},
        {"\n\x0e\n\x05<unk>", 9, "a SentencePiece model"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (f->bytes >= known[i].bytes && memcmp(f->data, known[i].magic, known[i].bytes) == 0) return known[i].what;
    return NULL;
}
