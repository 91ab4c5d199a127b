/* preload_memory.c: an outside witness of the memory that a process asks for: malloc and its kin, and mmap of what is
   no file. Preload it. It counts bytes, and it can refuse: MEMORY_FAIL=k refuses the k-th call after main has begun
   (errno ENOMEM), and MEMORY_FILE gets a line that says which call that was, and whose. MEMORY_OF=libc. counts only
   calls from files whose names begin so; "" is the program. At exit MEMORY_FILE gets the number of calls. A test inside
   the process may also look up memory_count_reset and memory_count by name. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own, which exist for the likes of this file: dlsym itself allocates. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

enum { FILES = 64, MAPS = 256 };
static long long live, peak, calls, refuse;
static const char *of;
static bool armed;
static __thread bool inside; /* the witness itself allocates: backtrace, dlsym */

/* ---- who calls ---- */

/* Where the program and the libraries lie that are loaded with it. dladdr knows as well, but looks through all symbols
   of a library at each call. */
static struct {
    uintptr_t begin, end;
    const char *name; /* "" is the program */
} files[FILES];
static int n_files;

static int add_file(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size, (void)unused;
    if (n_files == FILES) return 1;
    const char *slash = strrchr(info->dlpi_name, '/');
    files[n_files].name = slash ? slash + 1 : info->dlpi_name;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_LOAD) continue;
        if (!files[n_files].begin) files[n_files].begin = info->dlpi_addr + h->p_vaddr;
        files[n_files].end = info->dlpi_addr + h->p_vaddr + h->p_memsz;
    }
    n_files++;
    return 0;
}

/* The index of the file with this address; -1: loaded later. */
static int file_of(const void *address) {
    for (int i = 0; i < n_files; i++)
        if ((uintptr_t)address >= files[i].begin && (uintptr_t)address < files[i].end) return i;
    return -1;
}

static void say(const char *format, ...) {
    char line[2048];
    va_list list;
    va_start(list, format);
    size_t n = (size_t)vsnprintf(line, sizeof line, format, list);
    va_end(list);
    const char *path = getenv("MEMORY_FILE");
    if (!path) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || syscall(SYS_write, fd, line, n < sizeof line ? n : sizeof line - 1) < 0) abort();
    close(fd);
}

/* The chain of callers, innermost first: a library's allocation is somebody's. For addr2line. */
static void tell_refused(const char *name, size_t bytes) {
    void *at[24];
    char text[1800] = "";
    int n = backtrace(at, 24), used = 0, witness = file_of((void *)(uintptr_t)tell_refused);
    for (int i = 0; i < n && used < 1600; i++) {
        int file = file_of((char *)at[i] - 1);
        if (file == witness) continue;
        used += snprintf(text + used, sizeof text - (size_t)used, " %s+0x%llx",
                         file < 0            ? "unknown"
                         : *files[file].name ? files[file].name
                                             : "program",
                         file < 0 ? 0 : (unsigned long long)((uintptr_t)at[i] - 1 - files[file].begin));
    }
    say("refused %s %zu%s\n", name, bytes, text);
}

/* Is this call to be refused? */
static bool refused(const char *name, size_t bytes, const void *caller) {
    if (!armed || inside) return false;
    if (of) {
        int file = file_of(caller);
        if (file < 0 || (*of ? strncmp(files[file].name, of, strlen(of)) != 0 : *files[file].name)) return false;
    }
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) != refuse) return false;
    inside = true;
    tell_refused(name, bytes);
    inside = false;
    errno = ENOMEM;
    return true;
}

/* ---- bytes ---- */

static void take(long long bytes) {
    if (inside) return;
    long long now = __atomic_add_fetch(&live, bytes, __ATOMIC_RELAXED), most = peak;
    while (now > most)
        if (__atomic_compare_exchange_n(&peak, &most, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return;
}

static void *taken(void *p) {
    if (p) take((long long)malloc_usable_size(p));
    return p;
}

/* For tests in the process. What is live counts as 0 from now on. */
void memory_count_reset(void) { live = peak = 0; }
/* which: 0 live bytes, 1 the most that were, both since the reset. */
long long memory_count(int which) { return which ? peak : live; }

/* ---- what is watched ---- */

#define CALLER __builtin_return_address(0)

void *malloc(size_t n) {
    if (refused("malloc", n, CALLER)) return NULL;
    return taken(__libc_malloc(n));
}
void *calloc(size_t n, size_t size) {
    if (refused("calloc", n * size, CALLER)) return NULL;
    return taken(__libc_calloc(n, size));
}
void *realloc(void *p, size_t n) {
    if (refused("realloc", n, CALLER)) return NULL;
    long long before = p ? (long long)malloc_usable_size(p) : 0;
    void *q = __libc_realloc(p, n);
    if (q || !n) take(-before);
    return taken(q);
}
void free(void *p) {
    int was = errno;
    if (p) take(-(long long)malloc_usable_size(p));
    __libc_free(p);
    errno = was;
}
void *memalign(size_t alignment, size_t n) {
    if (refused("memalign", n, CALLER)) return NULL;
    return taken(__libc_memalign(alignment, n));
}
void *aligned_alloc(size_t alignment, size_t n) {
    if (refused("aligned_alloc", n, CALLER)) return NULL;
    return taken(__libc_memalign(alignment, n));
}
int posix_memalign(void **p, size_t alignment, size_t n) {
    void *q = refused("posix_memalign", n, CALLER) ? NULL : taken(__libc_memalign(alignment, n));
    if (!q) return ENOMEM;
    *p = q;
    return 0;
}

/* Maps of memory, which munmap is told by address alone. */
static struct {
    void *at;
    size_t bytes;
} maps[MAPS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note_map(void *from, void *at, size_t bytes) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAPS; i++) {
        if (maps[i].at != from) continue;
        take((long long)bytes - (long long)maps[i].bytes);
        maps[i].at = at;
        maps[i].bytes = bytes;
        break;
    }
    pthread_mutex_unlock(&lock);
}

static void *map(void *at, size_t n, int protection, int flags, int fd, off_t offset, const void *caller) {
    if (refused("mmap", n, caller)) return MAP_FAILED;
    void *p = (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
    if (p != MAP_FAILED && flags & MAP_ANONYMOUS) note_map(NULL, p, n);
    return p;
}
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    return map(at, n, protection, flags, fd, offset, CALLER);
}
void *mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    return map(at, n, protection, flags, fd, offset, CALLER);
}
int munmap(void *at, size_t n) {
    int failed = (int)syscall(SYS_munmap, at, n);
    if (!failed) note_map(at, NULL, 0);
    return failed;
}

/* ---- from main on ---- */

static int (*program_main)(int, char **, char **);
static int armed_main(int argc, char **argv, char **environment) {
    const char *k = getenv("MEMORY_FAIL");
    refuse = k ? atoll(k) : 0;
    of = getenv("MEMORY_OF");
    dl_iterate_phdr(add_file, NULL);
    void *at[1];
    (void)backtrace(at, 1); /* which loads its library at the first call */
    armed = true;
    return program_main(argc, argv, environment);
}

int __libc_start_main(int (*m)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*end)(void),
                      void (*loader)(void), void *stack) {
    int (*real)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
    inside = true;
    *(void **)&real = dlsym(RTLD_NEXT, "__libc_start_main");
    inside = false;
    program_main = m;
    return real(armed_main, argc, argv, init, end, loader, stack);
}

__attribute__((destructor)) static void report(void) {
    if (!armed) return;
    armed = false;
    say("calls %lld\n", calls);
}
