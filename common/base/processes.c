/* processes.c: see processes.h. */
#include "base/processes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef SNUG_MPI
#include <mpi.h>
#endif

/* Mutable globals: a process joins once, and MPI knows it as one too. */
static int count = 1, rank, local, local_count = 1;

/* How many processes the environment says there are, by Open MPI's name of it and by those of other launchers. */
static int started(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return atoi(getenv(names[i]));
    return 0;
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

enum { TAG = 1 };

/* Mutable global, like those above. */
static bool joined;

/* glibc lets the stream be replaced. The file descriptor stays, for what ends the process in one line. */
static void be_quiet(void) {
    FILE *nothing = fopen("/dev/null", "w");
    if (!freopen("/dev/null", "w", stdout) || !nothing) return;
    stderr = nothing;
}

status processes_open(error *e) {
    MPI_Comm here;
    if (!started()) return OK;
    MPI_Init(NULL, NULL);
    joined = true;
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &here);
    MPI_Comm_size(here, &local_count);
    MPI_Comm_rank(here, &local);
    MPI_Comm_free(&here);
    if (rank) be_quiet();
    if (started() <= count) return OK;
    return fail(e, FAILED,
                "%d processes were started, of which Open MPI, with which snug was built, finds %d: start them with "
                "Open MPI's own mpirun",
                started(), count);
}

void processes_close(void) {
    if (joined) MPI_Finalize();
}

void processes_fail(const char *line) {
    if (!started()) return;
    if (!joined) processes_open(NULL); /* else each would print the line */
    if (count == 1) return;
    if (rank) usleep(2500000u + 500000u * (unsigned)(rank < 10 ? rank : 10)); /* in which an abort takes effect */
    fflush(stdout);
    dprintf(STDERR_FILENO, "%s", line);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

void processes_wait(void) {
    if (count > 1) MPI_Barrier(MPI_COMM_WORLD);
}

void processes_share(void *data, size_t bytes) {
    if (count > 1) MPI_Bcast(data, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
}

void processes_gather(const void *own, size_t bytes, void *all) {
    if (count == 1)
        memcpy(all, own, bytes);
    else
        MPI_Allgather(own, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
}

void processes_send(int to, const void *data, size_t bytes) {
    MPI_Send(data, (int)bytes, MPI_BYTE, to, TAG, MPI_COMM_WORLD);
}

void processes_receive(int from, void *data, size_t bytes) {
    MPI_Recv(data, (int)bytes, MPI_BYTE, from, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
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
    MPI_Isend(data, (int)bytes, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &request);
    return message_of(request);
}

message processes_begin_receive(int from, void *data, size_t bytes) {
    MPI_Request request;
    MPI_Irecv(data, (int)bytes, MPI_BYTE, from, TAG, MPI_COMM_WORLD, &request);
    return message_of(request);
}

bool processes_ended(message *m) {
    MPI_Request request;
    int ended;
    if (!m->under_way) return true;
    memcpy(&request, &m->request, sizeof request);
    MPI_Test(&request, &ended, MPI_STATUS_IGNORE);
    if (ended) m->under_way = false;
    return ended;
}

#else

status processes_open(error *e) {
    if (started() < 2) return OK;
    return fail(
        e, FAILED,
        "mpirun started %d processes, and this build has no MPI (MPI=0): start one, or install Open MPI (Debian: "
        "libopenmpi-dev) and type  make MPI=1",
        started());
}

void processes_close(void) {}

void processes_fail(const char *line) { (void)line; }

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
