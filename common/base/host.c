/* host.c: see host.h. */
#include "base/host.h"
#include "base/status.h"
#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEMBERSHIP "/proc/self/cgroup"
#define MOUNT "/sys/fs/cgroup"

/* ---- the container ---- */

/* Up to two numbers of a small file, as "max 100000"; INFINITY for "max" and "-1". Returns how many there are. */
static int read_numbers(const char *folder, const char *name, double numbers[2]) {
    char *path = xprintf("%s/%s", folder, name), words[2][32];
    FILE *f = xfound(fopen(path, "r"));
    int n = f ? fscanf(f, "%31s %31s", words[0], words[1]) : 0;
    if (f) fclose(f);
    free(path);
    for (int i = 0; i < n; i++) {
        numbers[i] = strcmp(words[i], "max") ? strtod(words[i], NULL) : INFINITY;
        if (numbers[i] < 0) numbers[i] = INFINITY;
    }
    return n;
}

static double memory_of(const char *folder) {
    double two[2], least = INFINITY;
    if (read_numbers(folder, "memory.max", two) > 0) least = two[0];
    if (read_numbers(folder, "memory.limit_in_bytes", two) > 0) least = fmin(least, two[0]);
    return least;
}

static double processors_of(const char *folder) {
    double two[2], period[2], least = INFINITY;
    if (read_numbers(folder, "cpu.max", two) == 2 && two[1] > 0) least = two[0] / two[1];
    if (read_numbers(folder, "cpu.cfs_quota_us", two) > 0 && read_numbers(folder, "cpu.cfs_period_us", period) > 0 &&
        period[0] > 0)
        least = fmin(least, two[0] / period[0]);
    return least;
}

/* Is the controller among "cpu,cpuacct"? The one list of cgroup v2 is empty and has all. */
static bool has_controller(const char *list, const char *controller) {
    size_t n = strlen(controller);
    if (!*list) return true;
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, controller, n) && (at[n] == ',' || !at[n])) return true;
    }
    return false;
}

/* The least limit of the group and of all that it lies in. Inside a container the group's own files often lie at the
   mount's root, which is the last that is looked at. */
static double least_up(const char *root, char *group, double (*limit)(const char *folder)) {
    double least = limit(root);
    for (char *end; group[0] == '/' && group[1]; *end = 0) {
        char *folder = xprintf("%s%s", root, group);
        least = fmin(least, limit(folder));
        free(folder);
        end = strrchr(group, '/');
    }
    return least;
}

static double least_limit(const char *membership, const char *mount, const char *controller,
                          double (*limit)(const char *folder)) {
    char line[4096];
    double least = INFINITY;
    FILE *f = xfound(fopen(membership, "r"));
    while (f && fgets(line, sizeof line, f)) { /* "4:cpu,cpuacct:/group" */
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        if (!has_controller(++list, controller)) continue;
        char *root = *list ? xprintf("%s/%s", mount, list) : xstrdup(mount);
        least = fmin(least, least_up(root, group, limit));
        free(root);
    }
    if (f) fclose(f);
    return least;
}

uint64_t host_container_memory(const char *membership, const char *mount) {
    double least = least_limit(membership, mount, "memory", memory_of);
    return least < 0x1p63 ? (uint64_t)least : UINT64_MAX;
}

double host_container_processors(const char *membership, const char *mount) {
    return least_limit(membership, mount, "cpu", processors_of);
}

/* ---- the process ---- */

uint64_t host_memory(void) {
    uint64_t least = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);
    uint64_t container = host_container_memory(MEMBERSHIP, MOUNT);
    struct rlimit space;
    if (container < least) least = container;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY && space.rlim_cur < least)
        least = space.rlim_cur;
    return least;
}

uint64_t host_memory_free(void) {
    uint64_t all = host_memory();
    unsigned long long kib;
    char line[128];
    FILE *f = xfound(fopen("/proc/meminfo", "r"));
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1 && kib < all / 1024) all = 1024 * kib;
    if (f) fclose(f);
    return all;
}

int host_processors(void) {
    double most = fmin(omp_get_num_procs(), ceil(host_container_processors(MEMBERSHIP, MOUNT)));
    return most > 1 ? (int)most : 1;
}

void host_settle_threads(FILE *f) {
    int asked = omp_get_max_threads(), have = host_processors();
    int most = 4 * have > 64 ? 4 * have : 64; /* a few more than processors only cost time */
    if (!getenv("OMP_NUM_THREADS"))
        omp_set_num_threads(asked < have ? asked : have);
    else if (asked > most) {
        fprintf(f, "note: OMP_NUM_THREADS asks for %d threads, and here are %d processors: %d are used\n", asked, have,
                have);
        omp_set_num_threads(have);
    }
}

/* ---- its load ---- */

bool host_load_is_high(const char *folder, double processors) {
    double load[2];
    return read_numbers(folder, "loadavg", load) > 0 && load[0] > processors / 2;
}

bool host_is_busy(void) { return host_load_is_high("/proc", (double)sysconf(_SC_NPROCESSORS_ONLN)); }

bool host_find_pages(char *at, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t)at, from = (first + page - 1) / page * page, end = (first + bytes) / page * page;
    return end <= from || madvise(at + (from - first), end - from, MADV_POPULATE_WRITE) == 0;
#else
    (void)at, (void)bytes;
    return false;
#endif
}
