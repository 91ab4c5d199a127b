/* stop.h: SIGINT and SIGTERM ask a run to end after the step under way. */
#ifndef SNUG_STOP_H
#define SNUG_STOP_H

#include <stdbool.h>

/* From now on the first such signal is noted, and a line on stderr says so; a second one, of either kind, ends the
   process at once. A signal that the shell has set to be ignored (SIGINT of a background job) stays ignored. */
void stop_watch(void);
/* Has such a signal come? */
bool stop_wanted(void);

#endif
