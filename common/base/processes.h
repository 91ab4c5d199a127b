/* processes.h: the processes of one run, which mpirun starts: who this one is, and moving bytes between them. The only
   file that knows MPI, which is loaded where several processes were started; built without it (MPI=0), or started
   alone, a run is one process, and then nothing here does anything.

   Every function below processes_local is called by all processes, in the same order. None of them reduces: whoever
   adds what others sent does so in an order of its own choice. When one process fails or is killed, mpirun ends all. */
#ifndef SNUG_PROCESSES_H
#define SNUG_PROCESSES_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Joins the processes that mpirun started, if it did. All but the first lose stdout and the stream stderr, so that one
   prints for all. FAILED: several were started, and this build has no MPI, or another than the mpirun's, or the library
   can't be loaded. */
status processes_open(error *e);
/* Waits for the others. */
void processes_close(void);
/* Ends all processes with exit status 1, after printing the line on stderr: the first process at once, the others
   seconds later, one after another, so that of processes that fail alike one speaks. May come before processes_open,
   which is then called. Returns where there is one process, and after that time where these could not be joined. */
void processes_fail(const char *line);

int processes_count(void); /* 1 without mpirun */
int processes_rank(void);  /* 0 is the first, which prints, logs and saves */
/* Which one of those on this machine this is, from 0; *count (may be NULL): how many there are here. */
int processes_local(int *count);

void processes_wait(void);
/* The least of what all give; 0 stands for no limit. */
uint64_t processes_least(uint64_t value);
/* All get the first one's bytes. */
void processes_share(void *data, size_t bytes);
/* Gives all processes the `bytes` of `own`: *all gets those of each, one process after another. */
void processes_gather(const void *own, size_t bytes, void *all);
/* One message between two processes, at most 1 GiB. */
void processes_send(int to, const void *data, size_t bytes);
void processes_receive(int from, void *data, size_t bytes);

/* The same without waiting: data is MPI's until the message has ended. Those from one process to another arrive in the
   order in which they were begun. */
typedef struct {
    uint64_t request;
    bool under_way;
} message;
message processes_begin_send(int to, const void *data, size_t bytes);
message processes_begin_receive(int from, void *data, size_t bytes);
/* Has it ended? Also gives MPI time to go on with all messages: it has no thread of its own for that. */
bool processes_ended(message *m);

#endif
