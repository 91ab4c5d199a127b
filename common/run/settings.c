/* settings.c: see settings.h. */
#include "run/settings.h"
#include "base/restart.h"
#include "cpu/core_type.h"
#include <stdlib.h>

/* Looks at what it waits for that a thread of libgomp takes before it sleeps: about as long as being woken takes, so
   that no choice is more than twice as good. Measured: docs/notebook.md, "Threads that wait". */
#define SPINS "1000"

void settings_settle(char **argv) {
    static const char *const about_waiting[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"};
    bool own = true;
    for (size_t i = 0; i < sizeof about_waiting / sizeof *about_waiting; i++) own = own && !getenv(about_waiting[i]);
    const setting list[] = {
        {"OMP_WAIT_POLICY", own ? "passive" : NULL}, /* of other OpenMPs too; libgomp lets the next one go before it */
        {"GOMP_SPINCOUNT", own ? SPINS : NULL},
        {"OPENBLAS_CORETYPE", core_type_wanted()},
    };
    restart_with(argv, list, sizeof list / sizeof *list);
}
