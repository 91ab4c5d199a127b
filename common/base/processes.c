/* processes.c: see processes.h. */
#include "base/processes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef SNUG_MPI
#include <dlfcn.h>
#include <mpi.h>
#endif

/* Mutable globals: a process joins once, and MPI knows it as one too. */
static int count = 1, rank, local, local_count = 1;

/* A number from the environment, by Open MPI's name of it or those of other launchers; 0 where there is none. */
static int told(const char *open_mpi, const char *pmi, const char *hydra) {
    const char *names[] = {open_mpi, pmi, hydra};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return atoi(getenv(names[i]));
    return 0;
}

/* How many processes were started. */
static int started(void) { return told("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"); }

/* Of processes that fail alike the first speaks at once; others wait for their turn, in which they are ended. */
static void wait_to_fail(void) {
    int r = told("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MPI_LOCALRANKID");
    if (r > 0) usleep(2500000u + 500000u * (unsigned)(r < 10 ? r : 10));
}

int processes_count(void) { return count; }

int processes_rank(void) { return rank; }

int processes_local(int *here) {
    if (here) *here = local_count;
    return local;
}

uint64_t processes_least(uint64_t value) {
    uint64_t *all = xcalloc((size_t)count, sizeof *all), least = value;
    processes_gather(&value, sizeof value, all);
    for (int r = 0; r < count; r++)
        if (all[r] && (!least || all[r] < least)) least = all[r];
    free(all);
    return least;
}

#ifdef SNUG_MPI

/* ---- the library, which takes time to load: only where several processes were started ---- */

/* What is used of it: functions, and the objects that Open MPI's macros MPI_BYTE, MPI_COMM_WORLD and MPI_INFO_NULL take
   the address of. Their types are those of mpi.h. */
#define SYMBOLS(X)                                                                                                     \
    X(MPI_Abort)                                                                                                       \
    X(MPI_Allgather)                                                                                                   \
    X(MPI_Barrier)                                                                                                     \
    X(MPI_Bcast)                                                                                                       \
    X(MPI_Comm_free)                                                                                                   \
    X(MPI_Comm_rank)                                                                                                   \
    X(MPI_Comm_size)                                                                                                   \
    X(MPI_Comm_split_type)                                                                                             \
    X(MPI_Finalize)                                                                                                    \
    X(MPI_Init)                                                                                                        \
    X(MPI_Irecv)                                                                                                       \
    X(MPI_Isend)                                                                                                       \
    X(MPI_Recv)                                                                                                        \
    X(MPI_Send)                                                                                                        \
    X(MPI_Test)                                                                                                        \
    X(ompi_mpi_byte)                                                                                                   \
    X(ompi_mpi_comm_world)                                                                                             \
    X(ompi_mpi_info_null)

#define AS_POINTER(name) __typeof__(name) *name;
#define AS_ENTRY(name) {#name, &mpi.name},

/* Mutable globals, like those above. */
static struct { SYMBOLS(AS_POINTER) } mpi;
static bool joined;

/* SNUG_MPI is the name, with the version of its interface, of the library that make found. RTLD_GLOBAL, as if the
   program were linked with it: Open MPI 4 loads components, not linked with it either, that look for its symbols there.
 */
static status load(error *e) {
    static const struct {
        const char *name;
        void *pointer;
    } symbols[] = {SYMBOLS(AS_ENTRY)};
    void *library = dlopen(SNUG_MPI, RTLD_NOW | RTLD_GLOBAL);
    for (size_t i = 0; library && i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(library, symbols[i].name);
        if (!found) library = NULL;
        memcpy(symbols[i].pointer, &found, sizeof found);
    }
    if (library) return OK;
    return fail(e, FAILED,
                "%d processes were started, and Open MPI, with which snug was built, can't be loaded (%s): install it "
                "(Debian: openmpi-bin), or start one process",
                started(), dlerror());
}

/* From here on the macros in mpi.h give what was loaded. */
#define ompi_mpi_byte (*mpi.ompi_mpi_byte)
#define ompi_mpi_comm_world (*mpi.ompi_mpi_comm_world)
#define ompi_mpi_info_null (*mpi.ompi_mpi_info_null)

/* ---- the same for the rest of the program ---- */

enum { TAG = 1 };

