/* host.h: what of this machine the process may use. Within a container (cgroup v1 or v2) that is less than the machine
   has, and the system says so only in files. */
#ifndef SNUG_HOST_H
#define SNUG_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes: the least of the machine's memory, the container's limit and `ulimit -v`. */
uint64_t host_memory(void);
/* Bytes of it that are free, or can be freed without a program's noticing; all of it where the system does not say. */
uint64_t host_memory_free(void);
/* Processors that this process may run on, and of which its container has so many's time, rounded up; 1 at least. */
int host_processors(void);
/* Sets the number of OpenMP threads: what OMP_NUM_THREADS says, or else one for each processor. More than the machine
   can use are not made, and a line on f says so. */
void host_settle_threads(FILE *f);

/* Do other programs keep this machine so busy that times say little? By the load of the last minute, which is more than
   half of the machine's processors then. */
bool host_is_busy(void);
/* The same by a file `loadavg` in another folder than /proc, for tests; no, where it can't be read. */
bool host_load_is_high(const char *folder, double processors);

/* Has the system find the pages of memory that was just mapped, and fill them with zeros, all at once: that takes half
   of the time that it takes for one page after another, when each is first written to. Only those that lie wholly in
   these bytes. False: it can't, and will find them one by one. */
bool host_find_pages(char *at, size_t bytes);

/* The two limits of the container, for tests by other files than /proc/self/cgroup and /sys/fs/cgroup. UINT64_MAX and
   INFINITY: there is none. */
uint64_t host_container_memory(const char *membership, const char *mount);
double host_container_processors(const char *membership, const char *mount);

#endif
