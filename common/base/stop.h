/* stop.h: SIGINT and SIGTERM end a run after the step under way. */
#ifndef SNUG_STOP_H
#define SNUG_STOP_H

#include <stdbool.h>

/* From here on the first such signal is noted (and says so on stderr), a second one, of either kind, ends the process
   at once. What a shell has told us to ignore (SIGINT in the background) stays ignored. */
void stop_watch(void);
/* Has one come since? */
bool stop_wanted(void);

#endif