/* glibc lets the stream be replaced. The file descriptor stays, for what ends the process in one line. */
static void be_quiet(void) {
    FILE *nothing = fopen("/dev/null", "w");
    if (!freopen("/dev/null", "w", stdout) || !nothing) return;
    stderr = nothing;
}

status processes_open(error *e) {
    MPI_Comm here;
    if (started() < 2) return OK;
    TRY(load(e));
    mpi.MPI_Init(NULL, NULL);
    joined = true;
    mpi.MPI_Comm_size(MPI_COMM_WORLD, &count);
    mpi.MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    mpi.MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &here);
    mpi.MPI_Comm_size(here, &local_count);
    mpi.MPI_Comm_rank(here, &local);
    mpi.MPI_Comm_free(&here);
    if (rank) be_quiet();
    if (started() <= count) return OK;
    return fail(e, FAILED,
                "%d processes were started, of which Open MPI, with which snug was built, finds %d: start them with "
                "Open MPI's own mpirun",
                started(), count);
}

void processes_close(void) {
    if (joined) mpi.MPI_Finalize();
}

void processes_fail(const char *line) {
    if (started() < 2) return;
    if (!joined) processes_open(NULL); /* as only MPI_Abort ends all at once */
    wait_to_fail();
    if (count == 1) return;
    fflush(stdout);
    dprintf(STDERR_FILENO, "%s", line);
    mpi.MPI_Abort(MPI_COMM_WORLD, 1);
}

void processes_wait(void) {
    if (count > 1) mpi.MPI_Barrier(MPI_COMM_WORLD);
}

void processes_share(void *data, size_t bytes) {
    if (count > 1) mpi.MPI_Bcast(data, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
}

void processes_gather(const void *own, size_t bytes, void *all) {
    if (count == 1)
        memcpy(all, own, bytes);
    else
        mpi.MPI_Allgather(own, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
}

void processes_send(int to, const void *data, size_t bytes) {
    mpi.MPI_Send(data, (int)bytes, MPI_BYTE, to, TAG, MPI_COMM_WORLD);
}

void processes_receive(int from, void *data, size_t bytes) {
    mpi.MPI_Recv(data, (int)bytes, MPI_BYTE, from, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* A request is a number or a pointer, as the library likes it. */
static message message_of(MPI_Request request) {
    message m = {.under_way = true};
    _Static_assert(sizeof request <= sizeof m.request, "message.request has no room for MPI's");
    memcpy(&m.request, &request, sizeof request);
    return m;
}

message processes_begin_send(int to, const void *data, size_t bytes) {
    MPI_Request request;
    mpi.MPI_Isend(data, (int)bytes, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &request);
    return message_of(request);
}

message processes_begin_receive(int from, void *data, size_t bytes) {
    MPI_Request request;
    mpi.MPI_Irecv(data, (int)bytes, MPI_BYTE, from, TAG, MPI_COMM_WORLD, &request);
    return message_of(request);
}

bool processes_ended(message *m) {
    MPI_Request request;
    int ended;
    if (!m->under_way) return true;
    memcpy(&request, &m->request, sizeof request);
    mpi.MPI_Test(&request, &ended, MPI_STATUS_IGNORE);
    if (ended) m->under_way = false;
    return ended;
}

#else

status processes_open(error *e) {
    int n = started();
    if (n < 2) return OK;
    return fail(
        e, FAILED,
        "mpirun started %d processes, and this build has no MPI (MPI=0): start one, or install Open MPI (Debian: "
        "libopenmpi-dev) and type  make MPI=1",
        n);
}

void processes_close(void) {}

void processes_fail(const char *line) {
    (void)line;
    wait_to_fail();
}

void processes_wait(void) {}

void processes_share(void *data, size_t bytes) { (void)data, (void)bytes; }

void processes_gather(const void *own, size_t bytes, void *all) { memcpy(all, own, bytes); }

void processes_send(int to, const void *data, size_t bytes) { (void)to, (void)data, (void)bytes; }

void processes_receive(int from, void *data, size_t bytes) { (void)from, (void)data, (void)bytes; }

message processes_begin_send(int to, const void *data, size_t bytes) {
    (void)to, (void)data, (void)bytes;
    return (message){0};
}

message processes_begin_receive(int from, void *data, size_t bytes) {
    (void)from, (void)data, (void)bytes;
    return (message){0};
}

bool processes_ended(message *m) { return !m->under_way; }

#endif
