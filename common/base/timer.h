/* timer.h: seconds, by a clock that is never set back. */
#ifndef SNUG_TIMER_H
#define SNUG_TIMER_H

#include <time.h>

static inline double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
