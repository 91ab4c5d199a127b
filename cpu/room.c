/* room.c: address space for OpenBLAS. It takes a buffer for each thread that multiplies, and when the system refuses
   one it asks again for ever; so what it will ask for is tried out before. Compiled once. */
#include "cpu/cpu.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BUFFER = 32 << 22 }; /* as OpenBLAS is built for x86-64 and ARM64 since 0.3.10 */
#define BUFFER_TEXT "128 MiB"

/* The first thing that the process does: OpenBLAS takes buffers before main, when the program is loaded. Nothing else
   works yet, so these are system calls, and no sanitizer looks on. */
__attribute__((no_sanitize("address", "undefined"))) static void probe_at_start(int argc, char **argv,
                                                                                char **environment) {
    static const char text[] =
        "snug: OpenBLAS needs " BUFFER_TEXT " of address space for each thread, and the system refuses "
        "it: raise `ulimit -v`, or set OMP_NUM_THREADS=1\n";
    static const char one[] = "OMP_NUM_THREADS=1";
    size_t buffers = 2;
    (void)argc, (void)argv;
    for (char **at = environment; *at; at++) {
        size_t i = 0;
        while (one[i] && (*at)[i] == one[i]) i++;
        if (!one[i] && !(*at)[i]) buffers = 1;
    }
    long map = syscall(SYS_mmap, NULL, buffers * BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map != -1) {
        syscall(SYS_munmap, map, buffers * BUFFER);
        return;
    }
    syscall(SYS_write, STDERR_FILENO, text, sizeof text - 1);
    syscall(SYS_exit_group, 1);
}

__attribute__((section(".preinit_array"), used)) static void (*const probe)(int, char **, char **) = probe_at_start;

/* One by one, as OpenBLAS asks: a system that lends more than it has may refuse the sum and grant the parts. One is
   there already where there are several threads. */
status cpu_check_room(error *e) {
    int threads = omp_get_max_threads(), wanted = threads > 1 ? threads - 1 : 1, n = 0;
    void **buffers = xcalloc((size_t)wanted, sizeof *buffers);
    for (; n < wanted; n++) {
        buffers[n] = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (buffers[n] == MAP_FAILED) break;
    }
    for (int i = 0; i < n; i++) munmap(buffers[i], BUFFER);
    free(buffers);
    if (n == wanted) return OK;
    return fail(e, FAILED,
                "OpenBLAS needs " BUFFER_TEXT " of address space for each of %d thread%s, and the system refuses them: "
                "raise `ulimit -v`, or set OMP_NUM_THREADS=%d",
                threads, threads == 1 ? "" : "s", n + 1 < threads ? n + 1 : 1);
}
