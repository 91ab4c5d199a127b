/* stop.h: SIGINT, SIGTERM and SIGHUP ask a run to end after the step under way. */
#ifndef SNUG_STOP_H
#define SNUG_STOP_H

#include <stdbool.h>

/* From now on the first such signal is noted, and a line on stderr says so. A second one, of any of these kinds, ends
   the process at once if it comes half a second later or more: `timeout` sends two together, and means one. A signal
   that the shell or nohup has set to be ignored stays ignored. */
void stop_watch(void);
/* The same without the line: where mpirun sends such a signal, it may be that another process has failed. */
void stop_watch_quietly(void);
/* Ignores those signals, in a process that ends when another says so. */
void stop_ignore(void);
/* Has such a signal come? */
bool stop_wanted(void);

#endif
