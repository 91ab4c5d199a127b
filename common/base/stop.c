/* stop.c: see stop.h. */
#include "base/stop.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t wanted; /* the one mutable global: a signal handler can reach nothing else */

static void want_stop(int number) {
    static const char text[] = "\nfinishing this step, then saving; once more stops at once\n";
    int before = errno;
    (void)number;
    wanted = 1;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    errno = before;
}

void stop_watch(void) {
    static const int numbers[] = {SIGINT, SIGTERM};
    wanted = 0;
    for (int i = 0; i < 2; i++)
        if (signal(numbers[i], want_stop) == SIG_IGN) signal(numbers[i], SIG_IGN);
}

bool stop_wanted(void) { return wanted; }
