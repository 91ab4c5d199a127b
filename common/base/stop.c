/* stop.c: see stop.h. */
#include "base/stop.h"
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

/* Mutable globals, since a signal handler can reach nothing else. Only the handler uses `first`, and no two handlers
   run at once. */
static volatile sig_atomic_t wanted, quiet;
static struct timespec first;

static double seconds_since(const struct timespec *from) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - from->tv_sec) + 1e-9 * (double)(now.tv_nsec - from->tv_nsec);
}

static void want_stop(int number) {
    static const char text[] = "\nfinishing this step, then saving; once more stops at once\n";
    int before = errno;
    if (!wanted) {
        clock_gettime(CLOCK_MONOTONIC, &first);
        wanted = 1;
        /* Whoever reads our output may be ending by the same signal, which must not stop the save. */
        signal(SIGPIPE, SIG_IGN);
        ssize_t ignored = quiet ? 0 : write(STDERR_FILENO, text, sizeof text - 1);
        (void)ignored;
    } else if (seconds_since(&first) >= 0.5) {
        signal(number, SIG_DFL);
        raise(number); /* takes effect when this handler is left */
    }
    errno = before;
}

void stop_watch(void) {
    struct sigaction ours = {.sa_handler = want_stop, .sa_flags = SA_RESTART}, before;
    wanted = 0;
    sigemptyset(&ours.sa_mask);
    for (int i = 0; i < NUMBERS; i++) sigaddset(&ours.sa_mask, numbers[i]);
    for (int i = 0; i < NUMBERS; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &ours, NULL);
}

void stop_watch_quietly(void) {
    quiet = 1;
    stop_watch();
}

void stop_ignore(void) {
    for (int i = 0; i < NUMBERS; i++) signal(numbers[i], SIG_IGN);
}

bool stop_wanted(void) { return wanted; }
